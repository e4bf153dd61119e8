// Operations written anew with TensorFlow.js, so that its own differentiation gives their gradients.
import type { Tensor, Tensor2D, Tensor4D } from "./tfjs-entry.ts";
import type { loadTfjs } from "./tfjs.ts";
import type { Value } from "./draw.ts";
import type { ConvAttributes } from "./onnx-graph.ts";

export type Tf = Awaited<ReturnType<typeof loadTfjs>>;

/** A host value as a tensor. */
export function tfTensor(tf: Tf, { shape, data }: Value): Tensor {
  return tf.tensor(data instanceof Uint32Array ? Int32Array.from(data) : data, [...shape], data instanceof Float32Array ? "float32" : "int32");
}

/** The result of `f` and the gradients of Σ y·dy with respect to every tensor of `x`, by name (`dx` for `x`). */
export function tfDifferentiate<N extends string>(tf: Tf, x: Readonly<Record<N, Value>>, f: (x: Readonly<Record<N, Tensor>>) => Tensor, dy: Value): Record<string, ArrayLike<number>> {
  let found: Record<string, ArrayLike<number>> = {};
  // What a tidy returns is searched for tensors, number by number.
  tf.tidy(() => {
    const names = Object.keys(x) as N[];
    const tensors = names.map((name) => tfTensor(tf, x[name]));
    const { value, grads } = tf.valueAndGrads((...args: Tensor[]) => f(Object.fromEntries(names.map((name, i) => [name, args[i]!])) as Record<N, Tensor>))(tensors, tfTensor(tf, dy) as never);
    found = Object.fromEntries([["y", value.dataSync()], ...names.map((name, i) => [`d${name}`, grads[i]!.dataSync()])]);
  });
  return found;
}

/**
 * x [b, h, w, ci] ∗ w [fh, fw, ci/groups, co]. TensorFlow.js differentiates neither dilation nor groups, so filters are
 * spread out with zeros, and groups are convolutions of their own.
 */
export function tfConv(tf: Tf, x: Tensor, w: Tensor, { stride = [1, 1], dilation = [1, 1], groups = 1, padding = [0, 0, 0, 0] }: ConvAttributes, bias?: Tensor): Tensor {
  const [top, bottom, left, right] = padding;
  const padded = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]]);
  const [fh = 0, fw = 0, cg = 0, co = 0] = w.shape;
  const [dh, dw] = dilation;
  const spread = tf.slice(
    tf.reshape(tf.pad(tf.reshape(w, [fh, 1, fw, 1, cg * co]), [[0, 0], [0, dh - 1], [0, 0], [0, dw - 1], [0, 0]]), [fh * dh, fw * dw, cg, co]),
    [0, 0, 0, 0],
    [(fh - 1) * dh + 1, (fw - 1) * dw + 1, cg, co],
  );
  const filters = groups === 1 ? [spread] : tf.split(spread, groups, 3);
  const images = groups === 1 ? [padded] : tf.split(padded, groups, 3);
  const parts = filters.map((filter, i) => tf.conv2d(images[i] as Tensor4D, filter as Tensor4D, [...stride], "valid"));
  const y = groups === 1 ? parts[0]! : tf.concat(parts as Tensor[], 3);
  return bias ? tf.add(y, bias) : y;
}

/** Normalisation by the mean and the biased variance over `axes`. */
function standardise(tf: Tf, x: Tensor, axes: number[], epsilon: number): { y: Tensor; mean: Tensor; variance: Tensor } {
  const mean = tf.mean(x, axes, true);
  const centred = tf.sub(x, mean);
  const variance = tf.mean(tf.square(centred), axes, true);
  return { y: tf.mul(centred, tf.rsqrt(tf.add(variance, tf.scalar(epsilon)))), mean, variance };
}

/** Over all but the last dimension, by the batch's own statistics, which come along: mean and biased variance [1, .., c]. */
export function tfBatchNorm(tf: Tf, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): { y: Tensor; mean: Tensor; variance: Tensor } {
  const { y, ...statistics } = standardise(tf, x, x.shape.slice(0, -1).map((_, i) => i), epsilon);
  return { y: tf.add(tf.mul(y, gamma), beta), ...statistics };
}

/** Over the last dimension. */
export function tfLayerNorm(tf: Tf, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
  return tf.add(tf.mul(standardise(tf, x, [x.shape.length - 1], epsilon).y, gamma), beta);
}

/** x Φ(x), the exact form. */
export function tfGelu(tf: Tf, x: Tensor): Tensor {
  return tf.mul(tf.mul(x, tf.scalar(0.5)), tf.add(tf.erf(tf.mul(x, tf.scalar(Math.SQRT1_2))), tf.scalar(1)));
}

/** softmax(q kᵀ · scale) v: q [b, n, h, d], k and v [b, m, h, d] → [b, n, h, d]. */
export function tfAttention(tf: Tf, q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
  const heads = (x: Tensor) => tf.transpose(x, [0, 2, 1, 3]);
  const scores = tf.mul(tf.matMul(heads(q), heads(k), false, true), tf.scalar(scale));
  return tf.transpose(tf.matMul(tf.softmax(scores), heads(v)), [0, 2, 1, 3]);
}

export interface PoolAttributes {
  readonly stride: readonly [number, number];
  /** [top, bottom, left, right]. */
  readonly padding: readonly [number, number, number, number];
}

const sides = ([top, bottom, left, right]: PoolAttributes["padding"]): [number, number][] => [[0, 0], [top, bottom], [left, right], [0, 0]];

/** Padding is so low that it never wins. */
export function tfMaxPool(tf: Tf, x: Tensor, window: readonly [number, number], { stride, padding }: PoolAttributes): Tensor {
  return tf.maxPool(tf.pad(x, sides(padding), -1e9) as Tensor4D, [...window], [...stride], "valid");
}

/** Where padding does not count, the mean is divided by the share of pixels that do. */
export function tfAvgPool(tf: Tf, x: Tensor, window: readonly [number, number], { stride, padding, countIncludePad }: PoolAttributes & { readonly countIncludePad: boolean }): Tensor {
  const mean = (values: Tensor) => tf.avgPool(tf.pad(values, sides(padding)) as Tensor4D, [...window], [...stride], "valid");
  return countIncludePad ? mean(x) : tf.div(mean(x), mean(tf.onesLike(x)));
}

/** Mean over the rows of −Σ target · log softmax(logits), a share of each target spread evenly over all classes. */
export function tfCrossEntropy(tf: Tf, logits: Tensor, labels: Value<Uint32Array>, smoothing: number): Tensor {
  const classes = logits.shape[1] ?? 0;
  const chosen = tf.oneHot(tf.tensor1d(Int32Array.from(labels.data), "int32"), classes, 1 - smoothing + smoothing / classes, smoothing / classes, "float32");
  return tf.neg(tf.mean(tf.sum(tf.mul(chosen, tf.logSoftmax(logits as Tensor2D)), 1)));
}

export interface NceSetting {
  readonly kernel: "radius" | "gaussian" | "views";
  readonly tau: number;
  readonly radius?: number;
  readonly sigma?: number;
  readonly ignoreBand?: readonly [number, number];
  readonly crossSpace?: "negative" | "ignore";
}

export interface NcePlaceValues {
  readonly position: Value<Float32Array>;
  readonly space: Value<Int32Array>;
  readonly view: Value<Uint32Array>;
}

/** What the formula makes of places alone: targets q [n, n] (zero rows where a sample is no anchor), pairs that count, M, Σ H(q). */
export function nceTargets(n: number, { position, space, view }: NcePlaceValues, setting: NceSetting): { q: Float64Array; kept: Float64Array; anchors: number; entropy: number } {
  const q = new Float64Array(n * n);
  const kept = new Float64Array(n * n);
  let anchors = 0;
  let entropy = 0;
  for (let i = 0; i < n; i++) {
    let mass = 0;
    for (let j = 0; j < n; j++) {
      if (i === j) continue;
      const { k, counts } = targetOfPair(i, j);
      kept[i * n + j] = counts ? 1 : 0;
      q[i * n + j] = counts ? k : 0;
      mass += q[i * n + j]!;
    }
    if (mass === 0) continue;
    anchors++;
    for (let j = 0; j < n; j++) {
      const share = (q[i * n + j]! /= mass);
      if (share > 0) entropy -= share * Math.log(share);
    }
  }
  return { q, kept, anchors, entropy };

  function targetOfPair(i: number, j: number): { k: number; counts: boolean } {
    if (setting.kernel === "views") return { k: view.data[i] === view.data[j] ? 1 : 0, counts: true };
    if (space.data[i] !== space.data[j]) return { k: 0, counts: setting.crossSpace !== "ignore" };
    // Bounds compare d² in f32, as the formula's notes demand: else a pair on the very edge would change M.
    const f = Math.fround;
    const difference = [0, 1, 2].map((axis) => f(position.data[3 * i + axis]! - position.data[3 * j + axis]!));
    const squared = difference.reduce((sum, x) => f(sum + f(x * x)), 0);
    const exact = [0, 1, 2].reduce((sum, axis) => sum + (position.data[3 * i + axis]! - position.data[3 * j + axis]!) ** 2, 0);
    const { ignoreBand, radius = 0, sigma = 1 } = setting;
    if (ignoreBand && squared > f(ignoreBand[0] ** 2) && squared < f(ignoreBand[1] ** 2)) return { k: 0, counts: false };
    const reach = setting.kernel === "radius" ? radius : 3 * sigma;
    if (squared > f(reach ** 2)) return { k: 0, counts: true };
    return { k: setting.kernel === "radius" ? 1 : Math.exp(-exact / (2 * sigma ** 2)), counts: true };
  }
}

/** L = −(1/M) Σ_i a_i Σ_{j≠i} q_ij log p_ij of embeddings z [n, d], with all n × n similarities at once. */
export function tfSpatialNce(tf: Tf, z: Tensor, places: NcePlaceValues, setting: NceSetting): Tensor {
  const n = z.shape[0] ?? 0;
  const { q, kept, anchors } = nceTargets(n, places, setting);
  if (anchors === 0) return tf.mul(tf.sum(z), tf.scalar(0));
  const unit = tf.div(z, tf.sqrt(tf.sum(tf.square(z), 1, true)));
  const s = tf.div(tf.matMul(unit as Tensor2D, unit as Tensor2D, false, true), tf.scalar(setting.tau));
  const counts = tf.tensor2d(Float32Array.from(kept), [n, n]);
  // exp(−1000 − …) is 0 in f32: what does not count takes no share.
  const others = tf.sub(tf.mul(s, counts), tf.mul(tf.sub(tf.scalar(1), counts), tf.scalar(1e3)));
  const logP = tf.sub(s, tf.logSumExp(others, 1, true));
  return tf.div(tf.neg(tf.sum(tf.mul(tf.tensor2d(Float32Array.from(q), [n, n]), logP))), tf.scalar(anchors));
}
