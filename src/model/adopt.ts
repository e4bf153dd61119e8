// Weights that others trained, as weights of ours: names and layouts matched, everything that does not fit told at once.
import type { JsonObject } from "../data/json.ts";
import { loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { sizeOf } from "../engine/trace.ts";
import type { TrainConfig } from "./config.ts";
import { describePreset } from "./embed.ts";
import { initialValues } from "./parameters.ts";
import { resamplePositions } from "./positions.ts";
import { presetOf, type Preset } from "./presets.ts";
import { into, LEFT_OUT, linksOf, type Link } from "./state-dict.ts";
import type { Weights } from "./weights.ts";

/** What became of their tensors. */
export interface AdoptReport {
  /** Tensors of theirs that were taken. */
  readonly matched: number;
  /** Of these, what was not taken as it is: one line each. */
  readonly changed: readonly string[];
  /** Names that are no part of an encoder. */
  readonly leftOut: readonly string[];
  /** Tensors of ours that keep their first values: the projection's. */
  readonly first: readonly string[];
}

/** Most lines of one kind in an error: the rest is counted. */
export const LINES = 12;
/** Most beginnings that are taken off names, one after the other. */
const MAX_PREFIXES = 8;

/**
 * Their tensors as weights of a configuration's model. Taken are torchvision's and timm's ResNets and vision transformers (also with
 * `module.`, `model.` or `backbone.` in front), and UltraFace's backbone, of f32, f16, bf16 or f64. Positions of another grid are resampled
 * (bicubic, antialiased); filters over three colours are summed up for grey images, which sees a grey image as they see grey in colour.
 *
 * @param source how messages call where they are from
 * @throws UserError 65 with every tensor that is missing, not expected, of another shape, not of floats or not finite
 */
export function adoptWeights(theirs: ReadonlyMap<string, StoredTensor>, config: TrainConfig, source: string, notes: readonly string[] = []): { weights: Weights; report: AdoptReport } {
  const preset = presetOf(config);
  const spec = describePreset(preset, config.data.patch);
  const shapes = new Map([...spec.parameters, ...spec.statistics].map(({ name, shape }) => [name, shape]));
  const given = renameAll(theirs);
  const faults: string[] = [];
  const changed = [...notes];
  const tensors = new Map<string, StoredTensor>();
  const links = linksOf(preset.architecture);
  const known = new Set(links.map((link) => link.theirs));
  let matched = 0;
  for (const link of links) {
    const tensor = given.get(link.theirs);
    if (!tensor) {
      faults.push(`missing: ${link.theirs}`);
      continue;
    }
    const values = loadFloat32(tensor);
    if (!values) {
      faults.push(`${link.theirs}: ${tensor.dtype}, expected F32, F16, BF16 or F64`);
      continue;
    }
    const broken = values.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) {
      faults.push(`${link.theirs}: value ${broken} is ${values[broken]}, expected finite numbers`);
      continue;
    }
    const negative = link.theirs.endsWith("running_var") ? values.findIndex((value) => value < 0) : -1;
    if (negative >= 0) {
      faults.push(`${link.theirs}: value ${negative} is ${values[negative]}, expected variances from 0`);
      continue;
    }
    const fitted = fit({ values, shape: tensor.shape }, link, link.ours.map((name) => shapes.get(name) ?? []), preset, config.data.patch);
    if (typeof fitted === "string") {
      faults.push(`${link.theirs}: ${fitted}`);
      continue;
    }
    matched++;
    if (fitted.note !== undefined) changed.push(`${link.theirs}: ${fitted.note}`);
    link.ours.forEach((name, i) => {
      const part = into(fitted.values, fitted.shape, link.layout, i, link.ours.length);
      tensors.set(name, storeFloat32(part.values, shapes.get(name) ?? part.shape));
    });
  }
  const others = [...given.keys()].filter((name) => !known.has(name));
  const leftOut = others.filter((name) => LEFT_OUT.test(name));
  for (const name of others) if (!LEFT_OUT.test(name)) faults.push(`unexpected: ${shown(name)}`);
  if (faults.length > 0) throw refuse(faults, source, preset, matched);
  const first: string[] = [];
  spec.parameters.forEach((parameter, i) => {
    if (tensors.has(parameter.name)) return;
    first.push(parameter.name);
    tensors.set(parameter.name, storeFloat32(initialValues(parameter, config.seed, i), parameter.shape));
  });
  for (const { name, shape, fill } of spec.statistics) if (!tensors.has(name)) tensors.set(name, storeFloat32(new Float32Array(sizeOf(shape)).fill(fill), shape));
  return { weights: { tensors: inOrder(tensors, shapes), config: JSON.parse(JSON.stringify(config)) as JsonObject, step: 0 }, report: { matched, changed, leftOut, first } };
}

function inOrder(tensors: ReadonlyMap<string, StoredTensor>, shapes: ReadonlyMap<string, readonly number[]>): Map<string, StoredTensor> {
  return new Map([...shapes.keys()].map((name) => [name, tensors.get(name)!]));
}

interface Fitted {
  readonly values: Float32Array;
  readonly shape: readonly number[];
  readonly note?: string;
}

/** Their tensor with the shape that ours wants, or what is wrong with it. */
function fit({ values, shape }: Fitted, link: Link, wanted: readonly (readonly number[])[], preset: Preset, patch: number): Fitted | string {
  const whole = (own: readonly number[]): readonly number[] => {
    const laid = link.layout === "filter" ? [own[3]!, own[2]!, own[0]!, own[1]!] : link.layout === "linear" ? [own[1]!, own[0]!] : own;
    return link.ours.length === 1 ? laid : [laid[0]! * link.ours.length, ...laid.slice(1)];
  };
  const expected = whole(wanted[0] ?? []);
  const same = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((extent, i) => extent === b[i]);
  if (same(shape, expected)) return { values, shape };
  const [co, ci, ...filter] = shape;
  if (link.layout === "filter" && ci === 3 && expected[1] === 1 && co === expected[0] && same(filter, expected.slice(2))) return { values: sumColours(values, co ?? 0, sizeOf(filter)), shape: expected, note: "filters over three colours summed up for grey images" };
  if (link.theirs === "pos_embed" && shape.length === 3 && shape[0] === 1 && shape[2] === expected[2]) {
    const resized = resize(values, shape[1] ?? 0, expected, preset, patch);
    if (resized) return resized;
  }
  return `shape [${shape.join(", ")}], expected [${expected.join(", ")}]`;
}

function sumColours(values: Float32Array, co: number, taps: number): Float32Array {
  const out = new Float32Array(co * taps);
  for (let o = 0; o < co; o++) for (let t = 0; t < taps; t++) out[o * taps + t] = values[3 * o * taps + t]! + values[(3 * o + 1) * taps + t]! + values[(3 * o + 2) * taps + t]!;
  return out;
}

/** Positions on a square grid brought to ours; undefined where theirs is no square. */
function resize(values: Float32Array, rows: number, expected: readonly number[], preset: Preset, patch: number): Fitted | undefined {
  const { architecture } = preset;
  if (architecture.kind !== "vit") return undefined;
  const prefix = architecture.registers > 0 ? 0 : 1;
  const c = expected[2] ?? 0;
  const from = Math.sqrt(rows - prefix);
  const to = architecture.grid ?? patch / architecture.patch;
  if (!Number.isInteger(from) || from < 1) return undefined;
  const placed = resamplePositions(values.subarray(prefix * c), [from, from], [to, to], c);
  const out = new Float32Array(sizeOf(expected));
  out.set(values.subarray(0, prefix * c));
  out.set(placed, prefix * c);
  return { values: out, shape: expected, note: `positions resampled from ${from} × ${from} to ${to} × ${to}` };
}

/** Beginnings of names that say only where in somebody's program the model stood. */
const PREFIXES = ["module.", "model.", "backbone.", "encoder.", "_orig_mod."];
const TORCHVISION_VIT: readonly (readonly [RegExp, string])[] = [
  [/^conv_proj\./, "patch_embed.proj."],
  [/^class_token$/, "cls_token"],
  [/^encoder\.pos_embedding$/, "pos_embed"],
  [/^encoder\.ln\./, "norm."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.ln_1\./, "blocks.$1.norm1."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_/, "blocks.$1.attn.qkv."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\./, "blocks.$1.attn.proj."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.ln_2\./, "blocks.$1.norm2."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\./, "blocks.$1.mlp.fc1."],
  [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\./, "blocks.$1.mlp.fc2."],
];

/** Names as timm has them. Where two would become one, all stay as they are, and the error says which are not expected. */
function renameAll(theirs: ReadonlyMap<string, StoredTensor>): ReadonlyMap<string, StoredTensor> {
  const names = customaryNames([...theirs.keys()]);
  return new Set(names).size === names.length ? new Map([...theirs.values()].map((tensor, i) => [names[i]!, tensor])) : theirs;
}

/** The names of a whole state dict, in the same order, without what stands in front of all, and torchvision's as timm's. */
export function customaryNames(given: readonly string[]): readonly string[] {
  let names = given;
  const isTorchvision = names.some((name) => /(^|\.)conv_proj\./.test(name));
  for (let taken = 0, prefix = common(names); taken < MAX_PREFIXES && prefix !== undefined && !(prefix === "encoder." && isTorchvision); taken++, prefix = common(names)) names = names.map((name) => name.slice(prefix!.length));
  return isTorchvision ? names.map((name) => TORCHVISION_VIT.reduce((at, [from, to]) => at.replace(from, to), name)) : names;
}

function common(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : PREFIXES.find((prefix) => names.every((name) => name.startsWith(prefix)));
}

function refuse(faults: readonly string[], source: string, preset: Preset, matched: number): UserError {
  const of = (kind: string) => faults.filter((line) => line.startsWith(kind));
  const count = (kind: string) => of(kind).length;
  const kinds = [of("missing: "), faults.filter((line) => !/^(missing|unexpected): /.test(line)), of("unexpected: ")];
  const lines = kinds.flatMap((kind) => (kind.length > LINES ? [...kind.slice(0, LINES), `and ${kind.length - LINES} more that are ${kind === kinds[0] ? "missing" : kind === kinds[2] ? "unexpected" : "wrong"}`] : kind));
  const onlyPool = faults.every((line) => line.startsWith("missing: attn_pool."));
  return new UserError(
    EXIT_CODES.badData,
    `${source}: ${faults.length} ${faults.length === 1 ? "tensor does" : "tensors do"} not fit the encoder of ${preset.name} (${matched} fit, ${count("missing")} missing, ${count("unexpected")} unexpected), expected all to`,
    [...lines, onlyPool ? "They were made with average pooling: take them with --set model.pool=average." : "Choose the preset and the model settings that the weights were made with: see docs/weights.md."],
  );
}

function shown(name: string): string {
  const plain = /^[\w.:/-]{1,100}$/.test(name) && !/^__proto__$|\.\./.test(name);
  return plain ? name : `${JSON.stringify(name.slice(0, 100))}, which is no name of a weight`;
}
