// The trainer: draws batches, replays the training step, writes metrics and checkpoints, and continues to the same bits.
import type { Dataset } from "../data/dataset.ts";
import { hashJson, type JsonObject } from "../data/json.ts";
import { createSampler } from "../data/sampler.ts";
import { loadSections } from "../data/sections.ts";
import { storeFloat32, loadFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Engine } from "../engine/engine.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { createBatches } from "./batches.ts";
import { writeCard } from "./card.ts";
import { saveCheckpoint, startCheckpoints } from "./checkpoint.ts";
import { FREE_ON_RESUME, type TrainConfig } from "./config.ts";
import type { EncoderPlan } from "./embed.ts";
import { precisionOn } from "./precision.ts";
import { resolveScales } from "./objective.ts";
import { createPace } from "./pace.ts";
import { createRun, resumeRun, RUN_FILES, type MetricsRecord, type Run } from "./run.ts";
import { checkContinuation, type TrainState } from "./state.ts";
import { buildTrainingStep, modelDefinition, type StepMetrics, type TrainingStep } from "./training.ts";
import { choosePlaces, describeValidation, holdOutSections, validate, validationBatch } from "./validation.ts";
import { writeWeights } from "./weights.ts";

export interface TrainOptions {
  readonly engine: Engine;
  readonly files: Files;
  readonly dataset: Dataset;
  /** As asked for; nulls are resolved from the data. On resume it is the run's own. */
  readonly config: TrainConfig;
  /** The run's folder. */
  readonly out: string;
  readonly resume?: boolean;
  readonly force?: boolean;
  /** What the run ran on: versions, adapter, driver. */
  readonly environment: JsonObject;
  /** Aborted: the step in progress is finished, a checkpoint is written, and `train` returns. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Lines for people: what was passed over at resume, skipped steps. */
  readonly onNote?: (line: string) => void;
}

export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly metrics: StepMetrics;
  /** Patches per second over the latest steps; NaN after the first one here, whose time says how long compiling took. */
  readonly rate: number;
  /** Seconds left at that rate. */
  readonly eta: number;
  /** Share of that time in which the device waited for patches. */
  readonly waiting: number;
  /** Bytes on the device. */
  readonly memory: number;
}

export interface TrainResult {
  /** Whether all steps are done; otherwise the run was interrupted and can be continued. */
  readonly finished: boolean;
  readonly step: number;
  readonly config: TrainConfig;
  /** Steps taken by this call: 0 where the run was finished already. */
  readonly taken: number;
  /** Of the last step, whoever took it; undefined where none is known. */
  readonly last: StepMetrics | undefined;
  /** Over the steps taken by this call; 0 where there were none. */
  readonly patchesPerSecond: number;
  readonly parameters: number;
  /** What the training step takes on the device. */
  readonly statistics: TrainingStep["statistics"];
}

/** Non-finite steps in a row after which a run is given up. */
const MAX_SKIPPED = 8;
/** Metrics are flushed to the disk at least this often, in steps. */
const FLUSH_EVERY = 20;

/** Steps from one TensorBoard record to the next: every step of a run of up to 200, at most 20; the last step has one in any case. */
export function eventsEvery(steps: number): number {
  return Math.min(20, Math.ceil(steps / 200));
}

/**
 * Trains to `config.steps`. The same device, build, configuration and data give the same weights, whether or not the run
 * was killed and resumed in between.
 * @throws UserError 65 on resume with other settings or data, 70 after eight non-finite steps in a row, 73–75 for files
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { engine, files, dataset } = options;
  const note = options.onNote ?? (() => {});
  const cache = loadSections(dataset, files);
  const kept = holdOutSections(dataset, options.config);
  const drawing = (config: TrainConfig) =>
    createSampler(dataset, {
      seed: config.seed,
      groupSize: config.batch.groupSize,
      groupsPerBatch: config.batch.groups,
      radiusMm: config.batch.radiusMm!,
      holdOut: config.holdOut,
      holdOutSections: kept,
    });
  // The extent is measured over what training may see; a first sampler with any radius tells which samples those are.
  const members = drawing({ ...options.config, batch: { ...options.config.batch, radiusMm: 1 } }).members;
  const config = await resolveScales(options.config, dataset, cache, members);
  const sampler = drawing(config);
  const places = config.validate.every === null ? undefined : choosePlaces(dataset, config, members);
  const plainConfig = toJson(config);
  const hashes = { config: hashJson(plainConfig), data: dataset.hash, model: hashJson(modelDefinition(config)) };

  const resumed = options.resume
    ? await resumeRun(files, options.out, { config: plainConfig, environment: options.environment }, (state) => checkContinuation(state, { config: plainConfig, hashes, dataset: dataset.path }, FREE_ON_RESUME))
    : undefined;
  const run: Run = resumed?.run ?? (await createRun(files, options.out, { config: plainConfig, environment: options.environment, force: options.force ?? false }));
  const state = resumed?.checkpoint?.state;
  let step: TrainingStep | undefined;
  let encoder: EncoderPlan | undefined;
  /** Step of the newest whole checkpoint. */
  let saved = state?.step;
  try {
    const drawn = config.batch.groups * config.batch.groupSize;
    if (kept.size > 0) note(`validation: held out from training: ${Array.from(kept, (i) => dataset.sections[i]!.id).join(", ")}`);
    if (members.length < drawn) note(`warning: ${members.length} places to train on are fewer than the ${drawn} of a batch: places come several times in each; a smaller batch.groups avoids that`);
    if (resumed) {
      resumed.checkpoint?.skipped.forEach((line) => note(`resume: passed over ${line}`));
      if (!state) note(`resume: the run was ended before its first checkpoint; it starts at step 0 of ${config.steps}`);
      else if (state.step < config.steps) note(`resume: continuing after step ${state.step} of ${config.steps}`);
    }
    const pinned = new Map((state?.blueprints ?? []).map((text) => JSON.parse(text) as [string, Blueprint]));
    if (config.precision !== precisionOn(engine, config)) note("warning: the adapter has no shader-f16: this run computes in f32");
    step = await buildTrainingStep(engine, config, pinned);
    if (places) encoder = await step.encoder(validationBatch(config.data.patch));
    const blueprints = [...new Set([...step.pinned, ...(encoder?.pinned ?? [])])];
    if (state) {
      const lost = state.blueprints.filter((text) => !blueprints.includes(text)).length;
      if (lost > 0) note(`resume: ${lost} of ${state.blueprints.length} kernels of the checkpoint do not fit this device or build; others take their place, so the bits will differ`);
      step.restore(loadTensors(state));
    }
    const batches = createBatches(dataset, cache, sampler, config);
    let done = state?.step ?? 0;
    let skippedInARow = state?.skippedInARow ?? 0;
    const snapshot = async (): Promise<TrainState> => ({
      step: done,
      tensors: storeTensors(await step!.snapshot()),
      config: plainConfig,
      hashes,
      rng: { seed: config.seed },
      cursor: batches.cursorOf(done),
      skippedInARow,
      metricsOffset: run.metricsSize,
      blueprints,
      environment: run.environment,
    });
    let last: StepMetrics | undefined;
    const card = (): string =>
      writeCard({
        config: plainConfig,
        step: done,
        dataset: { name: dataset.name, hash: dataset.hash, brains: dataset.brains.length, sections: dataset.sections.length, samples: members.length },
        ...(last ? { metrics: { ...last } } : {}),
        environment: run.environment,
      });
    if (!state) {
      await startCheckpoints(files, run.checkpoints, await snapshot(), config.checkpoint.keep, card());
      saved = 0;
    }

    const pending: MetricsRecord[] = [];
    const flush = async () => {
      await run.appendMetrics(pending.splice(0));
    };
    let waited = 0;
    const pace = createPace();
    const began = performance.now();
    const first = done;
    let next = done < config.steps ? batches.load(done) : undefined;
    while (done < config.steps && !options.signal?.aborted) {
      const before = performance.now();
      const batch = await next!;
      waited += performance.now() - before;
      const running = step.run(batch, done);
      // The next batch is read while the device works on this one.
      next = done + 1 < config.steps ? batches.load(done + 1) : undefined;
      next?.catch(() => undefined); // reported when it is awaited
      last = await running;
      done++;
      const validated = encoder && places && (done % config.validate.every! === 0 || done === config.steps) ? await validate(encoder, dataset, cache, config, places) : undefined;
      if (validated) {
        last = { ...last, ...validated };
        note(`step ${done}: ${describeValidation(validated)}`);
      }
      pending.push({ step: done, ...last });
      skippedInARow = last.skipped ? skippedInARow + 1 : 0;
      if (last.skipped) note(`step ${done}: a gradient is not finite; the step is skipped (${skippedInARow} in a row)`);
      if (skippedInARow >= MAX_SKIPPED) {
        await flush();
        throw new UserError(EXIT_CODES.internal, `train: ${MAX_SKIPPED} steps in a row were not finite, the last is step ${done}`, [
          `The checkpoint of step ${saved} in ${run.checkpoints} is from before.`,
          `CYTONET_DEBUG=nan names the first operation that makes such a number; a smaller optimizer.learningRate or a larger loss.tau often helps.`,
        ]);
      }
      pace.note(done * batches.patches, performance.now(), waited + step.waited());
      const rate = pace.rate();
      options.onProgress?.({
        step: done,
        steps: config.steps,
        metrics: last,
        rate,
        eta: ((config.steps - done) * batches.patches) / rate,
        waiting: pace.waiting(),
        memory: engine.device.ledger().total,
      });
      if (pending.length >= FLUSH_EVERY) await flush();
      // Before the checkpoint: an event written after it would be missing where the run is killed in between.
      if (validated || done % eventsEvery(config.steps) === 0 || done === config.steps) await run.appendScalars(done, Date.now() / 1000, scalarsOf(last));
      if (done % config.checkpoint.every === 0 && done < config.steps) {
        await flush();
        await saveCheckpoint(files, run.checkpoints, await snapshot(), config.checkpoint.keep, card());
        saved = done;
      }
    }
    await flush();
    const finished = done >= config.steps;
    if (saved !== done) await saveCheckpoint(files, run.checkpoints, await snapshot(), config.checkpoint.keep, card());
    if (finished) {
      last ??= await readLast(run);
      await files.writeAtomic(joinPath(run.path, RUN_FILES.card), new TextEncoder().encode(card()));
      await writeWeights(files, run.weights, { tensors: storeTensors(await step.weights()), config: plainConfig, step: done });
    }
    const seconds = (performance.now() - began) / 1000;
    return {
      finished,
      step: done,
      config,
      taken: done - first,
      last,
      patchesPerSecond: done > first ? ((done - first) * batches.patches) / seconds : 0,
      parameters: step.parameters,
      statistics: step.statistics,
    };
  } catch (error) {
    throw withRemedy(error, saved);
  } finally {
    encoder?.dispose();
    step?.dispose();
    await run.release();
  }
}

/** A disk that is full or failed ends the process, not the run. */
function withRemedy(error: unknown, saved: number | undefined): unknown {
  if (!(error instanceof UserError) || error.exitCode !== EXIT_CODES.io) return error;
  const state = saved === undefined ? "The run is kept as it began, without a finished step" : `The run is kept, with the checkpoint of step ${saved}`;
  return new UserError(error.exitCode, error.message, [...error.notes, `${state}: once there is room, continue it with --resume.`], { cause: error });
}

/** What the run's last step measured, as metrics.jsonl has it. */
async function readLast(run: Run): Promise<StepMetrics | undefined> {
  const record = await run.lastMetrics();
  if (record === undefined) return undefined;
  const number = (key: string): number => (typeof record[key] === "number" ? record[key] : NaN);
  const rest = Object.entries(record).filter((entry): entry is [string, number | boolean] => entry[0] !== "step" && (typeof entry[1] === "number" || typeof entry[1] === "boolean"));
  return {
    ...Object.fromEntries(rest),
    loss: number("loss"),
    divergence: number("divergence"),
    anchors: number("anchors"),
    gradientNorm: number("gradientNorm"),
    learningRate: number("learningRate"),
    skipped: record["skipped"] === true,
  };
}

function toJson(config: TrainConfig): JsonObject {
  return JSON.parse(JSON.stringify(config)) as JsonObject;
}

function scalarsOf(metrics: StepMetrics): Map<string, number> {
  return new Map(Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}

function storeTensors(tensors: ReadonlyMap<string, { readonly data: Float32Array; readonly shape: readonly number[] }>): Map<string, StoredTensor> {
  return new Map([...tensors].map(([name, { data, shape }]) => [name, storeFloat32(data, shape)]));
}

function loadTensors(state: TrainState): Map<string, Float32Array> {
  return new Map(
    [...state.tensors].map(([name, tensor]) => {
      const values = loadFloat32(tensor);
      if (!values) throw new UserError(EXIT_CODES.badData, `checkpoint of step ${state.step}: ${name} is ${tensor.dtype}, expected F32`);
      return [name, values];
    }),
  );
}
