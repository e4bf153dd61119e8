// Repeating, and later cutting, joining and permuting tensors, with gradients.
import { strided } from "../../kernels/pointwise/strided.ts";
import { dispatch, reshape, sizeOf, tensorOf, withGradient, type Tensor } from "../engine/trace.ts";
import { ShapeError } from "../engine/errors.ts";
import type { GradientCase } from "./gradcheck.ts";
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

export const gradientCases: readonly GradientCase[] = [
  { name: "expand rows and columns", inputs: { x: { shape: [3, 1, 5] } }, build: ({ x }) => expand(x!, [2, 3, 4, 5]) },
];
