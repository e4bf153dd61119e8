// The descriptor of multiplication by one number.
import { defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { elementGrid, inVectors, ROWS, vectorGrid } from "./pointwise.ts";
import naive from "./scale.naive.wgsl?raw";
import vector from "./scale.vector.wgsl?raw";

/** y = factor · x. */
export const scale = defineKernel({
  name: "scale",
  doc: "y = factor · x for a number known when the plan is made.",
  dims: ["n"],
  scalars: ["factor"],
  args: { x: read("n"), y: write("n") },
  variants: {
    naive: { source: naive, grid: elementGrid },
    vector: { source: vector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: ({ n }) => n,
  reference({ x, y }, { factor }, { round }) {
    for (let i = 0; i < x.length; i++) y[i] = round(round(factor) * x[i]!);
  },
  cases: {
    one: { numbers: { n: 1, factor: -1 } },
    ragged: { numbers: { n: 1028, factor: 0.3 } },
    "788×1536": { numbers: { n: 788 * 1536, factor: 0.3 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});
