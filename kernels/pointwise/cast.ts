// The descriptors of conversions between f32 and the element type in use.
import { as, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { elementGrid, inVectors, ROWS, vectorGrid } from "./pointwise.ts";
import narrowNaive from "./narrow.naive.wgsl?raw";
import narrowVector from "./narrow.vector.wgsl?raw";
import widenNaive from "./widen.naive.wgsl?raw";
import widenVector from "./widen.vector.wgsl?raw";

const cases = {
  one: { numbers: { n: 1 } },
  ragged: { numbers: { n: 131 } },
  vectors: { numbers: { n: 1028 } },
  "788×1536": { numbers: { n: 788 * 1536 }, bench: true },
} as const;

/** y = x, from f32 to the element type: rounded as the device rounds. */
export const narrow = defineKernel({
  name: "narrow",
  doc: "y = x, from f32 to the element type. Beyond the range of f16 the result is infinite or undefined.",
  dims: ["n"],
  args: { x: as("f32", read("n")), y: write("n") },
  variants: {
    naive: { source: narrowNaive, grid: elementGrid },
    vector: { source: narrowVector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: () => 0,
  reference({ x, y }) {
    y.set(x);
  },
  cases,
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});

/** y = x, from the element type to f32: exact. */
export const widen = defineKernel({
  name: "widen",
  doc: "y = x, from the element type to f32: exact.",
  dims: ["n"],
  args: { x: read("n"), y: as("f32", write("n")) },
  variants: {
    naive: { source: widenNaive, grid: elementGrid },
    vector: { source: widenVector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: () => 0,
  reference({ x, y }) {
    y.set(x);
  },
  cases,
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});
