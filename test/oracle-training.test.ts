// Ten steps of AdamW on a vision transformer, side by side with TensorFlow.js: its gradients, its Adam, on the CPU.
import { beforeAll, describe, expect, test } from "vitest";
import { findPreset } from "../src/model/presets.ts";
import { describeStep, drawProblem, marginOf, trainOnDevice, trainOnHost, trainWithTf } from "./oracles/course.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { expectEqual, MARGIN } from "./oracles/judge.ts";
import { NETWORKS } from "./oracles/models.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import type { Tf } from "./oracles/tfjs-ops.ts";
import { useEngine } from "./support/engine.ts";
import type { Testimony } from "./oracles/witnesses.ts";

const [NAME, STEPS, B, SIDE] = ["vit-tiny", 10, 6, 16];

// Interpreting models in f64 on the host takes its time where other work keeps the processor busy.
describe.skipIf(oraclesMissing)(`training, seed ${SEED}`, { timeout: 600_000 }, () => {
  const engine = useEngine();
  let tf: Tf;
  beforeAll(async () => {
    tf = await loadTfjs();
  });

  test(`${STEPS} steps of AdamW, with clipping and decay, on ${NAME}`, async () => {
    const d = drawFor("adamw");
    for (let draws = 1; draws <= 20; draws++) {
      const problem = drawProblem(d, findPreset(NAME), NETWORKS[NAME]!, { b: B, side: SIDE, steps: STEPS });
      const step = describeStep(engine(), problem);
      try {
        const exact = trainOnHost(step, problem, "exact");
        const rounded = trainOnHost(step, problem, "rounded");
        if (marginOf(exact.kinks, rounded.kinks) < MARGIN) continue;
        const device = await trainOnDevice(engine(), step, problem);
        const oracle = trainWithTf(tf, problem);
        const testimonies = new Map<string, Testimony>([["losses", { device: device.losses, oracle: oracle.losses, truth: Float64Array.from(exact.losses), yardstick: Float64Array.from(rounded.losses) }]]);
        for (const [name, truth] of exact.moved) testimonies.set(name, { device: device.moved.get(name)!, oracle: oracle.moved.get(name)!, truth, yardstick: rounded.moved.get(name)! });
        expect(exact.losses.at(-1)).toBeLessThan(exact.losses[0]!);
        expectEqual(testimonies, `${STEPS} steps of AdamW on draw ${draws}`);
        return;
      } finally {
        for (const tensor of step.states) engine().free(tensor);
      }
    }
    throw new Error("20 trainings all have an argument of ReLU on its kink");
  });
});
