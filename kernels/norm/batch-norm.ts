// The descriptors of batch normalisation with given statistics: forward, gradient of its input, sums for those of its parameters.
import { as, ceilDiv, type Choice, type Constants, defineKernel, read, type Traits, when, write } from "../../src/kernel/define.ts";
import { ACTIVATION_STAGES, RESIDUAL_STAGE, activationOf } from "../../src/kernel/special.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import dxNaive from "./batch-norm-dx.naive.wgsl?raw";
import dxVec4 from "./batch-norm-dx.vec4.wgsl?raw";
import sumsNaive from "./batch-norm-sums.naive.wgsl?raw";
import sumsVec4 from "./batch-norm-sums.vec4.wgsl?raw";
import naive from "./batch-norm.naive.wgsl?raw";
import vec4 from "./batch-norm.vec4.wgsl?raw";

interface Rows {
  readonly rows: number;
  readonly c: number;
}

const perElement = { grid: ({ rows, c }: Rows) => [ceilDiv(rows * c, 64), 1, 1] as const };
const perFour = {
  grid: ({ rows, c }: Rows, constant: Constants) => [ceilDiv((c / 4) * ceilDiv(rows, constant("ROWS")), 64), 1, 1] as const,
  params: { ROWS: [1, 4, 16, 64] },
  legal: ({ c }: Rows) => c % 4 === 0,
  tiles: { rows: "ROWS" },
};
// A strip of rows reads the statistics once, which is what counts on processors; GPUs want the invocations.
const choose = (_: Rows, { barriers }: Traits): readonly Choice[] => [barriers === "cheap" ? { variant: "vec4", params: { ROWS: 4 } } : { variant: "vec4" }];
const positive = (random: () => number) => 0.25 + random();

/** y = act((x − mean)/√(variance + eps) · gamma + beta + residual) with statistics of each column (Ioffe and Szegedy 2015). */
export const batchNorm = defineKernel({
  name: "batch-norm",
  doc: "y = act((x − mean)/√(variance + eps) · gamma + beta + residual) with the statistics of each column. Statistics and parameters f32.",
  dims: ["rows", "c"],
  scalars: ["eps"],
  flags: ["residual", "relu", "gelu", "silu"],
  args: {
    x: read("rows", "c"),
    mean: as("f32", read("c")),
    variance: as("f32", read("c")),
    gamma: as("f32", read("c")),
    beta: as("f32", read("c")),
    y: write("rows", "c"),
    residual: when("residual", read("rows", "c")),
  },
  libraries,
  variants: { naive: { ...perElement, source: naive }, vec4: { ...perFour, source: vec4 } },
  choose,
  flops: ({ rows, c }) => 6 * rows * c,
  // silu's exponential and quotient, gelu's approximation; arguments stay within ±6.
  builtins: { inverseSqrt: 1, exp: 6, division: 2, erf: 1 },
  inputs: { variance: positive },
  reference({ x, mean, variance, gamma, beta, y, residual }, { rows, c, eps }, { round, has }) {
    const act = activationOf(has);
    for (let e = 0; e < rows * c; e++) {
      const j = e % c;
      const s = round(1 / Math.sqrt(round(variance[j]! + eps)));
      let v = round(round(round(round(x[e]! - mean[j]!) * s) * gamma[j]!) + beta[j]!);
      if (has("residual")) v = round(v + residual[e]!);
      y[e] = round(act(v));
    }
  },
  // The order of a residual block: add what came around it, then the activation.
  epilogue: { output: "y", stages: [RESIDUAL_STAGE, ...ACTIVATION_STAGES] },
  cases: {
    one: { numbers: { rows: 1, c: 1, eps: 1e-5 } },
    ragged: { numbers: { rows: 19, c: 37, eps: 1e-5 } },
    "relu, c 36": { numbers: { rows: 21, c: 36, eps: 1e-5 }, flags: ["relu"] },
    "residual relu, c 36": { numbers: { rows: 21, c: 36, eps: 1e-5 }, flags: ["residual", "relu"] },
    "gelu, c 8": { numbers: { rows: 21, c: 8, eps: 1e-5 }, flags: ["gelu"] },
    "silu, c 8": { numbers: { rows: 21, c: 8, eps: 1e-5 }, flags: ["silu"] },
    "r50 stage 1": { numbers: { rows: 12544, c: 64, eps: 1e-5 }, flags: ["residual", "relu"], bench: true },
  },
  free: { rows: 1, c: 1 },
  split: splitAlong("rows"),
  gradient: "op",
});

/** First stage of dGamma = Σ dy · x̂ and dBeta = Σ dy over the rows: one row of results for each part. */
export const batchNormSums = defineKernel({
  name: "batch-norm-sums",
  doc: "dGamma = Σ dy · x̂ and dBeta = Σ dy over rows p, p + parts, … for each part p: the first stage of both sums; 1 ≤ parts ≤ rows. From `first` rows on they add to what is there.",
  dims: ["rows", "c", "parts", "first"],
  derive: () => ({ first: 0 }),
  scalars: ["eps"],
  args: {
    x: read("rows", "c"),
    dy: read("rows", "c"),
    mean: as("f32", read("c")),
    variance: as("f32", read("c")),
    dGamma: as("f32", write("parts", "c")),
    dBeta: as("f32", write("parts", "c")),
  },
  variants: {
    naive: { source: sumsNaive, grid: ({ c, parts }) => [ceilDiv(c * parts, 64), 1, 1] },
    vec4: { source: sumsVec4, grid: ({ c, parts }) => [ceilDiv((c / 4) * parts, 64), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: ({ rows, c }) => 5 * rows * c,
  builtins: { inverseSqrt: 1 },
  inputs: { variance: positive },
  reference({ x, dy, mean, variance, dGamma, dBeta }, { rows, c, parts, first, eps }, { round }) {
    if (first === 0) {
      dGamma.fill(0);
      dBeta.fill(0);
    }
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < c; j++) {
        const at = (r % parts) * c + j;
        const s = round(1 / Math.sqrt(round(variance[j]! + eps)));
        const g = dy[r * c + j]!;
        dGamma[at] = round(dGamma[at]! + round(g * round(round(x[r * c + j]! - mean[j]!) * s)));
        dBeta[at] = round(dBeta[at]! + g);
      }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, parts: 1, eps: 1e-5 } },
    ragged: { numbers: { rows: 67, c: 37, parts: 5, eps: 1e-5 } },
    "c 52": { numbers: { rows: 70, c: 52, parts: 8, eps: 1e-5 } },
    "r50 stage 1": { numbers: { rows: 12544, c: 64, parts: 128, eps: 1e-5 }, bench: true },
  },
  free: { rows: "parts", c: 1 },
  split: splitAlong("rows", { step: ({ parts }) => parts!, numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "a part of the backward pass of batchNorm" },
});

/** dx = gamma · s · dy with s = 1/√(variance + eps), less what flows through the statistics where they are the batch's own. */
export const batchNormDx = defineKernel({
  name: "batch-norm-dx",
  doc: "dx = gamma · s · dy with s = 1/√(variance + eps); with `batch`, dx = gamma · s · (dy − dBeta/total − x̂ · dGamma/total), total the rows of the whole batch.",
  dims: ["rows", "c", "total"],
  derive: ({ rows }) => ({ total: rows }),
  scalars: ["eps"],
  flags: ["batch"],
  args: {
    dy: read("rows", "c"),
    variance: as("f32", read("c")),
    gamma: as("f32", read("c")),
    dx: write("rows", "c"),
    x: when("batch", read("rows", "c")),
    mean: when("batch", as("f32", read("c"))),
    dGamma: when("batch", as("f32", read("c"))),
    dBeta: when("batch", as("f32", read("c"))),
  },
  variants: { naive: { ...perElement, source: dxNaive }, vec4: { ...perFour, source: dxVec4 } },
  choose,
  flops: ({ rows, c }) => 9 * rows * c,
  builtins: { inverseSqrt: 2, division: 1 },
  inputs: { variance: positive },
  reference({ dy, variance, gamma, dx, x, mean, dGamma, dBeta }, { rows, c, total, eps }, { round, has }) {
    for (let e = 0; e < rows * c; e++) {
      const j = e % c;
      const s = round(1 / Math.sqrt(round(variance[j]! + eps)));
      let g = dy[e]!;
      if (has("batch")) {
        const normal = round(round(x[e]! - mean[j]!) * s);
        g = round(g - round(round(dBeta[j]! + round(normal * dGamma[j]!)) / total));
      }
      dx[e] = round(round(g * s) * gamma[j]!);
    }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, eps: 1e-5 } },
    "ragged, batch": { numbers: { rows: 19, c: 37, eps: 1e-5 }, flags: ["batch"] },
    "c 36": { numbers: { rows: 21, c: 36, eps: 1e-5 } },
    "c 36, batch": { numbers: { rows: 21, c: 36, eps: 1e-5 }, flags: ["batch"] },
    "r50 stage 1": { numbers: { rows: 12544, c: 64, eps: 1e-5 }, flags: ["batch"], bench: true },
  },
  free: { rows: 1, c: 1 },
  split: splitAlong("rows"),
  gradient: { none: "a part of the backward pass of batchNorm" },
});
