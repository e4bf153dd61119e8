// The descriptor of the bandwidth probe: its best variant is the peak that benches measure against.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./copy.naive.wgsl?raw";
import vector from "./copy.vector.wgsl?raw";

/** y = x. */
export const copyProbe = defineKernel({
  name: "copy_probe",
  doc: "y = x: measures the peak of memory traffic.",
  dims: ["n"],
  args: { x: read("n"), y: write("n") },
  dtypes: ["f32"],
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 256), 1, 1] },
    vector: { source: vector, grid: ({ n }) => [ceilDiv(n, 4096), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: () => 0,
  reference({ x, y }) {
    y.set(x);
  },
  cases: { one: { numbers: { n: 1 } }, ragged: { numbers: { n: 259 } }, vectors: { numbers: { n: 5000 } } },
  free: { n: 1 },
  gradient: { none: "a measurement, no part of any model" },
});
