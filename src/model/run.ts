// A run folder: configuration, environment, metrics, events, checkpoints and final weights of one training run, held by one process.
import { canonicalJson, isList, isObject, parseJson, prettyJson } from "../data/json.ts";
import type { Json, JsonObject } from "../data/json.ts";
import { encodeEventsHeader, encodeScalars, findEventsEnd } from "../data/tfevents.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath } from "../files.ts";
import type { Files } from "../files.ts";
import { clearLeftovers, listCheckpoints, openLatest } from "./checkpoint.ts";
import type { OpenedCheckpoint } from "./checkpoint.ts";
import { inspectFolder, refuseOccupied, removeRun, RUN_FILES } from "./run-folder.ts";
import type { Standing } from "./state.ts";

export { RUN_FILES };

/** One line of metrics.jsonl. No times belong in it: a continued run's file has the same bytes as an uninterrupted one's. */
export type MetricsRecord = Readonly<Record<string, number | string | boolean | null>>;

export interface Run {
  readonly path: string;
  /** As resolved when the run was created. */
  readonly config: JsonObject;
  readonly environment: JsonObject;
  /** Folder of the checkpoints. */
  readonly checkpoints: string;
  /** Path of the final weights. */
  readonly weights: string;
  /** Bytes of metrics.jsonl: a checkpoint's `metricsOffset`. */
  readonly metricsSize: number;
  /** Appends lines and flushes them: before the checkpoint that counts them in. */
  appendMetrics(records: readonly MetricsRecord[]): Promise<void>;
  /** The newest line of metrics.jsonl, undefined where there is none. */
  lastMetrics(): Promise<MetricsRecord | undefined>;
  /** Appends one TensorBoard event. `wallTime` in seconds since 1970. */
  appendScalars(step: number, wallTime: number, scalars: ReadonlyMap<string, number>): Promise<void>;
  /**
   * Cuts metrics and events back to a checkpoint, so that no step appears twice.
   * @throws UserError 65 where metrics.jsonl is not the file that the checkpoint counted
   */
  cutTo(step: number, metricsOffset: number): Promise<void>;
  /** Gives the lock back. */
  release(): Promise<void>;
}

export interface RunOptions {
  readonly config: JsonObject;
  /** Versions, adapter, driver, toggles, features, seeds, hashes. Absolute paths in it are blotted out; put no host or user name in. */
  readonly environment: JsonObject;
  /** Replaces what of a run is there. Files that are none of a run's stay. */
  readonly force?: boolean;
}

/**
 * Makes a run folder and takes its lock. Killed at any moment it leaves what `createRun` and `resumeRun` make a run of.
 *
 * @throws UserError 73 if the folder holds a dataset, or holds a run or anything else and `force` is not set, or cannot be made; 75 if another
 *   process holds it
 */
export async function createRun(files: Files, path: string, options: RunOptions): Promise<Run> {
  const texts = describeRun(options);
  const force = options.force ?? false;
  if ((await files.size(path)) === undefined) await files.makeFolder(path);
  const look = async (): Promise<void> => {
    const { entries, found } = await inspectFolder(files, path).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(EXIT_CODES.cannotCreate, `${path}: cannot be used as a run folder (${error.message}), expected a new or empty folder`, ["Choose another --out."], { cause: error });
    });
    refuseOccupied(path, entries, found, force);
  };
  await look().catch(async (error: unknown) => {
    // That a run is there matters less than that it is going on: --force would not help.
    if ((await files.size(joinPath(path, RUN_FILES.lock))) !== undefined) {
      const failure = await takeLock(files, path).then((lock) => lock.release(), (reason: unknown) => reason);
      if (failure instanceof UserError && failure.exitCode === EXIT_CODES.locked) throw failure;
    }
    throw error;
  });
  const lock = await takeLock(files, path);
  return holding(lock, async () => {
    // Once more under the lock: another process may have made its run here in between.
    await look();
    return beginRun(files, path, texts, options, lock);
  });
}

interface RunTexts {
  readonly environment: string;
  readonly config: string;
}

function describeRun({ config, environment }: RunOptions): RunTexts {
  return { environment: `${prettyJson(blotPaths(environment), "environment")}\n`, config: `${prettyJson(config, "config")}\n` };
}

/** Under the lock, in a folder where it is allowed. */
async function beginRun(files: Files, path: string, texts: RunTexts, { config, environment }: RunOptions, lock: Lock): Promise<Run> {
  await files.writeAtomic(joinPath(path, RUN_FILES.start), encode(texts.config));
  await removeRun(files, path);
  await files.writeAtomic(joinPath(path, RUN_FILES.environment), encode(texts.environment));
  await files.rename(joinPath(path, RUN_FILES.start), joinPath(path, RUN_FILES.config));
  return holdRun(files, path, config, blotPaths(environment), lock);
}

type Lock = Awaited<ReturnType<Files["lock"]>>;

async function takeLock(files: Files, path: string): Promise<Lock> {
  try {
    return await files.lock(joinPath(path, RUN_FILES.lock));
  } catch (error) {
    if (!(error instanceof UserError) || error.exitCode !== EXIT_CODES.locked) throw error;
    throw new UserError(EXIT_CODES.locked, `${path}: another process trains there: ${error.message}`, error.notes, { cause: error });
  }
}

/** Gives the lock back where `body` fails. */
async function holding<T>(lock: Lock, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    await lock.release().catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

/**
 * Takes the lock of a run to continue it.
 *
 * @throws UserError 66 if there is no run, 65 if its files are damaged, 75 if another process holds it
 */
export async function openRun(files: Files, path: string): Promise<Run> {
  await readRun(files, path); // before the lock, which leaves a file in the folder
  const lock = await takeLock(files, path);
  return holding(lock, async () => {
    const { config, environment } = await readRun(files, path);
    return holdRun(files, path, config, environment, lock);
  });
}

/**
 * The configuration that `resumeRun` continues with: that of the run, or of the one that was being made when its process was killed;
 * undefined where that did not come to write it down.
 *
 * @throws UserError 66 where no run was ever made, 65 where its files are damaged
 */
export async function readResumable(files: Files, path: string): Promise<JsonObject | undefined> {
  const inspected = await inspectFolder(files, path).catch((error: unknown) => {
    if (error instanceof UserError && error.exitCode === EXIT_CODES.inputMissing) return undefined;
    throw error;
  });
  if (inspected?.found.kind === "begun") return inspected.found.config;
  if (inspected?.found.kind === "none" && inspected.found.others.length === 0) return undefined;
  return (await readRun(files, path)).config;
}

/**
 * Whether there is a run in a folder to continue, or the beginnings of one. Where there is neither, or the folder cannot be read, it is for
 * `createRun` to begin one or to say why not.
 */
export async function canResume(files: Files, path: string): Promise<boolean> {
  const inspected = await inspectFolder(files, path).catch((error: unknown) => {
    if (error instanceof UserError) return undefined;
    throw error;
  });
  return inspected !== undefined && inspected.found.kind !== "none";
}

/**
 * Takes a run up where its newest whole checkpoint left it: metrics and events are cut back to that step. One whose process was killed
 * before there was a checkpoint, at any moment since it made the folder, begins with `options` instead, and `checkpoint` is undefined.
 *
 * @param check may refuse the state by throwing, as `checkContinuation` does; nothing has been changed by then
 * @throws UserError as `openRun` and `openLatest`, and what `check` throws; the lock is given back
 */
export async function resumeRun(files: Files, path: string, options: RunOptions, check: (state: Standing) => void): Promise<{ run: Run; checkpoint: OpenedCheckpoint | undefined }> {
  const texts = describeRun(options);
  await readResumable(files, path); // before the lock, which leaves a file in the folder
  const lock = await takeLock(files, path);
  return holding(lock, async () => {
    await readResumable(files, path);
    const { found } = await inspectFolder(files, path);
    if (found.kind !== "run") return { run: await beginRun(files, path, texts, options, lock), checkpoint: undefined };
    const { config, environment } = await readRun(files, path);
    const run = await holdRun(files, path, config, environment, lock);
    if (await isUntouched(files, run)) {
      check({ step: 0, config });
      await clearLeftovers(files, run.checkpoints);
      return { run, checkpoint: undefined };
    }
    const checkpoint = await openLatest(files, run.checkpoints);
    check(checkpoint.state);
    await run.cutTo(checkpoint.state.step, checkpoint.state.metricsOffset);
    await clearLeftovers(files, run.checkpoints);
    return { run, checkpoint };
  });
}

/** Whether a run never came to its first checkpoint: it has none, and nothing that is written after one. */
export async function isUntouched(files: Files, run: Run): Promise<boolean> {
  return run.metricsSize === 0 && (await files.size(run.weights)) === undefined && (await listCheckpoints(files, run.checkpoints)).length === 0;
}

/** What a run says about itself, without taking its lock. Errors as `openRun`. */
export async function readRun(files: Files, path: string): Promise<{ config: JsonObject; environment: JsonObject }> {
  if ((await files.size(joinPath(path, RUN_FILES.config))) === undefined)
    throw new UserError(EXIT_CODES.inputMissing, `${path}: no ${RUN_FILES.config} in it, expected a run folder`, ["Give the folder that `cytonet train --out` wrote."]);
  return { config: await readObject(files, joinPath(path, RUN_FILES.config)), environment: await readObject(files, joinPath(path, RUN_FILES.environment)) };
}

async function readObject(files: Files, path: string): Promise<JsonObject> {
  const refuse = (what: string): UserError => new UserError(EXIT_CODES.badData, `${path}: ${what}, expected a JSON object`, ["Restore the file, or start the run again with --force."]);
  const bytes = await files.read(path);
  let value: Json;
  try {
    value = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(value)) throw refuse(isList(value) ? "a list" : value === null ? "null" : `a ${typeof value}`);
  return value;
}

async function holdRun(files: Files, path: string, config: JsonObject, environment: JsonObject, lock: { release(): Promise<void> }): Promise<Run> {
  const metrics = joinPath(path, RUN_FILES.metrics);
  const events = joinPath(path, RUN_FILES.events);
  let metricsSize = (await files.size(metrics)) ?? 0;
  return {
    path,
    config,
    environment,
    checkpoints: joinPath(path, RUN_FILES.checkpoints),
    weights: joinPath(path, RUN_FILES.weights),
    get metricsSize() {
      return metricsSize;
    },
    async appendMetrics(records) {
      if (records.length === 0) return;
      const bytes = encode(records.map((record) => `${encodeRecord(record)}\n`).join(""));
      await files.append(metrics, bytes);
      metricsSize += bytes.length;
    },
    async lastMetrics() {
      const from = Math.max(0, metricsSize - LONGEST_LINE);
      const text = metricsSize === 0 ? "" : new TextDecoder().decode(await files.readRange(metrics, from, metricsSize - from));
      const line = text.trimEnd().split("\n").at(-1) ?? "";
      return line === "" ? undefined : decodeRecord(line, metrics);
    },
    async appendScalars(step, wallTime, scalars) {
      if (((await files.size(events)) ?? 0) === 0) await files.append(events, encodeEventsHeader(wallTime));
      await files.append(events, encodeScalars(step, wallTime, scalars));
    },
    async cutTo(step, metricsOffset) {
      const refuse = (what: string): UserError =>
        new UserError(EXIT_CODES.badData, `${metrics}: ${what}, expected the lines of the ${step} steps that the checkpoint counted`, ["The file was changed after it was written: restore it, or start the run again with --force."]);
      const size = (await files.size(metrics)) ?? 0;
      if (size < metricsOffset) throw refuse(`${size} bytes, fewer than ${metricsOffset}`);
      if (metricsOffset > 0 && (await files.readRange(metrics, metricsOffset - 1, 1))[0] !== 0x0a) throw refuse(`no line ends at byte ${metricsOffset}`);
      if (size > metricsOffset) await files.truncate(metrics, metricsOffset);
      metricsSize = metricsOffset;
      if ((await files.size(events)) === undefined) return;
      const written = await files.read(events);
      const end = findEventsEnd(written, step);
      if (end < written.length) await files.truncate(events, end);
    },
    release: () => lock.release(),
  };
}

/** A line of metrics.jsonl, without its end. JSON has no NaN: those numbers are written as strings, so that the line still says which one it was. */
export function encodeRecord(record: MetricsRecord): string {
  return `{${Object.entries(record)
    .map(([key, value]) => `${JSON.stringify(key)}:${typeof value === "number" && !Number.isFinite(value) ? `"${value}"` : canonicalJson(value, key)}`)
    .join(",")}}`;
}

/** Far beyond any line: what is read of the end to find the last one. */
const LONGEST_LINE = 1 << 16;

/** Errors: UserError 65 that names the file. */
export function decodeRecord(line: string, name: string): MetricsRecord {
  try {
    const record = JSON.parse(line) as MetricsRecord;
    return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, typeof value === "string" && /^(NaN|-?Infinity)$/.test(value) ? Number(value) : value]));
  } catch {
    throw new UserError(EXIT_CODES.badData, `${name}: the last line is not JSON, expected the numbers of a step; restore the file, or start the run again with --force`);
  }
}

/** An absolute path of two parts or more, of POSIX, Windows or a file address; not one inside another word or web address. */
const ABSOLUTE_PATH = /file:\/\/[^\s"'<>|,;()]*|(?<![\w.:/\\-])(?:~?\/[^\s"'<>|:,;()/]+\/[^\s"'<>|:,;()]*|[A-Za-z]:[\\/][^\s"'<>|,;()]*|\\\\[^\s"'<>|,;()]+)/g;

/** They hold names of people and machines, and make two equal environments differ. */
function blotPaths(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, blotValue(item)]));
}

function blotValue(value: Json): Json {
  if (typeof value === "string") return value.replace(ABSOLUTE_PATH, "<path>");
  if (isList(value)) return value.map(blotValue);
  return isObject(value) ? blotPaths(value) : value;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
