// The descriptor of dropout.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { randomUniform } from "../../src/kernel/rng.ts";
import { libraries } from "../lib/index.ts";
import { elementGrid, inVectors } from "./pointwise.ts";
import naive from "./dropout.naive.wgsl?raw";
import vector from "./dropout.vector.wgsl?raw";

/** Third word of every counter, as in the templates. */
const DROPOUT = 0x64726f70;

/** y = x · scale where a random number in [0, 1) is not below `rate`, else 0. */
export const dropout = defineKernel({
  name: "dropout",
  doc: "y = x · scale where a random number in [0, 1) is not below `rate`, else 0. Numbers are Philox draws for the counter (i div 4, stream, \"drop\", 0) under the seed: the same at every call, so that no mask is stored.",
  dims: ["n", "stream"],
  scalars: ["rate", "scale"],
  args: { x: read("n"), seed: as("u32", read(2)), y: write("n") },
  libraries,
  variants: {
    naive: { source: naive, grid: elementGrid },
    vector: { source: vector, grid: ({ n }) => [ceilDiv(n / 4, 64), 1, 1], legal: inVectors },
  },
  // Two 32-bit products with both halves a round, ten rounds, for four elements.
  flops: ({ n }) => 50 * n,
  reference({ x, seed, y }, { stream, rate, scale }, { round }) {
    const key = [seed[0]!, seed[1]!] as const;
    for (let i = 0; i < x.length; i++) {
      const drawn = randomUniform([Math.floor(i / 4), stream, DROPOUT, 0], key)[i % 4]!;
      // The rate is compared as the uniform holds it, in whatever arithmetic the rest is done.
      y[i] = drawn >= Math.fround(rate) ? round(x[i]! * round(scale)) : 0;
    }
  },
  inputs: { seed: (random) => Math.floor(random() * 2 ** 32) },
  cases: {
    one: { numbers: { n: 1, stream: 0, rate: 0.5, scale: 2 } },
    ragged: { numbers: { n: 131, stream: 3, rate: 0.1, scale: 1 / 0.9 } },
    vectors: { numbers: { n: 1028, stream: 7, rate: 0.3, scale: 1 / 0.7 } },
    "788×1536": { numbers: { n: 788 * 1536, stream: 0, rate: 0.1, scale: 1 / 0.9 }, bench: true },
  },
  free: { n: 1 },
  gradient: "op",
});
