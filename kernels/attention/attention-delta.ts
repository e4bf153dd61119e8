// The descriptor of the row sums that the backward pass of attention begins with.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./attention-delta.naive.wgsl?raw";
import vec4 from "./attention-delta.vec4.wgsl?raw";

/** delta = Σ_c out · dOut: what softmax's backward pass subtracts (Dao et al., FlashAttention, 2022, appendix B). */
export const attentionDelta = defineKernel({
  name: "attention-delta",
  doc: "delta = Σ_c out · dOut over each head of each query: what the backward pass of softmax subtracts.",
  dims: ["b", "h", "n", "d"],
  args: { out: read("b", "n", "h", "d"), dOut: read("b", "n", "h", "d"), delta: as("f32", write("b", "h", "n")) },
  variants: {
    naive: { source: naive, grid: ({ b, h, n }) => [ceilDiv(n, 64), h, b] },
    vec4: { source: vec4, grid: ({ b, h, n }) => [ceilDiv(n, 64), h, b], legal: ({ d }) => d % 4 === 0 },
  },
  flops: ({ b, h, n, d }) => 2 * b * h * n * d,
  reference({ out, dOut, delta }, { b, h, n, d }, { round }) {
    for (let z = 0; z < b; z++)
      for (let y = 0; y < h; y++)
        for (let i = 0; i < n; i++) {
          const at = ((z * n + i) * h + y) * d;
          let sum = 0;
          for (let c = 0; c < d; c++) sum = round(sum + round(out[at + c]! * dOut[at + c]!));
          delta[(z * h + y) * n + i] = sum;
        }
  },
  cases: {
    one: { numbers: { b: 1, h: 1, n: 1, d: 1 } },
    ragged: { numbers: { b: 2, h: 3, n: 67, d: 7 } },
    "d 64": { numbers: { b: 2, h: 3, n: 19, d: 64 } },
    "vit-s 224, batch 2": { numbers: { b: 2, h: 6, n: 197, d: 64 }, bench: true },
  },
  free: { b: 1, h: 1, n: 1, d: 1 },
  split: splitAlong("b"),
  gradient: { none: "a part of the backward pass of attention" },
});
