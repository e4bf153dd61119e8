// The descriptor of SpatialNCE's forward pass: log-sum-exp, mass, loss and entropy of every row, without an n × n matrix.
import { as, ceilDiv, defineKernel, read, unless, when, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { deriveSplits, NCE_CASES, NCE_DIMS, NCE_FLAGS, NCE_INPUTS, NCE_SCALARS, pairOf, shareOf, similarityOf } from "./pair.ts";
import block from "./spatial-nce.block.wgsl?raw";
import broadcast from "./spatial-nce.broadcast.wgsl?raw";
import naive from "./spatial-nce.naive.wgsl?raw";
import tile from "./spatial-nce.tile.wgsl?raw";

/** A grid's third axis: whoever does not ask for parts gets the whole. */
function partsIn(splits: number, flags: ReadonlySet<string>): number {
  return flags.has("parts") ? splits : 1;
}

/**
 * The rows of SpatialNCE: z [n, d] of unit rows, memory O(n·d). Rows without mass have loss and entropy 0. With `parts` each part of the
 * columns gives the lines top, Σ exp(s − top), mass, Σ K s, Σ K log K instead, which spatial_nce_merge joins.
 */
export const spatialNce = defineKernel({
  name: "spatial_nce",
  doc: "Per row: log-sum-exp of ⟨z_i, z_j⟩/τ over j ≠ i, mass Σ K(d_ij), cross-entropy of q = K/mass under the softmax, entropy of q. K from distance or from view ids; n × n is never stored. With `parts`, running sums of each part of the columns instead.",
  dims: NCE_DIMS,
  scalars: NCE_SCALARS,
  flags: [...NCE_FLAGS, "parts"],
  dtypes: ["f32"],
  args: {
    z: read("n", "d"),
    position: when("distance", as("f32", read("n", 3))),
    space: when("distance", as("i32", read("n"))),
    view: when("views", as("u32", read("n"))),
    lse: unless("parts", as("f32", write("n"))),
    mass: unless("parts", as("f32", write("n"))),
    loss: unless("parts", as("f32", write("n"))),
    entropy: unless("parts", as("f32", write("n"))),
    parts: when("parts", as("f32", write("splits", 5, "n"))),
  },
  derive: deriveSplits,
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n, splits }, _, flags) => [ceilDiv(n, 64), 1, partsIn(splits, flags)] },
    tile: {
      source: tile,
      grid: ({ n, splits }, constant, flags) => [ceilDiv(n, constant("LANES") * constant("ROWS")), 1, partsIn(splits, flags)],
      params: { LANES: [4, 8, 32, 64] },
      legal: ({ d }) => d % 4 === 0,
    },
    broadcast: {
      source: broadcast,
      grid: ({ n, splits }, constant, flags) => [ceilDiv(n, constant("WIDTH") * constant("ROWS")), 1, partsIn(splits, flags)],
      specialize: { WIDTH: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ d }, { subgroupMin, subgroupMax }) => d % 4 === 0 && subgroupMin === subgroupMax && (subgroupMin === 4 || subgroupMin === 8),
    },
    block: {
      source: block,
      grid: ({ n, splits }, _, flags) => [ceilDiv(n, 64), 1, partsIn(splits, flags)],
      legal: ({ d }, { workgroupMemory, invocations }) => d % 4 === 0 && workgroupMemory >= 16384 && invocations >= 128,
    },
  },
  choose: (_, { barriers }) => (barriers === "dear" ? [{ variant: "broadcast" }, { variant: "tile" }] : [{ variant: "block" }, { variant: "tile" }]),
  flops: ({ n, d }) => n * n * (2 * d + 20),
  // |s - top| reaches 2/τ = 20 here; then one more exponential and the logarithm.
  builtins: { exp: 20, log: 2, division: 2 },
  inputs: NCE_INPUTS,
  reference({ z, position, space, view, lse, mass, loss, entropy, parts }, numbers, context) {
    const { n, d, invTau, splits } = numbers;
    const { round } = context;
    const [pieces, share] = context.has("parts") ? [splits, shareOf(numbers)] : [1, n];
    const s = new Float64Array(n);
    for (let part = 0; part < pieces; part++)
      for (let i = 0; i < n; i++) {
        let top = -Infinity;
        let [sumMass, pull, spread] = [0, 0, 0];
        const end = Math.min(n, (part + 1) * share);
        for (let j = part * share; j < end; j++) {
          s[j] = -Infinity;
          if (j === i) continue;
          const pair = pairOf({ position, space, view }, i, j, numbers, context);
          if (!pair.keep) continue;
          const similarity = similarityOf(z, i, j, d, invTau, round);
          s[j] = similarity;
          top = Math.max(top, similarity);
          sumMass = round(sumMass + pair.mass);
          pull = round(pull + round(pair.mass * similarity));
          spread = round(spread + round(pair.mass * pair.logMass));
        }
        let total = 0;
        for (let j = part * share; j < end; j++) if (s[j] !== -Infinity) total = round(total + round(Math.exp(round(s[j]! - top))));
        if (context.has("parts")) {
          [total > 0 ? top : 0, total, sumMass, pull, spread].forEach((x, line) => (parts[(5 * part + line) * n + i] = x));
          continue;
        }
        lse[i] = total > 0 ? round(top + round(Math.log(total))) : 0;
        mass[i] = sumMass;
        loss[i] = sumMass > 0 ? round(lse[i]! - round(pull / sumMass)) : 0;
        entropy[i] = sumMass > 0 ? round(round(Math.log(sumMass)) - round(spread / sumMass)) : 0;
      }
  },
  cases: {
    ...NCE_CASES,
    "in parts": { numbers: { ...NCE_CASES.wide.numbers, d: 20, splits: 2 }, flags: ["distance", "parts"] },
  },
  free: { n: 1 },
  gradient: "op",
});
