// The descriptors of summed squared differences and of their gradient.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { elementGrid, inVectors, ROWS, vectorGrid } from "../pointwise/pointwise.ts";
import daNaive from "./squared_error_da.naive.wgsl?raw";
import daVector from "./squared_error_da.vector.wgsl?raw";
import naive from "./squared_error.naive.wgsl?raw";
import vector from "./squared_error.vector.wgsl?raw";

/** y[p] = Σₖ (a − b)² at the elements p + k·parts, in f32; the sum of y is the whole. */
export const squaredError = defineKernel({
  name: "squared_error",
  doc: "y[p] = Σₖ (a[p + k·parts] − b[p + k·parts])² in f32; 1 ≤ parts ≤ n. The sum of y is the whole sum of squared differences.",
  dims: ["n", "parts"],
  args: { a: read("n"), b: read("n"), y: as("f32", write("parts")) },
  variants: {
    naive: { source: naive, grid: ({ parts }) => [ceilDiv(parts, 64), 1, 1] },
    vector: { source: vector, grid: ({ parts }) => [ceilDiv(parts / 4, 64), 1, 1], legal: ({ n, parts }) => n % 4 === 0 && parts % 4 === 0 },
  },
  flops: ({ n }) => 3 * n,
  reference({ a, b, y }, { n, parts }, { round }) {
    y.fill(0);
    for (let i = 0; i < n; i++) {
      const d = round(a[i]! - b[i]!);
      y[i % parts] = round(y[i % parts]! + round(d * d));
    }
  },
  cases: {
    one: { numbers: { n: 1, parts: 1 } },
    ragged: { numbers: { n: 131, parts: 7 } },
    vectors: { numbers: { n: 1028, parts: 32 } },
    "788×1536": { numbers: { n: 788 * 1536, parts: 8192 }, bench: true },
  },
  free: { n: "parts" },
  gradient: "op",
});

/** da = dy · factor · (a − b) for the one number dy. */
export const squaredErrorDa = defineKernel({
  name: "squared_error_da",
  doc: "da = dy · factor · (a − b) for one number dy on the device.",
  dims: ["n"],
  scalars: ["factor"],
  args: { a: read("n"), b: read("n"), dy: as("f32", read(1)), da: write("n") },
  variants: {
    naive: { source: daNaive, grid: elementGrid },
    vector: { source: daVector, grid: vectorGrid, legal: inVectors, params: ROWS },
  },
  flops: ({ n }) => 2 * n,
  reference({ a, b, dy, da }, { factor }, { round }) {
    const f = round(dy[0]! * round(factor));
    for (let i = 0; i < da.length; i++) da[i] = round(f * round(a[i]! - b[i]!));
  },
  cases: {
    one: { numbers: { n: 1, factor: 2 } },
    ragged: { numbers: { n: 131, factor: 2 / 131 } },
    vectors: { numbers: { n: 1028, factor: 2 / 1028 } },
    "788×1536": { numbers: { n: 788 * 1536, factor: 1e-6 }, bench: true },
  },
  free: { n: 1 },
  gradient: "op",
});
