// Long sums of products in parts that run side by side: into how many, and their sum.
import { mergeParts } from "../../kernels/reduce/merge_parts.ts";
import { dispatch, type Tensor } from "../engine/trace.ts";

/** Workgroups that fill a large GPU twice over. */
const WORKGROUPS = 264;

/**
 * Parts into which sums of `length` products are cut where only so many workgroups would make the results, none shorter than
 * `shortest`: below that, adding the parts costs as much as making them. It follows from sizes alone, so that every device adds up alike.
 */
export function countParts(workgroups: number, length: number, shortest: number): number {
  return Math.max(1, Math.min(Math.ceil(WORKGROUPS / workgroups), Math.floor(length / shortest)));
}

export interface SumOptions {
  /** Of the sum. */
  readonly shape: readonly number[];
  readonly dtype: "f32" | "f16";
  /** [n], for rows of n, added to each of them. */
  readonly bias?: Tensor;
}

/** The sum of f32 parts [splits, …shape] (+ bias), in their order. It has no gradient of its own: the product that was cut has one. */
export function sumParts(parts: Tensor, { shape, dtype, bias }: SumOptions): Tensor {
  const n = shape.at(-1) ?? 1;
  const [splits = 1] = parts.shape;
  const rows = shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
  return dispatch(mergeParts, { inputs: { parts, bias }, outputs: { y: shape }, numbers: { splits, rows, n }, flags: [bias && "bias"], dtype }).y;
}
