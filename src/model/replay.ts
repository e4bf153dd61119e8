// A step taken again: what a run that gave up leaves behind, and the numbers that it gives once more.
import type { Dataset } from "../data/dataset.ts";
import { loadSections } from "../data/sections.ts";
import type { Engine } from "../engine/engine.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { createBatches, createRunSampler } from "./batches.ts";
import { loadCheckpoint } from "./checkpoint.ts";
import { flattenSettings, resolveConfig } from "./config.ts";
import { failureName } from "./run-folder.ts";
import { encodeState, loadTensors, type TrainState } from "./state.ts";
import { buildTrainingStep, type StepMetrics } from "./training.ts";
import { FRESH_WATCH, orderSeed } from "./watch.ts";

/** Writes the state before a step that went wrong into the run's folder, and returns its path. Data are not in it: which were taken follows from the state. */
export async function writeFailure(files: Files, run: string, before: TrainState): Promise<string> {
  const path = joinPath(run, failureName(before.step + 1));
  await files.writeAtomic(path, await encodeState(before));
  return path;
}

export interface Replay {
  /** The step, counted from 1 as in metrics.jsonl. */
  readonly step: number;
  readonly metrics: StepMetrics;
  /** Ids of the sections that the step's patches are of. */
  readonly sections: readonly string[];
}

/**
 * Takes the step after a state (a failure's, or any checkpoint's) once more, and writes nothing. On the device and build that wrote it the numbers are the same bits.
 * A limit on the gradient's norm is left out, so that a spike is told with its norm.
 * Errors: UserError 65 and 66 as `loadCheckpoint`, 65 where the dataset is another.
 */
export async function replayStep(engine: Engine, files: Files, dataset: Dataset, path: string): Promise<Replay> {
  const state = await loadCheckpoint(files, path);
  if (state.hashes.data !== dataset.hash)
    throw new UserError(EXIT_CODES.badData, `${path}: the dataset ${dataset.path} has SHA-256 ${dataset.hash}, expected ${state.hashes.data}; give the dataset of the run, unchanged`);
  const config = resolveConfig(flattenSettings(state.config));
  const { rewinds } = state.watch ?? FRESH_WATCH;
  const ordered = { ...config, seed: orderSeed(config.seed, rewinds) };
  const cache = loadSections(dataset, files);
  const batches = createBatches(dataset, cache, createRunSampler(dataset, ordered, config.seed), ordered);
  const step = await buildTrainingStep(engine, config, new Map(state.blueprints.map((text) => JSON.parse(text) as [string, Blueprint])));
  try {
    step.restore(loadTensors(state));
    const batch = await batches.load(state.step);
    const sections = [...new Set(Array.from(batch.sample, (i) => dataset.sections[dataset.samples.section[i]!]!.id))];
    return { step: state.step + 1, metrics: await step.run(batch, state.step), sections };
  } finally {
    step.dispose();
  }
}
