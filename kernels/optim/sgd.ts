// The descriptor of gradient descent with momentum.
import { as, ceilDiv, defineKernel, read, update } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_SIZE, CONTROL_INPUT, HYPER, HYPER_SIZE, HYPER_INPUT, decayWithin } from "./control.ts";
import naive from "./sgd.naive.wgsl?raw";
import vec4 from "./sgd.vec4.wgsl?raw";

/** Gradient descent with momentum over one flat buffer; weight decay joins the gradient of the first `decayEnd` elements. */
export const sgd = defineKernel({
  name: "sgd",
  doc: "g = factor · gradient + decay · p, velocity ← momentum · velocity + g, p ← p − lr · velocity (`nesterov`: lr · (g + momentum · velocity)); nothing where the step is not taken.",
  dims: ["n", "decayEnd"],
  flags: ["nesterov"],
  dtypes: ["f32"],
  args: {
    parameters: update("n"),
    gradients: read("n"),
    velocity: update("n"),
    control: as("f32", read(CONTROL_SIZE)),
    hyper: as("f32", read(HYPER_SIZE)),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => 8 * n,
  inputs: { hyper: HYPER_INPUT, control: CONTROL_INPUT },
  reference({ parameters, gradients, velocity, control, hyper }, { n, decayEnd }, { round, has }) {
    if (control[CONTROL.finite] === 0) return;
    const h = (name: keyof typeof HYPER) => hyper[HYPER[name]]!;
    for (let i = 0; i < n; i++) {
      const decay = i < decayEnd ? h("weightDecay") : 0;
      const g = round(round(gradients[i]! * control[CONTROL.factor]!) + round(decay * parameters[i]!));
      velocity[i] = round(round(h("beta1") * velocity[i]!) + g);
      const step = has("nesterov") ? round(g + round(h("beta1") * velocity[i]!)) : velocity[i]!;
      parameters[i] = round(parameters[i]! - round(h("learningRate") * step));
    }
  },
  cases: {
    one: { numbers: { n: 1, decayEnd: 1 } },
    odd: { numbers: { n: 333, decayEnd: 100 }, flags: ["nesterov"] },
    even: { numbers: { n: 1024, decayEnd: 510 } },
    nesterov: { numbers: { n: 512, decayEnd: 0 }, flags: ["nesterov"] },
    "25 million": { numbers: { n: 25_000_000, decayEnd: 24_000_000 }, bench: true },
  },
  free: { n: "decayEnd" },
  split: splitAlong("n", { numbers: decayWithin }),
  gradient: { none: "changes parameters" },
});
