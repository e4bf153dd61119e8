// Checkpoints in a folder: written so that a kill at any moment leaves a whole one, and opened with a fall-back past damaged ones.
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath } from "../files.ts";
import type { Files } from "../files.ts";
import { decodeState, encodeState } from "./state.ts";
import type { TrainState } from "./state.ts";

/** Names the checkpoint to continue from. A hint only: what it names is verified, and others are tried where it fails. */
const POINTER = "latest";
const UNVERIFIED = ".unverified";
const TRIAL = "space.trial";
const NAME = /^step-(\d{10})\.safetensors$/;
/** The model card beside a checkpoint. */
const CARD = /^step-(\d{10})\.md$/;
/** What a killed process leaves: the trial, unverified checkpoints, and parts of files that were being written (named after them). */
const LEFTOVER = /^(space\.trial|\.?step-\d{10}\.safetensors\.unverified(\..+)?|\.?latest\..+|\.step-\d{10}\.md\..+)$/;

/** How many checkpoints stay where nothing else is said. */
export const DEFAULT_KEEP = 3;

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(10, "0")}.safetensors`;
}

/** Name of the text that lies beside a checkpoint. */
export function cardName(step: number): string {
  return checkpointName(step).replace(/safetensors$/, "md");
}

/** Steps of the checkpoints in a folder, the highest first; whether they are whole is not looked at. */
export async function listCheckpoints(files: Files, folder: string): Promise<number[]> {
  if ((await files.size(folder)) === undefined) return [];
  const steps: number[] = [];
  for (const { name, kind } of await files.list(folder)) {
    const step = NAME.exec(name)?.[1];
    if (step !== undefined && kind === "file") steps.push(Number(step));
  }
  return steps.sort((a, b) => b - a);
}

/** @throws UserError 66 missing, 65 damaged or no checkpoint */
export async function loadCheckpoint(files: Files, path: string): Promise<TrainState> {
  return decodeState(await files.read(path), path);
}

/**
 * Writes a checkpoint and returns its path. The order makes every moment safe: a file under a name that nobody opens,
 * flushed → read back and verified → renamed → `latest` moved by an atomic write, whose flush of the folder covers the
 * rename before it → older ones removed. Only one process may write to the folder: hold the run's lock.
 *
 * @param keep how many of the newest stay; at least 1. Those of later steps go: they are of a run that was turned back.
 * @param anchor step of a checkpoint that stays too
 * @param card text that lies beside the checkpoint, and goes with it
 * @param every steps between checkpoints: older ones in between, where a run was stopped, go, so that it has those of a run that was not
 * @throws UserError 74 (disk full, I/O, or read back otherwise than written): the checkpoints there were are untouched
 */
export async function saveCheckpoint(files: Files, folder: string, state: TrainState, keep: number = DEFAULT_KEEP, card?: string, anchor?: number, every = 1): Promise<string> {
  if (!Number.isSafeInteger(keep) || keep < 1) throw new UserError(EXIT_CODES.config, `checkpoints: ${keep} kept, expected an integer of at least 1`);
  const name = checkpointName(state.step);
  const path = joinPath(folder, name);
  const unverified = path + UNVERIFIED;
  const bytes = await encodeState(state);
  try {
    await files.writeAtomic(unverified, bytes);
    await verifyCopy(files, unverified, bytes);
  } catch (error) {
    await files.remove(unverified).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
  await files.rename(unverified, path);
  await files.writeAtomic(joinPath(folder, POINTER), new TextEncoder().encode(`${name}\n`));
  // After what it describes: a card that finds no room must not cost the checkpoint.
  if (card !== undefined) await files.writeAtomic(joinPath(folder, cardName(state.step)), new TextEncoder().encode(card));
  await prune(files, folder, state.step, keep, every, anchor);
  return path;
}

/** Reads the file back: it must hold the same bytes, and they must decode to a state. */
async function verifyCopy(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const copy = await files.read(path);
  let same = 0;
  while (same < bytes.length && bytes[same] === copy[same]) same++;
  if (same === bytes.length && copy.length === bytes.length) {
    await decodeState(copy, path);
    return;
  }
  throw new UserError(EXIT_CODES.io, `${path}: read back otherwise than written, first at byte ${same} of ${bytes.length}`, [
    "The disk or file system does not hold what it is given: check it, or write the run elsewhere.",
  ]);
}

async function prune(files: Files, folder: string, newest: number, keep: number, every: number, anchor?: number): Promise<void> {
  const steps = await listCheckpoints(files, folder);
  const whole = steps.filter((step) => step === newest || (step < newest && step % every === 0));
  const kept = new Set([...whole.slice(0, keep), ...whole.filter((step) => step === anchor)]);
  for (const step of steps) if (!kept.has(step)) await files.remove(joinPath(folder, checkpointName(step)));
  await removeCards(files, folder, kept);
  await clearLeftovers(files, folder);
}

/** Removes the cards of all but some steps. */
async function removeCards(files: Files, folder: string, kept: ReadonlySet<number>): Promise<void> {
  if ((await files.size(folder)) === undefined) return;
  for (const { name, kind } of await files.list(folder)) {
    const step = kind === "file" ? CARD.exec(name)?.[1] : undefined;
    if (step !== undefined && !kept.has(Number(step))) await files.remove(joinPath(folder, name));
  }
}

/** Removes what a killed process left half written; the space may be needed. Only under the run's lock. */
export async function clearLeftovers(files: Files, folder: string): Promise<void> {
  if ((await files.size(folder)) === undefined) return;
  for (const { name, kind } of await files.list(folder)) if (kind === "file" && LEFTOVER.test(name)) await files.remove(joinPath(folder, name));
}

/** Removes all checkpoints and what belongs to them; other files in the folder, and the folder, stay. Only under the run's lock. */
export async function removeCheckpoints(files: Files, folder: string): Promise<void> {
  const steps = await listCheckpoints(files, folder);
  if (steps.length > 0 || (await files.size(joinPath(folder, POINTER))) !== undefined) await files.remove(joinPath(folder, POINTER));
  for (const step of steps) await files.remove(joinPath(folder, checkpointName(step)));
  await removeCards(files, folder, new Set());
  await clearLeftovers(files, folder);
}

/**
 * Makes the folder, writes the first checkpoint, and proves by writing that there is room for as many as will ever be
 * there at once: a disk that is too small, or not writable, is met before the first step.
 *
 * @throws UserError 73 or 74, before any time is spent on training
 */
export async function startCheckpoints(files: Files, folder: string, state: TrainState, keep: number = DEFAULT_KEEP, card?: string): Promise<string> {
  await files.makeFolder(folder);
  const path = await saveCheckpoint(files, folder, state, keep, card);
  await proveSpace(files, folder, await encodeState(state), keep);
  return path;
}

/** Writes `copies` times `bytes` to a file and removes it. */
async function proveSpace(files: Files, folder: string, bytes: Uint8Array, copies: number): Promise<void> {
  const path = joinPath(folder, TRIAL);
  const part = 8 << 20;
  try {
    await files.remove(path);
    for (let copy = 0; copy < copies; copy++) for (let at = 0; at < bytes.length; at += part) await files.append(path, bytes.subarray(at, at + part));
  } catch (error) {
    await files.remove(path).catch(() => undefined);
    if (!(error instanceof UserError) || error.exitCode !== EXIT_CODES.io) throw error;
    const megabytes = (count: number): string => `${((count * bytes.length) / 2 ** 20).toFixed(1)} MiB`;
    throw new UserError(
      EXIT_CODES.io,
      `${folder}: no room for ${copies + 1} checkpoints at once, expected ${megabytes(copies + 1)} for the run`,
      [error.message, `Free ${megabytes(copies)}, keep fewer checkpoints, or write the run to another disk.`],
      { cause: error },
    );
  }
  await files.remove(path);
}

export interface OpenedCheckpoint {
  readonly state: TrainState;
  readonly path: string;
  /** One line for each that was passed over, `latest` too, with the reason: to be shown. */
  readonly skipped: readonly string[];
}

/**
 * The newest whole checkpoint: the one that `latest` names, or where that is damaged the next one down that verifies.
 *
 * @throws UserError 66 if there is none, 65 if all are damaged
 */
export async function openLatest(files: Files, folder: string): Promise<OpenedCheckpoint> {
  const steps = await listCheckpoints(files, folder);
  if (steps.length === 0)
    throw new UserError(EXIT_CODES.inputMissing, `${folder}: no checkpoint, expected at least one`, ["Restore the folder from a copy, or start the run again with --force."]);
  const skipped: string[] = [];
  const pointed = await readPointer(files, folder).catch((error: unknown) => {
    skipped.push(reason(error));
    return undefined;
  });
  const order = pointed === undefined ? steps : [pointed, ...steps.filter((step) => step !== pointed)];
  for (const step of order) {
    const path = joinPath(folder, checkpointName(step));
    try {
      const state = await loadCheckpoint(files, path);
      if (state.step !== step) throw new UserError(EXIT_CODES.badData, `${path}: it holds step ${state.step}, expected step ${step}, as its name says`);
      return { state, path, skipped };
    } catch (error) {
      skipped.push(reason(error));
    }
  }
  throw new UserError(EXIT_CODES.badData, `${folder}: none of ${steps.length} checkpoints is whole, expected at least one`, [...skipped, "Restore the folder from a copy, or start the run again with --force."]);
}

/** The step that `latest` names. Its text never becomes a path: only the step is taken from it. */
async function readPointer(files: Files, folder: string): Promise<number> {
  const path = joinPath(folder, POINTER);
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: it is missing`);
  const text = new TextDecoder().decode(await files.readRange(path, 0, 64));
  const step = text.endsWith("\n") ? NAME.exec(text.slice(0, -1))?.[1] : undefined;
  if (step === undefined) throw new UserError(EXIT_CODES.badData, `${path}: ${JSON.stringify(text)} in it, expected a name as ${checkpointName(0)}`);
  return Number(step);
}

/** The line of an error that another checkpoint may make good; any other is thrown on. */
function reason(error: unknown): string {
  if (error instanceof UserError) return error.message;
  throw error;
}
