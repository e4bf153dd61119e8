// The descriptor of the gradient through L2 normalisation of rows.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import naive from "./unit-rows-dx.naive.wgsl?raw";
import vec4 from "./unit-rows-dx.vec4.wgsl?raw";

/** Gradient through `unit_rows`; `mean` also applies what a mean over anchors does to a sum's gradient. */
export const unitRowsDx = defineKernel({
  name: "unit_rows_dx",
  doc: "dx_i = f · inverse_i · (dy_i − y_i ⟨y_i, dy_i⟩); `mean`: f = upstream / anchors, 0 where there are none; else 1.",
  dims: ["n", "d"],
  flags: ["mean"],
  dtypes: ["f32"],
  args: {
    dy: read("n", "d"),
    y: read("n", "d"),
    inverse: as("f32", read("n")),
    upstream: when("mean", as("f32", read(1))),
    anchors: when("mean", as("f32", read(1))),
    dx: write("n", "d"),
  },
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
  flops: ({ n, d }) => 5 * n * d,
  builtins: { division: 1 },
  inputs: { inverse: (random) => random(), anchors: (_, __, { n }) => n - 1 },
  reference({ dy, y, inverse, upstream, anchors, dx }, { n, d }, { round, has }) {
    const mean = !has("mean") ? 1 : anchors[0]! > 0 ? round(upstream[0]! / anchors[0]!) : 0;
    for (let i = 0; i < n; i++) {
      const f = round(inverse[i]! * mean);
      let along = 0;
      for (let k = 0; k < d; k++) along = round(along + round(y[i * d + k]! * dy[i * d + k]!));
      for (let k = 0; k < d; k++) dx[i * d + k] = round(f * round(dy[i * d + k]! - round(y[i * d + k]! * along)));
    }
  },
  cases: {
    "no anchors": { numbers: { n: 1, d: 4 }, flags: ["mean"] },
    odd: { numbers: { n: 37, d: 5 } },
    mean: { numbers: { n: 40, d: 12 }, flags: ["mean"] },
    "512 × 128": { numbers: { n: 512, d: 128 }, flags: ["mean"], bench: true },
  },
  free: { n: 1, d: 1 },
  gradient: { none: "is itself a gradient; second derivatives are not used" },
});
