// Residual convolutional encoders: a strided stem, stages of bottlenecks, global average pooling.
import type { Tensor } from "../engine/trace.ts";
import { relu } from "../ops/activation.ts";
import { add } from "../ops/arithmetic.ts";
import { globalAvgPool } from "../ops/pool.ts";
import { convolve, normaliseBatch, type Encoder, type Mode } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";

export interface ResNetConfig {
  readonly stem: { readonly filter: number; readonly stride: number; readonly channels: number };
  /** One entry a stage: bottlenecks, their inner channels, the stride of the first. */
  readonly stages: readonly { readonly blocks: number; readonly planes: number; readonly stride: number }[];
  /** Outer channels of a bottleneck as a multiple of the inner ones. */
  readonly expansion: number;
}

/** Stem → stages → mean over all places. He et al., "Deep residual learning", 2016, with a strided stem instead of max pooling. */
export function resnet(config: ResNetConfig): Encoder {
  return (p, x, mode) => {
    let y = within(p, "stem", (q) => relu(normaliseBatch(q, "norm", convolve(q, "conv", x, config.stem.channels, config.stem.filter, config.stem.stride), mode)));
    config.stages.forEach(({ blocks, planes, stride }, s) => {
      for (let i = 0; i < blocks; i++) {
        const step = i === 0 ? stride : 1;
        y = within(p, `stage${s + 1}.${i}`, (q) => bottleneck(q, y, planes, planes * config.expansion, step, mode));
      }
    });
    return { h: globalAvgPool(y) };
  };
}

/** 1×1 down, 3×3, 1×1 up, plus the shortcut; the last norm starts at zero, so that a new block changes nothing (Goyal et al. 2017). */
function bottleneck(p: Parameters, x: Tensor, planes: number, channels: number, stride: number, mode: Mode): Tensor {
  const direct = stride === 1 && x.shape.at(-1) === channels;
  const shortcut = direct ? x : within(p, "shortcut", (q) => normaliseBatch(q, "norm", convolve(q, "conv", x, channels, 1, stride), mode));
  const down = relu(normaliseBatch(p, "norm1", convolve(p, "conv1", x, planes, 1), mode));
  const spatial = relu(normaliseBatch(p, "norm2", convolve(p, "conv2", down, planes, 3, stride), mode));
  const up = normaliseBatch(p, "norm3", convolve(p, "conv3", spatial, channels, 1), mode, 0);
  return relu(add(up, shortcut));
}
