// Softmax along the last dimension, with its gradient.
import { softmax as kernel, softmaxDx } from "../../kernels/softmax/softmax.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";

/** exp(x) ÷ Σ exp(x) along the last dimension. Throws ShapeError for a tensor without dimensions. */
export function softmax(x: Tensor): Tensor {
  const n = x.shape.at(-1);
  if (!n) throw new ShapeError("softmax", `[${x.shape.join(", ")}], expected a last dimension of at least 1`);
  const numbers = { rows: x.storage.count / n, n };
  const { y } = dispatch(kernel, { inputs: { x }, outputs: { y: x.shape }, numbers });
  return withGradient(y, "softmax", [x], (dy) => [() => dispatch(softmaxDx, { inputs: { dy, y }, outputs: { dx: x.shape }, numbers }).dx]);
}

export const gradientCases: readonly GradientCase[] = [
  { name: "softmax", inputs: { x: { shape: [3, 5, 13], values: (random) => 6 * random() - 3 } }, build: ({ x }) => softmax(x!) },
  { name: "softmax of vectors", inputs: { x: { shape: [17, 24] } }, build: ({ x }) => softmax(x!) },
];
