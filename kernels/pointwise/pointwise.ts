// What the kernels over single elements have in common: their grids, and when vectors fit.
import { ceilDiv, type Constants } from "../../src/kernel/define.ts";

type Sizes = { readonly n: number };

/** One invocation per element, 64 to a workgroup. */
export function elementGrid({ n }: Sizes): readonly [number, number, number] {
  return [ceilDiv(n, 64), 1, 1];
}

/** One invocation per four elements in each of ROWS rows. */
export function vectorGrid({ n }: Sizes, constant: Constants): readonly [number, number, number] {
  return [ceilDiv(ceilDiv(n / 4, constant("ROWS")), 64), 1, 1];
}

/** Whether all elements lie in whole vectors of four. */
export function inVectors({ n }: Sizes): boolean {
  return n % 4 === 0;
}

/** Values of ROWS that are worth trying. */
export const ROWS = { ROWS: [1, 4, 8] } as const;
