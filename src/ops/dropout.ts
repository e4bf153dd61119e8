// Dropout and random words, from counters: nothing is stored, any draw can be repeated alone.
import { dropout as kernel } from "../../kernels/pointwise/dropout.ts";
import { randomWords as wordsKernel } from "../../kernels/pointwise/random_words.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, nextStream, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";

/**
 * `x` with each element set to 0 with probability `rate` in [0, 1) and the others divided by 1 − rate. `seed` is u32[2], another
 * at every step; every call within a trace draws from a stream of its own. The backward pass draws the same numbers again.
 */
export function dropout(x: Tensor, rate: number, seed: Tensor): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new ShapeError("dropout", `rate ${rate}, expected a number from 0 to below 1`);
  // The number is taken even where nothing is dropped: switching one layer off must not change the others.
  const numbers = { n: x.storage.count, stream: nextStream(), rate, scale: 1 / (1 - rate) };
  const apply = (input: Tensor): Tensor => dispatch(kernel, { inputs: { x: input, seed }, outputs: { y: x.shape }, numbers }).y;
  if (rate === 0) return x;
  return withGradient(apply(x), "dropout", [x], (dy) => [() => apply(dy)]);
}

/**
 * Random words u32[draws, 4]: Philox4x32-10 for the counters (first + i, name) under the seed u32[2], bit for bit those of
 * `philox4x32` on the host.
 */
export function randomWords(seed: Tensor, draws: number, name: readonly [number, number, number], first = 0): Tensor {
  const [c1, c2, c3] = name;
  return dispatch(wordsKernel, { inputs: { seed }, outputs: { y: [draws, 4] }, numbers: { draws, first, c1, c2, c3 } }).y;
}

const seed = { shape: [2], dtype: "u32", values: (random: () => number) => Math.floor(random() * 2 ** 32) } as const;

export const gradientCases: readonly GradientCase[] = [
  { name: "dropout", inputs: { x: { shape: [7, 11] }, seed }, build: ({ x, seed: key }) => dropout(x!, 0.3, key!) },
  { name: "dropout twice", inputs: { x: { shape: [5, 8] }, seed }, build: ({ x, seed: key }) => dropout(dropout(x!, 0.2, key!), 0.5, key!) },
];
