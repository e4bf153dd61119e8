// Everything about a plan that needs no memory on the device: passes, blueprints, cut grids, layout, and the bytes that it will take by purpose.
import { type Blueprint, type Problem, blueprintKey, chooseBlueprint, constantsOf, tryVariant, variantOf } from "../kernel/blueprint.ts";
import { storageBytes } from "../kernel/dtype.ts";
import type { TuningTable } from "../kernel/tuning.ts";
import { cutGrid, type Piece } from "./cut.ts";
import { identifyDevice, type Device, type Purpose } from "./device.ts";
import { OverBudget, formatBytes } from "./errors.ts";
import { borrowArenas, layOut, type MemoryLayout } from "./layout.ts";
import { describeNode, optimise, type PassReport } from "./passes.ts";
import { recompute } from "./recompute.ts";
import { cutWindows } from "./windows.ts";
import { accessesOf, bytesMoved, flopsOf, type Dispatch, type Node, type Program, type Storage, type Tensor } from "./trace.ts";

export interface PlanStatistics {
  readonly dispatches: number;
  readonly submits: number;
  readonly pipelines: number;
  /** Dispatches whose blueprint comes from a tuning table, and from a resumed run. */
  readonly tuned: number;
  readonly pinned: number;
  readonly flops: number;
  readonly bytesMoved: number;
  readonly memory: Pick<MemoryLayout, "tensorBytes" | "arenaBytes">;
  /** Bytes of every buffer that the plan itself made, by its own reckoning. */
  readonly ownBytes: number;
  readonly reports: readonly PassReport[];
}

export interface PrepareContext {
  readonly device: Pick<Device, "traits" | "fingerprint" | "rates">;
  /** Blueprints to use instead of the kernel's own choice, by the key of the problem. */
  readonly pinned?: ReadonlyMap<string, Blueprint>;
  /** What was measured to be fastest on this device: where nothing is pinned, instead of the kernel's own choice. */
  readonly tuning?: TuningTable;
  /** Bytes that the plan's buffers may take, all purposes together. */
  readonly memory?: number;
  /** Bytes that one binding may hold, where that is less than the device's own limit. */
  readonly binding?: number;
  /** Bytes of another plan's arenas, which this one may use as its own. */
  readonly borrowed?: readonly number[];
}

export interface Prepared {
  readonly program: Program;
  readonly reports: readonly PassReport[];
  readonly layout: MemoryLayout;
  /** Of each arena, which of the borrowed ones it is; undefined for an arena of the plan's own. */
  readonly borrows: readonly (number | undefined)[];
  /** Of each node; undefined for copies. */
  readonly blueprints: readonly (Blueprint | undefined)[];
  readonly tuned: number;
  readonly pinned: number;
  /** Pieces of each node's grid; none for copies. */
  readonly cuts: readonly (readonly Piece[])[];
  /** Bytes of the buffers that the plan makes; `readback` by the first run, for one run at a time. */
  readonly bytes: Readonly<Record<"activations" | "inputs" | "constants" | "uniforms" | "readback", number>> & Readonly<Partial<Record<Purpose, number>>>;
}

/** Identifies a problem across runs: what a checkpoint pins a blueprint to. */
export function problemKey(node: Dispatch): string {
  return describeNode({ ...node, path: node.kernel.name });
}

/** The pinned blueprint, where this device would run it as it is: one made for another subgroup width would compute nonsense here. */
function findPinned({ pinned, device }: PrepareContext, node: Dispatch): Blueprint | undefined {
  const blueprint = pinned?.get(problemKey(node));
  if (!blueprint || !node.kernel.variants[blueprint.variant]) return undefined;
  const tried = tryVariant(node, device.traits, blueprint.variant, blueprint.constants);
  return "blueprint" in tried && blueprintKey(tried.blueprint) === blueprintKey(blueprint) ? blueprint : undefined;
}

/** The tuned blueprint, where an entry for this very kernel, device, type, flags and sizes says so, and it can run. */
export function findTuned(tuning: TuningTable | undefined, device: Pick<Device, "traits" | "fingerprint">, node: Problem): Blueprint | undefined {
  const entry = tuning?.find(node, identifyDevice(device.fingerprint));
  // Where nothing was faster the kernel goes on choosing: it knows the sizes, of which an entry has a bucketful.
  if (!entry || entry.ratio >= 1) return undefined;
  const { choice } = entry;
  const variant = node.kernel.variants[choice.variant];
  if (!variant) return undefined;
  const params = Object.entries(choice.params ?? {});
  if (params.some(([name, value]) => !variant.params?.[name]?.includes(value))) return undefined;
  const tried = tryVariant(node, device.traits, choice.variant, choice.params ?? {});
  return "blueprint" in tried ? tried.blueprint : undefined;
}

/** Bytes of the one buffer that holds the uniforms of all dispatches: 256 for each piece of each grid. */
export function uniformsOf(pieces: number): number {
  return Math.max(1, pieces) * 256;
}

/**
 * Decides a plan. Where its buffers would take more than `memory`, intermediates are recomputed.
 * Throws Unavailable where a tensor exceeds the device's buffers, or its bindings and cannot be seen in windows, OverBudget where recomputation does not help enough.
 */
export function preparePlan(context: PrepareContext, label: string, traced: Program, inputs: ReadonlyMap<string, Tensor>): Prepared {
  const { device, memory, borrowed = [] } = context;
  const { limits } = device.fingerprint;
  const optimised = optimise(traced);
  const space = { alignment: 256, maxBuffer: limits["maxBufferSize"] ?? 0 };
  const windows = (program: Program) => cutWindows(program, label, { alignment: 256, maxBinding: Math.min(context.binding ?? Number.POSITIVE_INFINITY, limits["maxStorageBufferBindingSize"] ?? 0) });
  const seconds = (node: Node) => Math.max(flopsOf(node) / device.rates.flops, bytesMoved(node) / device.rates.bytes);
  const choice = chooseBlueprints(context);
  const cutsOf = ({ nodes }: Program) =>
    nodes.map((node) => {
      const blueprint = choice(node)?.blueprint;
      if (node.kind === "copy" || !blueprint) return [];
      return cutGrid(variantOf(node.kernel, blueprint.variant).grid(node.numbers, constantsOf(node.kernel, blueprint), node.flags), seconds(node), 65535);
    });
  const piecesOf = (cuts: readonly (readonly Piece[])[]) => cuts.reduce((sum, pieces) => sum + pieces.length, 0);
  const bytesIn = (storages: Iterable<Storage>) => [...storages].reduce((sum, { dtype, count }) => sum + storageBytes(dtype, count), 0);
  const constants = new Set([...optimised.program.nodes.flatMap((node) => accessesOf(node).reads), ...optimised.program.outputs.values()].filter(({ kind }) => kind === "constant"));
  const fixed = { inputs: bytesIn([...inputs.values()].map(({ storage }) => storage)), constants: bytesIn(constants), readback: bytesIn(optimised.program.outputs.values()) };

  let { reports } = optimised;
  let layout = layOut(optimised.program, space);
  let windowed = windows(optimised.program);
  let cuts = cutsOf(windowed.program);
  if (memory !== undefined) {
    // No node runs more than twice, so its uniforms take at most twice as much.
    const others = Object.values(fixed).reduce((sum, bytes) => sum + bytes, 2 * uniformsOf(piecesOf(cuts)));
    const own = ownArenas(layout, borrowArenas(layout.arenas, borrowed));
    if (own > memory - others) {
      const found = recompute(optimised.program, { budget: memory - others, limits: space, seconds });
      if (!found.fits) throw new OverBudget(`plan ${label}`, memory, Math.min(own, found.layout.arenaBytes) + others);
      ({ layout } = found);
      reports = [...reports, found.report];
      windowed = windows(found.program);
      cuts = cutsOf(windowed.program);
    }
  }
  const { program, report } = windowed;
  if (report) reports = [...reports, report];
  const chosen = program.nodes.map(choice);
  const borrows = borrowArenas(layout.arenas, borrowed);
  return {
    program,
    reports,
    layout,
    borrows,
    blueprints: chosen.map((one) => one?.blueprint),
    tuned: chosen.filter((one) => one?.from === "tuned").length,
    pinned: chosen.filter((one) => one?.from === "pinned").length,
    cuts,
    bytes: { activations: ownArenas(layout, borrows), ...fixed, uniforms: uniformsOf(piecesOf(cuts)) },
  };
}

/** Bytes of the arenas that are not borrowed. */
function ownArenas({ arenas }: MemoryLayout, borrows: readonly (number | undefined)[]): number {
  return arenas.reduce((sum, bytes, i) => sum + (borrows[i] === undefined ? bytes : 0), 0);
}

/** Numbers of a prepared plan, but for what only its bind groups tell. */
export function summarise({ program, reports, layout, blueprints, tuned, pinned, cuts, bytes }: Prepared): Omit<PlanStatistics, "submits" | "ownBytes"> {
  return {
    dispatches: program.nodes.reduce((sum, node, i) => sum + (node.kind === "dispatch" ? cuts[i]!.length : 1), 0),
    pipelines: new Set(blueprints.filter((b) => b !== undefined).map(blueprintKey)).size,
    tuned,
    pinned,
    flops: program.nodes.reduce((sum, node) => sum + flopsOf(node), 0),
    bytesMoved: program.nodes.reduce((sum, node) => sum + bytesMoved(node), 0),
    memory: { tensorBytes: layout.tensorBytes, arenaBytes: bytes.activations },
    reports,
  };
}

/** Passes, memory and dispatches as text. */
export function describePlan(label: string, s: PlanStatistics, { program, borrows, blueprints, cuts }: Prepared): string {
  const lines = [`plan ${label}: ${s.dispatches} dispatches, ${s.pipelines} pipelines, ${(s.flops / 1e9).toFixed(3)} GFLOP, ${formatBytes(s.bytesMoved)} moved; ${s.tuned} dispatches tuned, ${s.pinned} pinned`];
  for (const report of s.reports) {
    const [flops, bytes] = [Math.abs(report.savedFlops) / 1e6, Math.abs(report.savedBytes)];
    lines.push(`  ${report.pass}: ${report.before} → ${report.after} operations, ${report.savedBytes < 0 ? "costs" : "saves"} ${flops.toFixed(3)} MFLOP and ${formatBytes(bytes)}`);
    for (const change of report.changes) lines.push(`    ${change}`);
  }
  const share = s.memory.tensorBytes ? ((100 * s.memory.arenaBytes) / s.memory.tensorBytes).toFixed(1) : "0";
  lines.push(`  memory: ${formatBytes(s.memory.arenaBytes)} in ${borrows.filter((one) => one === undefined).length} arenas of its own and ${borrows.filter((one) => one !== undefined).length} borrowed ones for ${formatBytes(s.memory.tensorBytes)} of tensors (${share} %)`);
  program.nodes.forEach((node, i) => lines.push(`  ${blueprints[i] ? `${blueprintKey(blueprints[i])} × ${cuts[i]!.length}  ` : ""}${describeNode(node)}`));
  return lines.join("\n");
}

/** The choice for each node; equal problems are asked for once. */
function chooseBlueprints(context: PrepareContext): (node: Node) => { readonly blueprint: Blueprint; readonly from: "pinned" | "tuned" | "kernel" } | undefined {
  const known = new Map<string, { blueprint: Blueprint; from: "pinned" | "tuned" | "kernel" }>();
  return (node) => {
    if (node.kind === "copy") return undefined;
    const key = `${problemKey(node)} ${JSON.stringify(node.numbers)}`;
    const before = known.get(key);
    if (before) return before;
    const pinned = findPinned(context, node);
    const tuned = pinned ? undefined : findTuned(context.tuning, context.device, node);
    const made = { blueprint: pinned ?? tuned ?? chooseBlueprint(node, context.device.traits), from: pinned ? ("pinned" as const) : tuned ? ("tuned" as const) : ("kernel" as const) };
    known.set(key, made);
    return made;
  };
}
