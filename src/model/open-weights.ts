// Weights out of whatever holds them: a run, a checkpoint, final weights, a state dict as safetensors, an ONNX model.
import { readOnnx, looksLikeOnnx } from "../data/onnx.ts";
import { FEATURES } from "../data/embeddings.ts";
import { isObject, parseJson, type Json } from "../data/json.ts";
import { readSafetensors } from "../data/safetensors.ts";
import type { StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, quoteArgument, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { adoptWeights, type AdoptReport } from "./adopt.ts";
import { openLatest } from "./checkpoint.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "./config.ts";
import { describePreset } from "./embed.ts";
import { nameInitialisers } from "./onnx-names.ts";
import { frontFaults } from "./onnx-operators.ts";
import { findPreset, presetOf } from "./presets.ts";
import { RUN_FILES } from "./run-folder.ts";
import { decodeState, type TrainState } from "./state.ts";
import { checkTensors, decodeWeights, readSettings, type Weights } from "./weights.ts";

/** What a file is (features are no weights, but looked at and verified like them), by its first bytes and, of safetensors, its metadata. */
export type WeightsKind = "weights" | "checkpoint" | "state dict" | "onnx" | "features";

export interface OpenedWeights {
  readonly weights: Weights;
  readonly kind: WeightsKind;
  /** The file that they are from. */
  readonly path: string;
  /** Of weights that others made: what became of their tensors. */
  readonly report?: AdoptReport;
}

/** Keys under which files that we write for others say what builds the model. */
export const CONFIG_KEY = "cytonet.config";
export const STEP_KEY = "cytonet.step";

/**
 * What intensities foreign encoders were trained on, 0 black and 1 white, unless settings say it: ImageNet's mean over colours for
 * ResNets, a half for vision transformers (timm's augreg weights), what UltraFace takes off for its own.
 */
const CUSTOMARY = {
  resnet: { mean: 0.449, deviation: 0.226 },
  vit: { mean: 0.5, deviation: 0.5 },
  mobile: { mean: 127 / 255, deviation: 128 / 255 },
} as const;
/** Side of the images that foreign encoders are usually trained on. */
const CUSTOMARY_SIDE = 224;

/** Whether a header in braces follows its length, and fits into the file. */
function beginsLikeSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 9 || bytes[8] !== 0x7b) return false;
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true) + 8n <= BigInt(bytes.length);
}

/** Says what the bytes of a file are. Throws UserError 65 for what holds no weights that can be read, with what to do. */
export function recogniseWeights(bytes: Uint8Array, name: string): { readonly kind: WeightsKind; readonly metadata?: ReadonlyMap<string, string> } {
  const pickle = (bytes[0] === 0x50 && bytes[1] === 0x4b) || (bytes[0] === 0x80 && (bytes[1] ?? 0) <= 5);
  // The length of a safetensors header may have the bytes that a pickle begins with.
  if (beginsLikeSafetensors(bytes) || (bytes[8] === 0x7b && !pickle)) {
    const { metadata } = readSafetensors(bytes, name);
    const format = metadata.get("format");
    return { kind: format === "cytonet-weights" ? "weights" : format === "cytonet-checkpoint" ? "checkpoint" : format === FEATURES ? "features" : "state dict", metadata };
  }
  if (pickle)
    throw new UserError(EXIT_CODES.badData, `${name}: a pickle of PyTorch's, or another archive, expected safetensors or ONNX; reading a pickle runs what is in it, so it is not read`, [
      "Where you trust it, write its tensors as safetensors: safetensors.torch.save_file(torch.load(FILE, weights_only=True), \"weights.safetensors\").",
    ]);
  if (looksLikeOnnx(bytes)) return { kind: "onnx" };
  throw new UserError(EXIT_CODES.badData, `${name}: neither safetensors nor ONNX, expected weights in one of them`, ["Give a run's folder, a model.safetensors, a state dict saved as safetensors, or an ONNX model."]);
}

/**
 * Weights of a run's folder (the final ones, or those of its newest checkpoint) or of a file. `settings` by dotted key say what model
 * foreign weights are of (\`preset\` at least), and change nothing of weights that know their own.
 * Unless `check` is false, all that their model needs must be there, and finite.
 * @throws UserError 66 missing, 65 damaged or not fitting, 2 where foreign weights come without a preset or our own with settings
 */
export async function openWeights(files: Files, path: string, settings: Readonly<Record<string, Json>> = {}, { check = true }: { readonly check?: boolean } = {}): Promise<OpenedWeights> {
  const checked = (weights: Weights, from: string): Weights => (check ? checkWhole(weights, from) : weights);
  const isRun = (await files.size(joinPath(path, RUN_FILES.config))) !== undefined;
  if (isRun) {
    refuseSettings(path, settings);
    const final = joinPath(path, RUN_FILES.weights);
    if ((await files.size(final)) !== undefined) return { weights: checked(decodeWeights(await files.read(final), final), final), kind: "weights", path: final };
    const { state, path: from } = await openLatest(files, joinPath(path, RUN_FILES.checkpoints));
    return { weights: checked(weightsOf(state, from), from), kind: "checkpoint", path: from };
  }
  const bytes = await files.read(path);
  const { kind, metadata } = recogniseWeights(bytes, path);
  if (kind === "features") throw new UserError(EXIT_CODES.badData, `${path}: features, which \`cytonet embed\` wrote, expected weights`, ["Give the run, or the weights that they were made with."]);
  if (kind === "weights" || kind === "checkpoint") {
    refuseSettings(path, settings);
    return { weights: checked(kind === "weights" ? decodeWeights(bytes, path) : weightsOf(await decodeState(bytes, path), path), path), kind, path };
  }
  if (kind === "onnx") {
    const model = readOnnx(bytes, path);
    const { config, step } = foreignConfig(path, settings, model.metadata);
    const { tensors, notes, faults: found, front } = nameInitialisers(model, presetOf(config).architecture);
    const faults = [...found, ...frontFaults(front, config.data.mean, config.data.deviation)];
    const opened = adopted(tensors, config, step, path, kind, notes);
    if (faults.length > 0) throw new UserError(EXIT_CODES.badData, `${path}: its weights fit the encoder of ${config.preset}, but it computes something else with them`, [...faults, "Features would differ from the model's own: choose the preset that it was made as, or train one here."]);
    return opened;
  }
  const { config, step } = foreignConfig(path, settings, metadata ?? new Map());
  return adopted(readSafetensors(bytes, path).tensors, config, step, path, kind);
}

/** The same weights, where they are all that their model needs. */
function checkWhole(weights: Weights, path: string): Weights {
  const config = readSettings(weights.config, path);
  const { parameters, statistics } = describePreset(presetOf(config), config.data.patch);
  checkTensors(weights.tensors, [...parameters, ...statistics], path, config.preset);
  return weights;
}

function adopted(tensors: ReadonlyMap<string, StoredTensor>, config: TrainConfig, step: number, path: string, kind: WeightsKind, notes: readonly string[] = []): OpenedWeights {
  const { weights, report } = adoptWeights(tensors, config, path, notes);
  return { weights: { ...weights, step }, kind, path, report };
}

/** The weights in a checkpoint, without the optimizer's state. */
export function weightsOf(state: TrainState, name: string): Weights {
  const config = readSettings(state.config, name);
  const { parameters, statistics } = describePreset(presetOf(config), config.data.patch);
  const tensors = new Map([...parameters, ...statistics].map((spec) => {
    const tensor = state.tensors.get(spec.name);
    if (!tensor) throw new UserError(EXIT_CODES.badData, `${name}: ${spec.name} is missing, expected every tensor of the preset ${config.preset}`);
    return [spec.name, tensor] as const;
  }));
  return { tensors, config: state.config, step: state.step };
}

function refuseSettings(path: string, settings: Readonly<Record<string, Json>>): void {
  const [key] = Object.keys(settings);
  if (key !== undefined) throw new UserError(EXIT_CODES.usage, `${path}: ${key} with weights that know their own model, expected it only with weights of others`);
}

/** The configuration that a foreign file carries, or is given, with customary normalisation where nobody says it. */
function foreignConfig(path: string, settings: Readonly<Record<string, Json>>, metadata: ReadonlyMap<string, string>): { config: TrainConfig; step: number } {
  const stored = parse(metadata.get(CONFIG_KEY), path);
  if (isObject(stored)) readSettings(stored, path);
  else if (stored !== undefined) throw new UserError(EXIT_CODES.badData, `${path}: ${CONFIG_KEY} in the metadata is no object, expected a configuration`);
  const step = Number(metadata.get(STEP_KEY) ?? 0);
  const own = isObject(stored) ? flattenSettings(stored) : {};
  const name = settings["preset"] ?? own["preset"];
  if (typeof name !== "string")
    throw new UserError(EXIT_CODES.usage, `${path}: weights without a configuration of ours, expected --preset to say what they are of`, [`For instance: cytonet export ${quoteArgument(path)} --preset r50 --set model.pool=average --out model.safetensors`]);
  const { architecture, patch } = findPreset(name);
  const { mean, deviation } = CUSTOMARY[architecture.kind];
  const customary = { "data.patch": Math.min(patch, CUSTOMARY_SIDE), "data.intensity": "grey", "data.mean": mean, "data.deviation": deviation };
  return { config: resolveConfig({ ...(isObject(stored) ? {} : customary), ...own, ...settings }), step: Number.isSafeInteger(step) && step >= 0 ? step : 0 };
}

function parse(text: string | undefined, path: string): Json | undefined {
  if (text === undefined) return undefined;
  try {
    return parseJson(text);
  } catch {
    throw new UserError(EXIT_CODES.badData, `${path}: ${CONFIG_KEY} in the metadata is no JSON, expected a configuration`);
  }
}
