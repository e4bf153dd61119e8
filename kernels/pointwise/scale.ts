// The descriptor of multiplication by one number.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./scale.naive.wgsl?raw";

/** y = factor · x. */
export const scale = defineKernel({
  name: "scale",
  doc: "y = factor · x for a number known when the plan is made.",
  dims: ["n"],
  scalars: ["factor"],
  args: { x: read("n"), y: write("n") },
  variants: { naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] } },
  flops: ({ n }) => n,
  reference({ x, y }, { factor }, { round }) {
    for (let i = 0; i < x.length; i++) y[i] = round(round(factor) * x[i]!);
  },
  cases: {
    one: { numbers: { n: 1, factor: -1 } },
    ragged: { numbers: { n: 131, factor: 0.3 } },
  },
  gradient: "op",
});
