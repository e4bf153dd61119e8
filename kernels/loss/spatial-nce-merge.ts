// The descriptor of the second stage of SpatialNCE's forward pass: what parts of the columns gave, joined for every row.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import naive from "./spatial-nce-merge.naive.wgsl?raw";

/** log-sum-exp, mass, loss and entropy of every row from the lines that spatial_nce writes with `parts`, joined in their order. */
export const spatialNceMerge = defineKernel({
  name: "spatial_nce_merge",
  doc: "Per row: log-sum-exp, mass, cross-entropy and entropy from each part's top, Σ exp(s − top), mass, Σ K s, Σ K log K, in the order of the parts.",
  dims: ["splits", "n"],
  dtypes: ["f32"],
  args: { parts: as("f32", read("splits", 5, "n")), lse: as("f32", write("n")), mass: as("f32", write("n")), loss: as("f32", write("n")), entropy: as("f32", write("n")) },
  libraries,
  variants: { naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] } },
  flops: ({ splits, n }) => 12 * splits * n,
  builtins: { exp: 20, log: 2, division: 2 },
  // Every fifth part of a row has seen no other sample, and every seventh row has no mass; sums of exponents begin at the largest one's 1.
  inputs: {
    parts: (random, index, { n }) => {
      const [line, i] = [Math.floor(index / n) % 5, index % n];
      const empty = (Math.floor(index / (5 * n)) + i) % 5 === 0;
      const value = [20 * random() - 10, 1 + 9 * random(), 3 * random(), 6 * random() - 3, -2 * random()][line]!;
      return empty || (line > 1 && i % 7 === 0) ? 0 : value;
    },
  },
  reference({ parts, lse, mass, loss, entropy }, { splits, n }, { round }) {
    for (let i = 0; i < n; i++) {
      const lineOf = (part: number, line: number) => parts[(5 * part + line) * n + i]!;
      let top = -Infinity;
      for (let part = 0; part < splits; part++) if (lineOf(part, 1) > 0) top = Math.max(top, lineOf(part, 0));
      let [total, sumMass, pull, spread] = [0, 0, 0, 0];
      for (let part = 0; part < splits; part++) {
        if (lineOf(part, 1) > 0) total = round(total + round(lineOf(part, 1) * round(Math.exp(round(lineOf(part, 0) - top)))));
        sumMass = round(sumMass + lineOf(part, 2));
        pull = round(pull + lineOf(part, 3));
        spread = round(spread + lineOf(part, 4));
      }
      lse[i] = total > 0 ? round(top + round(Math.log(total))) : 0;
      mass[i] = sumMass;
      loss[i] = sumMass > 0 ? round(lse[i]! - round(pull / sumMass)) : 0;
      entropy[i] = sumMass > 0 ? round(round(Math.log(sumMass)) - round(spread / sumMass)) : 0;
    }
  },
  cases: {
    one: { numbers: { splits: 1, n: 1 } },
    ragged: { numbers: { splits: 5, n: 131 } },
    "16384 rows": { numbers: { splits: 2, n: 16384 }, bench: true },
  },
  free: { splits: 1, n: 1 },
  gradient: { none: "the second stage of spatial_nce, whose rule it has" },
});
