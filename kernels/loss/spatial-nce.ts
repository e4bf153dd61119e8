// The descriptor of SpatialNCE's forward pass: log-sum-exp, mass, loss and entropy of every row, without an n × n matrix.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { NCE_CASES, NCE_DIMS, NCE_FLAGS, NCE_INPUTS, NCE_SCALARS, pairOf, similarityOf } from "./pair.ts";
import block from "./spatial-nce.block.wgsl?raw";
import broadcast from "./spatial-nce.broadcast.wgsl?raw";
import naive from "./spatial-nce.naive.wgsl?raw";
import tile from "./spatial-nce.tile.wgsl?raw";

/** The rows of SpatialNCE: z [n, d] of unit rows, memory O(n·d). Rows without mass have loss and entropy 0. */
export const spatialNce = defineKernel({
  name: "spatial_nce",
  doc: "Per row: log-sum-exp of ⟨z_i, z_j⟩/τ over j ≠ i, mass Σ K(d_ij), cross-entropy of q = K/mass under the softmax, entropy of q. K from distance or from view ids; n × n is never stored.",
  dims: NCE_DIMS,
  scalars: NCE_SCALARS,
  flags: NCE_FLAGS,
  dtypes: ["f32"],
  args: {
    z: read("n", "d"),
    position: when("distance", as("f32", read("n", 3))),
    space: when("distance", as("i32", read("n"))),
    view: when("views", as("u32", read("n"))),
    lse: as("f32", write("n")),
    mass: as("f32", write("n")),
    loss: as("f32", write("n")),
    entropy: as("f32", write("n")),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    tile: {
      source: tile,
      grid: ({ n }, constant) => [ceilDiv(n, constant("LANES") * constant("ROWS")), 1, 1],
      params: { LANES: [4, 8, 32, 64] },
      legal: ({ d }) => d % 4 === 0,
    },
    broadcast: {
      source: broadcast,
      grid: ({ n }, constant) => [ceilDiv(n, constant("WIDTH") * constant("ROWS")), 1, 1],
      specialize: { WIDTH: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ d }, { subgroupMin, subgroupMax }) => d % 4 === 0 && subgroupMin === subgroupMax && (subgroupMin === 4 || subgroupMin === 8),
    },
    block: {
      source: block,
      grid: ({ n }, constant) => [ceilDiv(n, constant("ROWS")), 1, 1],
      legal: ({ d }) => d % 4 === 0,
    },
  },
  choose: (_, { barriers }) => (barriers === "dear" ? [{ variant: "broadcast" }, { variant: "tile" }] : [{ variant: "block" }]),
  flops: ({ n, d }) => n * n * (2 * d + 20),
  // |s - top| reaches 2/τ = 20 here; then one more exponential and the logarithm.
  builtins: { exp: 20, log: 2, division: 2 },
  inputs: NCE_INPUTS,
  reference({ z, position, space, view, lse, mass, loss, entropy }, numbers, context) {
    const { n, d, invTau } = numbers;
    const { round } = context;
    const s = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let top = -Infinity;
      let [sumMass, pull, spread] = [0, 0, 0];
      for (let j = 0; j < n; j++) {
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
      for (let j = 0; j < n; j++) if (s[j] !== -Infinity) total = round(total + round(Math.exp(round(s[j]! - top))));
      lse[i] = total > 0 ? round(top + round(Math.log(total))) : 0;
      mass[i] = sumMass;
      loss[i] = sumMass > 0 ? round(lse[i]! - round(pull / sumMass)) : 0;
      entropy[i] = sumMass > 0 ? round(round(Math.log(sumMass)) - round(spread / sumMass)) : 0;
    }
  },
  cases: NCE_CASES,
  free: { n: 1 },
  gradient: "op",
});
