// The descriptor of fused attention.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import blockSource from "./attention.block.wgsl?raw";
import columnsSource from "./attention.columns.wgsl?raw";
import matrix from "./attention.matrix.wgsl?raw";
import naive from "./attention.naive.wgsl?raw";
import { block, chooseAttention, columns, matrixHeads } from "./variants.ts";

/** softmax(q kᵀ · scale) v for each head, without the n × m matrix; `lse` is the log of each row's sum of exponentials. */
export const attention = defineKernel({
  name: "attention",
  doc: "out = softmax(q kᵀ · scale) v for each head, streamed over the keys with an online log-sum-exp: no n × m matrix exists. d ≤ 128.",
  dims: ["b", "h", "n", "m", "d"],
  scalars: ["scale"],
  args: {
    q: read("b", "n", "h", "d"),
    k: read("b", "m", "h", "d"),
    v: read("b", "m", "h", "d"),
    out: write("b", "n", "h", "d"),
    lse: as("f32", write("b", "h", "n")),
  },
  variants: {
    naive: { source: naive, grid: ({ b, h, n }) => [ceilDiv(n, 64), h, b] },
    columns: { ...columns, source: columnsSource, grid: ({ b, h, n }, constant) => [ceilDiv(n, constant("WIDTH")), h, b], tiles: { n: "WIDTH" } },
    block: { ...block, source: blockSource, grid: ({ b, h, n }, constant) => [ceilDiv(n, constant("ROWS")), h, b], tiles: { n: "ROWS", m: "STEP" } },
    ...matrixHeads(matrix, "n", 1),
  },
  choose: chooseAttention,
  libraries,
  flops: ({ b, h, n, m, d }) => 4 * b * h * n * m * d,
  // A weight that matters is a chain of exponentials: its own and one per growth of the maximum. Scores lie within ±30 in the cases, so
  // the exponents add up to at most 60, and about ten growths are seen: 11 · 3 ulp + 2 · 60 ulp = (3 + 2 · 75) ulp.
  builtins: { exp: 75, log: 1, division: 1 },
  reference({ q, k, v, out, lse }, { b, h, n, m, d, scale }, { round }) {
    for (let z = 0; z < b; z++)
      for (let y = 0; y < h; y++)
        for (let i = 0; i < n; i++) {
          const atQ = ((z * n + i) * h + y) * d;
          const atK = (j: number) => ((z * m + j) * h + y) * d;
          const scores = Array.from({ length: m }, (_, j) => {
            let s = 0;
            for (let c = 0; c < d; c++) s = round(s + round(q[atQ + c]! * k[atK(j) + c]!));
            return round(s * scale);
          });
          const highest = scores.reduce((a, s) => Math.max(a, s), -Infinity);
          const weights = scores.map((s) => round(Math.exp(round(s - highest))));
          const sum = weights.reduce((a, p) => round(a + p), 0);
          for (let c = 0; c < d; c++) {
            let a = 0;
            for (let j = 0; j < m; j++) a = round(a + round(weights[j]! * v[atK(j) + c]!));
            out[atQ + c] = round(a / sum);
          }
          lse[(z * h + y) * n + i] = round(highest + round(Math.log(sum)));
        }
  },
  cases: {
    one: { numbers: { b: 1, h: 1, n: 1, m: 1, d: 1, scale: 1 } },
    ragged: { numbers: { b: 2, h: 3, n: 19, m: 37, d: 7, scale: 0.378 } },
    "self, d 32": { numbers: { b: 2, h: 2, n: 41, m: 41, d: 32, scale: 0.177 } },
    "d 20, most of a row's lanes idle": { numbers: { b: 1, h: 2, n: 9, m: 18, d: 20, scale: 0.5 } },
    "few queries, d 64": { numbers: { b: 1, h: 3, n: 3, m: 133, d: 64, scale: 0.125 } },
    "large scores": { numbers: { b: 1, h: 1, n: 12, m: 70, d: 64, scale: 3 } },
    "d 128": { numbers: { b: 1, h: 1, n: 9, m: 19, d: 128, scale: 0.0884 } },
    "vit-s 224, batch 2": { numbers: { b: 2, h: 6, n: 197, m: 197, d: 64, scale: 0.125 }, bench: true },
    "vit-s 1025 tokens": { numbers: { b: 1, h: 6, n: 1025, m: 1025, d: 64, scale: 0.125 }, bench: true },
  },
  free: { b: 1, h: 1, n: 1, m: 1 },
  split: splitAlong("b"),
  gradient: "op",
});
