// The optimising passes over a traced program: each a pure function with a report of what it saved.
import { bytesOf } from "../kernel/dtype.ts";
import { accessesOf, bytesMoved, flopsOf, printNumbers, type Copy, type Dispatch, type Node, type Program, type Storage } from "./trace.ts";

/** What a pass did. */
export interface PassReport {
  readonly pass: string;
  readonly before: number;
  readonly after: number;
  /** Arithmetic operations that are no longer done. */
  readonly savedFlops: number;
  /** Bytes that are no longer moved. */
  readonly savedBytes: number;
  /** What was changed, one line each. */
  readonly changes: readonly string[];
}

export interface Pass {
  readonly name: string;
  run(program: Program): { program: Program; changes: string[] };
}

/** Applies the passes in order. */
export function optimise(program: Program, passes: readonly Pass[] = PASSES): { program: Program; reports: PassReport[] } {
  const reports: PassReport[] = [];
  let current = program;
  for (const pass of passes) {
    const next = pass.run(current);
    const sum = (nodes: readonly Node[], of: (node: Node) => number) => nodes.reduce((total, node) => total + of(node), 0);
    reports.push({
      pass: pass.name,
      before: current.nodes.length,
      after: next.program.nodes.length,
      savedFlops: sum(current.nodes, flopsOf) - sum(next.program.nodes, flopsOf),
      savedBytes: sum(current.nodes, bytesMoved) - sum(next.program.nodes, bytesMoved),
      changes: next.changes,
    });
    current = next.program;
  }
  return { program: current, reports };
}

/** Drops nodes whose results nobody reads. Writes to state are effects and stay. */
export const removeDead: Pass = {
  name: "dead code",
  run({ nodes, outputs }) {
    const needed = new Set<Storage>(outputs.values());
    const kept: Node[] = [];
    const changes: string[] = [];
    for (const node of [...nodes].reverse()) {
      const { reads, writes } = accessesOf(node);
      if (writes.some((s) => s.kind === "state" || needed.has(s))) {
        for (const s of reads) needed.add(s);
        kept.push(node);
      } else changes.push(`removed ${describeNode(node)}`);
    }
    return { program: { nodes: kept.reverse(), outputs }, changes: changes.reverse() };
  },
};

/** Computes what is computed twice once: same kernel, numbers, flags and inputs, no state involved. */
export const shareCommon: Pass = {
  name: "common subexpressions",
  run({ nodes, outputs }) {
    const ids = new Map<Storage, number>();
    const idOf = (s: Storage) => ids.get(s) ?? (ids.set(s, ids.size), ids.size - 1);
    const first = new Map<string, Dispatch>();
    const replaced = new Map<Storage, Storage>();
    const kept: Node[] = [];
    const changes: string[] = [];
    for (const original of nodes) {
      const node = substitute(original, replaced);
      const { reads, writes } = accessesOf(node);
      if (node.kind === "copy" || writes.some((s) => s.kind === "state" || isOutput(outputs, s)) || reads.some((s) => s.kind === "state" && isUpdated(nodes, s))) {
        kept.push(node);
        continue;
      }
      const inputs = Object.entries(node.bindings).filter(([name]) => node.kernel.args[name]?.access === "read");
      const key = [node.kernel.name, node.dtype, [...node.flags].sort().join(), exactNumbers(node.numbers), ...inputs.map(([name, s]) => `${name}:${idOf(s)}`)].join("|");
      const twin = first.get(key);
      if (!twin) {
        first.set(key, node);
        kept.push(node);
        continue;
      }
      for (const [name, storage] of Object.entries(node.bindings))
        if (node.kernel.args[name]?.access === "write") replaced.set(storage, twin.bindings[name] ?? storage);
      changes.push(`${describeNode(node)} is ${twin.path}`);
    }
    return { program: { nodes: kept, outputs }, changes };
  },
};

/** Numbers to the last bit: those for people are rounded, and two factors that only look alike are not the same work. */
function exactNumbers(numbers: Dispatch["numbers"]): string {
  return Object.entries(numbers)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** Lets a kernel apply what follows it (activation, residual, accumulation) before it stores its result. */
export const fuseEpilogues: Pass = {
  name: "epilogue fusion",
  run({ nodes, outputs }) {
    const list: (Node | undefined)[] = [...nodes];
    const changes: string[] = [];
    const readers = new Map<Storage, number>();
    for (const node of nodes) for (const s of accessesOf(node).reads) readers.set(s, (readers.get(s) ?? 0) + 1);
    const makers = new Map<Storage, number>();
    nodes.forEach((node, i) => {
      for (const s of accessesOf(node).writes) if (s.kind === "intermediate") makers.set(s, i);
    });
    for (let at = 0; at < list.length; at++) {
      const node = list[at];
      if (node?.kind !== "dispatch") continue;
      for (const offer of node.kernel.asEpilogue(node.numbers, node.flags)) {
        const via = node.bindings[offer.input];
        const from = via && makers.get(via);
        const maker = from === undefined ? undefined : list[from];
        if (!via || from === undefined || maker?.kind !== "dispatch" || readers.get(via) !== 1 || isOutput(outputs, via)) continue;
        const fused = fuse(maker, node, offer);
        if (!fused || !canMove(list, from, at, maker)) continue;
        list[from] = undefined;
        list[at] = fused;
        makers.set(fused.bindings[maker.kernel.epilogue?.output ?? ""] ?? via, at);
        for (const s of accessesOf(fused).writes) makers.set(s, at);
        changes.push(`${node.path} into ${maker.path} as ${offer.stage}`);
        break;
      }
    }
    return { program: { nodes: list.filter((node): node is Node => node !== undefined), outputs }, changes };
  },
};

function fuse(maker: Dispatch, node: Dispatch, offer: ReturnType<Dispatch["kernel"]["asEpilogue"]>[number]): Dispatch | undefined {
  const epilogue = maker.kernel.epilogue;
  if (!epilogue || maker.dtype !== node.dtype || maker.bindings[epilogue.output] !== node.bindings[offer.input]) return undefined;
  const index = epilogue.stages.findIndex((stage) => stage.name === offer.stage);
  const stage = epilogue.stages[index];
  // Stages act in their declared order, so this one may only join where none that acts at its place or later is on.
  if (!stage || epilogue.stages.slice(index).some(({ flag }) => maker.flags.has(flag))) return undefined;
  const result = node.bindings[offer.output];
  const other = offer.other === undefined ? undefined : node.bindings[offer.other];
  const made = maker.bindings[epilogue.output];
  if (!result || !made || result.count !== made.count || result.dtype !== made.dtype) return undefined;
  if ((stage.arg === undefined) !== (other === undefined)) return undefined;
  if (other && (other.count !== made.count || other === made)) return undefined;
  return {
    ...maker,
    path: `${maker.path}+${offer.stage}`,
    flags: new Set([...maker.flags, stage.flag]),
    bindings: { ...maker.bindings, [epilogue.output]: result, ...(stage.arg && other ? { [stage.arg]: other } : {}) },
  };
}

/** Whether a node may run later: nothing in between overwrites what it reads. */
function canMove(list: readonly (Node | undefined)[], from: number, to: number, node: Dispatch): boolean {
  const buffers = new Set(accessesOf(node).reads.map((s) => s.state?.buffer).filter((b) => b !== undefined));
  if (buffers.size === 0) return true;
  return list.slice(from + 1, to).every((other) => !other || accessesOf(other).writes.every((s) => !s.state || !buffers.has(s.state.buffer)));
}

/** Lets a placed tensor be written where it belongs, instead of being copied there. */
export const placeDirectly: Pass = {
  name: "placement",
  run({ nodes, outputs }) {
    const changes: string[] = [];
    const replaced = new Map<Storage, Storage>();
    const dropped = new Set<Node>();
    for (const node of nodes) {
      if (node.kind !== "copy" || node.from.kind !== "intermediate" || replaced.has(node.from) || isOutput(outputs, node.from)) continue;
      const target = node.to.state?.buffer;
      const touching = nodes.filter((other) => other !== node && Object.values(other.kind === "copy" ? { from: other.from, to: other.to } : other.bindings).includes(node.from));
      const maker = touching.find((other) => accessesOf(other).writes.includes(node.from));
      // A dispatch may not have one buffer bound for reading and for writing: no toucher may mix both.
      const mixes = touching.some((other) => {
        const { reads, writes } = accessesOf(other);
        const inTarget = (s: Storage) => s.state?.buffer === target || s === node.from || (replaced.get(s)?.state?.buffer === target && target !== undefined);
        return reads.some(inTarget) && writes.some(inTarget);
      });
      if (!maker || maker.kind === "copy" || mixes || isDisturbed(nodes, replaced, maker, touching, node)) continue;
      replaced.set(node.from, node.to);
      dropped.add(node);
      changes.push(`${maker.path} writes ${node.to.name}`);
    }
    const kept = nodes.filter((node) => !dropped.has(node)).map((node) => substitute(node, replaced));
    return { program: { nodes: kept, outputs }, changes };
  },
};

/**
 * Whether writing the target early, or reading from it late, would be seen: between the maker and the copy nobody else may
 * touch the target, and until the last reader of the placed tensor nobody may write it.
 */
function isDisturbed(nodes: readonly Node[], replaced: ReadonlyMap<Storage, Storage>, maker: Node, touching: readonly Node[], copy: Copy): boolean {
  const at = nodes.indexOf(copy);
  const end = Math.max(at, ...touching.map((node) => nodes.indexOf(node)));
  return nodes.slice(nodes.indexOf(maker) + 1, end + 1).some((other, i) => {
    if (other === copy) return false;
    const { reads, writes } = accessesOf(substitute(other, replaced));
    const late = nodes.indexOf(maker) + 1 + i > at;
    return [...writes, ...(late ? [] : reads)].some((s) => meet(s, copy.to));
  });
}

/** Whether two storages are state and share an element. */
export function meet(a: Storage, b: Storage): boolean {
  if (!a.state || !b.state || a.state.buffer !== b.state.buffer) return false;
  return a.state.offset < b.state.offset + b.count && b.state.offset < a.state.offset + a.count;
}

/** In the order in which they help each other. */
export const PASSES: readonly Pass[] = [removeDead, shareCommon, fuseEpilogues, placeDirectly];

function substitute(node: Node, replaced: ReadonlyMap<Storage, Storage>): Node {
  const of = (s: Storage) => replaced.get(s) ?? s;
  if (node.kind === "copy") return { ...node, from: of(node.from), to: of(node.to) };
  return { ...node, bindings: Object.fromEntries(Object.entries(node.bindings).map(([name, s]) => [name, of(s)])) };
}

function isOutput(outputs: ReadonlyMap<string, Storage>, storage: Storage): boolean {
  return [...outputs.values()].includes(storage);
}

function isUpdated(nodes: readonly Node[], storage: Storage): boolean {
  return nodes.some((node) => accessesOf(node).writes.some((s) => s.state && s.state.buffer === storage.state?.buffer));
}

/** One line: path, type, flags and sizes. */
export function describeNode(node: Node): string {
  if (node.kind === "copy") return `${node.path} ${node.to.name} ← ${node.from.name}`;
  const flags = [...node.flags].map((flag) => ` +${flag}`).join("");
  return `${node.path} ${node.dtype}${flags} ${printNumbers(node.numbers)}`;
}

/** Bytes of a storage's elements. */
export function bytesOfStorage(storage: Storage): number {
  return storage.count * bytesOf(storage.dtype);
}
