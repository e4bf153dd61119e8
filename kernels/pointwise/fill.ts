// The descriptor of filling with one number.
import { defineKernel, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { elementGrid } from "./pointwise.ts";
import naive from "./fill.naive.wgsl?raw";

/** y = value. */
export const fill = defineKernel({
  name: "fill",
  doc: "y = value for a number known when the plan is made.",
  dims: ["n"],
  scalars: ["value"],
  args: { y: write("n") },
  variants: { naive: { source: naive, grid: elementGrid } },
  flops: () => 0,
  reference({ y }, { value }, { round }) {
    y.fill(round(value));
  },
  cases: {
    one: { numbers: { n: 1, value: -0.3 } },
    ragged: { numbers: { n: 131, value: 2.5 } },
    "788×1536": { numbers: { n: 788 * 1536, value: 1 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: { none: "its result depends on no tensor" },
});
