// The descriptors of softmax along rows and of its gradient.
import { defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { laneGrid, subgroupPerRow, vectorsPerLane, workgroupPerRow } from "./rows.ts";
import dxLanes from "./softmax_dx.lanes.wgsl?raw";
import dxNaive from "./softmax_dx.naive.wgsl?raw";
import dxSubgroup from "./softmax_dx.subgroup.wgsl?raw";
import dxWorkgroup from "./softmax_dx.workgroup.wgsl?raw";
import lanes from "./softmax.lanes.wgsl?raw";
import naive from "./softmax.naive.wgsl?raw";
import subgroup from "./softmax.subgroup.wgsl?raw";
import workgroup from "./softmax.workgroup.wgsl?raw";

const cases = {
  one: { numbers: { rows: 1, n: 1 } },
  ragged: { numbers: { rows: 37, n: 29 } },
  vectors: { numbers: { rows: 18, n: 64 } },
  long: { numbers: { rows: 3, n: 1023 } },
  "2364×197": { numbers: { rows: 2364, n: 197 }, bench: true },
  "2364×256": { numbers: { rows: 2364, n: 256 }, bench: true },
} as const;

/** y = exp(x − max x) ÷ Σ exp(x − max x) along each row. */
export const softmax = defineKernel({
  name: "softmax",
  doc: "y = exp(x − max x) ÷ Σ exp(x − max x) along each row; rows of any length from 1. Computes in f32.",
  dims: ["rows", "n"],
  args: { x: read("rows", "n"), y: write("rows", "n") },
  libraries,
  variants: {
    naive: { source: naive, grid: laneGrid },
    workgroup: workgroupPerRow(workgroup),
    subgroup: subgroupPerRow(subgroup),
    lanes: vectorsPerLane(lanes),
  },
  choose: (_, { barriers }) => (barriers === "dear" ? ["lanes", "subgroup"] : ["subgroup", "workgroup"]).map((variant) => ({ variant })),
  flops: ({ rows, n }) => 8 * rows * n,
  // exp of at most the spread of the inputs; its errors in sum and numerator, and one quotient.
  builtins: { exp: 2 * 12, division: 1 },
  reference({ x, y }, { rows, n }, { round }) {
    for (let row = 0; row < rows; row++) {
      const of = x.subarray(row * n, (row + 1) * n);
      const top = of.reduce((m, v) => Math.max(m, v), -Infinity);
      let sum = 0;
      for (const v of of) sum = round(sum + round(Math.exp(round(v - top))));
      of.forEach((v, j) => (y[row * n + j] = round(round(Math.exp(round(v - top))) / sum)));
    }
  },
  inputs: { x: (random) => 12 * random() - 6 },
  cases,
  free: { rows: 1, n: 1 },
  split: splitAlong("rows"),
  gradient: "op",
});

/** dx = y (dy − Σ dy y) along each row. */
export const softmaxDx = defineKernel({
  name: "softmax_dx",
  doc: "dx = y (dy − Σ dy y) along each row, from the result of softmax.",
  dims: ["rows", "n"],
  args: { dy: read("rows", "n"), y: read("rows", "n"), dx: write("rows", "n") },
  variants: {
    naive: { source: dxNaive, grid: laneGrid },
    workgroup: workgroupPerRow(dxWorkgroup),
    subgroup: subgroupPerRow(dxSubgroup),
    lanes: vectorsPerLane(dxLanes),
  },
  choose: (_, { barriers }) => (barriers === "dear" ? ["lanes", "subgroup"] : ["subgroup", "workgroup"]).map((variant) => ({ variant })),
  flops: ({ rows, n }) => 4 * rows * n,
  reference({ dy, y, dx }, { rows, n }, { round }) {
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let at = row * n; at < (row + 1) * n; at++) sum = round(sum + round(dy[at]! * y[at]!));
      for (let at = row * n; at < (row + 1) * n; at++) dx[at] = round(y[at]! * round(dy[at]! - sum));
    }
  },
  // What a softmax gives: positive, and about 1 in sum.
  inputs: { y: (random, _, { n = 1 }) => (2 * random()) / n },
  cases,
  free: { rows: 1, n: 1 },
  split: splitAlong("rows"),
  gradient: "op",
});
