// Residual convolutional encoders: a strided stem, stages of bottlenecks, pooling.
import type { Tensor } from "../engine/trace.ts";
import { relu } from "../ops/activation.ts";
import { add } from "../ops/arithmetic.ts";
import { maxPool2d } from "../ops/pool.ts";
import { convolve, normaliseBatch, pool, type Encoder, type Mode, type PoolKind } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";

/** From pixels to a map of features. */
export interface TrunkConfig {
  /** One convolution; `pool` is a max pooling behind it, padded by half its window. */
  readonly stem: { readonly filter: number; readonly stride: number; readonly channels: number; readonly pool?: { readonly window: number; readonly stride: number } };
  /** One entry a stage: bottlenecks, their inner channels, the stride of the first. */
  readonly stages: readonly { readonly blocks: number; readonly planes: number; readonly stride: number }[];
  /** Outer channels of a bottleneck as a multiple of the inner ones. */
  readonly expansion: number;
}

export interface ResNetConfig extends TrunkConfig {
  readonly pool: PoolKind;
  /** Channels of a head of attention pooling. */
  readonly poolHead: number;
}

/** Pixels from one place of the map to the next. */
export function strideOf({ stem, stages }: TrunkConfig): number {
  return stages.reduce((product, { stride }) => product * stride, stem.stride * (stem.pool?.stride ?? 1));
}

/** Channels of the map. */
export function channelsOf({ stages, expansion }: TrunkConfig): number {
  return (stages.at(-1)?.planes ?? 0) * expansion;
}

/** Stem → stages → pooling. He et al., "Deep residual learning", 2016; with a pooled 7×7 stem and average pooling it is ResNet-50 as torchvision and timm have it. */
export function resnet(config: ResNetConfig): Encoder {
  return (p, x, mode) => pool(p, trunk(config, p, x, mode), config.pool, config.poolHead);
}

/** x [b, ih, iw, c] → [b, ih / stride, iw / stride, channels]. */
export function trunk({ stem, stages, expansion }: TrunkConfig, p: Parameters, x: Tensor, mode: Mode): Tensor {
  let y = within(p, "stem", (q) => {
    const z = relu(normaliseBatch(q, "norm", convolve(q, "conv", x, stem.channels, stem.filter, { stride: stem.stride }), mode));
    return stem.pool ? maxPool2d(z, stem.pool.window, { stride: stem.pool.stride, padding: Math.floor(stem.pool.window / 2) }) : z;
  });
  stages.forEach(({ blocks, planes, stride }, s) => {
    for (let i = 0; i < blocks; i++) {
      const step = i === 0 ? stride : 1;
      y = within(p, `stage${s + 1}.${i}`, (q) => bottleneck(q, y, planes, planes * expansion, step, mode));
    }
  });
  return y;
}

/**
 * 1×1 down, 3×3, 1×1 up, plus the shortcut; the 3×3 has the stride, as in torchvision. The last norm starts at zero, so that a new
 * block changes nothing (Goyal et al. 2017).
 */
function bottleneck(p: Parameters, x: Tensor, planes: number, channels: number, stride: number, mode: Mode): Tensor {
  const direct = stride === 1 && x.shape.at(-1) === channels;
  const shortcut = direct ? x : within(p, "shortcut", (q) => normaliseBatch(q, "norm", convolve(q, "conv", x, channels, 1, { stride }), mode));
  const down = relu(normaliseBatch(p, "norm1", convolve(p, "conv1", x, planes, 1), mode));
  const spatial = relu(normaliseBatch(p, "norm2", convolve(p, "conv2", down, planes, 3, { stride }), mode));
  const up = normaliseBatch(p, "norm3", convolve(p, "conv3", spatial, channels, 1), mode, 0);
  return relu(add(up, shortcut));
}
