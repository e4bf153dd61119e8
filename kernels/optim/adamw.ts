// The descriptor of AdamW.
import { as, ceilDiv, defineKernel, read, update } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_SIZE, CONTROL_INPUT, HYPER, HYPER_SIZE, HYPER_INPUT, decayWithin } from "./control.ts";
import naive from "./adamw.naive.wgsl?raw";
import vec4 from "./adamw.vec4.wgsl?raw";

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019) over one flat buffer; the first `decayEnd` elements decay. */
export const adamw = defineKernel({
  name: "adamw",
  doc: "m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr·((m/c₁)/(√(v/c₂)+eps) + decay·p) with g = factor · gradient; nothing where the step is not taken.",
  dims: ["n", "decayEnd"],
  dtypes: ["f32"],
  args: {
    parameters: update("n"),
    gradients: read("n"),
    m: update("n"),
    v: update("n"),
    control: as("f32", read(CONTROL_SIZE)),
    hyper: as("f32", read(HYPER_SIZE)),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => 15 * n,
  builtins: { division: 3, sqrt: 1 },
  inputs: { hyper: HYPER_INPUT, control: CONTROL_INPUT, v: (random) => 1e-3 + random() },
  reference({ parameters, gradients, m, v, control, hyper }, { n, decayEnd }, { round }) {
    if (control[CONTROL.finite] === 0) return;
    const h = (name: keyof typeof HYPER) => hyper[HYPER[name]]!;
    for (let i = 0; i < n; i++) {
      const g = round(gradients[i]! * control[CONTROL.factor]!);
      m[i] = round(round(h("beta1") * m[i]!) + round((1 - h("beta1")) * g));
      v[i] = round(round(h("beta2") * v[i]!) + round(round((1 - h("beta2")) * g) * g));
      const root = round(Math.sqrt(round(v[i]! / control[CONTROL.correction2]!)));
      const step = round(round(m[i]! / control[CONTROL.correction1]!) / round(root + h("epsilon")));
      const decay = i < decayEnd ? h("weightDecay") : 0;
      parameters[i] = round(parameters[i]! - round(h("learningRate") * round(step + round(decay * parameters[i]!))));
    }
  },
  cases: {
    one: { numbers: { n: 1, decayEnd: 1 } },
    odd: { numbers: { n: 333, decayEnd: 100 } },
    even: { numbers: { n: 1024, decayEnd: 510 } },
    "25 million": { numbers: { n: 25_000_000, decayEnd: 24_000_000 }, bench: true },
  },
  free: { n: "decayEnd" },
  split: splitAlong("n", { numbers: decayWithin }),
  gradient: { none: "changes parameters" },
});
