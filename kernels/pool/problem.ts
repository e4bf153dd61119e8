// What the pooling kernels share: their dimension letters, and how their test problems are written.
import type { Case } from "../../src/kernel/define.ts";

/**
 * Sizes of pooling: images [b, ih, iw, c], windows of fh × fw, results [b, oh, ow, c]. Window (oy, ox) begins at row
 * oy·strideH − padH and column ox·strideW − padW of the image, and holds at least one of its pixels.
 */
export const POOL_DIMS = ["b", "ih", "iw", "c", "oh", "ow", "fh", "fw", "strideH", "strideW", "padH", "padW"] as const;
export type PoolNumbers = Readonly<Record<(typeof POOL_DIMS)[number], number>>;

type Pair = readonly [number, number];

/** A test problem; pairs are (vertical, horizontal), padding is symmetric. */
function poolProblem(b: number, [ih, iw]: Pair, c: number, [fh, fw]: Pair, [strideH, strideW]: Pair, [padH, padW]: Pair = [0, 0]): PoolNumbers {
  const oh = Math.floor((ih + 2 * padH - fh) / strideH) + 1;
  const ow = Math.floor((iw + 2 * padW - fw) / strideW) + 1;
  return { b, ih, iw, c, oh, ow, fh, fw, strideH, strideW, padH, padW };
}

/** Geometries that every pooling kernel is checked and timed with. */
export const POOL_PROBLEMS: Readonly<Record<string, Case<PoolNumbers, never>>> = {
  one: { numbers: poolProblem(1, [1, 1], 1, [1, 1], [1, 1]) },
  "2×2/2": { numbers: poolProblem(2, [6, 8], 8, [2, 2], [2, 2]) },
  "3×3/2 padded": { numbers: poolProblem(2, [9, 8], 12, [3, 3], [2, 2], [1, 1]) },
  "3×2, stride 1 × 3": { numbers: poolProblem(1, [7, 11], 5, [3, 2], [1, 3], [2, 1]) },
  "stride above the window": { numbers: poolProblem(1, [10, 9], 4, [2, 1], [3, 4]) },
  "whole image": { numbers: poolProblem(3, [5, 7], 3, [5, 7], [1, 1]) },
  "3×3/2 64 @112": { numbers: poolProblem(2, [112, 112], 64, [3, 3], [2, 2], [1, 1]), bench: true },
  "2×2/2 16 @32": { numbers: poolProblem(32, [32, 32], 16, [2, 2], [2, 2]), bench: true },
};

/** Comparisons or additions. */
export function poolFlops({ b, oh, ow, c, fh, fw }: PoolNumbers): number {
  return b * oh * ow * c * fh * fw;
}
