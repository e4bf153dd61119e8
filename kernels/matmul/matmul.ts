// The descriptor of matrix multiplication.
import { ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { activationOf } from "../../src/kernel/special.ts";
import { libraries } from "../lib/index.ts";
import naive from "./matmul.naive.wgsl?raw";

/** C = act(A · B + bias) + residual for a batch of matrices; a batch of one is shared by all. Sums in f32. */
export const matmul = defineKernel({
  name: "matmul",
  doc: "C = act(A · B + bias) + residual for a batch of matrices; `ta`, `tb` read an operand transposed. Sums in f32.",
  dims: ["batch", "batchA", "batchB", "m", "n", "k"],
  flags: ["ta", "tb", "bias", "relu", "gelu", "silu", "residual"],
  args: {
    a: read("batchA", "m", "k"),
    b: read("batchB", "k", "n"),
    c: write("batch", "m", "n"),
    bias: when("bias", read("n")),
    residual: when("residual", read("batch", "m", "n")),
  },
  derive: ({ batchA, batchB }) => ({ batch: Math.max(batchA, batchB) }),
  libraries,
  variants: {
    naive: { source: naive, grid: ({ batch, m, n }) => [ceilDiv(n, 8), ceilDiv(m, 8), batch], tiles: {} },
  },
  flops: ({ batch, m, n, k }) => 2 * batch * m * n * k,
  builtins: { exp: 16, division: 2, erf: 1 },
  reference({ a, b, c, bias, residual }, { batch, batchA, batchB, m, n, k }, { round, has }) {
    const act = activationOf(has);
    for (let z = 0; z < batch; z++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          const za = batchA === 1 ? 0 : z;
          const zb = batchB === 1 ? 0 : z;
          let sum = 0;
          for (let p = 0; p < k; p++) {
            const x = a[has("ta") ? (za * k + p) * m + i : (za * m + i) * k + p]!;
            const y = b[has("tb") ? (zb * n + j) * k + p : (zb * k + p) * n + j]!;
            sum = round(sum + round(x * y));
          }
          if (has("bias")) sum = round(sum + bias[j]!);
          sum = round(act(sum));
          const at = (z * m + i) * n + j;
          c[at] = has("residual") ? round(sum + residual[at]!) : sum;
        }
  },
  epilogue: {
    output: "c",
    stages: [
      { name: "relu", flag: "relu" },
      { name: "gelu", flag: "gelu" },
      { name: "silu", flag: "silu" },
      { name: "residual", flag: "residual", arg: "residual" },
    ],
  },
  cases: {
    one: { numbers: { batchA: 1, batchB: 1, m: 1, n: 1, k: 1 } },
    ragged: { numbers: { batchA: 1, batchB: 1, m: 37, n: 29, k: 23 } },
    "transposed operands": { numbers: { batchA: 1, batchB: 1, m: 33, n: 20, k: 17 }, flags: ["ta", "tb"] },
    "dA of a linear layer": { numbers: { batchA: 1, batchB: 1, m: 24, n: 36, k: 40 }, flags: ["tb"] },
    "dB of a linear layer": { numbers: { batchA: 1, batchB: 1, m: 24, n: 36, k: 40 }, flags: ["ta"] },
    "bias relu": { numbers: { batchA: 1, batchB: 1, m: 19, n: 36, k: 12 }, flags: ["bias", "relu"] },
    "bias gelu residual": { numbers: { batchA: 1, batchB: 1, m: 20, n: 33, k: 12 }, flags: ["bias", "gelu", "residual"] },
    "silu batched": { numbers: { batchA: 3, batchB: 3, m: 9, n: 8, k: 12 }, flags: ["silu"] },
    "shared b": { numbers: { batchA: 3, batchB: 1, m: 9, n: 8, k: 12 } },
    "1024³": { numbers: { batchA: 1, batchB: 1, m: 1024, n: 1024, k: 1024 }, bench: true },
    "vit-s mlp": { numbers: { batchA: 1, batchB: 1, m: 788, n: 1536, k: 384 }, flags: ["bias", "gelu"], bench: true },
    "vit-s qkv": { numbers: { batchA: 1, batchB: 1, m: 788, n: 1152, k: 384 }, flags: ["bias"], bench: true },
  },
  gradient: "op",
});
