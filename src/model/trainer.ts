// The trainer: draws batches, replays the training step, writes metrics and checkpoints, and continues to the same bits.
import type { Dataset } from "../data/dataset.ts";
import { hashJson, type JsonObject } from "../data/json.ts";
import { selectMembers } from "../data/sampler.ts";
import { loadSections } from "../data/sections.ts";
import type { Engine } from "../engine/engine.ts";
import { EXIT_CODES, UserError, quoteArgument } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { createBatches, createRunSampler } from "./batches.ts";
import { writeCard } from "./card.ts";
import { checkpointName, loadCheckpoint, saveCheckpoint, startCheckpoints } from "./checkpoint.ts";
import { fillSettings, FREE_ON_RESUME, type TrainConfig } from "./config.ts";
import { planTraining } from "./dry-run.ts";
import type { EncoderPlan } from "./embed.ts";
import { precisionOn } from "./precision.ts";
import { resolveScales } from "./objective.ts";
import { createPace } from "./pace.ts";
import { canResume, createRun, resumeRun, RUN_FILES, type MetricsRecord, type Run } from "./run.ts";
import { writeFailure } from "./replay.ts";
import { checkContinuation, loadTensors, storeTensors, type TrainState } from "./state.ts";
import { buildTrainingStep, modelDefinition, type StepMetrics, type TrainingStep } from "./training.ts";
import { choosePlaces, describeValidation, holdOutSections, validate, validationBatch } from "./validation.ts";
import { anchorOf, FRESH_WATCH, judgeStep, MAX_REWINDS, MAX_SKIPPED, MAX_SPIKES, orderSeed, rewindWatch, spikeLimit } from "./watch.ts";
import { writeWeights } from "./weights.ts";

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
  /** Steps of the run that were skipped so far, and how often it went back. */
  readonly skipped: number;
  readonly rewinds: number;
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
  /** Share of that time in which the device waited for patches. */
  readonly waiting: number;
  readonly parameters: number;
  /** What the training step takes on the device. */
  readonly statistics: TrainingStep["statistics"];
}

/** Metrics are flushed to the disk at least this often, in steps. */
const FLUSH_EVERY = 20;

/** Steps from one TensorBoard record to the next: every step of a run of up to 200, at most 20; the last step has one in any case. */
export function eventsEvery(steps: number): number {
  return Math.min(20, Math.ceil(steps / 200));
}

/**
 * Trains to `config.steps`. The same device, build, configuration and data give the same weights, whether or not the run
 * was killed and resumed in between.
 * @throws UserError 65 on resume with other settings or data, 70 after eight non-finite steps in a row or at a spike that is to end the run, 73–75 for files
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { engine, files, dataset } = options;
  const note = options.onNote ?? (() => {});
  const cache = loadSections(dataset, files);
  const kept = holdOutSections(dataset, options.config);
  const members = selectMembers(dataset, options.config.holdOut, kept);
  const config = await resolveScales(options.config, dataset, cache, members);
  const { spike } = config;
  const places = config.validate.every === null ? undefined : choosePlaces(dataset, config, members);
  const plainConfig = toJson(config);
  const hashes = { config: hashJson(plainConfig), data: dataset.hash, model: hashJson(modelDefinition(config)) };
  // What does not fit is told before there is a run.
  await planTraining(engine, config);

  const resume = options.resume ?? (config.checkpoint.resume === "auto" && !options.force ? "auto" : false);
  const resumed = (resume === "auto" ? await canResume(files, options.out) : resume)
    ? await resumeRun(files, options.out, { config: plainConfig, environment: options.environment }, (state) => checkContinuation({ ...state, config: fillSettings(state.config) }, { config: plainConfig, hashes, dataset: dataset.path }, FREE_ON_RESUME))
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
    let watch = state?.watch ?? FRESH_WATCH;
    const order = () => {
      const ordered = { ...config, seed: orderSeed(config.seed, watch.rewinds) };
      return createBatches(dataset, cache, createRunSampler(dataset, ordered, config.seed), ordered);
    };
    let batches = order();
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
      watch,
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
    // A run that may go back keeps what it would go back to, besides the newest.
    const anchor = () => (spike.action === "rewind" ? anchorOf(done, config.checkpoint.every) : undefined);
    const save = async () => {
      await saveCheckpoint(files, run.checkpoints, await snapshot(), config.checkpoint.keep, card(), anchor());
      saved = done;
    };
    if (!state) {
      await startCheckpoints(files, run.checkpoints, await snapshot(), config.checkpoint.keep + (spike.action === "rewind" ? 1 : 0), card());
      saved = 0;
    }

    const pending: MetricsRecord[] = [];
    const flush = async () => {
      await run.appendMetrics(pending.splice(0));
    };
    const giveUp = async (before: TrainState, what: string, notes: readonly string[]): Promise<UserError> => {
      await flush();
      const path = await writeFailure(files, run.path, before);
      return new UserError(EXIT_CODES.internal, `train: ${what}`, [
        `${path} holds the state before that step; take it again with: cytonet replay ${quoteArgument(path)} ${quoteArgument(dataset.path)}`,
        `The checkpoint of step ${saved} in ${run.checkpoints} is from before.`,
        ...notes,
      ]);
    };
    /** Back to the checkpoint that every run has at this point, and on with data in another order; false where that was tried too often. */
    const rewind = async (): Promise<boolean> => {
      const target = anchorOf(done - 1, config.checkpoint.every);
      const back = await loadCheckpoint(files, joinPath(run.checkpoints, checkpointName(target)));
      const then = rewindWatch(watch, back.watch ?? FRESH_WATCH, target);
      if (!then) return false;
      step!.restore(loadTensors(back));
      pending.length = 0;
      [watch, done, skippedInARow, last] = [then, target, back.skippedInARow, undefined];
      // First the checkpoint, which takes the place of the later ones, then the cut: a process killed in between does the same once more.
      await saveCheckpoint(files, run.checkpoints, { ...back, watch }, config.checkpoint.keep, undefined, anchor());
      saved = done;
      await run.cutTo(done, back.metricsOffset);
      batches = order();
      return true;
    };
    let waited = 0;
    const pace = createPace();
    const began = performance.now();
    let taken = 0;
    let next = done < config.steps ? batches.load(done) : undefined;
    while (done < config.steps && !options.signal?.aborted) {
      const before = performance.now();
      const batch = await next!;
      waited += performance.now() - before;
      const limit = spikeLimit(spike, watch);
      // One more, and the run is given up: then what the step began with is wanted.
      const before8th = skippedInARow === MAX_SKIPPED - 1 ? await snapshot() : undefined;
      const running = step.run(batch, done, limit);
      // The next batch is read while the device works on this one.
      next = done + 1 < config.steps ? batches.load(done + 1) : undefined;
      next?.catch(() => undefined); // reported when it is awaited
      last = await running;
      done++;
      taken++;
      const judged = judgeStep(spike, watch, last, limit);
      watch = judged.state;
      if (spike.action !== "none") last = { ...last, spikes: watch.spikes, rewinds: watch.rewinds };
      if (judged.verdict === "spike") {
        const what = `step ${done}: the gradient's norm jumped to ${last.gradientNorm.toPrecision(3)}, beyond ${limit.toPrecision(3)}`;
        if (spike.action === "rewind" && (await rewind())) {
          note(`${what}; back to step ${done}, and on with data in another order`);
          next = batches.load(done);
          next.catch(() => undefined); // reported when it is awaited
          continue;
        }
        if (spike.action !== "skip") {
          const before = { ...(await snapshot()), step: done - 1, cursor: batches.cursorOf(done - 1) };
          pending.push({ step: done, ...last });
          throw await giveUp(before, spike.action === "rewind" ? `${what}, also after ${MAX_REWINDS} rewinds to step ${watch.rewoundTo}` : what, ["A smaller optimizer.learningRate, a longer optimizer.warmup or another spike.action often helps."]);
        }
        note(`${what}; the step is skipped${watch.spikesInARow === 0 ? ` (${MAX_SPIKES} in a row: from now on that is taken for its level)` : ""}`);
      }
      const validated = encoder && places && (done % config.validate.every! === 0 || done === config.steps) ? await validate(encoder, dataset, cache, config, places) : undefined;
      if (validated) {
        last = { ...last, ...validated };
        note(`step ${done}: ${describeValidation(validated)}`);
      }
      pending.push({ step: done, ...last });
      skippedInARow = judged.verdict === "not finite" ? skippedInARow + 1 : 0;
      if (judged.verdict === "not finite") note(`step ${done}: a gradient is not finite; the step is skipped (${skippedInARow} in a row)`);
      if (skippedInARow >= MAX_SKIPPED && before8th)
        throw await giveUp(before8th, `${MAX_SKIPPED} steps in a row were not finite, the last is step ${done}`, [
          `With CYTONET_DEBUG=nan before it, that names the first operation that makes such a number; a smaller optimizer.learningRate or a larger loss.tau often helps.`,
        ]);
      pace.note(taken * batches.patches, performance.now(), waited + step.waited());
      const rate = pace.rate();
      options.onProgress?.({
        step: done,
        steps: config.steps,
        metrics: last,
        rate,
        eta: ((config.steps - done) * batches.patches) / rate,
        waiting: pace.waiting(),
        memory: engine.device.ledger().total,
        skipped: watch.skipped,
        rewinds: watch.rewinds,
      });
      if (pending.length >= FLUSH_EVERY) await flush();
      // Before the checkpoint: an event written after it would be missing where the run is killed in between.
      if (validated || done % eventsEvery(config.steps) === 0 || done === config.steps) await run.appendScalars(done, Date.now() / 1000, scalarsOf(last));
      if (done % config.checkpoint.every === 0 && done < config.steps) {
        await flush();
        await save();
      }
    }
    await flush();
    const finished = done >= config.steps;
    if (saved !== done) await save();
    if (finished) {
      last ??= await readLast(run);
      await files.writeAtomic(joinPath(run.path, RUN_FILES.card), new TextEncoder().encode(card()));
      const averages = await step.averages();
      if (averages) await writeWeights(files, joinPath(run.path, RUN_FILES.averages), { tensors: storeTensors(averages), config: plainConfig, step: done });
      await writeWeights(files, run.weights, { tensors: storeTensors(await step.weights()), config: plainConfig, step: done });
    }
    const seconds = (performance.now() - began) / 1000;
    return {
      finished,
      step: done,
      config,
      taken,
      last,
      patchesPerSecond: taken > 0 ? (taken * batches.patches) / seconds : 0,
      waiting: taken > 0 ? (waited + step.waited()) / (1000 * seconds) : 0,
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

