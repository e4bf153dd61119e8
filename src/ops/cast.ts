// Conversions between f32 and f16, with gradients, and tensors of one number.
import { narrow, widen } from "../../kernels/pointwise/cast.ts";
import { fill as fillKernel } from "../../kernels/pointwise/fill.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, sizeOf, withGradient, type Tensor } from "../engine/trace.ts";
import type { Dtype } from "../kernel/dtype.ts";

/**
 * `x` as another float type; `x` itself where it has that type already. To f16 it is rounded as the device rounds, beyond
 * 65504 undefined; its gradient comes back in the type of `x`. Throws ShapeError for integers.
 */
export function cast(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  const numbers = { n: x.storage.count };
  const between = `${x.dtype} to ${dtype}`;
  if (between !== "f32 to f16" && between !== "f16 to f32") throw new ShapeError("cast", `${between}, expected f32 and f16`);
  const { y } = dispatch(dtype === "f16" ? narrow : widen, { inputs: { x }, outputs: { y: x.shape }, numbers, dtype: "f16" });
  return withGradient(y, "cast", [x], (dy) => [() => cast(dy, x.dtype)]);
}

/** A tensor of one number, made on the device. */
export function fill(shape: readonly number[], value: number, dtype: "f32" | "f16" = "f32"): Tensor {
  return dispatch(fillKernel, { inputs: {}, outputs: { y: shape }, numbers: { n: sizeOf(shape), value }, dtype }).y;
}
