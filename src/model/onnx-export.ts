// An encoder with its weights as an ONNX model: the architectures written once more, channels first, under PyTorch's names.
import { canonicalJson, type JsonObject } from "../data/json.ts";
import { createOnnxGraph, type OnnxGraph } from "../data/onnx-graph.ts";
import { storeFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { flattenSettings, resolveConfig } from "./config.ts";
import type { PoolKind } from "./encoder.ts";
import type { MobileConfig } from "./mobile.ts";
import { bicubicGrid } from "./positions.ts";
import { presetOf, type Architecture, type Preset } from "./presets.ts";
import { channelsOf, strideOf, type TrunkConfig } from "./resnet.ts";
import { toStateDict } from "./state-dict.ts";
import type { ViTConfig } from "./vit.ts";
import type { Weights } from "./weights.ts";

/** Added to variances by our batch norms. */
const BATCH_EPSILON = 1e-5;

export interface OnnxOptions {
  /** Whether there is an output `maps` too: where the encoder looked, [batch, heads, rows, columns]. */
  readonly maps?: boolean;
}

/** A graph, the encoder's tensors by PyTorch's names, and what the encoder attends with. */
interface Writer {
  readonly g: OnnxGraph;
  /** An initialiser by its name. */
  readonly weight: (name: string) => string;
  readonly shape: (name: string) => readonly number[];
}

interface Result {
  /** [batch, width] */
  readonly h: string;
  /** Of as many elements as [batch, heads, ...grid], in that order. */
  readonly maps?: () => { readonly value: string; readonly heads: number; readonly grid: readonly [number, number] };
}

/** What stands in front of the encoder, and what is said about it. */
export interface ExportedEncoder {
  readonly preset: Preset;
  /** Side of an image, px. */
  readonly patch: number;
  /** Intensities become (x − mean) / deviation. */
  readonly mean: number;
  readonly deviation: number;
  readonly step: number;
  readonly config: JsonObject;
}

/**
 * An ONNX model (operator set 17) of a run's encoder: input `images` [batch, channels, patch, patch], intensities before normalisation,
 * which is a part of the model; output `h` [batch, width]. The configuration travels in the metadata, so that the file can be read back.
 * Throws UserError 65 for weights without normalisation, 2 for maps of an encoder that has none.
 */
export function exportOnnx(weights: Weights, options: OnnxOptions = {}): Uint8Array<ArrayBuffer> {
  const config = resolveConfig(flattenSettings(weights.config));
  const { patch, mean, deviation } = config.data;
  if (mean === null || deviation === null) throw new UserError(EXIT_CODES.badData, "weights: data.mean and data.deviation are missing in their configuration", ["Use the model.safetensors of a finished run."]);
  return encodeEncoder(weights.tensors, { preset: presetOf(config), patch, mean, deviation, step: weights.step, config: weights.config }, options);
}

/** The same for an encoder that no configuration names: `stored` are its tensors by our names. */
export function encodeEncoder(stored: ReadonlyMap<string, StoredTensor>, { preset, patch, mean, deviation, step, config }: ExportedEncoder, { maps = false }: OnnxOptions = {}): Uint8Array<ArrayBuffer> {
  const { architecture } = preset;
  const tensors = toStateDict(stored, architecture);
  const g = createOnnxGraph();
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`onnx: no tensor ${name}`);
    return tensor;
  };
  const w: Writer = { g, weight: (name) => g.initialiser(name, find(name)), shape: (name) => find(name).shape };
  const x = g.apply("Div", [g.apply("Sub", ["images", g.number(mean)]), g.number(deviation)]);
  const result = writeArchitecture(w, architecture, x, patch);
  const attended = maps ? result.maps?.() : undefined;
  if (maps && !attended) throw new UserError(EXIT_CODES.usage, `export: maps of the preset ${preset.name}, expected an encoder that ends in attention; train with model.pool=attention, or export without --maps`);
  // The filters say what they take: grey images, unless the weights were made for colours.
  const channels = [...tensors.values()].find(({ shape }) => shape.length === 4)?.shape[1] ?? 1;
  const outputs: Record<string, { value: string; shape: readonly (number | string)[] }> = { h: { value: result.h, shape: ["batch", preset.width] } };
  if (attended) outputs["maps"] = { value: g.apply("Reshape", [attended.value, g.integers(0, attended.heads, ...attended.grid)]), shape: ["batch", attended.heads, ...attended.grid] };
  return g.encode({
    inputs: { images: ["batch", channels, patch, patch] },
    outputs,
    metadata: new Map([["cytonet.step", canonicalJson(step, "step")], ["cytonet.config", canonicalJson(config, "config")]]),
    doc: `Encoder ${preset.name} of cytonet, after ${step} steps. CytoNet-style, from the public abstracts. Features for research; not for diagnosis.`,
    producer: ["cytonet", VERSION],
  });
}

/** The graph of an encoder whose weights have names but no values: what it computes, for comparing. The image's size is any that its stride divides. */
export function writeFormulas(architecture: Architecture): Uint8Array<ArrayBuffer> {
  const g = createOnnxGraph();
  const none = storeFloat32(new Float32Array(0), [0]);
  const w: Writer = { g, weight: (name) => g.initialiser(name, none), shape: () => [1, 1, 1, 1] };
  const { h } = writeArchitecture(w, architecture, "images", architecture.kind === "vit" ? architecture.patch * (architecture.grid ?? 2) : 64);
  return g.encode({ inputs: { images: ["batch", 1, 64, 64] }, outputs: { h: { value: h, shape: ["batch", 1] } }, metadata: new Map(), doc: "", producer: ["cytonet", VERSION] });
}

function writeArchitecture(w: Writer, architecture: Architecture, x: string, patch: number): Result {
  const pooled = (map: string, kind: PoolKind, head: number, c: number, stride: number) => pool(w, map, kind, c, head, patch / stride);
  switch (architecture.kind) {
    case "resnet":
      return pooled(trunk(w, architecture, x, ""), architecture.pool, architecture.poolHead, channelsOf(architecture), strideOf(architecture));
    case "vit":
      return vit(w, architecture, x, patch);
    case "mobile": {
      const units = [architecture.stem, ...architecture.before, ...architecture.after];
      return pooled(mobile(w, architecture, x), architecture.pool, architecture.poolHead, units.at(-1)?.channels ?? 0, units.reduce((product, { stride }) => product * stride, 1));
    }
  }
}

/** Positions of the tokens that have one; those learned on another grid are interpolated inside the model, so that it keeps what was learned. */
function placePositions({ g, weight }: Writer, { grid, registers, width }: ViTConfig, own: number): string {
  const learned = weight("pos_embed");
  if (grid === null || grid === own) return learned;
  const prefix = registers > 0 ? 0 : 1;
  const weights = g.initialiser("const_positions", storeFloat32(bicubicGrid([grid, grid], [own, own]), [own * own, grid * grid]));
  const part = (from: number, to: number) => g.apply("Slice", [learned, g.integers(from), g.integers(to), g.integers(1)]);
  const placed = g.apply("Reshape", [g.apply("MatMul", [weights, part(prefix, prefix + grid * grid)]), g.integers(1, own * own, width)]);
  return prefix > 0 ? g.apply("Concat", [part(0, prefix), placed], { axis: 1 }) : placed;
}

interface ConvNorm {
  readonly stride?: number;
  readonly dilation?: number;
  readonly relu?: boolean;
  readonly depthwise?: boolean;
}

/** Convolution, batch norm and, unless told otherwise, ReLU. */
function convNorm({ g, weight, shape }: Writer, x: string, conv: string, norm: string, { stride = 1, dilation = 1, relu = true, depthwise = false }: ConvNorm = {}): string {
  const [co = 0, , filter = 0] = shape(`${conv}.weight`);
  const padding = dilation * Math.floor(filter / 2);
  return g.within(conv.replaceAll(".", "/"), () => {
    const y = g.apply("Conv", [x, weight(`${conv}.weight`)], { kernel_shape: [filter, filter], strides: [stride, stride], dilations: [dilation, dilation], pads: [padding, padding, padding, padding], group: depthwise ? co : 1 });
    const z = g.apply("BatchNormalization", [y, ...["weight", "bias", "running_mean", "running_var"].map((part) => weight(`${norm}.${part}`))], { epsilon: { float: BATCH_EPSILON } });
    return relu ? g.apply("Relu", [z]) : z;
  });
}

function trunk(w: Writer, { stem, stages, expansion }: TrunkConfig, x: string, at: string): string {
  let y = convNorm(w, x, `${at}conv1`, `${at}bn1`, { stride: stem.stride });
  let channels = stem.channels;
  if (stem.pool) {
    const { window, stride } = stem.pool;
    const padding = Math.floor(window / 2);
    y = w.g.apply("MaxPool", [y], { kernel_shape: [window, window], strides: [stride, stride], pads: [padding, padding, padding, padding] });
  }
  stages.forEach((stage, s) => {
    for (let i = 0; i < stage.blocks; i++) {
      const name = `${at}layer${s + 1}.${i}`;
      const stride = i === 0 ? stage.stride : 1;
      const direct = stride === 1 && channels === stage.planes * expansion;
      const shortcut = direct ? y : convNorm(w, y, `${name}.downsample.0`, `${name}.downsample.1`, { stride, relu: false });
      const down = convNorm(w, y, `${name}.conv1`, `${name}.bn1`);
      const spatial = convNorm(w, down, `${name}.conv2`, `${name}.bn2`, { stride });
      const up = convNorm(w, spatial, `${name}.conv3`, `${name}.bn3`, { relu: false });
      y = w.g.apply("Relu", [w.g.apply("Add", [up, shortcut])]);
      channels = stage.planes * expansion;
    }
  });
  return y;
}

function mobile(w: Writer, { stem, before, block, after }: MobileConfig, x: string): string {
  const unit = (from: string, n: number, stride: number) => convNorm(w, convNorm(w, from, `base_net.${n}.0`, `base_net.${n}.1`, { stride, depthwise: true }), `base_net.${n}.3`, `base_net.${n}.4`);
  let y = convNorm(w, x, "base_net.0.0", "base_net.0.1", { stride: stem.stride });
  before.forEach(({ stride }, i) => (y = unit(y, i + 1, stride)));
  const middle = before.length + 1;
  const inside = (from: string, name: string, options: ConvNorm) => convNorm(w, from, `base_net.${middle}.${name}.conv`, `base_net.${middle}.${name}.bn`, options);
  const parts = block.branches.map(({ channels, dilation }, b) => {
    let z = inside(y, `branch${b}.0`, { relu: false });
    channels.forEach((_, k) => (z = inside(z, `branch${b}.${k + 1}`, {})));
    return inside(z, `branch${b}.${channels.length + 1}`, { dilation, relu: false });
  });
  const joined = inside(w.g.apply("Concat", parts, { axis: 1 }), "ConvLinear", { relu: false });
  y = w.g.apply("Relu", [w.g.apply("Add", [joined, inside(y, "shortcut", { relu: false })])]);
  after.forEach(({ stride }, i) => (y = unit(y, middle + 1 + i, stride)));
  return y;
}

/** x [b, c, gh, gw] → h [b, c]. */
function pool({ g, weight }: Writer, x: string, kind: PoolKind, c: number, head: number, grid: number): Result {
  if (kind === "average") return { h: g.apply("Flatten", [g.apply("GlobalAveragePool", [x])], { axis: 1 }) };
  return g.within("attn_pool", () => {
    const heads = c / head;
    const tokens = g.apply("Transpose", [g.apply("Reshape", [x, g.integers(0, 0, -1)])], { perm: [0, 2, 1] });
    const project = (name: string) => splitHeads(g, g.apply("MatMul", [tokens, transposed(g, weight(`attn_pool.${name}.weight`))]), heads, head);
    const query = g.apply("Reshape", [weight("attn_pool.query"), g.integers(1, heads, 1, head)]);
    const { out, map } = attend(g, query, project("key"), project("value"), head);
    return { h: g.apply("Reshape", [out, g.integers(0, c)]), maps: () => ({ value: map, heads, grid: [grid, grid] }) };
  });
}

function vit(w: Writer, config: ViTConfig, x: string, patch: number): Result {
  const { patch: side, width, depth, heads, registers, epsilon, trunk: stages } = config;
  const { g, weight, shape } = w;
  const map = stages ? trunk(w, stages, x, "patch_embed.backbone.") : x;
  const stride = side / (stages ? strideOf(stages) : 1);
  const [, , filter = 0] = shape("patch_embed.proj.weight");
  const embedded = g.apply("Conv", [map, weight("patch_embed.proj.weight"), weight("patch_embed.proj.bias")], { kernel_shape: [filter, filter], strides: [stride, stride] });
  const patches = g.apply("Transpose", [g.apply("Reshape", [embedded, g.integers(0, 0, -1)])], { perm: [0, 2, 1] });
  const batch = g.apply("Slice", [g.apply("Shape", [patches]), g.integers(0), g.integers(1)]);
  const repeated = (name: string, count: number) => g.apply("Expand", [weight(name), g.apply("Concat", [batch, g.integers(count, width)], { axis: 0 })]);
  const prefix = [repeated("cls_token", 1), ...(registers > 0 ? [repeated("reg_token", registers)] : [])];
  const place = (tokens: string) => g.apply("Add", [tokens, placePositions(w, config, patch / side)]);
  let y = registers > 0 ? g.apply("Concat", [...prefix, place(patches)], { axis: 1 }) : place(g.apply("Concat", [...prefix, patches], { axis: 1 }));
  const d = width / heads;
  const layerNorm = (name: string, from: string) => g.apply("LayerNormalization", [from, weight(`${name}.weight`), weight(`${name}.bias`)], { axis: -1, epsilon: { float: epsilon } });
  const linear = (name: string, from: string) => g.apply("Add", [g.apply("MatMul", [from, transposed(g, weight(`${name}.weight`))]), weight(`${name}.bias`)]);
  let last = "";
  for (let i = 0; i < depth; i++) {
    const name = `blocks.${i}`;
    g.within(`blocks/${name}`, () => {
      // [3, b, heads, n, d]
      const qkv = g.apply("Transpose", [g.apply("Reshape", [linear(`${name}.attn.qkv`, layerNorm(`${name}.norm1`, y)), g.integers(0, 0, 3, heads, d)])], { perm: [2, 0, 3, 1, 4] });
      const [q, k, v] = [0, 1, 2].map((part) => g.apply("Squeeze", [g.apply("Slice", [qkv, g.integers(part), g.integers(part + 1), g.integers(0)]), g.integers(0)])) as [string, string, string];
      const { out, map: attention } = attend(g, q, k, v, d);
      last = attention;
      const mixed = g.apply("Reshape", [g.apply("Transpose", [out], { perm: [0, 2, 1, 3] }), g.integers(0, 0, width)]);
      const attended = g.apply("Add", [linear(`${name}.attn.proj`, mixed), y]);
      const inner = gelu(g, linear(`${name}.mlp.fc1`, layerNorm(`${name}.norm2`, attended)));
      y = g.apply("Add", [linear(`${name}.mlp.fc2`, inner), attended]);
    });
  }
  const first = g.apply("Slice", [layerNorm("norm", y), g.integers(0), g.integers(1), g.integers(1)]);
  const places = patch / side;
  // The class token's row of the last block's attention, over patches only.
  const maps = () => ({ value: g.apply("Slice", [last, g.integers(0, 1 + registers), g.integers(1, 1 + registers + places * places), g.integers(2, 3)]), heads, grid: [places, places] as const });
  return { h: g.apply("Reshape", [first, g.integers(0, width)]), maps };
}

/** Linear weights are kept as PyTorch has them, [out, in]; runtimes turn them once, when they load the model. */
const transposed = (g: OnnxGraph, w: string): string => g.apply("Transpose", [w], { perm: [1, 0] });

/** [b, n, heads · d] → [b, heads, n, d]. */
const splitHeads = (g: OnnxGraph, x: string, heads: number, d: number): string => g.apply("Transpose", [g.apply("Reshape", [x, g.integers(0, 0, heads, d)])], { perm: [0, 2, 1, 3] });

/** softmax(q kᵀ / √d) v and its map: q [b, heads, n, d], k and v [b, heads, m, d]. */
function attend(g: OnnxGraph, q: string, k: string, v: string, d: number): { out: string; map: string } {
  const scores = g.apply("Mul", [g.apply("MatMul", [q, g.apply("Transpose", [k], { perm: [0, 1, 3, 2] })]), g.number(1 / Math.sqrt(d))]);
  const map = g.apply("Softmax", [scores], { axis: -1 });
  return { out: g.apply("MatMul", [map, v]), map };
}

/** x Φ(x), the exact form: operator set 17 has no Gelu. */
function gelu(g: OnnxGraph, x: string): string {
  const phi = g.apply("Add", [g.apply("Erf", [g.apply("Mul", [x, g.number(Math.SQRT1_2)])]), g.number(1)]);
  return g.apply("Mul", [g.apply("Mul", [x, phi]), g.number(0.5)]);
}
