// The descriptor of SpatialNCE's backward pass: the gradient of the unit rows, recomputed from saved log-sums.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { deriveSplits, NCE_CASES, NCE_DIMS, NCE_FLAGS, NCE_INPUTS, NCE_SCALARS, pairOf, shareOf, similarityOf } from "./pair.ts";
import block from "./spatial-nce-dz.block.wgsl?raw";
import broadcast from "./spatial-nce-dz.broadcast.wgsl?raw";
import naive from "./spatial-nce-dz.naive.wgsl?raw";
import tile from "./spatial-nce-dz.tile.wgsl?raw";

/** Gradient of Σ_i loss_i with respect to z, in one pass over the pairs, as the sum of its parts: of each part of the columns one. The mean over anchors is the caller's. */
export const spatialNceDz = defineKernel({
  name: "spatial_nce_dz",
  doc: "dz_i = (1/τ) Σ_j [a_i (p_ij − q_ij) + a_j (p_ji − q_ji)] z_j from saved log-sums and masses; no atomics, memory O(n·d). In parts, each over its share of the j, for merge_parts to add up.",
  dims: NCE_DIMS,
  scalars: NCE_SCALARS,
  flags: NCE_FLAGS,
  dtypes: ["f32"],
  args: {
    z: read("n", "d"),
    position: when("distance", as("f32", read("n", 3))),
    space: when("distance", as("i32", read("n"))),
    view: when("views", as("u32", read("n"))),
    lse: as("f32", read("n")),
    mass: as("f32", read("n")),
    dz: write("splits", "n", "d"),
  },
  derive: deriveSplits,
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n, splits }) => [ceilDiv(n, 64), 1, splits] },
    tile: {
      source: tile,
      grid: ({ n, splits }, constant) => [ceilDiv(n, constant("LANES") * constant("ROWS")), 1, splits],
      params: { LANES: [4, 8, 32, 64] },
      legal: ({ d }) => d % 4 === 0,
    },
    broadcast: {
      source: broadcast,
      grid: ({ n, splits }, constant) => [ceilDiv(n, constant("WIDTH") * constant("ROWS")), 1, splits],
      specialize: { WIDTH: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ d }, { subgroupMin, subgroupMax }) => d % 4 === 0 && subgroupMin === subgroupMax && (subgroupMin === 4 || subgroupMin === 8),
    },
    block: {
      source: block,
      // Wider rows would not stay in registers: similarities are made again for every 128 components of dz.
      grid: ({ n, d, splits }) => [ceilDiv(n, 64), ceilDiv(d, 128), splits],
      legal: ({ d }, { workgroupMemory, invocations }) => d % 4 === 0 && workgroupMemory >= 32768 && invocations >= 128,
    },
  },
  choose: (_, { barriers }) => (barriers === "dear" ? [{ variant: "broadcast" }, { variant: "tile" }] : [{ variant: "block" }, { variant: "tile" }]),
  flops: ({ n, d }) => n * n * (4 * d + 30),
  builtins: { exp: 20, division: 2 },
  inputs: {
    ...NCE_INPUTS,
    // As a forward pass could leave them: no probability above 1, and every fourth row no anchor.
    lse: (random, _, { invTau }) => invTau + random(),
    mass: (random) => (random() < 0.25 ? 0 : 1 + 2 * random()),
  },
  reference({ z, position, space, view, lse, mass, dz }, numbers, context) {
    const { n, d, invTau } = numbers;
    const { round } = context;
    const share = shareOf(numbers);
    dz.fill(0);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        const pair = pairOf({ position, space, view }, i, j, numbers, context);
        if (!pair.keep) continue;
        const s = similarityOf(z, i, j, d, invTau, round);
        let weight = 0;
        for (const anchor of [i, j])
          if (mass[anchor]! > 0) weight = round(weight + round(round(Math.exp(round(s - lse[anchor]!))) - round(pair.mass / mass[anchor]!)));
        weight = round(weight * invTau);
        const to = (Math.floor(j / share) * n + i) * d;
        for (let k = 0; k < d; k++) dz[to + k] = round(dz[to + k]! + round(weight * z[j * d + k]!));
      }
  },
  cases: {
    ...NCE_CASES,
    "in parts": { numbers: { ...NCE_CASES.wide.numbers, d: 20, splits: 3 }, flags: ["distance", "gaussian", "band", "ignoreSpaces"] },
  },
  free: { n: 1 },
  gradient: { none: "is itself a gradient; second derivatives are not used" },
});
