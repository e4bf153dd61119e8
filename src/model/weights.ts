// Final weights as a file that stands alone: the configuration travels in its metadata, so that nothing else is needed to embed with it.
import { canonicalJson, isObject, parseJson } from "../data/json.ts";
import type { Json, JsonObject } from "../data/json.ts";
import { readSafetensors, writeSafetensors } from "../data/safetensors.ts";
import { createSha256 } from "../data/sha256.ts";
import { loadFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "./config.ts";

const FORMAT = "cytonet-weights";
const VERSION = "1";

export interface Weights {
  /** Parameters and running statistics, by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What builds the model: preset, sizes, input pixel size and normalisation. */
  readonly config: JsonObject;
  /** Steps they were trained for. */
  readonly step: number;
}

/** The settings that a file carries. Throws UserError 65 where they build no model: it is the file that is wrong, whoever uses it. */
export function readSettings(config: JsonObject, name: string): TrainConfig {
  try {
    return resolveConfig(flattenSettings(config));
  } catch (error) {
    if (!(error instanceof UserError) || (error.exitCode !== EXIT_CODES.config && error.exitCode !== EXIT_CODES.usage)) throw error;
    throw new UserError(EXIT_CODES.badData, `${name}: its configuration builds no model: ${error.message}`, error.notes, { cause: error });
  }
}

/** What makes tensors no weights of a model. Throws UserError 65 for one that is missing, of another shape, of no floats, not finite, or a variance below 0. */
export function checkTensors(tensors: ReadonlyMap<string, StoredTensor>, specs: readonly { readonly name: string; readonly shape: readonly number[] }[], source: string, preset: string): void {
  for (const { name, shape } of specs) {
    const tensor = tensors.get(name);
    const values = tensor && loadFloat32(tensor);
    if (!tensor || !values || tensor.shape.length !== shape.length || shape.some((extent, i) => extent !== tensor.shape[i]))
      throw new UserError(EXIT_CODES.badData, `${source}: ${name} is ${tensor ? `${tensor.dtype}[${tensor.shape.join(", ")}]` : "missing"}, expected F32[${shape.join(", ")}] for the preset ${preset}`, ["The weights belong to another preset or patch size."]);
    const isVariance = name.endsWith(".running_var");
    const at = values.findIndex((value) => !Number.isFinite(value) || (isVariance && value < 0));
    if (at >= 0) throw new UserError(EXIT_CODES.badData, `${source}: ${JSON.stringify(name)}: value ${at} is ${values[at]}, expected ${isVariance ? "variances from 0" : "finite numbers"}`);
  }
}

/** The same weights give the same bytes: nothing of time or place is in them. `sha256` in the metadata is the hash of what they say. */
export function encodeWeights(weights: Weights): Uint8Array<ArrayBuffer> {
  const { tensors } = weights;
  const metadata = new Map([["format", FORMAT], ["version", VERSION], ["step", canonicalJson(weights.step, "step")], ["config", canonicalJson(weights.config, "config")]]);
  return writeSafetensors(tensors, new Map([["sha256", hashContent(tensors, metadata)], ...metadata]));
}

/**
 * SHA-256 over all that decides what the weights do: step and configuration as they stand in the metadata, and name, type, shape
 * and bytes of each tensor by name. Where in the file things lie does not count, so that a copy written by another program is still whole.
 */
function hashContent(tensors: ReadonlyMap<string, StoredTensor>, metadata: ReadonlyMap<string, string>): string {
  const hash = createSha256();
  const encoder = new TextEncoder();
  hash.update(encoder.encode(`${JSON.stringify([metadata.get("step"), metadata.get("config")])}\n`));
  for (const [name, { dtype, shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(encoder.encode(`${JSON.stringify([name, dtype, shape])}\n`));
    hash.update(data);
  }
  return hash.digest();
}

/**
 * Weights without a `sha256` in their metadata are taken as they are.
 * @throws UserError 65 where the file is damaged, or is a safetensors file without a configuration of ours
 */
export function decodeWeights(bytes: Uint8Array, name: string): Weights {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const refuse = (key: string, want: string, remedy: string): UserError => {
    const value = metadata.get(key);
    return new UserError(EXIT_CODES.badData, `${name}: ${key} ${value === undefined ? "missing" : JSON.stringify(value.slice(0, 80))} in the metadata, expected ${want}`, [remedy]);
  };
  const format = metadata.get("format");
  if (format !== FORMAT)
    throw refuse("format", `"${FORMAT}"`, format === "cytonet-checkpoint" ? "This is a checkpoint: give its run folder, or the run's model.safetensors." : "Give the model.safetensors of a run; weights of other programs have no configuration that builds the model.");
  if (metadata.get("version") !== VERSION) throw refuse("version", `"${VERSION}"`, "Use the cytonet version that wrote the file, or a newer one.");
  const damaged = "The file is damaged: get it again from where it came; in a run folder remove it and write it again with cytonet train DATASET --out RUN --resume.";
  const stored = metadata.get("sha256");
  const found = stored === undefined ? undefined : hashContent(tensors, metadata);
  if (found !== stored) throw new UserError(EXIT_CODES.badData, `${name}: SHA-256 of the content ${found}, expected ${stored}, as its metadata say`, [damaged]);
  const parse = (key: string): Json => {
    try {
      return parseJson(metadata.get(key) ?? "");
    } catch {
      throw refuse(key, "JSON", damaged);
    }
  };
  const config = parse("config");
  if (!isObject(config)) throw refuse("config", "an object", damaged);
  readSettings(config, name);
  const step = parse("step");
  if (typeof step !== "number" || !Number.isSafeInteger(step) || step < 0) throw refuse("step", "a non-negative integer", damaged);
  return { tensors, config, step };
}

/** @throws UserError 66 missing, 65 as `decodeWeights` */
export async function readWeights(files: Files, path: string): Promise<Weights> {
  return decodeWeights(await files.read(path), path);
}

/** Writes the whole file or nothing. @throws UserError 73 or 74 */
export async function writeWeights(files: Files, path: string, weights: Weights): Promise<void> {
  await files.writeAtomic(path, encodeWeights(weights));
}
