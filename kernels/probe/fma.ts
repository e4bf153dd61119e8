// The descriptor of the arithmetic probe: its best variant is the peak that benches measure against.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./fma.naive.wgsl?raw";
import vector from "./fma.vector.wgsl?raw";

/** y = sum over c of 0..7 of the recurrence s ← s / 2 + x, begun at x + c and taken `steps` times. */
export const fmaProbe = defineKernel({
  name: "fma_probe",
  doc: "Chains of multiply-adds s ← s / 2 + x, eight an element: measures the arithmetic peak.",
  dims: ["n", "steps"],
  args: { x: read("n"), y: write("n") },
  dtypes: ["f32"],
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vector: { source: vector, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n, steps }) => 16 * n * steps,
  reference({ x, y }, { n, steps }, { round }) {
    for (let i = 0; i < n; i++) {
      const d = x[i]!;
      let sum = 0;
      for (let chain = 0; chain < 8; chain++) {
        let s = round(d + chain);
        for (let step = 0; step < steps; step++) s = round(round(s * 0.5) + d);
        sum = round(sum + s);
      }
      y[i] = sum;
    }
  },
  cases: { one: { numbers: { n: 1, steps: 1 } }, ragged: { numbers: { n: 77, steps: 9 } }, vectors: { numbers: { n: 260, steps: 16 } } },
  gradient: { none: "a measurement, no part of any model" },
});
