// Batches of a run: which patches, how augmented, with their places; all a function of (seed, step).
import type { Dataset } from "../data/dataset.ts";
import type { Sampler } from "../data/sampler.ts";
import { cropWindows, type SectionCache } from "../data/sections.ts";
import { drawViews, windowSide, type ViewParameters } from "./augment.ts";
import type { TrainConfig } from "./config.ts";
import { windowOptions } from "./objective.ts";

/** One batch on the host: `n` patches in `views` views, so `n · views` rows. */
export interface HostBatch {
  /** [n, side, side, 1] */
  readonly windows: Float32Array;
  /** One entry per view. */
  readonly views: readonly ViewParameters[];
  /** [rows, 3] mm */
  readonly position: Float32Array;
  /** [rows] id of the reference space. */
  readonly space: Int32Array;
  /** [rows] index of the sample in the dataset: two views of one patch share it. */
  readonly sample: Uint32Array;
}

export interface Batches {
  /** Patches seen in one step, each view counted. */
  readonly patches: number;
  /** Where step `step` stands in the order of the data. */
  cursorOf(step: number): { epoch: number; index: number };
  load(step: number): Promise<HostBatch>;
}

export function createBatches(dataset: Dataset, cache: SectionCache, sampler: Sampler, config: TrainConfig): Batches {
  const n = config.batch.groups * config.batch.groupSize;
  const rows = n * config.batch.views;
  const side = windowSide(config);
  const cursorOf = (step: number) => ({ epoch: Math.floor(step / sampler.batches), index: step % sampler.batches });
  return {
    patches: rows,
    cursorOf,
    async load(step) {
      const { epoch, index } = cursorOf(step);
      const { samples } = sampler.draw(epoch, index);
      const windows = await cropWindows(dataset, cache, samples, side, windowOptions(config));
      const position = new Float32Array(3 * rows);
      const space = new Int32Array(rows);
      const sample = new Uint32Array(rows);
      for (let row = 0; row < rows; row++) {
        const i = samples[row % n]!;
        position.set(dataset.samples.position.subarray(3 * i, 3 * i + 3), 3 * row);
        space[row] = dataset.samples.space[i]!;
        sample[row] = i;
      }
      return { windows, views: Array.from({ length: config.batch.views }, (_, view) => drawViews(config, step, view, n)), position, space, sample };
    },
  };
}
