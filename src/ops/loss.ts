// Losses of predictions: cross-entropy with labels, mean squared error, with gradients.
import { crossEntropy as crossEntropyKernel, crossEntropyDx } from "../../kernels/loss/cross_entropy.ts";
import { squaredError, squaredErrorDa } from "../../kernels/loss/squared_error.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, sizeOf, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { mean, partsOf, sum } from "./reduce.ts";
import { negate, scale } from "./scale.ts";

export interface CrossEntropyOptions {
  /** Share of each label that is spread evenly over all classes, from 0 to 1; 0 unless given. */
  readonly smoothing?: number;
}

/**
 * Mean of −log softmax(logits)[label] over all rows, f32[]: logits [.., c], labels u32 [..] below c. The softmax is never stored:
 * the backward pass takes it from the logits and the logarithm of their sum. A label of c or more names no class: the loss is NaN
 * then, and so is the gradient of its row, which an optimizer step refuses. Throws ShapeError where shapes do not fit.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { smoothing = 0 } = options;
  const n = logits.shape.at(-1) ?? 0;
  const rows = sizeOf(logits.shape.slice(0, -1));
  if (n < 1 || sizeOf(labels.shape) !== rows || labels.dtype !== "u32")
    throw new ShapeError("crossEntropy", `${labels.dtype} labels [${labels.shape.join(", ")}] for logits [${logits.shape.join(", ")}], expected one u32 label for each row`);
  if (!(smoothing >= 0 && smoothing <= 1)) throw new ShapeError("crossEntropy", `smoothing ${smoothing}, expected a number from 0 to 1`);
  const numbers = { rows, n, smoothing };
  const { loss, lse } = dispatch(crossEntropyKernel, { inputs: { logits, labels }, outputs: { loss: [rows], lse: [rows] }, numbers });
  const perRow = withGradient(loss, "crossEntropy", [logits], (dloss) => [
    () => dispatch(crossEntropyDx, { inputs: { logits, labels, lse, dloss }, outputs: { dlogits: logits.shape }, numbers }).dlogits,
  ]);
  return mean(perRow);
}

/** Mean of (a − b)² over all elements, f32[]. Shapes and element types must be equal. */
export function mse(a: Tensor, b: Tensor): Tensor {
  const n = sizeOf(a.shape);
  if (a.shape.length !== b.shape.length || a.shape.some((extent, i) => extent !== b.shape[i]) || n === 0)
    throw new ShapeError("mse", `[${a.shape.join(", ")}] and [${b.shape.join(", ")}], expected equal shapes with at least one element`);
  const parts = partsOf(1, n);
  const { y } = dispatch(squaredError, { inputs: { a, b }, outputs: { y: [parts] }, numbers: { n, parts } });
  const whole = scale(sum(y), 1 / n);
  return withGradient(whole, "mse", [a, b], (dy) => {
    const da = () => dispatch(squaredErrorDa, { inputs: { a, b, dy }, outputs: { da: a.shape }, numbers: { n, factor: 2 / n } }).da;
    return [da, () => negate(da())];
  });
}

const labels = (classes: number, rows: number) => ({ shape: [rows], dtype: "u32", values: (random: () => number) => Math.floor(random() * classes) }) as const;

export const gradientCases: readonly GradientCase[] = [
  { name: "crossEntropy", inputs: { x: { shape: [7, 13] }, labels: labels(13, 7) }, build: ({ x, labels: l }) => crossEntropy(x!, l!) },
  { name: "crossEntropy, smoothed", inputs: { x: { shape: [9, 8] }, labels: labels(8, 9) }, build: ({ x, labels: l }) => crossEntropy(x!, l!, { smoothing: 0.1 }) },
  { name: "mse", inputs: { a: { shape: [7, 11] }, b: { shape: [7, 11] } }, build: ({ a, b }) => mse(a!, b!) },
  { name: "mse in parts", inputs: { a: { shape: [40, 32] }, b: { shape: [40, 32], fixed: true } }, build: ({ a, b }) => mse(a!, b!) },
];
