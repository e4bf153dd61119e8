// What an encoder is: patches in, features out; and the layers that encoders are made of.
import { reshape, type Tensor } from "../engine/trace.ts";
import { attentionPool } from "../ops/attention.ts";
import { conv2d } from "../ops/conv.ts";
import { matmul } from "../ops/matmul.ts";
import { batchNorm, layerNorm } from "../ops/norm.ts";
import { globalAvgPool } from "../ops/pool.ts";
import { within, type Parameters } from "./parameters.ts";

/** How a model is run. */
export interface Mode {
  /** Batch statistics and their running averages are used and updated only in training. */
  readonly training: boolean;
  /** Off for a pass of training that repeats another: its batches move no running average. On unless given. */
  readonly update?: boolean;
}

/** Where an encoder looked: non-negative weights over the places of a grid, for each head. */
export interface AttentionMaps {
  /** [b, heads, gh · gw], f32, in row order. */
  readonly weights: Tensor;
  /** [gh, gw]. */
  readonly grid: readonly [number, number];
}

export interface Features {
  /** [b, width]: what downstream tasks use. */
  readonly h: Tensor;
  /** Of encoders that end in attention: computed only when called. No gradient flows through them. */
  readonly maps?: () => AttentionMaps;
}

/** x [b, ih, iw, c] → features. Grey images have one channel; weights of others may want three. */
export type Encoder = (p: Parameters, x: Tensor, mode: Mode) => Features;

/** Standard deviation that keeps the variance of activations through ReLU (He et al. 2015). */
export const he = (fanIn: number): { normal: number } => ({ normal: Math.sqrt(2 / fanIn) });
/** Standard deviation of transformer weights (Dosovitskiy et al. 2021). */
export const SMALL = { normal: 0.02 };

export interface ConvolveOptions {
  readonly stride?: number;
  readonly dilation?: number;
  /** One filter a channel instead of filters over all of them. */
  readonly depthwise?: boolean;
}

/** [b, h, w, ci] → [b, h', w', co], no bias: a norm follows. Padded so that stride 1 keeps the size. */
export function convolve(p: Parameters, name: string, x: Tensor, channels: number, filter: number, { stride = 1, dilation = 1, depthwise = false }: ConvolveOptions = {}): Tensor {
  const ci = x.shape.at(-1) ?? 0;
  const seen = depthwise ? 1 : ci;
  const w = p.weight(`${name}.weight`, [filter, filter, seen, channels], he(filter * filter * seen));
  return conv2d(x, w, { stride, dilation, groups: ci / seen, padding: dilation * Math.floor(filter / 2) });
}

/** Batch normalisation over all but the channels. */
export function normaliseBatch(p: Parameters, name: string, x: Tensor, mode: Mode, first = 1): Tensor {
  const c = x.shape.at(-1) ?? 0;
  const gamma = p.weight(`${name}.weight`, [c], { fill: first }, { decay: false, exact: true });
  const beta = p.weight(`${name}.bias`, [c], { fill: 0 }, { decay: false, exact: true });
  const running = { mean: p.statistic(`${name}.running_mean`, [c], 0), variance: p.statistic(`${name}.running_var`, [c], 1) };
  return batchNorm(x, gamma, beta, { running, training: mode.training, update: mode.update ?? true });
}

/** Layer normalisation over the channels. */
export function normaliseLayer(p: Parameters, name: string, x: Tensor, epsilon?: number): Tensor {
  const c = x.shape.at(-1) ?? 0;
  const gamma = p.weight(`${name}.weight`, [c], { fill: 1 }, { decay: false, exact: true });
  const beta = p.weight(`${name}.bias`, [c], { fill: 0 }, { decay: false, exact: true });
  return layerNorm(x, gamma, beta, epsilon);
}

/** [.., ci] → [.., co]. */
export function linear(p: Parameters, name: string, x: Tensor, channels: number, options: { readonly bias?: boolean; readonly init?: { normal: number } } = {}): Tensor {
  const ci = x.shape.at(-1) ?? 0;
  const w = p.weight(`${name}.weight`, [ci, channels], options.init ?? SMALL);
  const bias = options.bias === false ? undefined : p.weight(`${name}.bias`, [channels], { fill: 0 }, { decay: false });
  return matmul(x, w, bias ? { bias } : {});
}

/** How a map of features becomes one vector: `average` over all places, or `attention` of one learned query, whose maps can be looked at. */
export type PoolKind = "average" | "attention";

/**
 * [b, gh, gw, c] → [b, c]. Attention has heads of `head` channels, keys and values without biases (a key's changes nothing), and a
 * query that begins small, so that at first every place counts alike.
 */
export function pool(p: Parameters, x: Tensor, kind: PoolKind, head: number): Features {
  if (kind === "average") return { h: globalAvgPool(x) };
  const [b = 0, gh = 0, gw = 0, c = 0] = x.shape;
  return within(p, "pool", (q) => {
    const weights = { query: q.weight("query", [1, c], SMALL, { decay: false }), wk: q.weight("key.weight", [c, c], { normal: Math.sqrt(1 / c) }), wv: q.weight("value.weight", [c, c], { normal: Math.sqrt(1 / c) }) };
    const heads = c / head;
    const { y, map } = attentionPool(reshape(x, [b, gh * gw, c]), weights, heads);
    return { h: reshape(y, [b, c]), maps: () => ({ weights: reshape(map(), [b, heads, gh * gw]), grid: [gh, gw] }) };
  });
}
