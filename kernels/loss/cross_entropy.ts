// The descriptors of the cross-entropy of logits and labels, and of its gradient.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { laneGrid, subgroupPerRow, workgroupPerRow } from "../softmax/rows.ts";
import dxNaive from "./cross_entropy_dx.naive.wgsl?raw";
import dxVector from "./cross_entropy_dx.vector.wgsl?raw";
import naive from "./cross_entropy.naive.wgsl?raw";
import subgroup from "./cross_entropy.subgroup.wgsl?raw";
import workgroup from "./cross_entropy.workgroup.wgsl?raw";

const cases = {
  one: { numbers: { rows: 1, n: 1, smoothing: 0 } },
  ragged: { numbers: { rows: 37, n: 29, smoothing: 0 } },
  "smoothed vectors": { numbers: { rows: 18, n: 64, smoothing: 0.1 } },
  "many classes": { numbers: { rows: 3, n: 1023, smoothing: 0.1 } },
  "256×100": { numbers: { rows: 256, n: 100, smoothing: 0.1 }, bench: true },
  "1024×1000": { numbers: { rows: 1024, n: 1000, smoothing: 0.1 }, bench: true },
} as const;
const label = (random: () => number, _: number, { n = 1 }: Readonly<Record<string, number>>) => Math.floor(random() * n);
const logit = (random: () => number) => 12 * random() - 6;

/** loss = lse − (1 − s) x[label] − s mean x, with lse = log Σ exp x of the row and smoothing s. */
export const crossEntropy = defineKernel({
  name: "cross_entropy",
  doc: "loss = lse − (1 − s) x[label] − s mean x for each row x of logits, with lse = log Σ exp x and label smoothing s (Szegedy et al. 2016); NaN where the label is not below n.",
  dims: ["rows", "n"],
  scalars: ["smoothing"],
  args: { logits: read("rows", "n"), labels: as("u32", read("rows")), loss: as("f32", write("rows")), lse: as("f32", write("rows")) },
  libraries,
  variants: { naive: { source: naive, grid: laneGrid }, workgroup: workgroupPerRow(workgroup), subgroup: subgroupPerRow(subgroup) },
  choose: (_, { barriers }) => ["subgroup", barriers === "dear" ? "naive" : "workgroup"].map((variant) => ({ variant })),
  flops: ({ rows, n }) => 8 * rows * n,
  // exp of at most the spread of the inputs, log of their sum, and the mean's quotient.
  builtins: { exp: 12, log: 1, division: 1 },
  reference({ logits, labels, loss, lse }, { rows, n, smoothing }, { round }) {
    const s = round(smoothing);
    for (let row = 0; row < rows; row++) {
      const x = logits.subarray(row * n, (row + 1) * n);
      const top = x.reduce((m, v) => Math.max(m, v), -Infinity);
      let sum = 0;
      let total = 0;
      for (const v of x) {
        sum = round(sum + round(Math.exp(round(v - top))));
        total = round(total + v);
      }
      lse[row] = round(top + round(Math.log(sum)));
      const wanted = x[labels[row]!] ?? Number.NaN; // a label that names no class
      loss[row] = round(round(lse[row]! - round(round(1 - s) * wanted)) - round(round(s * total) / n));
    }
  },
  inputs: { logits: logit, labels: label },
  cases,
  free: { rows: 1, n: 1 },
  gradient: "op",
});

/** dlogits = dloss (exp(x − lse) − (1 − s) [j = label] − s ÷ n). */
export const crossEntropyDx = defineKernel({
  name: "cross_entropy_dx",
  doc: "dlogits = dloss (exp(x − lse) − (1 − s) [j = label] − s ÷ n), from the logits and their lse; NaN in rows whose label is not below n.",
  dims: ["rows", "n"],
  scalars: ["smoothing"],
  args: {
    logits: read("rows", "n"),
    labels: as("u32", read("rows")),
    lse: as("f32", read("rows")),
    dloss: as("f32", read("rows")),
    dlogits: write("rows", "n"),
  },
  libraries,
  variants: {
    naive: { source: dxNaive, grid: ({ rows, n }) => [ceilDiv(rows * n, 64), 1, 1] },
    vector: { source: dxVector, grid: ({ rows, n }) => [ceilDiv((rows * n) / 4, 64), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ rows, n }) => 6 * rows * n,
  // x − lse lies between −12 − log n and 0 in tests.
  builtins: { exp: 20, division: 1 },
  reference({ logits, labels, lse, dloss, dlogits }, { rows, n, smoothing }, { round }) {
    const s = round(smoothing);
    for (let row = 0; row < rows; row++)
      for (let j = 0; j < n; j++) {
        const wanted = round((j === labels[row] ? round(1 - s) : 0) + round(s / n));
        const p = round(Math.exp(round(logits[row * n + j]! - lse[row]!)));
        dlogits[row * n + j] = labels[row]! < n ? round(dloss[row]! * round(p - wanted)) : Number.NaN;
      }
  },
  // An lse near that of n such logits: probabilities stay below about 1.
  inputs: { logits: logit, labels: label, lse: (random, _, { n = 1 }) => 6 + Math.log(n) * random() },
  cases,
  free: { rows: 1, n: 1 },
  gradient: "op",
});
