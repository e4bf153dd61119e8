// Repeating, cutting, joining, padding and permuting tensors, with gradients.
import { concat as concatKernel } from "../../kernels/pointwise/concat.ts";
import { pad as padKernel } from "../../kernels/pointwise/pad.ts";
import { strided } from "../../kernels/pointwise/strided.ts";
import { dispatch, reshape, sizeOf, tensorOf, withGradient, type Tensor } from "../engine/trace.ts";
import { ShapeError } from "../engine/errors.ts";
import type { GradientCase } from "./gradient-case.ts";
import { repeatedAxes } from "./broadcast.ts";
import { sum } from "./reduce.ts";

/** Most groups of dimensions that one strided copy takes. */
const GROUPS = 5;

/** A contiguous copy of the elements that `shape` and `strides` select; neighbouring dimensions that step alike count as one. */
function readStrided(op: string, x: Tensor, shape: readonly number[], strides: readonly number[], offset = 0): Tensor {
  const groups: { extent: number; stride: number }[] = [];
  shape.forEach((extent, i) => {
    if (extent === 1) return;
    const stride = strides[i]!;
    const last = groups.at(-1);
    if (last && last.stride === stride * extent) {
      last.extent *= extent;
      last.stride = stride;
    } else groups.push({ extent, stride });
  });
  if (groups.length > GROUPS) throw new ShapeError(op, `[${shape.join(", ")}] out of [${x.shape.join(", ")}] takes ${groups.length} strides, expected at most ${GROUPS}; do it in two steps`);
  while (groups.length < GROUPS) groups.unshift({ extent: 1, stride: 0 });
  const numbers = Object.fromEntries(groups.flatMap(({ extent, stride }, i) => [[`d${i}`, extent], [`s${i}`, stride]])) as Record<string, number>;
  return dispatch(strided, { inputs: { x }, outputs: { y: shape }, numbers: { ...numbers, nx: x.storage.count, offset } }).y;
}

/** Elements from one index of each dimension to the next. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => sizeOf(shape.slice(i + 1)));
}

/** `x` repeated to `shape`, as broadcasting would: aligned at the last dimension, extents of 1 and missing ones are repeated. */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  const missing = shape.length - x.shape.length;
  if (missing < 0 || x.shape.some((extent, i) => extent !== 1 && extent !== shape[i + missing]))
    throw new ShapeError("expand", `[${x.shape.join(", ")}] to [${shape.join(", ")}], expected extents of 1 or equal ones from the last dimension on`);
  const own = stridesOf(x.shape);
  const strides = shape.map((_, i) => (i < missing || x.shape[i - missing] === 1 ? 0 : own[i - missing]!));
  const axes = repeatedAxes(shape, x.shape);
  const y = axes.length ? readStrided("expand", x, shape, strides) : tensorOf(x.storage, shape);
  return withGradient(y, "expand", [x], (dy) => [() => reshape(axes.length ? sum(dy, axes) : dy, x.shape)]);
}

/**
 * The block of `size` that begins at `start`: one entry per dimension each, a size of -1 takes what is left. Throws ShapeError
 * where the block leaves the tensor.
 */
export function slice(x: Tensor, start: readonly number[], size: readonly number[]): Tensor {
  const shape = size.map((extent, i) => (extent === -1 ? x.shape[i]! - start[i]! : extent));
  const fits = start.length === x.shape.length && shape.length === x.shape.length && start.every((from, i) => Number.isInteger(from) && from >= 0 && shape[i]! >= 1 && from + shape[i]! <= x.shape[i]!);
  if (!fits) throw new ShapeError("slice", `[${size.join(", ")}] from [${start.join(", ")}] of [${x.shape.join(", ")}], expected a block inside, one entry per dimension`);
  const strides = stridesOf(x.shape);
  const offset = start.reduce((sum, from, i) => sum + from * strides[i]!, 0);
  const whole = sizeOf(shape) === sizeOf(x.shape);
  const y = whole ? tensorOf(x.storage, shape) : readStrided("slice", x, shape, strides, offset);
  return withGradient(y, "slice", [x], (dy) => [() => pad(dy, start, x.shape.map((extent, i) => extent - start[i]! - shape[i]!))]);
}

/** `x` with its dimensions in another order, contiguous again: dimension i of the result is `order[i]` of `x`. Unless given, the last two change places. */
export function transpose(x: Tensor, order?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const own = x.shape.map((_, i) => i);
  const to = order ?? [...own.slice(0, -2), ...own.slice(-2).reverse()];
  if (to.length !== rank || own.some((i) => !to.includes(i))) throw new ShapeError("transpose", `order [${to.join(", ")}] for [${x.shape.join(", ")}], expected each dimension from 0 to ${rank - 1} once`);
  const strides = stridesOf(x.shape);
  const shape = to.map((i) => x.shape[i]!);
  const y = readStrided("transpose", x, shape, to.map((i) => strides[i]!));
  return withGradient(y, "transpose", [x], (dy) => [() => transpose(dy, own.map((i) => to.indexOf(i)))]);
}

/** `x` with `before` and `after` zeros around it, one entry per dimension each. Throws ShapeError for other lengths or negative counts. */
export function pad(x: Tensor, before: readonly number[], after: readonly number[]): Tensor {
  const counts = [...before, ...after];
  if (before.length !== x.shape.length || after.length !== x.shape.length || counts.some((count) => !Number.isInteger(count) || count < 0))
    throw new ShapeError("pad", `[${before.join(", ")}] before and [${after.join(", ")}] behind [${x.shape.join(", ")}], expected whole numbers from 0, one per dimension`);
  const shape = x.shape.map((extent, i) => before[i]! + extent + after[i]!);
  // A dimension without padding joins the one before it, which then steps over it as a whole.
  const groups: { d: number; e: number; b: number }[] = [];
  x.shape.forEach((e, i) => {
    const last = groups.at(-1);
    const [d, b] = [shape[i]!, before[i]!];
    if (last && d === e) groups[groups.length - 1] = { d: last.d * d, e: last.e * e, b: last.b * d };
    else groups.push({ d, e, b });
  });
  if (groups.length > GROUPS) throw new ShapeError("pad", `${groups.length} dimensions of [${x.shape.join(", ")}] are padded, expected at most ${GROUPS}; do it in two steps`);
  while (groups.length < GROUPS) groups.unshift({ d: 1, e: 1, b: 0 });
  const numbers = Object.fromEntries(groups.flatMap(({ d, e, b }, i) => [[`d${i}`, d], [`e${i}`, e], [`b${i}`, b]])) as Record<string, number>;
  const y = counts.every((count) => count === 0) ? tensorOf(x.storage, shape) : dispatch(padKernel, { inputs: { x }, outputs: { y: shape }, numbers }).y;
  return withGradient(y, "pad", [x], (dy) => [() => slice(dy, before, x.shape)]);
}

/** Most tensors that one dispatch joins. */
const JOINED = 4;

/** Tensors one behind the other along `axis` (negative ones count from the end); all other extents must be equal. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const [first, second] = parts;
  if (!first) throw new ShapeError("concat", "no tensors, expected at least one");
  const at = axis < 0 ? axis + first.shape.length : axis;
  const fits = (x: Tensor) => x.shape.length === first.shape.length && x.shape.every((extent, i) => i === at || extent === first.shape[i]);
  const odd = parts.find((x) => !fits(x));
  if (odd || !(at in first.shape)) throw new ShapeError("concat", `[${(odd ?? first).shape.join(", ")}] beside [${first.shape.join(", ")}] along ${axis}, expected equal extents elsewhere`);
  if (!second) return first;
  if (parts.length > JOINED) return concat([concat(parts.slice(0, JOINED), at), ...parts.slice(JOINED)], at);
  const shape = first.shape.map((extent, i) => (i === at ? parts.reduce((sum, x) => sum + x.shape[at]!, 0) : extent));
  const outer = sizeOf(shape.slice(0, at));
  const [x0, x1, x2, x3] = parts;
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = parts.map((x) => sizeOf(x.shape.slice(at)));
  const { y } = dispatch(concatKernel, { inputs: { x0, x1, x2, x3 }, outputs: { y: shape }, numbers: { outer, w0, w1, w2, w3 }, flags: [x2 && "three", x3 && "four"] });
  return withGradient(y, "concat", parts, (dy) => {
    let from = 0;
    return parts.map((x) => {
      const start = shape.map((_, i) => (i === at ? from : 0));
      from += x.shape[at]!;
      return () => slice(dy, start, x.shape);
    });
  });
}

export const gradientCases: readonly GradientCase[] = [
  { name: "expand rows and columns", inputs: { x: { shape: [3, 1, 5] } }, build: ({ x }) => expand(x!, [2, 3, 4, 5]) },
  { name: "slice", inputs: { x: { shape: [4, 5, 7] } }, build: ({ x }) => slice(x!, [1, 0, 2], [2, -1, 3]) },
  { name: "slice of a class token", inputs: { x: { shape: [3, 5, 8] } }, build: ({ x }) => slice(x!, [0, 0, 0], [3, 1, 8]) },
  { name: "transpose", inputs: { x: { shape: [3, 5, 7] } }, build: ({ x }) => transpose(x!) },
  { name: "transpose to heads", inputs: { x: { shape: [2, 5, 3, 4] } }, build: ({ x }) => transpose(x!, [0, 2, 1, 3]) },
  { name: "pad", inputs: { x: { shape: [2, 3, 4, 5] } }, build: ({ x }) => pad(x!, [0, 1, 2, 0], [0, 0, 1, 0]) },
  { name: "concat of five in the middle", inputs: Object.fromEntries([1, 2, 3, 1, 2].map((extent, i) => [`x${i}`, { shape: [3, extent, 4] }])), build: (x) => concat(Object.values(x).slice(0, 5), 1) },
  { name: "concat of the last dimension", inputs: { a: { shape: [5, 3] }, b: { shape: [5, 7] }, c: { shape: [5, 1] } }, build: ({ a, b, c }) => concat([a!, b!, c!], -1) },
];
