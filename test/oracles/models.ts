// Models with random weights, ready to be traced here and written anew for an oracle.
import { describeModel, type ModelSpec, type Parameters } from "../../src/model/parameters.ts";
import { encode, findPreset, project, type Preset } from "../../src/model/presets.ts";
import { sizeOf, tensorOf, type Tensor } from "../../src/engine/trace.ts";
import type { Draw, Value } from "./draw.ts";
import type { NcePlaceValues, NceSetting } from "./tfjs-ops.ts";
import { tinyNetwork, vitTinyNetwork, type Network } from "./networks.ts";

export const NETWORKS: Readonly<Record<string, Network>> = { tiny: tinyNetwork, "vit-tiny": vitTinyNetwork };

export interface RandomModel {
  readonly preset: Preset;
  readonly spec: ModelSpec;
  readonly parameters: Readonly<Record<string, Value<Float32Array>>>;
  readonly statistics: Readonly<Record<string, Value<Float32Array>>>;
}

/** What a preset consists of, for square patches of `side` px. */
export function specOf(preset: Preset, side: number): ModelSpec {
  const shape = [2, side, side, 1];
  return describeModel((p) => {
    const x = tensorOf({ kind: "input", name: "x", dtype: "f32", count: sizeOf(shape) }, shape);
    project(preset, p, encode(preset, p, x, { training: false }), { training: false });
  });
}

/**
 * Weights as after some training, unlike a model's first ones: no scale is 0 or 1, no offset is 0, and attention looks at
 * some places more than at others, so that every parameter has a gradient that can be wrong.
 */
export function drawModel(d: Draw, of: string | Preset, side: number): RandomModel {
  const preset = typeof of === "string" ? findPreset(of) : of;
  const spec = specOf(preset, side);
  const value = (full: string, shape: readonly number[]): Value<Float32Array> => {
    if (/norm\d?\.weight$/.test(full)) return d.uniform(shape, 0.5, 1.5);
    if (/bias$/.test(full)) return d.uniform(shape, -0.3, 0.3);
    if (/class_token|positions|registers|query$/.test(full)) return d.normal(shape, 0.5);
    return d.normal(shape, Math.sqrt(2 / sizeOf(shape.slice(0, -1))));
  };
  const statistic = (full: string, shape: readonly number[]) => (full.endsWith("var") ? d.uniform(shape, 0.5, 2) : d.uniform(shape, -0.5, 0.5));
  return {
    preset,
    spec,
    parameters: Object.fromEntries(spec.parameters.map(({ name: full, shape }) => [full, value(full, shape)])),
    statistics: Object.fromEntries(spec.statistics.map(({ name: full, shape }) => [full, statistic(full, shape)])),
  };
}

/** Parameters for a trace out of tensors by their full names. */
export function parametersOf(tensors: Readonly<Record<string, Tensor>>, prefix = ""): Parameters {
  const find = (name: string): Tensor => {
    const tensor = tensors[prefix + name];
    if (!tensor) throw new Error(`the model asks for ${prefix + name}, which is not drawn`);
    return tensor;
  };
  return { dtype: "f32", weight: find, statistic: find, child: (name) => parametersOf(tensors, `${prefix}${name}.`) };
}

/** Three clusters of neighbours, and a last sample that is alone in its space and hence no anchor. */
export function drawPlaces(d: Draw, n: number): NcePlaceValues {
  const position = d.uniform([n, 3], 0, 1.5);
  for (let i = 0; i < n; i++) position.data[3 * i]! += 20 * (i % 3);
  return {
    position,
    space: { shape: [n], data: Int32Array.from({ length: n }, (_, i) => (i === n - 1 ? 1 : 0)) },
    view: { shape: [n], data: new Uint32Array(n) },
  };
}

/** The loss of the models' tests. */
export const SETTING: NceSetting = { kernel: "gaussian", tau: 0.2, sigma: 1, crossSpace: "negative" };
