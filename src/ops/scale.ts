// Multiplication by a number that is known when the plan is made.
import { scale as kernel } from "../../kernels/pointwise/scale.ts";
import { dispatch, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";

/** factor · x; the factor is rounded to f32. */
export function scale(x: Tensor, factor: number): Tensor {
  const { y } = dispatch(kernel, { inputs: { x }, outputs: { y: x.shape }, numbers: { n: x.storage.count, factor } });
  return withGradient(y, "scale", [x], (dy) => [() => scale(dy, factor)]);
}

/** −x. */
export function negate(x: Tensor): Tensor {
  return scale(x, -1);
}

export const gradientCases: readonly GradientCase[] = [
  { name: "scale", inputs: { x: { shape: [5, 13] } }, build: ({ x }) => scale(x!, 0.375) },
  { name: "negate", inputs: { x: { shape: [9] } }, build: ({ x }) => negate(x!) },
];
