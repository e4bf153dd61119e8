// What an encoder is: patches in, features out; and the layers that encoders are made of.
import type { Tensor } from "../engine/trace.ts";
import { conv2d } from "../ops/conv.ts";
import { matmul } from "../ops/matmul.ts";
import { batchNorm, layerNorm } from "../ops/norm.ts";
import type { Parameters } from "./parameters.ts";

/** How a model is run. */
export interface Mode {
  /** Batch statistics and their running averages are used and updated only in training. */
  readonly training: boolean;
}

export interface Features {
  /** [b, width]: what downstream tasks use. */
  readonly h: Tensor;
}

/** x [b, ih, iw, 1] → features. */
export type Encoder = (p: Parameters, x: Tensor, mode: Mode) => Features;

/** Standard deviation that keeps the variance of activations through ReLU (He et al. 2015). */
export const he = (fanIn: number): { normal: number } => ({ normal: Math.sqrt(2 / fanIn) });
/** Standard deviation of transformer weights (Dosovitskiy et al. 2021). */
export const SMALL = { normal: 0.02 };

/** [b, h, w, ci] → [b, h', w', co], no bias: a norm follows. */
export function convolve(p: Parameters, name: string, x: Tensor, channels: number, filter: number, stride = 1): Tensor {
  const ci = x.shape.at(-1) ?? 0;
  const w = p.weight(`${name}.weight`, [filter, filter, ci, channels], he(filter * filter * ci));
  return conv2d(x, w, { stride, padding: Math.floor(filter / 2) });
}

/** Batch normalisation over all but the channels. */
export function normaliseBatch(p: Parameters, name: string, x: Tensor, mode: Mode, first = 1): Tensor {
  const c = x.shape.at(-1) ?? 0;
  const gamma = p.weight(`${name}.weight`, [c], { fill: first }, { decay: false, exact: true });
  const beta = p.weight(`${name}.bias`, [c], { fill: 0 }, { decay: false, exact: true });
  const running = { mean: p.statistic(`${name}.running_mean`, [c], 0), variance: p.statistic(`${name}.running_var`, [c], 1) };
  return batchNorm(x, gamma, beta, { running, training: mode.training });
}

/** Layer normalisation over the channels. */
export function normaliseLayer(p: Parameters, name: string, x: Tensor): Tensor {
  const c = x.shape.at(-1) ?? 0;
  const gamma = p.weight(`${name}.weight`, [c], { fill: 1 }, { decay: false, exact: true });
  const beta = p.weight(`${name}.bias`, [c], { fill: 0 }, { decay: false, exact: true });
  return layerNorm(x, gamma, beta);
}

/** [.., ci] → [.., co]. */
export function linear(p: Parameters, name: string, x: Tensor, channels: number, options: { readonly bias?: boolean; readonly init?: { normal: number } } = {}): Tensor {
  const ci = x.shape.at(-1) ?? 0;
  const w = p.weight(`${name}.weight`, [ci, channels], options.init ?? SMALL);
  const bias = options.bias === false ? undefined : p.weight(`${name}.bias`, [channels], { fill: 0 }, { decay: false });
  return matmul(x, w, bias ? { bias } : {});
}

