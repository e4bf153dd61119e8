// The configuration of a training run: every choice with its default, its bounds and its meaning, checked all at once.
import type { JsonObject, Json } from "../data/json.ts";
import { isObject } from "../data/json.ts";
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { checkMemorySize } from "./memory-size.ts";
import { presetOf, type ModelSettings } from "./presets.ts";

interface Rule {
  readonly value: Json;
  readonly doc: string;
  /** What is wrong with a value, or undefined. */
  readonly check: (value: unknown) => string | undefined;
}

/** Most weights of an interpolation of positions, which is a matrix from one grid to the other. */
const MAX_INTERPOLATION = 2 ** 26;
const between = (least: number, most: number, whole = false) => (value: unknown) =>
  typeof value === "number" && Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value))
    ? undefined
    : `expected ${whole ? "a whole number" : "a number"} from ${least} to ${most}`;
const orNull = (check: (value: unknown) => string | undefined) => (value: unknown) => (value === null ? undefined : check(value)?.replace("expected", "expected null or"));
const oneOf = (...names: string[]) => (value: unknown) => (typeof value === "string" && names.includes(value) ? undefined : `expected one of ${names.join(", ")}`);
const flag = (value: unknown) => (typeof value === "boolean" ? undefined : "expected true or false");
const range = (least: number, most: number) => (value: unknown) =>
  Array.isArray(value) && value.length === 2 && value.every((v) => between(least, most)(v) === undefined) && value[0] <= value[1] ? undefined : `expected [low, high] within ${least} and ${most}`;
const names = (value: unknown) => (Array.isArray(value) && value.every((v) => typeof v === "string") ? undefined : "expected a list of names");
const shares = (value: unknown) =>
  Array.isArray(value) && value.every((v, i) => between(0, 1)(v) === undefined && (i === 0 || v > value[i - 1])) ? undefined : "expected rising shares from 0 to 1, such as [0.6, 0.8]";
const rule = (value: Json, doc: string, check: Rule["check"]): Rule => ({ value, doc, check });

/** Every field by its dotted key. The defaults marked [g] in docs are guesses: the published recipe could not be obtained. */
export const FIELDS = {
  preset: rule("tiny", "model", (value) => (typeof value === "string" ? undefined : "expected a name")),
  steps: rule(300, "optimizer steps", between(1, 1e9, true)),
  seed: rule(1, "seed of weights, order and augmentation", between(0, 2 ** 32 - 1, true)),
  precision: rule("f32", "type of activations and weights in the model's arithmetic; masters, heads and loss are f32. f32 too where the device has no shader-f16", oneOf("f32", "f16")),
  memory: rule(null, "most that the run takes on the device, such as \"8GiB\"; results are computed twice where they would take more; null: three quarters of a CPU adapter's, of GPUs unlimited", orNull(checkMemorySize)),
  holdOut: rule([], "brains that training never sees", names),
  "model.pool": rule(null, "convolutional presets: average over the map, or attention of a learned query; null: as the preset", orNull(oneOf("average", "attention"))),
  "model.patch": rule(null, "vit-s, vit-b, hybrid: pixels of a token's side, 16 or 32; null: 16", orNull((value) => (value === 16 || value === 32 ? undefined : "expected 16 or 32"))),
  "model.registers": rule(null, "transformers: learned tokens besides the class token; null: none", orNull(between(0, 64, true))),
  "model.grid": rule(null, "transformers: positions are learned on a grid of this side and interpolated to the patch's; null: on the patch's own", orNull(between(1, 256, true))),
  "data.patch": rule(64, "side of a patch, px", between(8, 4096, true)),
  "data.pixelSizeUm": rule(null, "µm per pixel of a patch; null: that of the training sections, or where they differ each section's own", orNull(between(0.01, 1000))),
  "data.intensity": rule("density", "grey levels or optical density", oneOf("grey", "density")),
  "data.normalise": rule("none", "section: each section's tissue is brought to one mean and contrast, so that stain differs no more", oneOf("none", "section")),
  "data.mean": rule(null, "intensity that becomes 0; null: the mean over training patches", orNull(between(-100, 100))),
  "data.deviation": rule(null, "intensity difference that becomes 1; null: the standard deviation over training patches", orNull(between(1e-6, 100))),
  "data.workers": rule(null, "workers that read sections and cut patches ahead; null: up to 4 where windows have a megapixel or more, by the processors that there are; 0: none", orNull(between(0, 64, true))),
  "batch.groups": rule(16, "neighbourhood groups in a batch", between(1, 65536, true)),
  "batch.groupSize": rule(4, "patches in a group", between(1, 1024, true)),
  "batch.micro": rule(null, "patches that go through the encoder at once, a divisor of groups · groupSize; null: all. Batch norm in the encoder sees so many", orNull(between(1, 65536, true))),
  "batch.fit": rule("same", "where a new run's batch finds no memory, cut it into smaller parts (batch.micro): same: if its gradient stays what it is, without batch norm in the encoder; any: also with it; no: never", oneOf("same", "any", "no")),
  "batch.views": rule(1, "independently augmented views of each patch", between(1, 2, true)),
  "batch.radiusMm": rule(null, "neighbours lie within this distance; null: twice the loss's sigma, or its radius", orNull(between(1e-6, 1e4))),
  "loss.kernel": rule("gaussian", "which pairs are alike: by Gaussian of the distance, within a radius, or views of one patch", oneOf("gaussian", "radius", "views")),
  "loss.tau": rule(0.1, "temperature", between(0.01, 10)),
  "loss.sigmaMm": rule(null, "standard deviation of the Gaussian; null: a twentieth of the samples' extent", orNull(between(1e-6, 1e4))),
  "loss.radiusMm": rule(null, "radius of the hard kernel; null: a tenth of the samples' extent", orNull(between(1e-6, 1e4))),
  "loss.ignoreMm": rule(null, "pairs farther than the kernel reaches and nearer than this are left out; null: none", orNull(between(0, 1e4))),
  "loss.crossSpace": rule("negative", "pairs of different reference spaces: negatives, or left out", oneOf("negative", "ignore")),
  "optimizer.name": rule("adamw", "optimizer", oneOf("adamw", "sgd", "lars")),
  "optimizer.learningRate": rule(null, "peak learning rate; null: the preset's own for AdamW; sgd and lars want one", orNull(between(0, 10))),
  "optimizer.warmup": rule(0.05, "share of the steps in which the rate rises", between(0, 1)),
  "optimizer.schedule": rule("cosine", "how the rate goes on: cosine, linear, step (times decay at each milestone), constant", oneOf("cosine", "linear", "step", "constant")),
  "optimizer.floor": rule(0, "cosine, linear: where the rate ends, as a share of its peak", between(0, 1)),
  "optimizer.milestones": rule([0.6, 0.8], "step: shares of the steps at which the rate falls", shares),
  "optimizer.decay": rule(0.1, "step: what the rate is multiplied with there", between(0, 1)),
  "optimizer.weightDecay": rule(0.05, "weight decay; decoupled for AdamW, for sgd and lars it joins the gradient", between(0, 10)),
  "optimizer.beta1": rule(0.9, "AdamW: decay of the first moment", between(0, 0.999999)),
  "optimizer.beta2": rule(0.999, "AdamW: decay of the second moment", between(0, 0.999999)),
  "optimizer.epsilon": rule(1e-8, "AdamW: added to the root of the second moment", between(1e-16, 1)),
  "optimizer.momentum": rule(0.9, "SGD, LARS: momentum", between(0, 0.999999)),
  "optimizer.trust": rule(0.001, "LARS: a layer moves by this share of itself, times the rate", between(1e-6, 1)),
  "optimizer.clip": rule(1, "largest global norm of the gradient", between(1e-6, 1e9)),
  "ema.decay": rule(null, "moving average of the weights, written beside them as ema.safetensors: what it keeps of itself at each step, such as 0.999; null: none", orNull(between(0, 0.999999))),
  "augment.rotation": rule(180, "turned by up to this, degrees", between(0, 180)),
  "augment.flip": rule(true, "mirrored half of the time", flag),
  "augment.scale": rule([0.9, 1.3], "enlarged by a factor, even in its logarithm", range(0.25, 4)),
  "augment.shear": rule(20, "sheared by up to this, degrees", between(0, 45)),
  "augment.gain": rule([0.7, 1.4], "contrast about the mean times a factor, even in its logarithm", range(0.1, 10)),
  "augment.gamma": rule([0.8, 1.25], "intensities, as multiples of the mean, to a power, even in its logarithm", range(0.1, 10)),
  "augment.offset": rule(0.3, "intensities plus up to this many standard deviations of the data", between(0, 10)),
  "augment.stain": rule([1, 1], "concentration of the stain times a factor, even in its logarithm: density about that of glass; [1, 1]: none", range(0.1, 10)),
  "augment.stainShift": rule(0, "density of the ground plus up to this, as of unspecific stain; 1 is black", between(0, 1)),
  "augment.blur": rule([0.3, 1.5], "standard deviation of a Gaussian blur, px", range(0, 4)),
  "augment.blurShare": rule(0.5, "share of patches that are blurred", between(0, 1)),
  "augment.noise": rule(0.3, "standard deviation of added noise, at most, in those of the data", between(0, 10)),
  "spike.action": rule("none", "where a gradient's norm jumps: skip the step, rewind to the last checkpoint and go on with other data, abort, or none", oneOf("none", "skip", "rewind", "abort")),
  "spike.threshold": rule(10, "a jump: beyond the median by so many deviations (1.48 median absolute deviations, at least a tenth of the median)", between(1, 1e6)),
  "spike.window": rule(64, "steps that median and deviation are of", between(16, 4096, true)),
  "validate.every": rule(null, "steps between validations on what is held out; null: none", orNull(between(1, 1e9, true))),
  "validate.label": rule(null, "label column that nearest neighbours are asked for; null: none", orNull((value) => (typeof value === "string" && value !== "" ? undefined : "expected a column's name"))),
  "validate.samples": rule(512, "places held out that are looked at, and labelled training places to compare them with, at most", between(2, 1e6, true)),
  "validate.share": rule(0.1, "without brains held out: share of the sections that validation keeps from training, one at least", between(0, 0.9)),
  "checkpoint.every": rule(100, "steps between checkpoints", between(1, 1e9, true)),
  "checkpoint.keep": rule(3, "checkpoints kept", between(1, 1000, true)),
  "checkpoint.resume": rule("no", "auto: as `--resume auto`, continue the run that is in the folder, or begin one where there is none", oneOf("no", "auto")),
} as const satisfies Record<string, Rule>;

/** The first parts of dotted keys: groups of settings, which have no value of their own. */
export const SETTING_GROUPS: ReadonlySet<string> = new Set(Object.keys(FIELDS).flatMap((key) => (key.includes(".") ? [key.slice(0, key.lastIndexOf("."))] : [])));

/** A resolved configuration: the same keys, nested. Nulls are resolved from the data before training. */
export interface TrainConfig {
  readonly preset: string;
  readonly steps: number;
  readonly seed: number;
  readonly precision: "f32" | "f16";
  readonly memory: string | number | null;
  readonly holdOut: readonly string[];
  readonly model: ModelSettings;
  readonly data: { readonly patch: number; readonly pixelSizeUm: number | null; readonly intensity: "grey" | "density"; readonly normalise: "none" | "section"; readonly mean: number | null; readonly deviation: number | null; readonly workers: number | null };
  readonly batch: { readonly groups: number; readonly groupSize: number; readonly micro: number | null; readonly fit: "same" | "any" | "no"; readonly views: number; readonly radiusMm: number | null };
  readonly loss: {
    readonly kernel: "gaussian" | "radius" | "views";
    readonly tau: number;
    readonly sigmaMm: number | null;
    readonly radiusMm: number | null;
    readonly ignoreMm: number | null;
    readonly crossSpace: "negative" | "ignore";
  };
  readonly optimizer: {
    readonly name: "adamw" | "sgd" | "lars";
    readonly learningRate: number;
    readonly warmup: number;
    readonly schedule: "cosine" | "linear" | "step" | "constant";
    readonly floor: number;
    readonly milestones: readonly number[];
    readonly decay: number;
    readonly weightDecay: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    readonly momentum: number;
    readonly trust: number;
    readonly clip: number;
  };
  readonly ema: { readonly decay: number | null };
  readonly augment: {
    readonly rotation: number;
    readonly flip: boolean;
    readonly scale: readonly [number, number];
    readonly shear: number;
    readonly gain: readonly [number, number];
    readonly gamma: readonly [number, number];
    readonly offset: number;
    readonly stain: readonly [number, number];
    readonly stainShift: number;
    readonly blur: readonly [number, number];
    readonly blurShare: number;
    readonly noise: number;
  };
  readonly spike: { readonly action: "none" | "skip" | "rewind" | "abort"; readonly threshold: number; readonly window: number };
  readonly validate: { readonly every: number | null; readonly label: string | null; readonly samples: number; readonly share: number };
  readonly checkpoint: { readonly every: number; readonly keep: number; readonly resume: "no" | "auto" };
}

/** Keys that may change when a run is continued: they do not touch the steps already taken. `steps` may not: the schedule hangs on it. */
export const FREE_ON_RESUME: readonly string[] = ["batch.fit", "checkpoint", "data.workers", "memory"];

/** Whether a dotted key is one of these or below one. */
export function isFreeOnResume(key: string): boolean {
  return FREE_ON_RESUME.some((free) => key === free || key.startsWith(`${free}.`));
}

/** A run's configuration with the defaults of settings that it is too old to have; as it is where it cannot be resolved. */
export function fillSettings(config: JsonObject): JsonObject {
  try {
    return JSON.parse(JSON.stringify(resolveConfig(flattenSettings(config)))) as JsonObject;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return config;
  }
}

/**
 * Builds a configuration from settings by dotted key, e.g. `{ "loss.tau": 0.2 }`; what is not set has its default.
 * Throws one UserError 78 that lists every unknown key and every value out of bounds.
 * @param whereIs where a key was given, such as `run.yaml:7`; it goes before what is wrong with it
 */
export function resolveConfig(settings: Readonly<Record<string, unknown>>, whereIs: (key: string) => string | undefined = () => undefined): TrainConfig {
  const wrong: string[] = [];
  const blame = (key: string, what: string): void => {
    const place = whereIs(key);
    wrong.push(`${place === undefined ? "" : `${place}: `}${key}: ${what}`);
  };
  for (const key of Object.keys(settings))
    if (SETTING_GROUPS.has(key)) blame(key, `${JSON.stringify(settings[key])}, expected settings below it, such as ${Object.keys(FIELDS).find((name) => name.startsWith(`${key}.`))}`);
    else if (!Object.hasOwn(FIELDS, key)) {
      const near = suggest(key, Object.keys(FIELDS));
      blame(key, `there is no such setting${near.length ? `; did you mean ${near[0]}?` : ""}`);
    }
  const nested: Record<string, unknown> = {};
  for (const [key, { value, check }] of Object.entries(FIELDS) as [string, Rule][]) {
    const given = settings[key] === undefined ? value : settings[key];
    const problem = check(given);
    if (problem) blame(key, `${JSON.stringify(given)}, ${problem}`);
    const parts = key.split(".");
    const leaf = parts.pop() ?? key;
    let at = nested;
    for (const part of parts) at = (at[part] ??= {}) as Record<string, unknown>;
    at[leaf] = given;
  }
  const config = nested as unknown as TrainConfig;
  if (wrong.length === 0) {
    const preset = presetOf(config);
    if (config.data.patch % preset.multiple) blame("data.patch", `${config.data.patch}, expected a multiple of ${preset.multiple} for the preset ${preset.name}`);
    const { architecture } = preset;
    const grid = architecture.kind === "vit" ? (architecture.grid ?? 0) : 0;
    const own = architecture.kind === "vit" ? config.data.patch / architecture.patch : 0;
    if (grid !== own && (grid * own) ** 2 > MAX_INTERPOLATION) blame("model.grid", `${grid} with patches of ${own} × ${own} tokens, expected at most ${Math.floor(Math.sqrt(MAX_INTERPOLATION) / own)}: the interpolation's weights would take ${Math.ceil((4 * (grid * own) ** 2) / 2 ** 30)} GiB`);
    const { stain, stainShift } = config.augment;
    // Grey levels are no concentrations, and normalised sections have lost where glass is.
    if ((stain[0] !== 1 || stain[1] !== 1 || stainShift > 0) && (config.data.intensity !== "density" || config.data.normalise !== "none"))
      blame(stainShift > 0 ? "augment.stainShift" : "augment.stain", "set, expected data.intensity=density and data.normalise=none with it");
    if (config.optimizer.name !== "adamw" && config.optimizer.learningRate === null) blame("optimizer.learningRate", `null, expected a number with optimizer.name=${config.optimizer.name}, such as ${config.optimizer.name === "sgd" ? "0.1" : "1"}: presets have rates for adamw`);
    if (config.loss.kernel === "views" && config.batch.views !== 2) blame("batch.views", `${config.batch.views}, expected 2 with loss.kernel views`);
    const patches = config.batch.groups * config.batch.groupSize;
    if (config.batch.micro !== null && patches % config.batch.micro) blame("batch.micro", `${config.batch.micro}, expected a divisor of the ${patches} patches of a batch, which are batch.groups · batch.groupSize`);
    if (config.batch.groups * config.batch.groupSize * config.batch.views < 2) wrong.push("batch: one patch, expected at least two: there would be nothing to tell apart");
    if (config.batch.groups * config.batch.groupSize * config.batch.views > 65536) wrong.push("batch: more than 65536 patches");
  }
  if (wrong.length === 0) return { ...config, optimizer: { ...config.optimizer, learningRate: config.optimizer.learningRate ?? presetOf(config).learningRate } };
  throw new UserError(EXIT_CODES.config, `config: ${wrong.length === 1 ? wrong[0] : `${wrong.length} settings are wrong`}`, wrong.length === 1 ? [] : wrong);
}

/** Settings by dotted key out of a nested object, such as a run's config.json. Lists and nulls are values. */
export function flattenSettings(value: JsonObject, prefix = ""): Record<string, Json> {
  const flat: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) {
    if (isObject(item)) Object.assign(flat, flattenSettings(item, `${prefix}${key}.`));
    else flat[prefix + key] = item;
  }
  return flat;
}

/** `a.b=c` → its key and value: JSON where it parses, else text. Throws UserError 2 without `=`. */
export function parseSetting(text: string): [string, Json] {
  const at = text.indexOf("=");
  if (at < 1) throw new UserError(EXIT_CODES.usage, `--set: ${JSON.stringify(text)}, expected key=value such as loss.tau=0.2`);
  const raw = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(raw) as Json];
  } catch {
    return [text.slice(0, at), raw];
  }
}
