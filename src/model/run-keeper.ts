// What a run writes down of where it stands: metrics, checkpoints, the state before a step that failed, the final weights; and how it goes back.
import type { Dataset } from "../data/dataset.ts";
import type { JsonObject } from "../data/json.ts";
import { EXIT_CODES, UserError, quoteArgument } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { writeCard } from "./card.ts";
import { checkpointName, listCheckpoints, loadCheckpoint, saveCheckpoint, startCheckpoints } from "./checkpoint.ts";
import type { TrainConfig } from "./config.ts";
import { metricsOf } from "./metrics.ts";
import { writeFailure } from "./replay.ts";
import { encodeRecord, RUN_FILES, type MetricsRecord, type Run } from "./run.ts";
import { loadTensors, storeTensors, type TrainState } from "./state.ts";
import type { StepMetrics, TrainingStep } from "./training.ts";
import { anchorOf, FRESH_WATCH, rewindWatch, type WatchState } from "./watch.ts";
import { writeWeights } from "./weights.ts";

/** What does not change in a run. */
export interface Kept {
  readonly files: Files;
  readonly run: Run;
  readonly dataset: Dataset;
  readonly config: TrainConfig;
  /** `config` as checkpoints have it. */
  readonly plainConfig: JsonObject;
  readonly hashes: TrainState["hashes"];
  /** Places that are trained on. */
  readonly members: number;
}

/** Where a run stands. */
export interface Position {
  /** Steps that are done. */
  done: number;
  skippedInARow: number;
  watch: WatchState;
  /** The line of the last step, where the validation after it is still to be done. */
  owed: string | undefined;
  last: StepMetrics | undefined;
}

/** What is counted over all devices that a run goes through. */
export interface Tally {
  /** Step of the newest whole checkpoint. */
  saved: number | undefined;
  /** Steps taken, those after a loss of the device once more. */
  taken: number;
  /** Milliseconds in which the device waited for patches. */
  waited: number;
  /** Milliseconds from the first step on, on each device: building and compiling are not among them. */
  stepping: number;
}

export interface Keeper {
  /** Everything that decides the next step. */
  snapshot(): Promise<TrainState>;
  /** The first checkpoint, and proof that there is room for those to come. */
  begin(): Promise<void>;
  /** Writes the lines that are waiting, then a checkpoint. */
  save(): Promise<void>;
  /** Takes a step's line down; it is written with others, before the next checkpoint at the latest. */
  record(metrics: StepMetrics): Promise<void>;
  /** Takes a step's line down as one that is not complete yet. */
  owe(metrics: StepMetrics): void;
  flush(): Promise<void>;
  /** Leaves the state before a step that went wrong; gives the error to end with. */
  giveUp(before: TrainState, what: string, notes: readonly string[]): Promise<UserError>;
  /** Back to the last checkpoint that every run has at this point; false where that was tried too often. */
  rewind(): Promise<boolean>;
  /** The final weights and what belongs to them. */
  finish(): Promise<void>;
}

/** Metrics are flushed to the disk at least this often, in steps. */
const FLUSH_EVERY = 20;

/** `at` is where the run stands at each call, and follows where it goes back. */
export function createKeeper(kept: Kept, step: TrainingStep, blueprints: readonly string[], at: Position, cursorOf: (step: number) => TrainState["cursor"], tally: Tally): Keeper {
  const { files, run, dataset, config, plainConfig, hashes } = kept;
  const { every, keep } = config.checkpoint;
  const rewinds = config.spike.action === "rewind";
  let pending: MetricsRecord[] = [];

  const snapshot = async (): Promise<TrainState> => ({
    step: at.done,
    tensors: storeTensors(await step.snapshot()),
    config: plainConfig,
    hashes,
    rng: { seed: config.seed },
    cursor: cursorOf(at.done),
    skippedInARow: at.skippedInARow,
    watch: at.watch,
    ...(at.owed === undefined ? {} : { owed: at.owed }),
    metricsOffset: run.metricsSize,
    blueprints,
    environment: run.environment,
  });
  const card = (): string =>
    writeCard({
      config: plainConfig,
      step: at.done,
      dataset: { name: dataset.name, hash: dataset.hash, brains: dataset.brains.length, sections: dataset.sections.length, samples: kept.members },
      ...(at.last ? { metrics: { ...at.last } } : {}),
      environment: run.environment,
    });
  // A run that may go back keeps what it would go back to, besides the newest.
  const anchor = () => (rewinds ? anchorOf(at.done, every) : undefined);
  const flush = async () => {
    const records = pending;
    pending = [];
    await run.appendMetrics(records);
  };
  return {
    snapshot,
    flush,
    async begin() {
      await startCheckpoints(files, run.checkpoints, await snapshot(), keep + (rewinds ? 1 : 0), card());
      tally.saved = at.done;
    },
    async save() {
      await flush();
      await saveCheckpoint(files, run.checkpoints, await snapshot(), keep, card(), anchor(), every);
      tally.saved = at.done;
    },
    async record(metrics) {
      pending.push({ step: at.done, ...metrics });
      if (pending.length >= FLUSH_EVERY) await flush();
    },
    owe(metrics) {
      at.owed = encodeRecord({ step: at.done, ...metrics });
    },
    async giveUp(before, what, notes) {
      await flush();
      const path = await writeFailure(files, run.path, before);
      return new UserError(EXIT_CODES.internal, `train: ${what}`, [
        `${path} holds the state before that step; take it again with: cytonet replay ${quoteArgument(path)} ${quoteArgument(dataset.path)}`,
        `The checkpoint of step ${tally.saved} in ${run.checkpoints} is from before.`,
        ...notes,
      ]);
    },
    async rewind() {
      const wanted = anchorOf(at.done - 1, every);
      const there = await listCheckpoints(files, run.checkpoints);
      // There is none of that step where the run was resumed with another checkpoint.every and has not come to a multiple of it since.
      const target = there.includes(wanted) ? wanted : there.find((one) => one < at.done);
      if (target === undefined) return false;
      const back = await loadCheckpoint(files, joinPath(run.checkpoints, checkpointName(target)));
      const then = rewindWatch(at.watch, back.watch ?? FRESH_WATCH, target);
      if (!then) return false;
      step.restore(loadTensors(back));
      pending = [];
      Object.assign(at, { watch: then, done: target, skippedInARow: back.skippedInARow, owed: undefined, last: undefined } satisfies Position);
      // First the checkpoint, which takes the place of the later ones, then the cut: a process killed in between does the same once more.
      await saveCheckpoint(files, run.checkpoints, { ...back, watch: then }, keep, undefined, anchor(), every);
      tally.saved = target;
      await run.cutTo(target, back.metricsOffset);
      return true;
    },
    async finish() {
      const newest = at.last === undefined ? await run.lastMetrics() : undefined;
      at.last ??= newest && metricsOf(newest);
      await files.writeAtomic(joinPath(run.path, RUN_FILES.card), new TextEncoder().encode(card()));
      const averages = await step.averages();
      if (averages) await writeWeights(files, joinPath(run.path, RUN_FILES.averages), { tensors: storeTensors(averages), config: plainConfig, step: at.done });
      await writeWeights(files, run.weights, { tensors: storeTensors(await step.weights()), config: plainConfig, step: at.done });
    },
  };
}
