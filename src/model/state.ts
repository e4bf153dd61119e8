// The whole state of a training run as one file's bytes: tensors, and as metadata everything else that decides the next step.
import { canonicalJson, isList, isObject, listDifferences, parseJson } from "../data/json.ts";
import type { Json, JsonObject } from "../data/json.ts";
import { readSafetensors, writeSafetensors } from "../data/safetensors.ts";
import { hashBytes } from "../data/sha256.ts";
import { loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { readWatch, type WatchState } from "./watch.ts";

/** Key of the counter-based generator and whatever else positions it. */
export interface RngState {
  readonly seed: number;
  readonly [name: string]: number;
}

export interface TrainState {
  /** Finished optimizer steps. */
  readonly step: number;
  /** Parameters, moments, running statistics, loss scale and further device state, by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The configuration as resolved. */
  readonly config: JsonObject;
  /** SHA-256 of the configuration, the data set's manifest and the model's definition. */
  readonly hashes: { readonly config: string; readonly data: string; readonly model: string };
  readonly rng: RngState;
  /** The next sample: data order is a pure function of (seed, epoch, index). */
  readonly cursor: { readonly epoch: number; readonly index: number };
  /** Steps up to this one that were skipped without a finite one between them. */
  readonly skippedInARow: number;
  /** Absent in older checkpoints. */
  readonly watch?: WatchState;
  /** The line of this step for metrics.jsonl, where the validation that is due after it was stopped: it is not written yet. */
  readonly owed?: string;
  /** Bytes of metrics.jsonl that belong to the finished steps. */
  readonly metricsOffset: number;
  /** Keys of the kernels in use: a resumed run takes the same ones, so that its bits are the same. */
  readonly blueprints: readonly string[];
  /** Versions, adapter, driver, as the run began. */
  readonly environment: JsonObject;
}

const CONFIG = "config.json";
const FORMAT = "cytonet-checkpoint";
const VERSION = "1";
const NO_HASH = "0".repeat(64);
/** Where the hash stands: metadata comes first in our files, and `sha256` first in the metadata. */
const HASH_PREFIX = new TextEncoder().encode('{"__metadata__":{"sha256":"');
const HASH_AT = 8 + HASH_PREFIX.length;
const HASH_END = HASH_AT + NO_HASH.length;

/**
 * A safetensors file whose metadata holds the state. `sha256` there is the hash of all that follows it in the file: the
 * metadata, the rest of the header and the tensors. What comes before it can only be one way: fixed text, and a header
 * length that fits the spans. So no flipped bit anywhere goes unseen.
 */
export async function encodeState(state: TrainState): Promise<Uint8Array<ArrayBuffer>> {
  const metadata = new Map([["sha256", NO_HASH], ["format", FORMAT], ["version", VERSION]]);
  const { tensors, ...rest } = state;
  for (const [key, value] of Object.entries(rest)) metadata.set(key, canonicalJson(value, key));
  const bytes = writeSafetensors(tensors, metadata);
  bytes.set(new TextEncoder().encode(await hashBytes(bytes.subarray(HASH_END))), HASH_AT);
  return bytes;
}

/**
 * @param name how messages call the file
 * @throws UserError 65: no checkpoint, one of another version, or a damaged one
 */
export async function decodeState(bytes: Uint8Array, name: string): Promise<TrainState> {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const format = metadata.get("format");
  if (format !== FORMAT)
    throw new UserError(EXIT_CODES.badData, `${name}: format ${JSON.stringify(format ?? "none")} in the metadata, expected "${FORMAT}"`, ["Weights alone cannot continue a run; give a checkpoint of the run."]);
  const version = metadata.get("version");
  if (version !== VERSION)
    throw new UserError(EXIT_CODES.badData, `${name}: checkpoint version ${JSON.stringify(version ?? "none")}, expected "${VERSION}"`, ["Continue this run with the cytonet version that wrote it (environment.json names it)."]);
  const stored = metadata.get("sha256");
  const inPlace = HASH_PREFIX.every((byte, i) => bytes[8 + i] === byte);
  const found = inPlace ? await hashBytes(bytes.subarray(HASH_END)) : undefined;
  if (found === undefined || found !== stored)
    throw new UserError(EXIT_CODES.badData, `${name}: the content's SHA-256 is ${found ?? "not where it is written"}, expected ${stored ?? "one in the metadata"}; the checkpoint is damaged`);
  return { tensors, ...parseFields(metadata, name) };
}

/** The hash says that the fields are as they were written; that they are what they should be is checked all the same. */
function parseFields(metadata: ReadonlyMap<string, string>, name: string): Omit<TrainState, "tensors"> {
  const read = (key: string): Json => {
    try {
      return parseJson(metadata.get(key) ?? "");
    } catch {
      throw refuse(key, "JSON");
    }
  };
  const refuse = (key: string, want: string): UserError =>
    new UserError(EXIT_CODES.badData, `${name}: ${key} ${JSON.stringify(metadata.get(key.split(".")[0] ?? key) ?? "missing").slice(0, 100)} in the metadata, expected ${want}`);
  const object = (key: string): JsonObject => {
    const value = read(key);
    if (!isObject(value)) throw refuse(key, "an object");
    return value;
  };
  const count = (value: Json | undefined, key: string): number => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw refuse(key, "a non-negative integer");
    return value;
  };
  const text = (value: Json | undefined, key: string): string => {
    if (typeof value !== "string") throw refuse(key, "a string");
    return value;
  };
  const hashes = object("hashes");
  const cursor = object("cursor");
  const seed = object("rng")["seed"];
  if (typeof seed !== "number") throw refuse("rng.seed", "a number");
  const rng: Record<string, number> & { seed: number } = { seed };
  for (const [key, value] of Object.entries(object("rng"))) {
    if (typeof value !== "number") throw refuse(`rng.${key}`, "a number");
    rng[key] = value;
  }
  const watch = metadata.has("watch") ? readWatch(object("watch")) : undefined;
  if (metadata.has("watch") && !watch) throw refuse("watch", "the state of a watch over gradients");
  const blueprints = read("blueprints");
  if (!isList(blueprints)) throw refuse("blueprints", "a list");
  return {
    step: count(read("step"), "step"),
    config: object("config"),
    hashes: { config: text(hashes["config"], "hashes.config"), data: text(hashes["data"], "hashes.data"), model: text(hashes["model"], "hashes.model") },
    rng,
    cursor: { epoch: count(cursor["epoch"], "cursor.epoch"), index: count(cursor["index"], "cursor.index") },
    // Older checkpoints do not have it.
    skippedInARow: metadata.has("skippedInARow") ? count(read("skippedInARow"), "skippedInARow") : 0,
    ...(watch ? { watch } : {}),
    ...(metadata.has("owed") ? { owed: text(read("owed"), "owed") } : {}),
    metricsOffset: count(read("metricsOffset"), "metricsOffset"),
    blueprints: blueprints.map((key) => text(key, "blueprints")),
    environment: object("environment"),
  };
}

export function storeTensors(tensors: ReadonlyMap<string, { readonly data: Float32Array; readonly shape: readonly number[] }>): Map<string, StoredTensor> {
  return new Map([...tensors].map(([name, { data, shape }]) => [name, storeFloat32(data, shape)]));
}

/** Errors: UserError 65 for a tensor that is not f32. */
export function loadTensors(state: Pick<TrainState, "step" | "tensors">): Map<string, Float32Array> {
  return new Map(
    [...state.tensors].map(([name, tensor]) => {
      const values = loadFloat32(tensor);
      if (!values) throw new UserError(EXIT_CODES.badData, `checkpoint of step ${state.step}: ${name} is ${tensor.dtype}, expected F32`);
      return [name, values];
    }),
  );
}

/** What of a run must be the same for its bits to continue. */
export type Continuation = Pick<TrainState, "config" | "hashes">;

/** Where a run stands: as its newest checkpoint says, or, before there is one, its config.json, which knows no hashes. */
export type Standing = Pick<TrainState, "step" | "config"> & Partial<Pick<TrainState, "hashes">>;

/**
 * Refuses to continue `state` as another run.
 *
 * @param now what the run would be continued as, and how messages call its dataset
 * @param mayDiffer dotted keys of the configuration, with all below them, that do not change the steps already taken (`steps`, `log`)
 * @throws UserError 65 that names every differing key with both values
 */
export function checkContinuation(state: Standing, now: Continuation & { readonly dataset?: string }, mayDiffer: readonly string[] = []): void {
  const then = state.hashes === undefined ? `the run's ${CONFIG}` : "the checkpoint";
  const free = (key: string): boolean => mayDiffer.some((prefix) => key === prefix || key.startsWith(`${prefix}.`) || key.startsWith(`${prefix}[`));
  const differences = listDifferences(state.config, now.config).filter(({ key }) => !free(key));
  const lines = differences.map(({ key, left, right }) => ({ key, line: `${key}: ${left ?? "absent"} in ${then}, ${right ?? "absent"} now` }));
  const { hashes = now.hashes } = state;
  const dataset = now.dataset === undefined ? "the dataset" : `the dataset ${now.dataset}`;
  const what = { data: `${dataset} is another than the run began with, or its manifest, table or images were changed since`, model: "the model is built differently now" };
  for (const key of ["data", "model"] as const)
    if (hashes[key] !== now.hashes[key]) lines.push({ key, line: `${key}: ${what[key]} (SHA-256 ${hashes[key]} in the checkpoint, ${now.hashes[key]} now)` });
  if (lines.length === 0) return;
  throw new UserError(
    EXIT_CODES.badData,
    `resume: ${lines.map(({ key }) => key).join(", ")} ${lines.length === 1 ? "differs" : "differ"} from ${state.hashes === undefined ? then : `the checkpoint of step ${state.step}`}, expected the same`,
    [...lines.map(({ line }) => line), "Resume with the settings, data and model of the run (its config.json has them), or start another run with another --out."],
  );
}
