// A run folder: configuration, environment, metrics, events, checkpoints and final weights of one training run, held by one process.
import { canonicalJson, isList, isObject, prettyJson } from "../data/json.ts";
import type { Json, JsonObject } from "../data/json.ts";
import { encodeEventsHeader, encodeScalars, findEventsEnd } from "../data/tfevents.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath } from "../files.ts";
import type { Files } from "../files.ts";
import { clearLeftovers, openLatest } from "./checkpoint.ts";
import type { OpenedCheckpoint } from "./checkpoint.ts";
import type { TrainState } from "./state.ts";

/** What a run folder holds, and nothing else is ever removed from it. */
export const RUN_FILES = {
  config: "config.json",
  environment: "environment.json",
  metrics: "metrics.jsonl",
  events: "events.out.tfevents.cytonet",
  checkpoints: "checkpoints",
  weights: "model.safetensors",
  report: "report.html",
  lock: "lock",
} as const;

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
  /** Replaces a run that is there. Files that are none of a run's stay. */
  readonly force?: boolean;
}

/**
 * Makes a run folder and takes its lock. `config.json` is written last: a folder without one holds no run.
 *
 * @throws UserError 73 if the folder holds a run or anything else and `force` is not set, or cannot be made; 75 if another process holds it
 */
export async function createRun(files: Files, path: string, options: RunOptions): Promise<Run> {
  const config = `${prettyJson(options.config, "config")}\n`;
  const environment = blotPaths(options.environment);
  const environmentText = `${prettyJson(environment, "environment")}\n`;
  if ((await files.size(path)) === undefined) await files.makeFolder(path);
  const names = await listFolder(files, path);
  if (options.force !== true) refuseOccupied(path, names);
  const lock = await files.lock(joinPath(path, RUN_FILES.lock));
  try {
    // Once more under the lock: another process may have made its run here in between.
    const found = await listFolder(files, path);
    if (options.force !== true) refuseOccupied(path, found);
    // The configuration goes first: what is half removed is no run.
    for (const name of Object.values(RUN_FILES)) if (name !== RUN_FILES.lock && found.includes(name)) await files.remove(joinPath(path, name));
    await files.writeAtomic(joinPath(path, RUN_FILES.environment), encode(environmentText));
    await files.writeAtomic(joinPath(path, RUN_FILES.config), encode(config));
    return await holdRun(files, path, options.config, environment, lock);
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
  const lock = await files.lock(joinPath(path, RUN_FILES.lock));
  try {
    const { config, environment } = await readRun(files, path);
    return await holdRun(files, path, config, environment, lock);
  } catch (error) {
    await lock.release().catch(() => undefined);
    throw error;
  }
}

/**
 * Takes a run up where its newest whole checkpoint left it: metrics and events are cut back to that step.
 *
 * @param check may refuse the state by throwing, as `checkContinuation` does; nothing has been changed by then
 * @throws UserError as `openRun` and `openLatest`, and what `check` throws; the lock is given back
 */
export async function resumeRun(files: Files, path: string, check: (state: TrainState) => void): Promise<{ run: Run; checkpoint: OpenedCheckpoint }> {
  const run = await openRun(files, path);
  try {
    const checkpoint = await openLatest(files, run.checkpoints);
    check(checkpoint.state);
    await run.cutTo(checkpoint.state.step, checkpoint.state.metricsOffset);
    await clearLeftovers(files, run.checkpoints);
    return { run, checkpoint };
  } catch (error) {
    await run.release().catch(() => undefined);
    throw error;
  }
}

/** What a run says about itself, without taking its lock. Errors as `openRun`. */
export async function readRun(files: Files, path: string): Promise<{ config: JsonObject; environment: JsonObject }> {
  if ((await files.size(joinPath(path, RUN_FILES.config))) === undefined)
    throw new UserError(EXIT_CODES.inputMissing, `${path}: no ${RUN_FILES.config} in it, expected a run folder`, ["Give the folder that `cytonet train --out` wrote."]);
  return { config: await readObject(files, joinPath(path, RUN_FILES.config)), environment: await readObject(files, joinPath(path, RUN_FILES.environment)) };
}

async function readObject(files: Files, path: string): Promise<JsonObject> {
  const refuse = (what: string): UserError => new UserError(EXIT_CODES.badData, `${path}: ${what}, expected a JSON object`, ["Restore the file, or start the run again with --force."]);
  let value: Json;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await files.read(path))) as Json;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(value)) throw refuse(isList(value) ? "a list" : value === null ? "null" : `a ${typeof value}`);
  return value;
}

async function listFolder(files: Files, path: string): Promise<string[]> {
  try {
    return (await files.list(path)).map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(EXIT_CODES.cannotCreate, `${path}: cannot be used as a run folder (${error.message}), expected a new or empty folder`, ["Choose another --out."], { cause: error });
  }
}

function refuseOccupied(path: string, names: readonly string[]): void {
  if (names.includes(RUN_FILES.config))
    throw new UserError(EXIT_CODES.cannotCreate, `${path}: holds a run, expected a new or empty folder`, ["Continue that run with --resume, replace it with --force, or choose another --out."]);
  const ours: readonly string[] = Object.values(RUN_FILES);
  // A process that died while it made the folder leaves files of ours, or parts of them, named after them.
  const others = names.filter((name) => !ours.some((own) => name === own || name.replace(/^\./, "").startsWith(`${own}.`))).sort();
  if (others.length === 0) return;
  const shown = others.slice(0, 3).map((name) => JSON.stringify(name)).join(", ");
  throw new UserError(EXIT_CODES.cannotCreate, `${path}: holds ${others.length} other files or folders (${shown}${others.length > 3 ? ", …" : ""}), expected a new or empty folder`, [
    "Choose another --out, or put the run beside them with --force.",
  ]);
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

/** JSON has no NaN: those numbers are written as strings, so that the line still says which one it was. */
function encodeRecord(record: MetricsRecord): string {
  return `{${Object.entries(record)
    .map(([key, value]) => `${JSON.stringify(key)}:${typeof value === "number" && !Number.isFinite(value) ? `"${value}"` : canonicalJson(value, key)}`)
    .join(",")}}`;
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
