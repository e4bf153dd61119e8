// What a folder holds, as far as runs go: a run, the beginnings of one, or things of others that no run may touch.
import { MANIFEST_FILE } from "../data/dataset.ts";
import { isObject } from "../data/json.ts";
import type { Json, JsonObject } from "../data/json.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath } from "../files.ts";
import type { Entry, Files } from "../files.ts";
import { removeCheckpoints } from "./checkpoint.ts";

/** What a run folder holds, and nothing else is ever removed from it. */
export const RUN_FILES = {
  config: "config.json",
  environment: "environment.json",
  metrics: "metrics.jsonl",
  events: "events.out.tfevents.cytonet",
  checkpoints: "checkpoints",
  weights: "model.safetensors",
  /** The moving averages of the weights, where there are any. */
  averages: "ema.safetensors",
  card: "model-card.md",
  /**
   * The configuration while a run is made: it says that a run is to be here and that what is left of one before it may go. The first
   * file to be written, it is renamed when all else is there: a process killed in between is made up for by the next one.
   */
  start: "config.json.starting",
  lock: "lock",
} as const;

/** Name of what a run leaves that gave up at a step. */
export function failureName(step: number): string {
  return `failed-step-${String(step).padStart(10, "0")}.safetensors`;
}

const FAILURE = /^failed-step-(\d{10})\.safetensors$/;

/** The step at which a run gave up, of a file that it left; undefined of others. */
export function failureStep(name: string): number | undefined {
  const step = FAILURE.exec(name)?.[1];
  return step === undefined ? undefined : Number(step);
}

/** What a killed process leaves before there is a start file: its lock, and parts of files that were being written. */
const REMAINS = /^(lock(\.takeover)?(\..+\.part)?|\.config\.json\.starting\..+\.part)$/;

export type Found =
  | { readonly kind: "run" }
  /** A run was being made. */
  | { readonly kind: "begun"; readonly config: JsonObject }
  /** Neither; `others` are names of all but what a killed process leaves of its lock. */
  | { readonly kind: "none"; readonly others: readonly string[] };

/** @throws UserError 66 where there is no such folder */
export async function inspectFolder(files: Files, path: string): Promise<{ entries: readonly Entry[]; found: Found }> {
  const entries = await files.list(path);
  const has = (name: string): boolean => entries.some((entry) => entry.name === name);
  const config = has(RUN_FILES.start) ? await readStart(files, joinPath(path, RUN_FILES.start)) : undefined;
  if (config !== undefined) return { entries, found: { kind: "begun", config } };
  if (has(RUN_FILES.config)) return { entries, found: { kind: "run" } };
  return { entries, found: { kind: "none", others: entries.flatMap(({ name }) => (REMAINS.test(name) ? [] : [name])).sort() } };
}

/** The configuration in a start file, undefined where it is a file of somebody else. */
async function readStart(files: Files, path: string): Promise<JsonObject | undefined> {
  const bytes = await files.read(path);
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Json;
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Says whether a run may be made in a folder.
 * @throws UserError 73 where it holds a dataset, a run, or anything that is named like a part of one; with `force` only for a dataset, and
 *   where something of another kind stands in a file's place
 */
export function refuseOccupied(path: string, entries: readonly Entry[], found: Found, force: boolean): void {
  const refuse = (what: string, remedy: string): UserError => new UserError(EXIT_CODES.cannotCreate, `${path}: ${what}, expected a new or empty folder`, [remedy]);
  if (entries.some(({ name }) => name === MANIFEST_FILE)) throw refuse(`holds a dataset (${MANIFEST_FILE})`, "Choose another --out.");
  const names: readonly string[] = Object.values(RUN_FILES);
  for (const { name, kind } of entries)
    if (names.includes(name) && kind !== (name === RUN_FILES.checkpoints ? "folder" : "file"))
      throw refuse(`${JSON.stringify(name)} there is ${kind === "other" ? "neither file nor folder" : `a ${kind}`}`, "Move it away, or choose another --out.");
  if (force || found.kind === "begun") return;
  if (found.kind === "run") throw refuse("holds a run", "Continue that run with --resume, replace it with --force, or choose another --out.");
  if (found.others.length === 0) return;
  const shown = found.others.slice(0, 3).map((name) => JSON.stringify(name)).join(", ");
  const replaced = found.others.filter((name) => names.includes(name));
  throw refuse(
    `holds ${found.others.length} other files or folders (${shown}${found.others.length > 3 ? ", …" : ""})`,
    replaced.length === 0 ? "Choose another --out, or put the run beside them with --force." : `Choose another --out, or put the run there with --force, which replaces ${replaced.join(", ")}.`,
  );
}

/** Removes what a run is known to own, by name; files of others stay, also among the checkpoints. Only under the lock. */
export async function removeRun(files: Files, path: string): Promise<void> {
  for (const name of Object.values(RUN_FILES)) {
    if (name === RUN_FILES.lock || name === RUN_FILES.start) continue;
    if (name === RUN_FILES.checkpoints) await removeCheckpoints(files, joinPath(path, name));
    else if ((await files.size(joinPath(path, name))) !== undefined) await files.remove(joinPath(path, name));
  }
  for (const { name, kind } of await files.list(path)) if (kind === "file" && FAILURE.test(name)) await files.remove(joinPath(path, name));
}
