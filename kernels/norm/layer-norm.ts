// The descriptors of layer normalisation: forward, gradient of its input, and sums for the gradients of its parameters.
import { as, ceilDiv, defineKernel, read, type Choice, type Traits, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import dxLane from "./layer-norm-dx.lane.wgsl?raw";
import dxNaive from "./layer-norm-dx.naive.wgsl?raw";
import dxWorkgroup from "./layer-norm-dx.workgroup.wgsl?raw";
import sumsNaive from "./layer-norm-sums.naive.wgsl?raw";
import sumsVec4 from "./layer-norm-sums.vec4.wgsl?raw";
import lane from "./layer-norm.lane.wgsl?raw";
import naive from "./layer-norm.naive.wgsl?raw";
import workgroup from "./layer-norm.workgroup.wgsl?raw";

interface Rows {
  readonly rows: number;
  readonly c: number;
}

const perRow = {
  naive: { grid: ({ rows }: Rows) => [ceilDiv(rows, 64), 1, 1] as const },
  lane: { grid: ({ rows }: Rows) => [ceilDiv(rows, 64), 1, 1] as const, legal: ({ c }: Rows) => c % 4 === 0 },
  workgroup: { grid: ({ rows }: Rows) => [rows, 1, 1] as const, params: { WIDTH: [32, 64, 128, 256] }, tiles: { c: "WIDTH" } },
};
const choose = (_: Rows, { barriers }: Traits): readonly Choice[] => [{ variant: barriers === "cheap" ? "workgroup" : "lane" }];

/** y = (x − mean) · rstd · gamma + beta for each row (Ba, Kiros and Hinton 2016); the statistics are kept for the backward pass. */
export const layerNorm = defineKernel({
  name: "layer-norm",
  doc: "y = (x − mean) · rstd · gamma + beta for each row, rstd = 1/√(variance + eps), variance divided by c. Never E[x²] − E[x]². Statistics and parameters f32.",
  dims: ["rows", "c"],
  scalars: ["eps"],
  args: {
    x: read("rows", "c"),
    gamma: as("f32", read("c")),
    beta: as("f32", read("c")),
    y: write("rows", "c"),
    mean: as("f32", write("rows")),
    rstd: as("f32", write("rows")),
  },
  libraries,
  variants: { naive: { ...perRow.naive, source: naive }, lane: { ...perRow.lane, source: lane }, workgroup: { ...perRow.workgroup, source: workgroup } },
  choose,
  flops: ({ rows, c }) => 8 * rows * c,
  builtins: { inverseSqrt: 1, division: 2 },
  // A mean far above the spread shows a variance that was taken as a difference of squares.
  inputs: { x: (random) => 4 + 2 * random() },
  reference({ x, gamma, beta, y, mean, rstd }, { rows, c, eps }, { round }) {
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * c, (r + 1) * c);
      const m = round(row.reduce((sum, v) => round(sum + v), 0) / c);
      const squares = row.reduce((sum, v) => round(sum + round(round(v - m) ** 2)), 0);
      const s = round(1 / Math.sqrt(round(round(squares / c) + eps)));
      row.forEach((v, j) => (y[r * c + j] = round(round(round(round(v - m) * s) * gamma[j]!) + beta[j]!)));
      mean[r] = m;
      rstd[r] = s;
    }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, eps: 1e-5 } },
    ragged: { numbers: { rows: 67, c: 37, eps: 1e-5 } },
    "c 52": { numbers: { rows: 70, c: 52, eps: 1e-6 } },
    "vit-s, batch 4": { numbers: { rows: 788, c: 384, eps: 1e-6 }, bench: true },
  },
  free: { rows: 1, c: 1 },
  split: splitAlong("rows"),
  gradient: "op",
});

/** dx = rstd (g − mean(g) − x̂ mean(g x̂)) for each row, g = dy · gamma. */
export const layerNormDx = defineKernel({
  name: "layer-norm-dx",
  doc: "dx = rstd (g − mean(g) − x̂ mean(g x̂)) for each row, with g = dy · gamma and x̂ = (x − mean) · rstd.",
  dims: ["rows", "c"],
  args: {
    x: read("rows", "c"),
    dy: read("rows", "c"),
    gamma: as("f32", read("c")),
    mean: as("f32", read("rows")),
    rstd: as("f32", read("rows")),
    dx: write("rows", "c"),
  },
  libraries,
  variants: { naive: { ...perRow.naive, source: dxNaive }, lane: { ...perRow.lane, source: dxLane }, workgroup: { ...perRow.workgroup, source: dxWorkgroup } },
  choose,
  flops: ({ rows, c }) => 12 * rows * c,
  builtins: { division: 2 },
  reference({ x, dy, gamma, mean, rstd, dx }, { rows, c }, { round }) {
    for (let r = 0; r < rows; r++) {
      const g = (j: number) => round(dy[r * c + j]! * gamma[j]!);
      const normal = (j: number) => round(round(x[r * c + j]! - mean[r]!) * rstd[r]!);
      let sumG = 0;
      let sumGx = 0;
      for (let j = 0; j < c; j++) {
        sumG = round(sumG + g(j));
        sumGx = round(sumGx + round(g(j) * normal(j)));
      }
      const meanG = round(sumG / c);
      const meanGx = round(sumGx / c);
      for (let j = 0; j < c; j++) dx[r * c + j] = round(rstd[r]! * round(round(g(j) - meanG) - round(normal(j) * meanGx)));
    }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1 } },
    ragged: { numbers: { rows: 67, c: 37 } },
    "c 52": { numbers: { rows: 70, c: 52 } },
    "vit-s, batch 4": { numbers: { rows: 788, c: 384 }, bench: true },
  },
  free: { rows: 1, c: 1 },
  split: splitAlong("rows"),
  gradient: { none: "a part of the backward pass of layerNorm" },
});

/** First stage of dGamma = Σ dy · x̂ and dBeta = Σ dy over the rows: one row of results for each part. */
export const layerNormSums = defineKernel({
  name: "layer-norm-sums",
  doc: "dGamma = Σ dy · x̂ and dBeta = Σ dy over rows p, p + parts, … for each part p: the first stage of both sums; 1 ≤ parts ≤ rows. From `first` rows on they add to what is there.",
  dims: ["rows", "c", "parts", "first"],
  derive: () => ({ first: 0 }),
  args: {
    x: read("rows", "c"),
    dy: read("rows", "c"),
    mean: as("f32", read("rows")),
    rstd: as("f32", read("rows")),
    dGamma: as("f32", write("parts", "c")),
    dBeta: as("f32", write("parts", "c")),
  },
  variants: {
    naive: { source: sumsNaive, grid: ({ c, parts }) => [ceilDiv(c * parts, 64), 1, 1] },
    vec4: { source: sumsVec4, grid: ({ c, parts }) => [ceilDiv((c / 4) * parts, 64), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: ({ rows, c }) => 5 * rows * c,
  reference({ x, dy, mean, rstd, dGamma, dBeta }, { rows, c, parts, first }, { round }) {
    if (first === 0) {
      dGamma.fill(0);
      dBeta.fill(0);
    }
    for (let r = 0; r < rows; r++)
      for (let j = 0; j < c; j++) {
        const at = (r % parts) * c + j;
        const g = dy[r * c + j]!;
        dGamma[at] = round(dGamma[at]! + round(g * round(round(x[r * c + j]! - mean[r]!) * rstd[r]!)));
        dBeta[at] = round(dBeta[at]! + g);
      }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, parts: 1 } },
    ragged: { numbers: { rows: 67, c: 37, parts: 5 } },
    "c 52": { numbers: { rows: 70, c: 52, parts: 8 } },
    "vit-s, batch 4": { numbers: { rows: 788, c: 384, parts: 24 }, bench: true },
  },
  free: { rows: "parts", c: 1 },
  split: splitAlong("rows", { step: ({ parts }) => parts!, numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "a part of the backward pass of layerNorm" },
});
