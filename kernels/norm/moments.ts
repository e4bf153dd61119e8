// The descriptors of column statistics: mean and variance in two stages, and the running statistics that follow them.
import { as, ceilDiv, defineKernel, read, update, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import merge from "./moments-merge.naive.wgsl?raw";
import mergeVec4 from "./moments-merge.vec4.wgsl?raw";
import naive from "./moments.naive.wgsl?raw";
import vec4 from "./moments.vec4.wgsl?raw";
import running from "./running-update.naive.wgsl?raw";
import runningVec4 from "./running-update.vec4.wgsl?raw";

/** Mean and sum of squared deviations of each column over the rows of each part (Welford 1962). */
export const moments = defineKernel({
  name: "moments",
  doc: "Mean and Σ (x − mean)² of each column over rows p, p + parts, … for each part p, by Welford's recurrence; 1 ≤ parts ≤ rows. From `first` rows on they continue what is there.",
  dims: ["rows", "c", "parts", "first"],
  derive: () => ({ first: 0 }),
  args: { x: read("rows", "c"), mean: as("f32", write("parts", "c")), squares: as("f32", write("parts", "c")) },
  variants: {
    naive: { source: naive, grid: ({ c, parts }) => [ceilDiv(c * parts, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ c, parts }) => [ceilDiv((c / 4) * parts, 64), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: ({ rows, c }) => 6 * rows * c,
  // A mean moves by d/count at each row: the divisions' errors add up like 1 + 1/2 + 1/3 + …, below 6 for a part of these sizes.
  builtins: { division: 6 },
  inputs: { x: (random) => 4 + 2 * random() },
  reference({ x, mean, squares }, { rows, c, parts, first }, { round }) {
    for (let p = 0; p < parts; p++)
      for (let j = 0; j < c; j++) {
        let m = first > 0 ? mean[p * c + j]! : 0;
        let s = first > 0 ? squares[p * c + j]! : 0;
        let count = first / parts;
        for (let r = p; r < rows; r += parts) {
          const d = round(x[r * c + j]! - m);
          m = round(m + round(d / ++count));
          s = round(s + round(d * round(x[r * c + j]! - m)));
        }
        mean[p * c + j] = m;
        squares[p * c + j] = s;
      }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, parts: 1 } },
    ragged: { numbers: { rows: 67, c: 37, parts: 5 } },
    "c 52": { numbers: { rows: 70, c: 52, parts: 8 } },
    "r50 stage 1": { numbers: { rows: 12544, c: 64, parts: 128 }, bench: true },
  },
  free: { rows: "parts", c: 1 },
  split: splitAlong("rows", { step: ({ parts }) => parts!, numbers: (_, from) => ({ first: from }) }),
  gradient: "op",
});

/** Mean and variance of each column, from those of its parts (Chan, Golub and LeVeque 1979). */
export const momentsMerge = defineKernel({
  name: "moments-merge",
  doc: "Mean and variance (divided by the count) of each column, merged from the parts that `moments` gives by Chan's formula.",
  dims: ["rows", "c", "parts"],
  args: {
    means: as("f32", read("parts", "c")),
    squares: as("f32", read("parts", "c")),
    mean: as("f32", write("c")),
    variance: as("f32", write("c")),
  },
  variants: {
    naive: { source: merge, grid: ({ c }) => [ceilDiv(c, 64), 1, 1] },
    vec4: { source: mergeVec4, grid: ({ c }) => [ceilDiv(c / 4, 64), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  dtypes: ["f32"],
  flops: ({ c, parts }) => 10 * c * parts,
  // One division a part, each weighted by its share of the rows; and the last.
  builtins: { division: 3 },
  inputs: { means: (random) => 2 * random() - 1, squares: (random) => 5 * random() },
  reference({ means, squares, mean, variance }, { rows, c, parts }, { round }) {
    for (let j = 0; j < c; j++) {
      let m = 0;
      let s = 0;
      let count = 0;
      for (let p = 0; p < parts; p++) {
        const more = Math.floor((rows - p + parts - 1) / parts);
        const d = round(means[p * c + j]! - m);
        const share = round(more / (count + more));
        m = round(m + round(d * share));
        s = round(round(s + squares[p * c + j]!) + round(round(round(d * d) * count) * share));
        count += more;
      }
      mean[j] = m;
      variance[j] = round(s / count);
    }
  },
  cases: {
    one: { numbers: { rows: 1, c: 1, parts: 1 } },
    ragged: { numbers: { rows: 67, c: 77, parts: 5 } },
    "c 268": { numbers: { rows: 67, c: 268, parts: 5 } },
    "r50 stage 1": { numbers: { rows: 12544, c: 64, parts: 128 }, bench: true },
  },
  gradient: "op",
});

/** Moves running statistics towards those of a batch, as PyTorch does: by `momentum`, with the unbiased variance. */
export const runningUpdate = defineKernel({
  name: "running-update",
  doc: "running += momentum · (batch − running) for mean and variance, the batch's variance multiplied by rows/(rows − 1). A channel whose batch is not finite stays as it is.",
  dims: ["rows", "c"],
  scalars: ["momentum"],
  args: {
    mean: as("f32", read("c")),
    variance: as("f32", read("c")),
    runningMean: as("f32", update("c")),
    runningVariance: as("f32", update("c")),
  },
  variants: {
    naive: { source: running, grid: ({ c }) => [ceilDiv(c, 64), 1, 1] },
    vec4: { source: runningVec4, grid: ({ c }) => [ceilDiv(c / 4, 64), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  dtypes: ["f32"],
  flops: ({ c }) => 8 * c,
  builtins: { division: 1 },
  inputs: { variance: (random) => random(), runningVariance: (random) => random() },
  reference({ mean, variance, runningMean, runningVariance }, { rows, c, momentum }, { round }) {
    for (let j = 0; j < c; j++) {
      if (!Number.isFinite(mean[j]) || !Number.isFinite(variance[j])) continue;
      const unbiased = round(variance[j]! * round(rows / (Math.max(rows, 2) - 1)));
      runningMean[j] = round(runningMean[j]! + round(momentum * round(mean[j]! - runningMean[j]!)));
      runningVariance[j] = round(runningVariance[j]! + round(momentum * round(unbiased - runningVariance[j]!)));
    }
  },
  cases: {
    "one row": { numbers: { rows: 1, c: 3, momentum: 0.1 } },
    ragged: { numbers: { rows: 9, c: 67, momentum: 0.25 } },
    "c 268": { numbers: { rows: 9, c: 268, momentum: 0.25 } },
    "r50 stage 4": { numbers: { rows: 196, c: 2048, momentum: 0.1 }, bench: true },
  },
  gradient: { none: "running statistics follow the batches; nothing is minimised through them" },
});
