// The trainer: makes or continues a run, takes its steps on the device, and on another one where that is lost; to the same bits however often it is stopped.
import type { Dataset } from "../data/dataset.ts";
import { hashJson, type JsonObject } from "../data/json.ts";
import { selectMembers } from "../data/sampler.ts";
import type { PatchWorkerHost, PatchWorkers } from "../data/patch-workers.ts";
import { DEAR_WINDOW, loadSections } from "../data/sections.ts";
import { identifyDevice } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { DeviceLost, OutOfMemory } from "../engine/errors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { openLatest } from "./checkpoint.ts";
import { fillSettings, FREE_ON_RESUME, type TrainConfig } from "./config.ts";
import { fitBatch } from "./fit.ts";
import { precisionOn } from "./precision.ts";
import { resolveScales } from "./objective.ts";
import { windowSide } from "./augment.ts";
import { canResume, createRun, isUntouched, resumeRun, type Run } from "./run.ts";
import type { Tally } from "./run-keeper.ts";
import { checkContinuation, type TrainState } from "./state.ts";
import { runSteps, type Ended, type Progress, type Training } from "./train-loop.ts";
import { modelDefinition, type StepMetrics, type TrainingStep } from "./training.ts";
import { choosePlaces, holdOutSections } from "./validation.ts";

export { eventsEvery } from "./metrics.ts";
export type { Progress };

export interface TrainOptions {
  readonly engine: Engine;
  readonly files: Files;
  readonly dataset: Dataset;
  /** As asked for; nulls are resolved from the data. On resume it is the run's own. */
  readonly config: TrainConfig;
  /** The run's folder. */
  readonly out: string;
  /** `auto`: where there is a run to continue; else one begins. By default as `checkpoint.resume` says. */
  readonly resume?: boolean | "auto";
  readonly force?: boolean;
  /** What the run ran on: versions, adapter, driver. */
  readonly environment: JsonObject;
  /**
   * Aborted: within a few submits the step under way is given up before it has changed anything, or taken to its end; a checkpoint of the last whole step is
   * written, and `train` returns.
   */
  readonly signal?: AbortSignal;
  /**
   * Opens an engine anew on the same adapter, after the device of the one before was lost; who gives it disposes of them all. With it a run goes on by itself
   * from its last checkpoint, to the same bits. Without it a loss ends the run (74).
   */
  readonly reopen?: () => Promise<Engine>;
  /** Workers that read and cut patches, as `data.workers` says; without them this thread does. */
  readonly workers?: PatchWorkerHost;
  readonly onProgress?: (progress: Progress) => void;
  /** Lines for people: what was passed over at resume, skipped steps. */
  readonly onNote?: (line: string) => void;
}

export interface TrainResult {
  /** Whether all steps are done; otherwise the run was interrupted and can be continued. */
  readonly finished: boolean;
  readonly step: number;
  readonly config: TrainConfig;
  /** Steps taken by this call, those after a loss of the device once more: 0 where the run was finished already. */
  readonly taken: number;
  /** Of the last step, whoever took it; undefined where none is known. */
  readonly last: StepMetrics | undefined;
  /** Over the steps taken by this call; 0 where there were none. */
  readonly patchesPerSecond: number;
  /** Share of that time in which the device waited for patches. */
  readonly waiting: number;
  readonly parameters: number;
  /** What the training step takes on the device. */
  readonly statistics: TrainingStep["statistics"];
}

/** Losses of the device in a row, without a checkpoint in between, that end a run. */
export const MAX_LOSSES = 3;
/** Milliseconds before each attempt to open a device after a loss: a driver that starts again takes its time. */
const REOPEN_AFTER_MS = [0, 2_000, 8_000];

/**
 * Trains to `config.steps`. The same device, build, configuration and data give the same weights, whether or not the run
 * was killed and resumed in between, or lost its device.
 * @throws UserError 65 on resume with other settings or data, 70 after eight non-finite steps in a row or at a spike that is to end the run, 73–75 for
 *   files, 74 where the device is lost for good; the signal's reason where it was aborted before a new run began, of which nothing is left
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { files, dataset, signal } = options;
  const note = options.onNote ?? (() => {});
  const cache = loadSections(dataset, files);
  const kept = holdOutSections(dataset, options.config);
  const members = selectMembers(dataset, options.config.holdOut, kept);
  const { resume = options.config.checkpoint.resume === "auto" && !options.force ? "auto" : false } = options;
  const continues = resume === "auto" ? await canResume(files, options.out) : resume;
  const resolved = await resolveScales(options.config, dataset, cache, members);
  // What does not fit is told before there is a run. One that goes on keeps the parts that its batches have.
  const { config, note: fitted } = await fitBatch(options.engine, resolved, continues);
  const places = config.validate.every === null ? undefined : choosePlaces(dataset, config, members);
  const plainConfig = toJson(config);
  const hashes = { config: hashJson(plainConfig), data: dataset.hash, model: hashJson(modelDefinition(config)) };

  // Nothing is made, and no run removed, for one that was stopped before it began.
  if (!continues) signal?.throwIfAborted();
  const resumed = continues
    ? await resumeRun(files, options.out, { config: plainConfig, environment: options.environment }, (state) => checkContinuation({ ...state, config: fillSettings(state.config) }, { config: plainConfig, hashes, dataset: dataset.path }, FREE_ON_RESUME))
    : undefined;
  const run: Run = resumed?.run ?? (await createRun(files, options.out, { config: plainConfig, environment: options.environment, force: options.force ?? false }));
  const state = resumed?.checkpoint?.state;
  let workers: PatchWorkers | undefined;
  const tally: Tally = { saved: state?.step, taken: 0, waited: 0, stepping: 0 };
  try {
    const drawn = config.batch.groups * config.batch.groupSize;
    if (fitted !== undefined) note(fitted);
    if (kept.size > 0) note(`validation: held out from training: ${Array.from(kept, (i) => dataset.sections[i]!.id).join(", ")}`);
    if (members.length < drawn) note(`warning: ${members.length} places to train on are fewer than the ${drawn} of a batch: places come several times in each; a smaller batch.groups avoids that`);
    if (resumed) {
      resumed.checkpoint?.skipped.forEach((line) => note(`resume: passed over ${line}`));
      if (!state) note(`resume: the run was ended before its first checkpoint; it starts at step 0 of ${config.steps}`);
      else if (state.step < config.steps) note(`resume: continuing after step ${state.step} of ${config.steps}`);
    }
    if (config.precision !== precisionOn(options.engine, config)) note("warning: the adapter has no shader-f16: this run computes in f32");
    const wanted = config.data.workers ?? (windowSide(config) ** 2 >= DEAR_WINDOW ? options.workers?.most ?? 0 : 0);
    workers = wanted > 0 ? options.workers?.start(dataset, wanted) : undefined;
    const training: Training = { files, run, dataset, cache, workers, config, plainConfig, hashes, members: members.length, places, signal, note, onProgress: options.onProgress };
    const { finished, step, last, parameters, statistics } = await runThroughLosses(training, options, state, tally);
    const { taken, waited, stepping } = tally;
    const patches = drawn * config.batch.views;
    return {
      finished,
      step,
      config,
      taken,
      last,
      patchesPerSecond: taken > 0 ? (1000 * taken * patches) / stepping : 0,
      waiting: taken > 0 ? waited / stepping : 0,
      parameters,
      statistics,
    };
  } catch (error) {
    throw withRemedy(error, tally.saved);
  } finally {
    await workers?.dispose();
    await run.release();
  }
}

/** Takes the steps, on a new device where one is lost: from the last checkpoint, as a run that was killed and resumed. */
async function runThroughLosses(training: Training, options: TrainOptions, first: TrainState | undefined, tally: Tally): Promise<Ended> {
  const { files, run, note, signal } = training;
  const { reopen } = options;
  let engine = options.engine;
  let state = first;
  for (let inARow = 1; ; ) {
    try {
      return await runSteps(training, engine, state, tally);
    } catch (error) {
      if (!(error instanceof DeviceLost) || !reopen || signal?.aborted) throw error;
      inARow = tally.saved === state?.step ? inARow : 1;
      if (inARow === MAX_LOSSES)
        throw new UserError(error.exitCode, error.message, [`It was lost ${MAX_LOSSES} times in a row without a checkpoint in between; with a smaller checkpoint.every less is taken again each time.`, ...error.notes], { cause: error });
      inARow++;
      engine = await openAnew(reopen, error, engine, note, signal);
      const untouched = await isUntouched(files, run);
      state = untouched ? undefined : (await openLatest(files, run.checkpoints)).state;
      await run.cutTo(state?.step ?? 0, state?.metricsOffset ?? 0);
      note(`${error.message}; it was opened anew, and the run goes on after step ${state?.step ?? 0}, to the same bits`);
    }
  }
}

/** Another engine on the same adapter. Errors: the loss itself where there is none to be had, or where the adapter is another. */
async function openAnew(reopen: () => Promise<Engine>, loss: DeviceLost, before: Engine, note: (line: string) => void, signal: AbortSignal | undefined): Promise<Engine> {
  const wanted = identifyDevice(before.device.fingerprint);
  let why = "";
  for (const wait of REOPEN_AFTER_MS) {
    if (wait > 0) note(`${loss.message}; it cannot be opened anew yet (${why})`);
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal?.aborted) throw loss;
    try {
      const engine = await reopen();
      if (identifyDevice(engine.device.fingerprint) === wanted) return engine;
      why = `what opens is another, ${engine.device.fingerprint.adapter}`;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      why = error.message;
    }
  }
  throw new UserError(loss.exitCode, loss.message, [`It cannot be opened anew: ${why}.`, ...loss.notes], { cause: loss });
}

/** A disk that is full, a device that is lost or out of memory ends the process, not the run. */
function withRemedy(error: unknown, saved: number | undefined): unknown {
  if (!(error instanceof UserError)) return error;
  const then = isLoss(error) ? "continue it with --resume." : error instanceof OutOfMemory ? "continue it with --resume, and --memory for less of it, which changes no bit." : error.exitCode === EXIT_CODES.io ? "once there is room, continue it with --resume." : undefined;
  if (then === undefined) return error;
  const state = saved === undefined ? "The run is kept as it began, without a finished step" : `The run is kept, with the checkpoint of step ${saved}`;
  return new UserError(error.exitCode, error.message, [...error.notes, `${state}: ${then}`], { cause: error });
}

function isLoss(error: UserError): boolean {
  return error instanceof DeviceLost || error.cause instanceof DeviceLost;
}

function toJson(config: TrainConfig): JsonObject {
  return JSON.parse(JSON.stringify(config)) as JsonObject;
}
