// Batches of a run: which patches, how augmented, with their places, dealt to micro-batches; all a function of (seed, step).
import type { Dataset } from "../data/dataset.ts";
import type { PatchWorkers } from "../data/patch-workers.ts";
import { createSampler, type Sampler } from "../data/sampler.ts";
import { cropWindows, type SectionCache } from "../data/sections.ts";
import { drawViews, windowSide, type ViewParameters } from "./augment.ts";
import type { TrainConfig } from "./config.ts";
import { windowOptions } from "./objective.ts";
import { holdOutSections } from "./validation.ts";

/** What goes through the encoder at once: `m` patches of a batch. */
export interface HostPart {
  /** [m, side, side, 1]; read at each call, unless the batch holds them all. */
  windows(): Promise<Float32Array>;
  /** One entry per view. */
  readonly views: readonly ViewParameters[];
  /** [m] place of each patch in the order in which the batch was drawn: what keys its random numbers, however it is dealt. */
  readonly slot: Uint32Array;
}

/** One batch on the host: `n` patches in `views` views, so `n · views` rows, which are ordered by part, then view, then patch. */
export interface HostBatch {
  readonly parts: readonly HostPart[];
  /** [rows, 3] mm */
  readonly position: Float32Array;
  /** [rows] id of the reference space. */
  readonly space: Int32Array;
  /** [rows] index of the sample in the dataset: two views of one patch share it. */
  readonly sample: Uint32Array;
}

/** A patch as it was drawn. */
export interface DrawnPatch {
  /** [3] mm */
  readonly position: ArrayLike<number>;
  readonly space: number;
  readonly sample: number;
}

/** Patches of a batch, how many of them go through the encoder at once, and in how many parts that makes. */
export function batchSizes({ batch }: Pick<TrainConfig, "batch">): { readonly n: number; readonly micro: number; readonly parts: number } {
  const n = batch.groups * batch.groupSize;
  const micro = batch.micro ?? n;
  return { n, micro, parts: n / micro };
}

/**
 * A batch out of the patches that were drawn for it, by slot. Slots are dealt in turn, so that a group of neighbours, whose slots follow each other,
 * is spread over the parts: normalised together, neighbours would tell each other's stain and brightness.
 */
export function dealBatch(config: TrainConfig, step: number, drawn: readonly DrawnPatch[], windows: (slot: Uint32Array) => () => Promise<Float32Array>): HostBatch {
  const { views: count } = config.batch;
  const { n, micro, parts } = batchSizes(config);
  const rows = n * count;
  const views = Array.from({ length: count }, (_, view) => drawViews(config, step, view, n));
  const position = new Float32Array(3 * rows);
  const space = new Int32Array(rows);
  const sample = new Uint32Array(rows);
  const dealt = Array.from({ length: parts }, (_, part): HostPart => {
    const slot = Uint32Array.from({ length: micro }, (_, j) => part + j * parts);
    for (let view = 0; view < count; view++)
      slot.forEach((of, j) => {
        const row = (part * count + view) * micro + j;
        const patch = drawn[of]!;
        position.set(patch.position, 3 * row);
        space[row] = patch.space;
        sample[row] = patch.sample;
      });
    return { windows: windows(slot), views: views.map(({ matrix, adjust, blur }) => ({ matrix: pick(matrix, 6, slot), adjust: pick(adjust, 4, slot), blur: pick(blur, 1, slot) })), slot };
  });
  return { parts: dealt, position, space, sample };
}

/** Rows of `width` values, in the order of `slot`. */
function pick(values: Float32Array, width: number, slot: Uint32Array): Float32Array {
  const picked = new Float32Array(width * slot.length);
  slot.forEach((of, j) => picked.set(values.subarray(width * of, width * (of + 1)), width * j));
  return picked;
}

export interface Batches {
  /** Patches seen in one step, each view counted. */
  readonly patches: number;
  /** Where step `step` stands in the order of the data. */
  cursorOf(step: number): { epoch: number; index: number };
  load(step: number): Promise<HostBatch>;
}

/**
 * The sampler of a configuration whose lengths are resolved; brains and sections held out are left out.
 * @param runSeed the seed of the run, which decides what validation keeps, where the configuration's is that of an order after a rewind
 */
export function createRunSampler(dataset: Dataset, config: TrainConfig, runSeed: number = config.seed): Sampler {
  return createSampler(dataset, {
    seed: config.seed,
    groupSize: config.batch.groupSize,
    groupsPerBatch: config.batch.groups,
    radiusMm: config.batch.radiusMm!,
    holdOut: config.holdOut,
    holdOutSections: holdOutSections(dataset, { ...config, seed: runSeed }),
  });
}

/** Windows of a batch are held on the host up to this, for both passes of gradient caching; beyond, each part reads its own in each pass. */
const HELD_BYTES = 256 * 2 ** 20;

/** Loading throws the reason of a signal that is aborted. With workers windows are cut there, to the same bits. */
export function createBatches(dataset: Dataset, cache: SectionCache, sampler: Sampler, config: TrainConfig, signal?: AbortSignal, workers?: PatchWorkers): Batches {
  const { n, parts } = batchSizes(config);
  const side = windowSide(config);
  const options = { ...windowOptions(config), ...(signal ? { signal } : {}) };
  const held = parts === 1 || 4 * n * side * side <= HELD_BYTES;
  const cursorOf = (step: number) => ({ epoch: Math.floor(step / sampler.batches), index: step % sampler.batches });
  return {
    patches: n * config.batch.views,
    cursorOf,
    async load(step) {
      const { epoch, index } = cursorOf(step);
      const { samples } = sampler.draw(epoch, index);
      const drawn = Array.from(samples, (i): DrawnPatch => ({ position: dataset.samples.position.subarray(3 * i, 3 * i + 3), space: dataset.samples.space[i]!, sample: i }));
      const read = (slot: Uint32Array): Promise<Float32Array> => {
        const indices = slot.map((of) => samples[of]!);
        return workers ? workers.cut(indices, side, options) : cropWindows(dataset, cache, indices, side, options);
      };
      const reading: Promise<Float32Array>[] = [];
      const batch = dealBatch(config, step, drawn, (slot) => {
        if (!held) return () => read(slot);
        const values = read(slot);
        reading.push(values);
        return () => values;
      });
      await Promise.all(reading);
      return batch;
    },
  };
}
