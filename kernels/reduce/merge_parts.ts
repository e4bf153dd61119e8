// The descriptor of the second stage of long sums of products: their parts added.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { ACTIVATION_STAGES, RESIDUAL_STAGE, activationOf } from "../../src/kernel/special.ts";
import { libraries } from "../lib/index.ts";
import naive from "./merge_parts.naive.wgsl?raw";
import vec4 from "./merge_parts.vec4.wgsl?raw";

/** y = act(Σ parts + bias) + residual: parts of a product of matrices or of filters' gradients added in their order, which is the same on every device. */
export const mergeParts = defineKernel({
  name: "merge_parts",
  doc: "y = act(Σ_s parts[s] + bias) + residual: what a kernel summed in parts, added in their order. Sums in f32.",
  dims: ["splits", "rows", "n"],
  flags: ["bias", "relu", "gelu", "silu", "residual"],
  args: { parts: as("f32", read("splits", "rows", "n")), y: write("rows", "n"), bias: when("bias", read("n")), residual: when("residual", read("rows", "n")) },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ rows, n }) => [ceilDiv(rows * n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ rows, n }) => [ceilDiv(rows * n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ splits, rows, n }) => splits * rows * n,
  builtins: { exp: 16, division: 2, erf: 1 },
  reference({ parts, y, bias, residual }, { splits, rows, n }, { round, has }) {
    const act = activationOf(has);
    for (let i = 0; i < rows * n; i++) {
      let sum = 0;
      for (let s = 0; s < splits; s++) sum = round(sum + parts[s * rows * n + i]!);
      if (has("bias")) sum = round(sum + bias[i % n]!);
      sum = round(act(sum));
      y[i] = has("residual") ? round(sum + residual[i]!) : sum;
    }
  },
  epilogue: { output: "y", stages: [...ACTIVATION_STAGES, RESIDUAL_STAGE] },
  cases: {
    one: { numbers: { splits: 1, rows: 1, n: 1 } },
    ragged: { numbers: { splits: 7, rows: 9, n: 37 } },
    "fours, more parts than are read at once": { numbers: { splits: 21, rows: 6, n: 172 } },
    "bias, relu, residual": { numbers: { splits: 5, rows: 11, n: 68 }, flags: ["bias", "relu", "residual"] },
    "bias, gelu": { numbers: { splits: 3, rows: 7, n: 12 }, flags: ["bias", "gelu"] },
    silu: { numbers: { splits: 8, rows: 5, n: 20 }, flags: ["silu"] },
    "3×3 64→64": { numbers: { splits: 30, rows: 576, n: 64 }, bench: true },
    "256 parts of 64×64": { numbers: { splits: 256, rows: 64, n: 64 }, bench: true },
  },
  free: { splits: 1, rows: 1, n: 1 },
  gradient: { none: "the second stage of products, whose rules are theirs" },
});
