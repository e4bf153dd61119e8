// The descriptor of what becomes of statistics that a step has gathered.
import { as, ceilDiv, defineKernel, read, update } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_INPUT, CONTROL_SIZE } from "./control.ts";
import naive from "./settle.naive.wgsl?raw";
import vec4 from "./settle.vec4.wgsl?raw";

/** A step moves `staged` while it does not know yet whether it counts; afterwards both are what the step leaves behind. */
export const settle = defineKernel({
  name: "settle",
  doc: "settled ← staged where the step is taken, staged ← settled where it is skipped: afterwards both are equal.",
  dims: ["n"],
  dtypes: ["f32"],
  args: { staged: update("n"), settled: update("n"), control: as("f32", read(CONTROL_SIZE)) },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: () => 0,
  // An odd size is a step that is skipped.
  inputs: { control: (random, index, { n }) => (index === CONTROL.finite ? 1 - (n % 2) : CONTROL_INPUT(random, index)) },
  reference({ staged, settled, control }) {
    if (control[CONTROL.finite] === 0) staged.set(settled);
    else settled.set(staged);
  },
  cases: {
    skipped: { numbers: { n: 333 } },
    taken: { numbers: { n: 334 } },
    even: { numbers: { n: 1024 } },
    "statistics of r50": { numbers: { n: 57_344 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: { none: "keeps statistics" },
});
