// The descriptor of the moving average of weights.
import { as, ceilDiv, defineKernel, read, update } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_INPUT, CONTROL_SIZE } from "./control.ts";
import naive from "./ema.naive.wgsl?raw";
import vec4 from "./ema.vec4.wgsl?raw";

/** An average that follows values step by step; in the first steps faster, so that it forgets what training began with. */
export const ema = defineKernel({
  name: "ema",
  doc: "average ← average + (1 − d)(values − average) with d = min(decay, (1 + t)/(10 + t)) after t steps; nothing where the step is not taken.",
  dims: ["n"],
  scalars: ["decay"],
  dtypes: ["f32"],
  args: { average: update("n"), values: read("n"), control: as("f32", read(CONTROL_SIZE)) },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => 3 * n,
  builtins: { division: 1 },
  // A size of 67 is a step that is skipped.
  inputs: { control: (random, index, { n }) => (index === CONTROL.finite ? Number(n !== 67) : CONTROL_INPUT(random, index)) },
  reference({ average, values, control }, { n, decay }, { round }) {
    if (control[CONTROL.finite] === 0) return;
    const t = control[CONTROL.steps]!;
    const share = round(1 - Math.min(decay, round((1 + t) / (10 + t))));
    for (let i = 0; i < n; i++) average[i] = round(average[i]! + round(share * round(values[i]! - average[i]!)));
  },
  cases: {
    skipped: { numbers: { n: 67, decay: 0.9 } },
    odd: { numbers: { n: 333, decay: 0.2 } },
    even: { numbers: { n: 1024, decay: 0.999 } },
    "25 million": { numbers: { n: 25_000_000, decay: 0.999 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: { none: "keeps an average" },
});
