// The descriptor of L2 normalisation of rows.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./unit-rows.naive.wgsl?raw";
import vec4 from "./unit-rows.vec4.wgsl?raw";

/** Rows of length 1; a row whose squares sum to no more than 1e-30 becomes zeros, with inverse norm 0. */
export const unitRows = defineKernel({
  name: "unit_rows",
  doc: "y_i = x_i / |x_i| with the inverse norm saved; a row of zeros stays zeros.",
  dims: ["n", "d"],
  dtypes: ["f32"],
  args: { x: read("n", "d"), y: write("n", "d"), inverse: as("f32", write("n")) },
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: {
      source: vec4,
      grid: ({ n }, constant) => [ceilDiv(n, constant("LANES")), 1, 1],
      params: { LANES: [8, 32, 64] },
      legal: ({ d }) => d % 4 === 0,
      tiles: { n: "LANES" },
    },
  },
  flops: ({ n, d }) => 3 * n * d,
  builtins: { inverseSqrt: 1 },
  reference({ x, y, inverse }, { n, d }, { round }) {
    for (let i = 0; i < n; i++) {
      let squares = 0;
      for (let k = 0; k < d; k++) squares = round(squares + round(x[i * d + k]! ** 2));
      inverse[i] = squares > 1e-30 ? round(1 / round(Math.sqrt(squares))) : 0;
      for (let k = 0; k < d; k++) y[i * d + k] = round(x[i * d + k]! * inverse[i]!);
    }
  },
  // The second row is zeros.
  inputs: { x: (random, index, { d }) => (Math.floor(index / d) === 1 ? 0 : 2 * random() - 1) },
  cases: {
    one: { numbers: { n: 1, d: 1 } },
    odd: { numbers: { n: 37, d: 5 } },
    even: { numbers: { n: 40, d: 12 } },
    "512 × 128": { numbers: { n: 512, d: 128 }, bench: true },
  },
  free: { n: 1, d: 1 },
  gradient: "op",
});
