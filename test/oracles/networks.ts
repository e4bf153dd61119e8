// Networks written a second time, for oracles: from their description, over any algebra.
import type { Architecture } from "../../src/model/presets.ts";
import type { Tensor } from "./tfjs-entry.ts";
import type { Edge, OnnxGraph } from "./onnx-graph.ts";
import { tfAttention, tfBatchNorm, tfConv, tfGelu, tfLayerNorm, tfMaxPool, type Tf } from "./tfjs-ops.ts";

/** Added to variances, as PyTorch's norms do unless told otherwise. */
export const EPSILON = 1e-5;
/** What a batch contributes to running statistics, likewise; their variance is the unbiased one. */
export const RUNNING_SHARE = 0.1;

/** What networks are written in: images [b, h, w, c], tokens [b, n, c], filters [fh, fw, ci, co], linear weights [in, out]. */
export interface Algebra<T> {
  conv(x: T, w: T, stride: number, padding: number, bias?: T): T;
  /** Of images; `name` leads to weight, bias and running statistics. */
  batchNorm(x: T, name: string): T;
  /** Of rows [b, c], likewise. */
  batchNormOfRows(x: T, name: string): T;
  layerNorm(x: T, gamma: T, beta: T, epsilon: number): T;
  /** Of images: square windows, padded alike on all sides. */
  maxPool(x: T, window: number, stride: number, padding: number): T;
  relu(x: T): T;
  gelu(x: T): T;
  add(x: T, y: T): T;
  matmul(x: T, y: T): T;
  /** softmax(q kᵀ · scale) v: q, k, v [b, n, h, d]. */
  attention(q: T, k: T, v: T, scale: number): T;
  /** Mean over height and width: [b, h, w, c] → [b, c]. */
  meanOverPlaces(x: T): T;
  reshape(x: T, shape: readonly number[]): T;
  /** Along dimension 1. */
  concat(x: T, y: T): T;
  /** [b, n, c] → [b, c]: the first token. */
  first(x: T): T;
  /** [1, 1, c] → [b, 1, c]. */
  repeat(x: T, b: number): T;
}

/** Parameters by name. */
type Find<T> = (name: string) => T;

export interface NetworkResult<T> {
  readonly h: T;
  readonly z: T;
}

export type Network = <T>(a: Algebra<T>, p: Find<T>, x: T, shape: { readonly b: number; readonly side: number }) => NetworkResult<T>;

/** Linear, batch norm, ReLU, linear; no biases. */
function projection<T>(a: Algebra<T>, p: Find<T>, h: T): NetworkResult<T> {
  const hidden = a.relu(a.batchNormOfRows(a.matmul(h, p("projection.hidden.weight")), "projection.norm"));
  return { h, z: a.matmul(hidden, p("projection.out.weight")) };
}

/** Stem 5×5/4; four bottlenecks of 8, 16, 32 and 64 channels, times four outside, each with a shortcut of its own; mean. */
export const tinyNetwork: Network = (a, p, x) => {
  const convNorm = (name: string, number: string, from: typeof x, stride: number, padding: number) => a.batchNorm(a.conv(from, p(`${name}.conv${number}.weight`), stride, padding), `${name}.norm${number}`);
  let y = a.relu(convNorm("encoder.stem", "", x, 4, 2));
  [1, 2, 2, 2].forEach((stride, i) => {
    const name = `encoder.stage${i + 1}.0`;
    const shortcut = convNorm(`${name}.shortcut`, "", y, stride, 0);
    const down = a.relu(convNorm(name, "1", y, 1, 0));
    const spatial = a.relu(convNorm(name, "2", down, stride, 1));
    y = a.relu(a.add(convNorm(name, "3", spatial, 1, 0), shortcut));
  });
  return projection(a, p, a.meanOverPlaces(y));
};

/** Patches of 8 px, class token, learned positions; four pre-norm blocks of width 96 with three heads, MLP of 384 with GELU. */
export const vitTinyNetwork: Network = (a, p, x, { b, side }) => {
  const n = (side / 8) ** 2;
  const linear = (name: string, from: typeof x) => a.add(a.matmul(from, p(`${name}.weight`)), p(`${name}.bias`));
  const norm = (name: string, from: typeof x) => a.layerNorm(from, p(`${name}.weight`), p(`${name}.bias`), EPSILON);
  const patches = a.reshape(a.conv(x, p("encoder.embed.weight"), 8, 0, p("encoder.embed.bias")), [b, n, 96]);
  let y = a.add(a.concat(a.repeat(p("encoder.class_token"), b), patches), p("encoder.positions"));
  for (let i = 0; i < 4; i++) {
    const block = `encoder.block${i}`;
    const normed = norm(`${block}.norm1`, y);
    const heads = (name: string) => a.reshape(linear(`${block}.attention.${name}`, normed), [b, n + 1, 3, 32]);
    const mixed = a.reshape(a.attention(heads("query"), heads("key"), heads("value"), 1 / Math.sqrt(32)), [b, n + 1, 96]);
    y = a.add(linear(`${block}.attention.out`, mixed), y);
    y = a.add(linear(`${block}.mlp.down`, a.gelu(linear(`${block}.mlp.up`, norm(`${block}.norm2`, y)))), y);
  }
  return projection(a, p, a.first(norm("encoder.norm", y)));
};

type Trunk = Pick<Extract<Architecture, { kind: "resnet" }>, "stem" | "stages" | "expansion">;

/**
 * A residual network or a vision transformer of any size, hybrids among them, from its sizes: bottlenecks with the stride in the middle and
 * a shortcut of their own where sizes change; pooling by the mean or by one query; pre-norm blocks. Positions are those of the image's grid.
 */
export function networkOf(architecture: Architecture): Network {
  return (a, p, x, { b, side }) => {
    const convNorm = (at: string, number: string, from: typeof x, stride: number, padding: number) => a.batchNorm(a.conv(from, p(`${at}conv${number}.weight`), stride, padding), `${at}norm${number}`);
    const linear = (name: string, from: typeof x) => a.add(a.matmul(from, p(`${name}.weight`)), p(`${name}.bias`));
    const stride = ({ stem, stages }: Trunk) => stages.reduce((product, one) => product * one.stride, stem.stride * (stem.pool?.stride ?? 1));
    const trunk = (at: string, { stem, stages, expansion }: Trunk) => {
      let [y, channels] = [a.relu(convNorm(`${at}stem.`, "", x, stem.stride, (stem.filter - 1) / 2)), stem.channels];
      if (stem.pool) y = a.maxPool(y, stem.pool.window, stem.pool.stride, (stem.pool.window - 1) / 2);
      for (const [s, { blocks, planes, stride: first }] of stages.entries())
        for (let i = 0; i < blocks; i++) {
          const name = `${at}stage${s + 1}.${i}.`;
          const step = i > 0 ? 1 : first;
          const shortcut = step === 1 && channels === expansion * planes ? y : convNorm(`${name}shortcut.`, "", y, step, 0);
          const inner = a.relu(convNorm(name, "2", a.relu(convNorm(name, "1", y, 1, 0)), step, 1));
          y = a.relu(a.add(convNorm(name, "3", inner, 1, 0), shortcut));
          channels = expansion * planes;
        }
      return { map: y, channels };
    };
    if (architecture.kind === "resnet") {
      const { map, channels: c } = trunk("encoder.", architecture);
      if (architecture.pool === "average") return projection(a, p, a.meanOverPlaces(map));
      const [n, d] = [(side / stride(architecture)) ** 2, architecture.poolHead];
      const tokens = a.reshape(map, [b, n, c]);
      const heads = (from: typeof x, count: number) => a.reshape(from, [b, count, c / d, d]);
      const query = heads(a.repeat(a.reshape(p("encoder.pool.query"), [1, 1, c]), b), 1);
      const [key, value] = ["key", "value"].map((name) => heads(a.matmul(tokens, p(`encoder.pool.${name}.weight`)), n)) as [typeof x, typeof x];
      return projection(a, p, a.reshape(a.attention(query, key, value, 1 / Math.sqrt(d)), [b, c]));
    }
    if (architecture.kind !== "vit" || architecture.grid !== null) throw new Error("not written a second time");
    const { patch, width, depth, heads, registers, epsilon } = architecture;
    const map = architecture.trunk ? trunk("encoder.trunk.", architecture.trunk).map : x;
    const n = (side / patch) ** 2;
    const token = a.repeat(p("encoder.class_token"), b);
    const patches = a.reshape(a.conv(map, p("encoder.embed.weight"), patch / (architecture.trunk ? stride(architecture.trunk) : 1), 0, p("encoder.embed.bias")), [b, n, width]);
    const positions = p("encoder.positions");
    let y = registers > 0 ? a.concat(a.concat(token, a.repeat(p("encoder.registers"), b)), a.add(patches, positions)) : a.add(a.concat(token, patches), positions);
    const count = 1 + registers + n;
    const norm = (name: string, from: typeof x) => a.layerNorm(from, p(`${name}.weight`), p(`${name}.bias`), epsilon);
    for (let i = 0; i < depth; i++) {
      const at = `encoder.block${i}`;
      const normed = norm(`${at}.norm1`, y);
      const [q, k, v] = ["query", "key", "value"].map((name) => a.reshape(linear(`${at}.attention.${name}`, normed), [b, count, heads, width / heads])) as [typeof x, typeof x, typeof x];
      y = a.add(y, linear(`${at}.attention.out`, a.reshape(a.attention(q, k, v, Math.sqrt(heads / width)), [b, count, width])));
      y = a.add(y, linear(`${at}.mlp.down`, a.gelu(linear(`${at}.mlp.up`, norm(`${at}.norm2`, y)))));
    }
    return projection(a, p, a.first(norm("encoder.norm", y)));
  };
}

/** Inference in ONNX: batch norm by running statistics. */
export function onnxAlgebra(g: OnnxGraph, p: Find<Edge>): Algebra<Edge> {
  return {
    conv: (x, w, stride, padding, bias) =>
      g.toChannelsLast(g.conv(g.toChannelsFirst(x), w, { stride: [stride, stride], padding: [padding, padding, padding, padding] }, bias)),
    batchNorm: (x, name) =>
      g.toChannelsLast(g.batchNorm(g.toChannelsFirst(x), p(`${name}.weight`), p(`${name}.bias`), p(`${name}.running_mean`), p(`${name}.running_var`), EPSILON)),
    batchNormOfRows: (x, name) => g.batchNorm(x, p(`${name}.weight`), p(`${name}.bias`), p(`${name}.running_mean`), p(`${name}.running_var`), EPSILON),
    layerNorm: (x, gamma, beta, epsilon) => g.layerNorm(x, gamma, beta, epsilon),
    maxPool: (x, window, stride, padding) =>
      g.toChannelsLast(g.apply("MaxPool", [g.toChannelsFirst(x)], { kernel_shape: [window, window], strides: [stride, stride], pads: [padding, padding, padding, padding] })),
    relu: g.relu,
    gelu: g.gelu,
    add: g.add,
    matmul: g.matmul,
    attention: g.attention,
    meanOverPlaces: (x) => g.apply("ReduceMean", [x, g.integers(1, 2)], { keepdims: 0 }),
    reshape: (x, shape) => g.reshape(x, ...shape),
    concat: (x, y) => g.apply("Concat", [x, y], { axis: 1 }),
    first: (x) => g.apply("Squeeze", [g.apply("Slice", [x, g.integers(0), g.integers(1), g.integers(1)]), g.integers(1)]),
    repeat: (x, b) => g.apply("Expand", [x, g.integers(b, 1, 1)]),
  };
}

/**
 * Training in TensorFlow.js: batch norm by the batch's own statistics, which `record` is told by the norm's name: mean and
 * biased variance over `count` values.
 */
export function tfAlgebra(tf: Tf, p: Find<Tensor>, record: (name: string, mean: Tensor, variance: Tensor, count: number) => void = () => {}): Algebra<Tensor> {
  const batchNorm = (x: Tensor, name: string) => {
    const { y, mean, variance } = tfBatchNorm(tf, x, p(`${name}.weight`), p(`${name}.bias`), EPSILON);
    record(name, mean, variance, x.size / mean.size);
    return y;
  };
  return {
    conv: (x, w, stride, padding, bias) => tfConv(tf, x, w, { stride: [stride, stride], padding: [padding, padding, padding, padding] }, bias),
    batchNorm,
    batchNormOfRows: batchNorm,
    layerNorm: (x, gamma, beta, epsilon) => tfLayerNorm(tf, x, gamma, beta, epsilon),
    maxPool: (x, window, stride, padding) => tfMaxPool(tf, x, [window, window], { stride: [stride, stride], padding: [padding, padding, padding, padding] }),
    relu: (x) => tf.relu(x),
    gelu: (x) => tfGelu(tf, x),
    add: (x, y) => tf.add(x, y),
    matmul: (x, y) => {
      // Rows flat, because weights are shared by the batch.
      const rows = tf.reshape(x, [-1, x.shape.at(-1) ?? 0]);
      return tf.reshape(tf.matMul(rows, y), [...x.shape.slice(0, -1), y.shape.at(-1) ?? 0]);
    },
    attention: (q, k, v, scale) => tfAttention(tf, q, k, v, scale),
    meanOverPlaces: (x) => tf.mean(x, [1, 2]),
    reshape: (x, shape) => tf.reshape(x, [...shape]),
    concat: (x, y) => tf.concat([x, y], 1),
    first: (x) => tf.reshape(tf.slice(x, [0, 0, 0], [x.shape[0] ?? 0, 1, x.shape[2] ?? 0]), [x.shape[0] ?? 0, x.shape[2] ?? 0]),
    repeat: (x, b) => tf.tile(x, [b, 1, 1]),
  };
}
