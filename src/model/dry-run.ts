// A training step that is planned and not taken: what it would hold on the device and compute, by the code that plans real ones.
import { createDryEngine } from "../engine/dry.ts";
import type { Engine } from "../engine/engine.ts";
import { AGAIN } from "../engine/recompute.ts";
import { bytesMoved, flopsOf, type Node } from "../engine/trace.ts";
import type { TrainConfig } from "./config.ts";
import { memoryOf } from "./memory.ts";
import { buildTrainingStep } from "./training.ts";
import { validationBatch } from "./validation.ts";

/** What memory is for. The engine's ledger counts the first four as state, and `staging` as readback. */
export const MEMORY_PURPOSES = ["weights", "gradients", "optimizer", "features", "activations", "inputs", "constants", "uniforms", "staging", "checkpoints"] as const;
export type MemoryPurpose = (typeof MEMORY_PURPOSES)[number];

/** The most that a device does: operations and bytes a second, and seconds that a dispatch takes however small it is. */
export interface Peaks {
  readonly flops: number;
  readonly bytes: number;
  readonly launch: number;
}

export interface DryRun {
  /** Learned values. */
  readonly parameters: number;
  /** Bytes on the device by purpose; `checkpoints` is what reading the largest tensor back takes while one is written. */
  readonly memory: Readonly<Record<MemoryPurpose, number>>;
  /** All purposes together. */
  readonly total: number;
  /** Bytes that it may take; undefined where nothing was said and nothing is known. */
  readonly budget: number | undefined;
  /** Of one step: dispatches, arithmetic operations, bytes that they move. */
  readonly dispatches: number;
  readonly flops: number;
  readonly bytesMoved: number;
  /** Seconds that a step takes at least: each kernel at the device's peaks. Undefined where those are not given. */
  readonly seconds: number | undefined;
  /** What runs twice in a step to keep to the budget, how many dispatches that makes over all parts of a batch, and their share of those seconds. */
  readonly recomputed: readonly string[];
  readonly recomputedDispatches: number;
  readonly recomputedSeconds: number | undefined;
  readonly peaks: Peaks | undefined;
}

/** Where a state belongs by its name. */
function purposeOf(name: string): MemoryPurpose {
  if (name.endsWith("gradients")) return "gradients";
  if (name.startsWith("optimizer.")) return "optimizer";
  return name.startsWith("cache.") ? "features" : "weights";
}

/**
 * Plans a step of a configuration whose nulls are resolved. Nothing is put on the device.
 * Throws UserError 78 where it cannot keep to the memory of the configuration, Unavailable where the device binds no tensor of a size.
 */
export async function planTraining(engine: Engine, config: TrainConfig, measurePeaks?: () => Promise<Peaks>): Promise<DryRun> {
  const dry = createDryEngine(engine);
  const step = await buildTrainingStep(dry, config);
  if (config.validate.every !== null) await step.encoder(validationBatch(config));
  const memory = Object.fromEntries(MEMORY_PURPOSES.map((purpose) => [purpose, 0])) as Record<MemoryPurpose, number>;
  for (const { name, bytes } of dry.states) memory[purposeOf(name)] += bytes;
  for (const { prepared } of dry.plans) {
    const { readback, ...rest } = prepared.bytes;
    for (const [purpose, bytes] of Object.entries(rest)) memory[purpose as keyof typeof rest & MemoryPurpose] += bytes;
    memory.staging += readback;
  }
  memory.checkpoints = step.staging;
  // Last, because it takes long: what does not fit is told at once.
  const peaks = await measurePeaks?.();
  const secondsOf = peaks && ((node: Node) => Math.max(flopsOf(node) / peaks.flops, bytesMoved(node) / peaks.bytes, peaks.launch));
  const nodes = step.plans.flatMap(([plan, times]) => plan.program.nodes.map((node) => ({ node, times })));
  const again = nodes.filter(({ node }) => node.path.startsWith(AGAIN));
  const sum = (of: readonly { readonly node: Node; readonly times: number }[]) => secondsOf && of.reduce((total, { node, times }) => total + times * secondsOf(node), 0);
  return {
    parameters: step.parameters,
    memory,
    total: Object.values(memory).reduce((total, bytes) => total + bytes, 0),
    budget: memoryOf(config, engine.device),
    dispatches: step.statistics.dispatches,
    flops: step.statistics.flops,
    bytesMoved: step.statistics.bytesMoved,
    seconds: sum(nodes),
    recomputed: again.map(({ node }) => node.path.slice(AGAIN.length)),
    recomputedDispatches: again.reduce((total, { times }) => total + times, 0),
    recomputedSeconds: sum(again),
    peaks,
  };
}
