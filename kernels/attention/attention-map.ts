// The descriptor of the attention map.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./attention-map.naive.wgsl?raw";
import vec4 from "./attention-map.vec4.wgsl?raw";

/** p = exp(scale q kᵀ − lse): the weights that the fused kernel never stores, for those who want to look at them. */
export const attentionMap = defineKernel({
  name: "attention-map",
  doc: "p = exp(scale q · k − lse) for each head, query and key: rows of weights that add up to 1. From the log-sum-exp of `attention`.",
  dims: ["b", "h", "n", "m", "d"],
  scalars: ["scale"],
  args: { q: read("b", "n", "h", "d"), k: read("b", "m", "h", "d"), lse: as("f32", read("b", "h", "n")), p: as("f32", write("b", "h", "n", "m")) },
  variants: {
    naive: { source: naive, grid: ({ b, h, n, m }) => [ceilDiv(m, 64), n, b * h] },
    vec4: { source: vec4, grid: ({ b, h, n, m }) => [ceilDiv(m, 64), n, b * h], legal: ({ d }) => d % 4 === 0 },
  },
  flops: ({ b, h, n, m, d }) => 2 * b * h * n * m * d,
  // |score − lse| stays below log m + 3 < 8 in the cases.
  builtins: { exp: 8 },
  inputs: { lse: (random, _, { m = 1 }) => Math.log(m) + random() },
  reference({ q, k, lse, p }, { b, h, n, m, d, scale }, { round }) {
    for (let z = 0; z < b; z++)
      for (let y = 0; y < h; y++)
        for (let i = 0; i < n; i++)
          for (let j = 0; j < m; j++) {
            const row = (z * h + y) * n + i;
            let s = 0;
            for (let c = 0; c < d; c++) s = round(s + round(q[((z * n + i) * h + y) * d + c]! * k[((z * m + j) * h + y) * d + c]!));
            p[row * m + j] = round(Math.exp(round(round(s * scale) - lse[row]!)));
          }
  },
  cases: {
    one: { numbers: { b: 1, h: 1, n: 1, m: 1, d: 1, scale: 1 } },
    ragged: { numbers: { b: 2, h: 3, n: 5, m: 67, d: 7, scale: 0.378 } },
    "d 64": { numbers: { b: 2, h: 2, n: 3, m: 70, d: 64, scale: 0.125 } },
    "one query over 1024 tokens": { numbers: { b: 1, h: 6, n: 1, m: 1024, d: 64, scale: 0.125 }, bench: true },
  },
  free: { b: 1, h: 1, n: 1, m: 1 },
  split: splitAlong("b"),
  gradient: { none: "the map is exported for looking at; attention itself is what is differentiated" },
});
