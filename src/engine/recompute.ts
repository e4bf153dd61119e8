// Recomputation: a pass that drops intermediates over the longest time that nobody reads them, and computes them again right before they are read.
import { layOut, type LayoutLimits, type MemoryLayout } from "./layout.ts";
import { bytesOfStorage, meet, type PassReport } from "./passes.ts";
import { accessesOf, bytesMoved, flopsOf, type Node, type Program, type Storage } from "./trace.ts";

export interface RecomputeOptions {
  /** Bytes that the arenas may take. */
  readonly budget: number;
  readonly limits: LayoutLimits;
  /** Predicted seconds of a node: what it costs to run it once more. */
  readonly seconds: (node: Node) => number;
}

/** What recomputation came to. */
export interface Recomputed {
  readonly program: Program;
  readonly layout: MemoryLayout;
  /** Nodes that run once more. */
  readonly again: readonly Node[];
  readonly report: PassReport;
  /** Whether the arenas are within the budget. Where they are not, these are the least that was found. */
  readonly fits: boolean;
}

/** What paths begin with of nodes that run a second time. */
export const AGAIN = "again/";
/** What is smaller than this share of all intermediates does not matter. */
const SMALLEST = 1 / 20_000;
/** From one aim to the next: each is this share of the one before. */
const STEP = 0.95;
/** Aims in a row that bring nothing, after which there is nothing more to be had. */
const PATIENCE = 6;

/**
 * Fits a program into a budget, as `optimise` left it. On the way to ever lower aims, intermediates are dropped one by one, those first
 * that relieve most, in bytes over the aim times the nodes that they stand there, for the predicted time that they cost. The way does not
 * depend on the budget, which only says where it ends: what fits into one budget fits into every larger one. Then what was dropped
 * needlessly is kept again, the dearest first.
 *
 * A node that writes state is never run twice, and one that reads state is run again only as long as nobody has overwritten it.
 * The same kernels run on the same bits, so results are the same to the bit. Sizes and times decide, no names: programs need not know
 * where their backward pass begins.
 */
export function recompute(program: Program, options: RecomputeOptions): Recomputed {
  const tape = readTape(program, options);
  const lay = (dropped: Uint8Array) => {
    const line = lineUp(tape, dropped)!;
    const rewritten = rewrite(tape, program, dropped, line);
    return { dropped, line, program: rewritten, layout: layOut(rewritten, options.limits) };
  };
  let best = lay(new Uint8Array(tape.storages.length));
  const whole = best.line.peak;
  let [current, aim, idle] = [best, whole, 0];
  while (best.layout.arenaBytes > options.budget && idle < PATIENCE) {
    aim *= STEP;
    const dropped = approach(tape, current.dropped, aim);
    if (!dropped) {
      idle++;
      continue;
    }
    current = lay(dropped);
    idle = current.layout.arenaBytes < best.layout.arenaBytes ? 0 : idle + 1;
    if (idle === 0) best = current;
  }
  const fits = best.layout.arenaBytes <= options.budget;
  if (fits && best.dropped.includes(1)) {
    const kept = lay(keepAgain(tape, best.dropped, (options.budget * best.line.peak) / best.layout.arenaBytes));
    if (kept.layout.arenaBytes <= options.budget) best = kept;
  }
  const again = best.line.order.filter((node, i) => node !== best.line.at[i]).map((node) => program.nodes[node]!);
  const sum = (of: (node: Node) => number) => again.reduce((total, node) => total + of(node), 0);
  const report = {
    pass: "recomputation",
    before: program.nodes.length,
    after: best.program.nodes.length,
    savedFlops: -sum(flopsOf),
    savedBytes: -sum(bytesMoved),
    changes: again.map((node) => `${node.path} runs again`),
  };
  return { program: best.program, layout: best.layout, again, report, fits };
}

/** A program in numbers: intermediates and nodes by their indices. */
interface Tape {
  readonly nodes: readonly Node[];
  readonly storages: readonly Storage[];
  readonly bytes: readonly number[];
  /** Node that makes each intermediate. */
  readonly maker: readonly number[];
  /** Last node that reads the first making of an intermediate if it is dropped: what comes behind its longest rest reads the second. */
  readonly until: readonly number[];
  readonly outputs: readonly number[];
  /** Intermediates that may be dropped. */
  readonly candidates: readonly number[];
  readonly reads: readonly (readonly number[])[];
  readonly writes: readonly (readonly number[])[];
  readonly seconds: readonly number[];
  /** First node that overwrites state which a node reads: behind it, the node cannot be run again. */
  readonly validTo: readonly number[];
}

function readTape({ nodes, outputs }: Program, { limits, seconds }: RecomputeOptions): Tape {
  const ids = new Map<Storage, number>();
  const maker: number[] = [];
  const accesses: number[][] = [];
  const idsOf = (storages: readonly Storage[], index: number) =>
    storages
      .filter(({ kind }) => kind === "intermediate")
      .map((storage) => {
        const id = ids.get(storage) ?? (ids.set(storage, ids.size), ids.size - 1);
        (accesses[id] ??= []).push(index);
        return id;
      });
  const reads: number[][] = [];
  const writes: number[][] = [];
  nodes.forEach((node, i) => {
    const found = accessesOf(node);
    writes.push(idsOf(found.writes, i));
    reads.push(idsOf(found.reads, i));
    for (const id of writes[i]!) maker[id] ??= i;
  });
  const storages = [...ids.keys()];
  const until = accesses.map((at) => {
    const rests = at.slice(1).map((next, i) => next - at[i]!);
    return at[rests.indexOf(Math.max(...rests))] ?? 0;
  });
  const returned = new Set(outputs.values());
  const repeatable = nodes.map((node) => node.kind === "dispatch" && accessesOf(node).writes.every(({ kind }) => kind === "intermediate"));
  const bytes = storages.map((storage) => Math.ceil(bytesOfStorage(storage) / limits.alignment) * limits.alignment);
  const least = SMALLEST * bytes.reduce((sum, one) => sum + one, 0);
  const droppable = (id: number) => repeatable[maker[id]!] && !returned.has(storages[id]!) && accesses[id]!.at(-1)! > until[id]! && bytes[id]! > least;
  return {
    nodes,
    storages,
    bytes,
    maker,
    until,
    outputs: storages.flatMap((storage, id) => (returned.has(storage) ? [id] : [])),
    candidates: storages.flatMap((_, id) => (droppable(id) ? [id] : [])),
    reads,
    writes,
    seconds: nodes.map(seconds),
    validTo: nodes.map((node, i) => {
      const state = accessesOf(node).reads.filter((s) => s.state);
      if (state.length === 0) return nodes.length;
      const at = nodes.findIndex((other, j) => j > i && accessesOf(other).writes.some((written) => state.some((read) => meet(read, written))));
      return at < 0 ? nodes.length : at;
    }),
  };
}

/** The nodes in the order in which they run, and how much lives meanwhile. */
interface Line {
  readonly order: readonly number[];
  /** Where the program stands at each: at the node itself, or, where it runs again, at the one that needs it. */
  readonly at: readonly number[];
  /** Bytes that live at each. */
  readonly live: Float64Array;
  readonly peak: number;
  /** Predicted seconds of the nodes that run again. */
  readonly extra: number;
}

/** Undefined where a node would have to run again behind an overwriting of the state that it reads. */
function lineUp(tape: Tape, dropped: Uint8Array): Line | undefined {
  const count = tape.storages.length;
  // Of the first making of each intermediate, then of the second.
  const first = new Int32Array(2 * count).fill(-1);
  const last = new Int32Array(2 * count).fill(-1);
  const [order, stands]: [number[], number[]] = [[], []];
  let extra = 0;
  /** Brings about what a node needs when the program stands at `at`, and then the node. */
  const run = (node: number, at: number): boolean => {
    const again = node !== at;
    if (again && at > tape.validTo[node]!) return false;
    for (const id of tape.reads[node]!) if (isSecond(tape, dropped, id, at) && first[id + count]! < 0 && !run(tape.maker[id]!, at)) return false;
    if (again) extra += tape.seconds[node]!;
    for (const id of tape.writes[node]!) first[again ? id + count : id] = last[again ? id + count : id] = order.length;
    for (const id of tape.reads[node]!) last[isSecond(tape, dropped, id, at) ? id + count : id] = order.length;
    order.push(node);
    stands.push(at);
    return true;
  };
  for (let at = 0; at < tape.nodes.length; at++) if (!run(at, at)) return undefined;
  for (const id of tape.outputs) last[id] = order.length - 1;
  const live = new Float64Array(order.length + 1);
  for (let instance = 0; instance < first.length; instance++) {
    if (first[instance]! < 0) continue;
    const bytes = tape.bytes[instance % count]!;
    live[first[instance]!]! += bytes;
    live[last[instance]! + 1]! -= bytes;
  }
  let [sum, peak] = [0, 0];
  for (let i = 0; i < live.length; i++) {
    live[i] = sum += live[i]!;
    peak = Math.max(peak, sum);
  }
  return { order, at: stands, live, peak, extra };
}

/** Whether who reads an intermediate when the program stands at `at` reads its second making. */
function isSecond(tape: Tape, dropped: Uint8Array, id: number, at: number): boolean {
  return dropped[id] === 1 && at > tape.until[id]!;
}

/** Bytes above the aim, over all steps. */
function excessOf({ live }: Line, aim: number): number {
  let excess = 0;
  for (const bytes of live) if (bytes > aim) excess += bytes - aim;
  return excess;
}

/** Drops until nothing lives above the aim, or nothing more helps; undefined where nothing was dropped. */
function approach(tape: Tape, before: Uint8Array, aim: number): Uint8Array | undefined {
  const dropped = before.slice();
  let line = lineUp(tape, dropped)!;
  let excess = excessOf(line, aim);
  let changed = false;
  const tryDropping = (id: number) => {
    dropped[id] = 1;
    const next = lineUp(tape, dropped);
    return next && { next, excess: excessOf(next, aim) };
  };
  for (let improved = true; improved && excess > 0; ) {
    improved = false;
    const scored = tape.candidates
      .filter((id) => !dropped[id])
      .flatMap((id) => {
        const tried = tryDropping(id);
        dropped[id] = 0;
        return tried && tried.excess < excess ? [{ id, score: (excess - tried.excess) / Math.max(1e-12, tried.next.extra - line.extra) }] : [];
      })
      .sort((x, y) => y.score - x.score || x.id - y.id);
    for (const { id } of scored) {
      const tried = tryDropping(id);
      if (tried && tried.excess < excess) {
        ({ excess } = tried);
        line = tried.next;
        improved = changed = true;
      } else dropped[id] = 0;
      if (excess === 0) break;
    }
  }
  return changed ? dropped : undefined;
}

/** Keeps again what need not be dropped for all to live within `most`. */
function keepAgain(tape: Tape, before: Uint8Array, most: number): Uint8Array {
  const dropped = before.slice();
  const cost = (id: number) => tape.seconds[tape.maker[id]!]!;
  const order = tape.candidates.filter((id) => dropped[id]).sort((x, y) => cost(y) - cost(x) || x - y);
  for (const id of order) {
    dropped[id] = 0;
    const line = lineUp(tape, dropped);
    if (!line || line.peak > most) dropped[id] = 1;
  }
  return dropped;
}

/** The program that runs a line: second makings get storages of their own. */
function rewrite(tape: Tape, { nodes, outputs }: Program, dropped: Uint8Array, { order, at }: Line): Program {
  const seconds = tape.storages.map((storage): Storage => ({ ...storage, name: AGAIN + storage.name }));
  return {
    nodes: order.map((index, i): Node => {
      const node = nodes[index]!;
      const again = index !== at[i];
      const ids = [...tape.reads[index]!.filter((id) => isSecond(tape, dropped, id, at[i]!)), ...(again ? tape.writes[index]! : [])];
      if (ids.length === 0) return node;
      const replaced = new Map(ids.map((id) => [tape.storages[id]!, seconds[id]!]));
      const of = (storage: Storage) => replaced.get(storage) ?? storage;
      if (node.kind === "copy") return { ...node, from: of(node.from) };
      const bindings = Object.fromEntries(Object.entries(node.bindings).map(([name, storage]) => [name, of(storage)]));
      return { ...node, bindings, path: again ? AGAIN + node.path : node.path };
    }),
    outputs,
  };
}
