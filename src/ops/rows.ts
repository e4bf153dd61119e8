// Moving rows between plans: what one plan keeps for another, part by part.
import { putRows as putKernel, takeRows as takeKernel } from "../../kernels/pointwise/rows.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, type Tensor } from "../engine/trace.ts";

/** Writes part f32 [rows, c] into `all`, state f32 [total, c], from row `first` u32 [1] on. Throws ShapeError where shapes do not fit. */
export function putRows(part: Tensor, all: Tensor, first: Tensor): void {
  dispatch(putKernel, { inputs: { first, part, all }, outputs: {}, numbers: sizesOf("putRows", all, part.shape[0] ?? 0, part.shape[1] ?? 0) });
}

/** Rows `first` u32 [1] to first + rows of f32 [total, c]: [rows, c]. No gradient. Throws ShapeError where shapes do not fit. */
export function takeRows(all: Tensor, first: Tensor, rows: number): Tensor {
  const c = all.shape[1] ?? 0;
  return dispatch(takeKernel, { inputs: { first, all }, outputs: { part: [rows, c] }, numbers: sizesOf("takeRows", all, rows, c) }).part;
}

function sizesOf(op: string, all: Tensor, rows: number, c: number): { total: number; rows: number; c: number } {
  const [total, columns] = all.shape;
  if (all.shape.length !== 2 || !total || columns !== c || !(rows >= 1 && rows <= total)) throw new ShapeError(op, `${rows} rows of ${c} in [${all.shape.join(", ")}], expected at most as many rows, of as many columns`);
  return { total, rows, c };
}
