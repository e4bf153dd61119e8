// Sums, means and maxima over dimensions, and their gradients.
import { maxDx } from "../../kernels/reduce/max_dx.ts";
import { reduce } from "../../kernels/reduce/reduce.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, reshape, sizeOf, tensorOf, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { scale } from "./scale.ts";
import { expand } from "./shape.ts";

/** Elements that one invocation sums without help: below, another dispatch costs more than it gains. */
const ALONE = 256;
/** A longer reduction is cut into parts until this many invocations work on it … */
const INVOCATIONS = 65536;
/** … but no part gets fewer elements than this. */
const PART = 64;

/** Into how many parts a reduction of `r` elements is cut where it gives `results` numbers; 1 where it is done at once. */
export function partsOf(results: number, r: number): number {
  const wanted = Math.min(Math.ceil(INVOCATIONS / results), Math.floor(r / PART));
  // Parts in fours let four columns be read at once, whatever `results` is.
  return r <= ALONE || wanted < 2 ? 1 : Math.ceil(wanted / 4) * 4;
}

/** `x` reduced along one block of neighbouring dimensions: [outer, r, inner] → [outer, inner], in as many stages as it takes. */
function reduceBlock(x: Tensor, outer: number, r: number, inner: number, scale: number, flags: readonly string[]): Tensor {
  const parts = partsOf(outer * inner, r);
  const stage = { outer, r, inner, parts, scale: parts === 1 ? scale : 1 };
  const { y } = dispatch(reduce, { inputs: { x }, outputs: { y: [outer, parts, inner] }, numbers: stage, flags });
  return parts === 1 ? y : reduceBlock(y, outer, parts, inner, scale, flags);
}

interface Block {
  readonly outer: number;
  readonly r: number;
  readonly inner: number;
}

/** Dimensions without repeats and counted from the front; all of them where none are given. */
function normaliseAxes(op: string, x: Tensor, axes?: readonly number[]): number[] {
  const rank = x.shape.length;
  const whole = axes ?? x.shape.map((_, i) => i);
  for (const axis of whole)
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) throw new ShapeError(op, `axis ${axis} of [${x.shape.join(", ")}], expected a whole number from ${-rank} to ${rank - 1}`);
  return [...new Set(whole.map((axis) => (axis < 0 ? axis + rank : axis)))].sort((p, q) => p - q);
}

/** The shape that remains, with extents of 1 in place of the reduced ones where they are kept. */
function remaining(shape: readonly number[], axes: readonly number[], keep: boolean): number[] {
  return shape.flatMap((extent, i) => (axes.includes(i) ? (keep ? [1] : []) : [extent]));
}

/** Runs of neighbouring axes, last first: each is one reduction of what those behind it left. */
function blocksOf(shape: readonly number[], axes: readonly number[]): Block[] {
  const blocks: Block[] = [];
  const extents = [...shape];
  for (let end = axes.length; end > 0; ) {
    let start = end - 1;
    while (start > 0 && axes[start - 1] === axes[start]! - 1) start--;
    const [first, last] = [axes[start]!, axes[end - 1]!];
    blocks.push({ outer: sizeOf(extents.slice(0, first)), r: sizeOf(extents.slice(first, last + 1)), inner: sizeOf(extents.slice(last + 1)) });
    for (let i = first; i <= last; i++) extents[i] = 1;
    end = start;
  }
  return blocks;
}

function reduceAxes(op: string, x: Tensor, axes: readonly number[], scale: number, flags: readonly string[]): Tensor {
  if (sizeOf(x.shape) === 0) throw new ShapeError(op, `[${x.shape.join(", ")}] has no elements, expected at least one`);
  const blocks = blocksOf(x.shape, axes).filter(({ r }) => r > 1);
  return blocks.reduce((y, { outer, r, inner }, i) => reduceBlock(y, outer, r, inner, i === blocks.length - 1 ? scale : 1, flags), tensorOf(x.storage, x.shape));
}

/**
 * Sum over `axes` (negative ones count from the end; all unless given). They vanish from the shape, or stay as 1 with `keep`.
 * Sums in f32, in the order of the reduce kernel; a long reduction goes in stages, between which sums are stored in the type of `x`.
 */
export function sum(x: Tensor, axes?: readonly number[], keep = false): Tensor {
  const over = normaliseAxes("sum", x, axes);
  const y = reshape(reduceAxes("sum", x, over, 1, []), remaining(x.shape, over, keep));
  return withGradient(y, "sum", [x], (dy) => [() => expand(reshape(dy, remaining(x.shape, over, true)), x.shape)]);
}

/** Mean over `axes`, otherwise as `sum`. */
export function mean(x: Tensor, axes?: readonly number[], keep = false): Tensor {
  const over = normaliseAxes("mean", x, axes);
  const count = sizeOf(over.map((axis) => x.shape[axis]!));
  const y = reshape(reduceAxes("mean", x, over, 1 / count, []), remaining(x.shape, over, keep));
  return withGradient(y, "mean", [x], (dy) => [() => expand(reshape(scale(dy, 1 / count), remaining(x.shape, over, true)), x.shape)]);
}

/** Largest element over `axes`, otherwise as `sum`. Where several are the largest, the gradient goes to the first of them. */
export function max(x: Tensor, axes?: readonly number[], keep = false): Tensor {
  const over = normaliseAxes("max", x, axes);
  const y = blocksOf(x.shape, over).reduce((from: Tensor, { outer, r, inner }): Tensor => {
    const top = reduceBlock(from, outer, r, inner, 1, ["max"]);
    return withGradient(top, "max", [from], (dy) => [
      () => dispatch(maxDx, { inputs: { x: from, y: top, dy }, outputs: { dx: from.shape }, numbers: { outer, r, inner } }).dx,
    ]);
  }, x);
  return reshape(y, remaining(x.shape, over, keep));
}

/** Values that all differ, so that a maximum stays one under small steps. */
const distinct = (random: () => number, i: number) => ((i * 7919) % 1009) / 100 + 0.001 * random();

export const gradientCases: readonly GradientCase[] = [
  { name: "sum of all", inputs: { x: { shape: [7, 5, 3] } }, build: ({ x }) => sum(x!) },
  { name: "sum over rows", inputs: { x: { shape: [37, 6] } }, build: ({ x }) => sum(x!, [0]) },
  { name: "sum over the last dimension, kept", inputs: { x: { shape: [2, 9, 13] } }, build: ({ x }) => sum(x!, [-1], true) },
  { name: "sum over scattered dimensions", inputs: { x: { shape: [3, 4, 5, 2] } }, build: ({ x }) => sum(x!, [0, 2]) },
  { name: "sum in three stages", inputs: { x: { shape: [20011] } }, build: ({ x }) => sum(x!) },
  { name: "max of rows", inputs: { x: { shape: [5, 13], values: distinct } }, build: ({ x }) => max(x!, [1]) },
  { name: "max over scattered dimensions", inputs: { x: { shape: [3, 4, 5], values: distinct } }, build: ({ x }) => max(x!, [0, 2], true) },
  { name: "mean over the middle", inputs: { x: { shape: [3, 17, 4] } }, build: ({ x }) => mean(x!, [1]) },
];
