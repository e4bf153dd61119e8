// The descriptor of random words.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { philox4x32 } from "../../src/kernel/rng.ts";
import { libraries } from "../lib/index.ts";
import naive from "./random_words.naive.wgsl?raw";

/** y[i] = the four words that Philox gives for the counter (first + i, c1, c2, c3) under the seed. */
export const randomWords = defineKernel({
  name: "random_words",
  doc: "y[i] = the four words that Philox4x32-10 gives for the counter (first + i, c1, c2, c3) under the seed: bit for bit those of the host.",
  dims: ["draws", "first", "c1", "c2", "c3"],
  args: { seed: as("u32", read(2)), y: as("u32", write("draws", 4)) },
  libraries,
  variants: { naive: { source: naive, grid: ({ draws }) => [ceilDiv(draws, 64), 1, 1] } },
  dtypes: ["f32"],
  flops: ({ draws }) => 200 * draws,
  reference({ seed, y }, { draws, first, c1, c2, c3 }) {
    for (let i = 0; i < draws; i++) y.set(philox4x32([(first + i) >>> 0, c1, c2, c3], [seed[0]!, seed[1]!]), 4 * i);
  },
  inputs: { seed: (random) => Math.floor(random() * 2 ** 32) },
  cases: {
    one: { numbers: { draws: 1, first: 0, c1: 0, c2: 0, c3: 0 } },
    many: { numbers: { draws: 1003, first: 0xfffffff0, c1: 0x12345678, c2: 0xffffffff, c3: 9 } },
    million: { numbers: { draws: 2 ** 20, first: 0, c1: 1, c2: 2, c3: 3 }, bench: true },
  },
  free: { draws: 1 },
  gradient: { none: "its result depends on no differentiable input" },
});
