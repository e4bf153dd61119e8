// What the kernels over rows have in common: one lane, one subgroup or one workgroup for each row.
import { ceilDiv, type Traits } from "../../src/kernel/define.ts";

type Sizes = { readonly rows: number; readonly n: number };

/** One invocation per row, 64 to a workgroup. */
export function laneGrid({ rows }: Sizes): readonly [number, number, number] {
  return [ceilDiv(rows, 64), 1, 1];
}

/** One workgroup per row. */
export function rowGrid({ rows }: Sizes): readonly [number, number, number] {
  return [rows, 1, 1];
}

/** A variant in which the workgroup of a row is one subgroup, so that lanes meet without a barrier. */
export function subgroupPerRow(source: string) {
  return {
    source,
    grid: rowGrid,
    specialize: { WIDTH: (_: Sizes, { subgroupMin }: Traits) => subgroupMin },
    needs: ["subgroups"],
    legal: (_: Sizes, { subgroupMin, subgroupMax }: Traits) => subgroupMin === subgroupMax,
    tiles: { n: "WIDTH" },
  } as const;
}

/** A variant with a workgroup of any width for each row and a tree in workgroup memory. */
export function workgroupPerRow(source: string) {
  return { source, grid: rowGrid, params: { WIDTH: [32, 64, 128, 256] }, tiles: { n: "WIDTH" } } as const;
}

/** A variant with one invocation for each row, which reads vectors of four; 16 to a workgroup, so that few rows still keep every core busy. */
export function vectorsPerLane(source: string) {
  return { source, grid: ({ rows }: Sizes) => [ceilDiv(rows, 16), 1, 1] as const, legal: ({ n }: Sizes) => n % 4 === 0 } as const;
}
