// Two-dimensional convolution with its gradients.
import { conv2d as kernel } from "../../kernels/conv/conv2d.ts";
import { conv2dDw } from "../../kernels/conv/conv2d_dw.ts";
import { conv2dDx } from "../../kernels/conv/conv2d_dx.ts";
import { type ConvNumbers, outputExtent } from "../../kernels/conv/problem.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, reshape, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { matmul } from "./matmul.ts";
import { countParts, sumParts } from "./parts.ts";
import { sum } from "./reduce.ts";
import { pairOf, sidesOf, type Pair, type Padding } from "./window.ts";

export interface ConvOptions {
  /** Step between neighbouring results; one number for both axes, or [vertical, horizontal]. 1 unless given. */
  readonly stride?: Pair;
  /** Zeros around the image: on all sides, [vertical, horizontal], or [top, bottom, left, right]. 0 unless given. */
  readonly padding?: Padding;
  /** Step between neighbouring taps of a filter. 1 unless given. */
  readonly dilation?: Pair;
  /** Groups of channels that do not see each other; ci = co = groups is a depthwise convolution. 1 unless given. */
  readonly groups?: number;
  /** [co], added to every pixel. */
  readonly bias?: Tensor;
}

type Given = Omit<ConvNumbers, "ci" | "co">;

/**
 * x ∗ w (+ bias), a cross-correlation: images [b, ih, iw, ci] and filters [fh, fw, ci / groups, co] → [b, oh, ow, co] with
 * oh = floor((ih + top + bottom − dilation · (fh − 1) − 1) / stride) + 1, ow likewise. Throws ShapeError where sizes do not
 * fit or nothing would remain.
 */
export function conv2d(x: Tensor, w: Tensor, options: ConvOptions = {}): Tensor {
  const { groups = 1, bias } = options;
  const [strideH, strideW] = pairOf("conv2d", "stride", options.stride ?? 1, 1);
  const [dilationH, dilationW] = pairOf("conv2d", "dilation", options.dilation ?? 1, 1);
  const [top, bottom, left, right] = sidesOf("conv2d", options.padding ?? 0);
  const [b, ih, iw, ci, ...more] = x.shape;
  const [fh, fw, cg, co, ...others] = w.shape;
  if (ci === undefined || b === undefined || ih === undefined || iw === undefined || more.length)
    throw new ShapeError("conv2d", `images have shape [${x.shape.join(", ")}], expected [b, h, w, ci]`);
  if (co === undefined || fh === undefined || fw === undefined || cg === undefined || others.length)
    throw new ShapeError("conv2d", `filters have shape [${w.shape.join(", ")}], expected [fh, fw, ci / groups, co]`);
  if (!Number.isInteger(groups) || groups < 1 || cg * groups !== ci || co % groups !== 0)
    throw new ShapeError("conv2d", `images [${x.shape.join(", ")}] and filters [${w.shape.join(", ")}] in ${groups} groups, expected filters [fh, fw, ${ci} / groups, a multiple of groups]`);
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== co)) throw new ShapeError("conv2d", `bias has shape [${bias.shape.join(", ")}], expected [${co}]`);
  const oh = outputExtent(ih, fh, strideH, dilationH, top, bottom);
  const ow = outputExtent(iw, fw, strideW, dilationW, left, right);
  if (oh < 1 || ow < 1)
    throw new ShapeError("conv2d", `filters of ${fh} × ${fw} taps do not fit into images of ${ih} × ${iw} pixels with padding ${top}, ${bottom}, ${left}, ${right}; pad more or take smaller filters`);

  if (fh === 1 && fw === 1 && groups === 1 && strideH === 1 && strideW === 1 && oh === ih && ow === iw && top === 0 && left === 0) {
    const flat = matmul(reshape(x, [b * ih * iw, ci]), reshape(w, [ci, co]), bias ? { bias } : {});
    return reshape(flat, [b, oh, ow, co]);
  }
  const numbers: Given = { b, ih, iw, oh, ow, fh, fw, groups, cg, og: co / groups, strideH, strideW, dilationH, dilationW, padH: top, padW: left };
  const { y } = dispatch(kernel, { inputs: { x, w, bias }, outputs: { y: [b, oh, ow, co] }, numbers, flags: [bias && "bias"] });
  return withGradient(y, "conv2d", bias ? [x, w, bias] : [x, w], (dy) => [
    () => dispatch(conv2dDx, { inputs: { dy, w }, outputs: { dx: x.shape }, numbers }).dx,
    () => filterGradient(x, dy, w, numbers),
    () => sum(reshape(dy, [-1, co]), [0]),
  ]);
}

/** Weights that one workgroup of a GPU sums, as in conv2d_dw.tiled. */
const WEIGHTS_PER_WORKGROUP = 64 * 64;
/** Pixels that a part sums over at least. */
const PIXELS_PER_PART = 128;

/** Parts in which the gradient of filters is summed, none without a row of pixels. */
export function filterParts({ b, oh, ow, fh, fw, cg, og, groups }: Given): number {
  const workgroups = Math.ceil((fh * fw * cg * og * groups) / WEIGHTS_PER_WORKGROUP);
  const wanted = Math.min(countParts(workgroups, b * oh * ow, PIXELS_PER_PART), b * oh);
  // No part holds rows of two images in part, where that leaves parts of at least half the size: then images can be seen in windows.
  const share = Math.ceil((b * oh) / wanted);
  const aligned = share < oh ? largestDivisor(oh, share) : oh * largestDivisor(b, Math.floor(share / oh));
  return Math.ceil((b * oh) / (b > 1 && 2 * aligned >= share ? aligned : share));
}

/** The largest divisor of n that is at most `most`. */
function largestDivisor(n: number, most: number): number {
  let divisor = most;
  while (n % divisor !== 0) divisor--;
  return divisor;
}

function filterGradient(x: Tensor, dy: Tensor, w: Tensor, numbers: Given): Tensor {
  const splits = filterParts(numbers);
  const { parts } = dispatch(conv2dDw, { inputs: { x, dy }, outputs: { parts: [splits, ...w.shape] }, numbers: { ...numbers, splits } });
  if (splits === 1 && w.dtype === "f32") return reshape(parts, w.shape);
  return sumParts(parts, { shape: w.shape, dtype: w.dtype as "f32" | "f16" });
}

const convolution = (name: string, x: readonly number[], w: readonly number[], options: Omit<ConvOptions, "bias"> = {}): GradientCase => ({
  name: `conv2d ${name}`,
  inputs: { x: { shape: x }, w: { shape: w } },
  build: (t) => conv2d(t["x"]!, t["w"]!, options),
});

export const gradientCases: readonly GradientCase[] = [
  convolution("3×3", [2, 6, 7, 4], [3, 3, 4, 8], { padding: 1 }),
  convolution("1×1 as a matrix product", [2, 3, 5, 4], [1, 1, 4, 8]),
  convolution("1×1 stride 2", [1, 6, 7, 8], [1, 1, 8, 4], { stride: 2 }),
  convolution("1×1 with padding", [1, 3, 4, 4], [1, 1, 4, 4], { padding: 1 }),
  convolution("stem on grey images", [2, 13, 18, 1], [5, 5, 1, 8], { stride: 4, padding: 2 }),
  convolution("stride 3 × 2", [1, 10, 9, 3], [3, 4, 3, 5], { stride: [3, 2], padding: [1, 2] }),
  convolution("dilation 2", [1, 9, 8, 4], [3, 3, 4, 4], { dilation: 2, padding: 2 }),
  convolution("dilation 2, stride 2 and 3", [1, 11, 12, 4], [3, 2, 4, 8], { dilation: 2, stride: [2, 3], padding: 1 }),
  convolution("groups", [1, 6, 5, 8], [2, 3, 4, 12], { groups: 2, stride: [1, 2], padding: [1, 0, 2, 1] }),
  convolution("groups of odd sizes", [1, 5, 6, 6], [3, 2, 2, 9], { groups: 3 }),
  convolution("depthwise", [2, 7, 6, 8], [3, 3, 1, 8], { groups: 8, stride: 2, padding: 1 }),
  convolution("depthwise with a multiplier", [1, 5, 6, 3], [3, 3, 1, 6], { groups: 3, padding: 1 }),
  convolution("even filters", [1, 7, 8, 4], [4, 2, 4, 4], { stride: 2 }),
  convolution("more padding than filter", [1, 3, 4, 4], [2, 2, 4, 4], { padding: 4 }),
  convolution("stride above the filter", [1, 9, 10, 4], [2, 2, 4, 4], { stride: [3, 4] }),
  convolution("in several parts", [2, 18, 20, 1], [3, 3, 1, 4], { padding: 1 }),
  {
    name: "conv2d with bias",
    inputs: { x: { shape: [2, 5, 6, 4] }, w: { shape: [3, 3, 4, 8] }, bias: { shape: [8] } },
    build: (t) => conv2d(t["x"]!, t["w"]!, { padding: 1, bias: t["bias"]! }),
  },
  {
    name: "conv2d whose filters are used twice",
    inputs: { x: { shape: [1, 6, 5, 4] }, w: { shape: [3, 3, 4, 4] } },
    build: (t) => conv2d(conv2d(t["x"]!, t["w"]!, { padding: 1 }), t["w"]!, { padding: 1, stride: 2 }),
  },
];
