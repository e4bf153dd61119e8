// The steps of a run on one device: from a state to the end, to a stop or to the loss of the device, with validation, spikes and checkpoints on the way.
import type { Dataset } from "../data/dataset.ts";
import type { PatchWorkers } from "../data/patch-workers.ts";
import type { SectionCache } from "../data/sections.ts";
import type { Engine } from "../engine/engine.ts";
import { formatBytes, OutOfMemory } from "../engine/errors.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { createBatches, createRunSampler } from "./batches.ts";
import type { TrainConfig } from "./config.ts";
import type { EncoderPlan } from "./embed.ts";
import { planTraining } from "./dry-run.ts";
import { createPace } from "./pace.ts";
import { eventsEvery, metricsOf, scalarsOf } from "./metrics.ts";
import { decodeRecord } from "./run.ts";
import { createKeeper, type Kept, type Position, type Tally } from "./run-keeper.ts";
import { loadTensors, type TrainState } from "./state.ts";
import { buildTrainingStep, type StepMetrics, type TrainingStep } from "./training.ts";
import { describeValidation, validate, validationBatch, type ValidationPlaces } from "./validation.ts";
import { FRESH_WATCH, judgeStep, MAX_REWINDS, MAX_SKIPPED, MAX_SPIKES, orderSeed, spikeLimit } from "./watch.ts";

/** A run, whatever device it is on. */
export interface Training extends Kept {
  readonly dataset: Dataset;
  readonly cache: SectionCache;
  readonly config: TrainConfig;
  /** What cuts patches, where that is not this thread. */
  readonly workers: PatchWorkers | undefined;
  /** What is validated on, where that is asked for. */
  readonly places: ValidationPlaces | undefined;
  readonly signal: AbortSignal | undefined;
  readonly note: (line: string) => void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
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

/** Where the steps ended, and with what. */
export interface Ended {
  readonly finished: boolean;
  readonly step: number;
  readonly last: StepMetrics | undefined;
  readonly parameters: number;
  readonly statistics: TrainingStep["statistics"];
}

/** Attempts to plan a step within less memory than the device turned out not to have. */
const MAX_ATTEMPTS = 6;

/**
 * The step; where the device has no memory for it, planned within less, which computes some results twice and changes no bit.
 * Errors: OutOfMemory, or NoRoom where it cannot be planned within what there is.
 */
async function buildWithin(engine: Engine, config: TrainConfig, pinned: ReadonlyMap<string, Blueprint>, note: (line: string) => void): Promise<TrainingStep> {
  let within = config;
  for (let attempt = 1; ; attempt++) {
    try {
      return await buildTrainingStep(engine, within, pinned);
    } catch (error) {
      if (!(error instanceof OutOfMemory) || attempt === MAX_ATTEMPTS) throw error;
      const memory = Math.floor((await planTraining(engine, within)).total - error.bytes / 4);
      note(`${error.message}; planned again within ${formatBytes(memory)}, to the same bits`);
      within = { ...config, memory };
    }
  }
}

/**
 * Takes the steps from `state`, or from the beginning, on a device. Stopped by the signal, it ends within a few submits: the step under way is given up
 * before it has changed anything, or taken to its end, and a checkpoint says which is the last whole one.
 * Errors: as `train`; DeviceLost leaves the run as its last checkpoint has it, but for lines of metrics beyond that.
 */
export async function runSteps(training: Training, engine: Engine, state: TrainState | undefined, tally: Tally): Promise<Ended> {
  const { dataset, cache, config, places, run, signal, note } = training;
  const { spike } = config;
  const pinned = new Map((state?.blueprints ?? []).map((text) => JSON.parse(text) as [string, Blueprint]));
  const step = await buildWithin(engine, config, pinned, note);
  const { parameters, statistics } = step;
  let encoder: EncoderPlan | undefined;
  let began: number | undefined;
  try {
    // Before there is a checkpoint there is nothing to save.
    if (signal?.aborted && !state) return { finished: false, step: 0, last: undefined, parameters, statistics };
    if (places) encoder = await step.encoder(validationBatch(config));
    const blueprints = [...new Set([...step.pinned, ...(encoder?.pinned ?? [])])];
    if (state) {
      const lost = state.blueprints.filter((text) => !blueprints.includes(text)).length;
      if (lost > 0) note(`resume: ${lost} of ${state.blueprints.length} kernels of the checkpoint do not fit this device or build; others take their place, so the bits will differ`);
      step.restore(loadTensors(state));
    }
    const at: Position = { done: state?.step ?? 0, skippedInARow: state?.skippedInARow ?? 0, watch: state?.watch ?? FRESH_WATCH, owed: state?.owed, last: undefined };
    const order = () => {
      const ordered = { ...config, seed: orderSeed(config.seed, at.watch.rewinds) };
      return createBatches(dataset, cache, createRunSampler(dataset, ordered, config.seed), ordered, signal, training.workers);
    };
    let batches = order();
    const keeper = createKeeper(training, step, blueprints, at, (of) => batches.cursorOf(of), tally);
    if (!state) await keeper.begin();

    /** What comes of work under the signal; undefined where that was aborted before the work was done. */
    const unlessStopped = <T>(work: Promise<T>): Promise<T | undefined> =>
      work.catch((error: unknown) => {
        if (signal?.aborted && error === signal.reason) return undefined;
        throw error;
      });
    const isDue = (every: number | null): boolean => every !== null && (at.done % every === 0 || at.done === config.steps);
    /** Validates where it is due, and writes down what the step came to; false where it was stopped, and then owes the step's line. */
    const conclude = async (measured: StepMetrics): Promise<boolean> => {
      at.last = measured;
      if (encoder && places && isDue(config.validate.every)) {
        keeper.owe(measured);
        const validated = await unlessStopped(validate(encoder, dataset, cache, config, places, signal));
        if (!validated) return false;
        at.owed = undefined;
        at.last = { ...measured, ...validated };
        note(`step ${at.done}: ${describeValidation(validated)}`);
      }
      await keeper.record(at.last);
      return true;
    };
    /** What is done at the end of some steps. */
    const keep = async (): Promise<void> => {
      const { done, last } = at;
      const validated = places && isDue(config.validate.every);
      // Before the checkpoint: an event written after it would be missing where the run is killed in between.
      if (last && (validated || done % eventsEvery(config.steps) === 0 || done === config.steps)) await run.appendScalars(done, Date.now() / 1000, scalarsOf(last));
      if (done % config.checkpoint.every === 0 && done < config.steps) await keeper.save();
    };

    // The checkpoint that owes a line makes way for one that does not.
    if (at.owed !== undefined && (await conclude(metricsOf(decodeRecord(at.owed, `checkpoint of step ${at.done}`))))) {
      await keep();
      await keeper.save();
    }
    const pace = createPace();
    began = performance.now();
    let taken = 0;
    let waited = 0;
    let next = at.done < config.steps ? batches.load(at.done) : undefined;
    next?.catch(() => undefined); // reported when it is awaited
    const waitedSoFar = () => waited + step.waited();
    try {
      while (at.done < config.steps && !signal?.aborted) {
        const before = performance.now();
        const batch = next && (await unlessStopped(next));
        if (!batch) break;
        waited += performance.now() - before;
        const limit = spikeLimit(spike, at.watch);
        // One more, and the run is given up: then what the step began with is wanted.
        const before8th = at.skippedInARow === MAX_SKIPPED - 1 ? await keeper.snapshot() : undefined;
        const running = step.run(batch, at.done, limit, signal);
        // The next batch is read while the device works on this one.
        next = at.done + 1 < config.steps ? batches.load(at.done + 1) : undefined;
        next?.catch(() => undefined); // reported when it is awaited
        let measured = await unlessStopped(running);
        if (!measured) break;
        at.done++;
        taken++;
        tally.taken++;
        const judged = judgeStep(spike, at.watch, measured, limit);
        at.watch = judged.state;
        if (spike.action !== "none") measured = { ...measured, spikes: at.watch.spikes, rewinds: at.watch.rewinds };
        if (judged.verdict === "spike") {
          const what = `step ${at.done}: the gradient's norm jumped to ${measured.gradientNorm.toPrecision(3)}, beyond ${limit.toPrecision(3)}`;
          if (spike.action === "rewind" && (await keeper.rewind())) {
            batches = order();
            note(`${what}; back to step ${at.done}, and on with data in another order`);
            next = batches.load(at.done);
            next.catch(() => undefined); // reported when it is awaited
            continue;
          }
          if (spike.action !== "skip") {
            const began = { ...(await keeper.snapshot()), step: at.done - 1, cursor: batches.cursorOf(at.done - 1) };
            await keeper.record(measured);
            throw await keeper.giveUp(began, spike.action === "rewind" ? `${what}, also after ${MAX_REWINDS} rewinds to step ${at.watch.rewoundTo}` : what, ["A smaller optimizer.learningRate, a longer optimizer.warmup or another spike.action often helps."]);
          }
          note(`${what}; the step is skipped${at.watch.spikesInARow === 0 ? ` (${MAX_SPIKES} in a row: from now on that is taken for its level)` : ""}`);
        }
        at.skippedInARow = judged.verdict === "not finite" ? at.skippedInARow + 1 : 0;
        if (judged.verdict === "not finite") note(`step ${at.done}: a gradient is not finite; the step is skipped (${at.skippedInARow} in a row)`);
        if (at.skippedInARow >= MAX_SKIPPED && before8th) {
          await keeper.record(measured);
          throw await keeper.giveUp(before8th, `${MAX_SKIPPED} steps in a row were not finite, the last is step ${at.done}`, [
            `With CYTONET_DEBUG=nan before it, that names the first operation that makes such a number; a smaller optimizer.learningRate or a larger loss.tau often helps.`,
          ]);
        }
        if (!(await conclude(measured))) break;
        pace.note(taken * batches.patches, performance.now(), waitedSoFar());
        const rate = pace.rate();
        training.onProgress?.({
          step: at.done,
          steps: config.steps,
          metrics: at.last ?? measured,
          rate,
          eta: ((config.steps - at.done) * batches.patches) / rate,
          waiting: pace.waiting(),
          memory: engine.device.ledger().total,
          skipped: at.watch.skipped,
          rewinds: at.watch.rewinds,
        });
        await keep();
      }
    } finally {
      tally.waited += waitedSoFar();
      if (began !== undefined) tally.stepping += performance.now() - began;
    }
    const finished = at.done >= config.steps && at.owed === undefined;
    await keeper.flush();
    if (tally.saved !== at.done || at.owed !== undefined) await keeper.save();
    if (finished) await keeper.finish();
    return { finished, step: at.done, last: at.last, parameters, statistics };
  } finally {
    encoder?.dispose();
    step.dispose();
  }
}
