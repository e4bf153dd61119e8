// Pooling over windows of pixels, with its gradients.
import { avgPool, avgPoolDx } from "../../kernels/pool/avg_pool.ts";
import { maxPool, maxPoolDx } from "../../kernels/pool/max_pool.ts";
import type { PoolNumbers } from "../../kernels/pool/problem.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { mean } from "./reduce.ts";
import { pairOf, sidesOf, type Padding, type Pair } from "./window.ts";

export interface PoolOptions {
  /** Step between neighbouring windows; that of the window itself unless given. */
  readonly stride?: Pair;
  /** Pixels around the image: on all sides, [vertical, horizontal], or [top, bottom, left, right]; less than the window. 0 unless given. */
  readonly padding?: Padding;
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether padding counts as pixels of value zero: then every sum is divided by the window's size. True unless given. */
  readonly countIncludePad?: boolean;
}

function measure(op: string, x: Tensor, window: Pair, options: PoolOptions): PoolNumbers {
  const [b, ih, iw, c, ...more] = x.shape;
  if (c === undefined || b === undefined || ih === undefined || iw === undefined || more.length)
    throw new ShapeError(op, `images have shape [${x.shape.join(", ")}], expected [b, h, w, c]`);
  const [fh, fw] = pairOf(op, "window", window, 1);
  const [strideH, strideW] = pairOf(op, "stride", options.stride ?? window, 1);
  const [top, bottom, left, right] = sidesOf(op, options.padding ?? 0);
  // Else a window could lie outside the image altogether, where it has neither maximum nor mean.
  if (Math.max(top, bottom) >= fh || Math.max(left, right) >= fw)
    throw new ShapeError(op, `padding ${top}, ${bottom}, ${left}, ${right} around windows of ${fh} × ${fw}, expected less than the window`);
  const oh = Math.floor((ih + top + bottom - fh) / strideH) + 1;
  const ow = Math.floor((iw + left + right - fw) / strideW) + 1;
  if (oh < 1 || ow < 1) throw new ShapeError(op, `windows of ${fh} × ${fw} do not fit into images of ${ih} × ${iw} pixels; pad more or take smaller windows`);
  return { b, ih, iw, c, oh, ow, fh, fw, strideH, strideW, padH: top, padW: left };
}

/**
 * The largest value of each window and channel: [b, ih, iw, c] → [b, oh, ow, c] with oh = floor((ih + top + bottom − fh) / stride) + 1.
 * Padding never wins. The gradient goes to the first maximum in row order. Throws ShapeError where no window fits.
 */
export function maxPool2d(x: Tensor, window: Pair, options: PoolOptions = {}): Tensor {
  const numbers = measure("maxPool2d", x, window, options);
  const { b, oh, ow, c } = numbers;
  const { y } = dispatch(maxPool, { inputs: { x }, outputs: { y: [b, oh, ow, c] }, numbers });
  return withGradient(y, "maxPool2d", [x], (dy) => [() => dispatch(maxPoolDx, { inputs: { x, dy }, outputs: { dx: x.shape }, numbers }).dx]);
}

/** The mean of each window and channel; shapes and errors as for `maxPool2d`. */
export function avgPool2d(x: Tensor, window: Pair, options: AvgPoolOptions = {}): Tensor {
  const numbers = { ...measure("avgPool2d", x, window, options), countPad: options.countIncludePad === false ? 0 : 1 };
  const { b, oh, ow, c } = numbers;
  const { y } = dispatch(avgPool, { inputs: { x }, outputs: { y: [b, oh, ow, c] }, numbers });
  return withGradient(y, "avgPool2d", [x], (dy) => [() => dispatch(avgPoolDx, { inputs: { dy }, outputs: { dx: x.shape }, numbers }).dx]);
}

/** The mean over all pixels: [b, h, w, c] → [b, c]. */
export function globalAvgPool(x: Tensor): Tensor {
  if (x.shape.length !== 4) throw new ShapeError("globalAvgPool", `images have shape [${x.shape.join(", ")}], expected [b, h, w, c]`);
  return mean(x, [1, 2]);
}

// All values differ by more than the steps of the difference check, so that no maximum changes place.
const distinct = (count: number) => (_: () => number, index: number) => (((index * 7919) % count) / count) * 2 - 1;

const maximum = (name: string, shape: readonly [number, number, number, number], window: Pair, options: PoolOptions = {}): GradientCase => ({
  name: `maxPool2d ${name}`,
  inputs: { x: { shape, values: distinct(shape[0] * shape[1] * shape[2] * shape[3]) } },
  build: (t) => maxPool2d(t["x"]!, window, options),
});
const average = (name: string, shape: readonly number[], window: Pair, options: AvgPoolOptions = {}): GradientCase => ({
  name: `avgPool2d ${name}`,
  inputs: { x: { shape } },
  build: (t) => avgPool2d(t["x"]!, window, options),
});

export const gradientCases: readonly GradientCase[] = [
  maximum("2×2", [2, 4, 6, 4], 2),
  maximum("3×3, stride 2, padded", [1, 7, 8, 3], 3, { stride: 2, padding: 1 }),
  maximum("3×2, stride 1 × 3, uneven padding", [1, 5, 8, 4], [3, 2], { stride: [1, 3], padding: [2, 0, 0, 1] }),
  average("2×2", [2, 4, 6, 4], 2),
  average("3×3, stride 2, padding counted", [1, 7, 8, 3], 3, { stride: 2, padding: 1 }),
  average("3×3, stride 2, padding not counted", [1, 7, 8, 4], 3, { stride: 2, padding: 1, countIncludePad: false }),
  average("windows apart", [1, 9, 10, 4], [2, 1], { stride: [3, 4] }),
  { name: "globalAvgPool", inputs: { x: { shape: [2, 5, 4, 3] } }, build: (t) => globalAvgPool(t["x"]!) },
];
