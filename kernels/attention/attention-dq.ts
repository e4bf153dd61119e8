// The descriptor of the gradient of attention with respect to its queries.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import blockSource from "./attention-dq.block.wgsl?raw";
import columnsSource from "./attention-dq.columns.wgsl?raw";
import matrix from "./attention-dq.matrix.wgsl?raw";
import naive from "./attention-dq.naive.wgsl?raw";
import { block, chooseAttention, columns, matrixHeads } from "./variants.ts";

/** dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j, with p recomputed from `lse`. */
export const attentionDq = defineKernel({
  name: "attention-dq",
  doc: "dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j, where p_ij = exp(scale q_i · k_j − lse_i) is recomputed: no n × m matrix, no atomics. d ≤ 128.",
  dims: ["b", "h", "n", "m", "d"],
  scalars: ["scale"],
  args: {
    q: read("b", "n", "h", "d"),
    k: read("b", "m", "h", "d"),
    v: read("b", "m", "h", "d"),
    dOut: read("b", "n", "h", "d"),
    lse: as("f32", read("b", "h", "n")),
    delta: as("f32", read("b", "h", "n")),
    dq: write("b", "n", "h", "d"),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ b, h, n }) => [ceilDiv(n, 64), h, b] },
    columns: { ...columns, source: columnsSource, grid: ({ b, h, n }, constant) => [ceilDiv(n, constant("WIDTH")), h, b], tiles: { n: "WIDTH" } },
    block: { ...block, source: blockSource, grid: ({ b, h, n }, constant) => [ceilDiv(n, constant("ROWS")), h, b], tiles: { n: "ROWS", m: "STEP" } },
    ...matrixHeads(matrix, "n", 2),
  },
  choose: chooseAttention,
  flops: ({ b, h, n, m, d }) => 6 * b * h * n * m * d,
  // |score − lse| stays below log m + 3 < 8 in the cases.
  builtins: { exp: 8 },
  inputs: { lse: (random, _, { m = 1 }) => Math.log(m) + random() },
  reference({ q, k, v, dOut, lse, delta, dq }, { b, h, n, m, d, scale }, { round }) {
    dq.fill(0);
    for (let z = 0; z < b; z++)
      for (let y = 0; y < h; y++)
        for (let i = 0; i < n; i++)
          for (let j = 0; j < m; j++) {
            const atQ = ((z * n + i) * h + y) * d;
            const atK = ((z * m + j) * h + y) * d;
            const row = (z * h + y) * n + i;
            let s = 0;
            let dp = 0;
            for (let c = 0; c < d; c++) {
              s = round(s + round(q[atQ + c]! * k[atK + c]!));
              dp = round(dp + round(dOut[atQ + c]! * v[atK + c]!));
            }
            const p = round(Math.exp(round(round(s * scale) - lse[row]!)));
            const ds = round(round(p * round(dp - delta[row]!)) * scale);
            for (let c = 0; c < d; c++) dq[atQ + c] = round(dq[atQ + c]! + round(ds * k[atK + c]!));
          }
  },
  cases: {
    one: { numbers: { b: 1, h: 1, n: 1, m: 1, d: 1, scale: 1 } },
    ragged: { numbers: { b: 2, h: 3, n: 19, m: 37, d: 7, scale: 0.378 } },
    "self, d 32": { numbers: { b: 2, h: 2, n: 41, m: 41, d: 32, scale: 0.177 } },
    "d 20, most of a row's lanes idle": { numbers: { b: 1, h: 2, n: 18, m: 11, d: 20, scale: 0.5 } },
    "d 40": { numbers: { b: 1, h: 3, n: 9, m: 13, d: 40, scale: 0.158 } },
    "vit-s 224, batch 2": { numbers: { b: 2, h: 6, n: 197, m: 197, d: 64, scale: 0.125 }, bench: true },
  },
  free: { b: 1, h: 1, n: 1, m: 1 },
  split: splitAlong("b"),
  gradient: { none: "a part of the backward pass of attention" },
});
