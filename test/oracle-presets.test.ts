// The presets at full size beside TensorFlow.js on the CPU, on demand: CYTONET_PARITY=r50,vit-s,vit-b,hybrid. Minutes each, so no part of the usual tests.
import { describe, expect, test } from "vitest";
import { findPreset } from "../src/model/presets.ts";
import { describeStep, drawProblem, trainOnDevice, trainWithTf } from "./oracles/course.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { networkOf } from "./oracles/networks.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { useEngine } from "./support/engine.ts";
import { listAgreement } from "./oracles/agreement.ts";

const NAMES = (process.env["CYTONET_PARITY"] ?? "").split(",").filter((name) => name !== "");
const STEPS = Number(process.env["CYTONET_PARITY_STEPS"] ?? 1);
const [B, SIDE] = [6, 64];
/**
 * Both are f32 in orders of their own. What lies between them grows with the depth, and where an argument of ReLU is as near to its kink as
 * rounding reaches, one of them has its slope and the other has not; with some million arguments a few always are. A formula that differs
 * in one of the layers turns gradients by far more.
 */
const LEAST_COSINE = 0.9999;

describe.skipIf(oraclesMissing || NAMES.length === 0)(`presets at full size, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const engine = useEngine();

  test.each(NAMES)(`%s: the gradient of every parameter, ${B} patches of ${SIDE} px, after ${STEPS} steps of AdamW`, async (name) => {
    const tf = await loadTfjs();
    const preset = findPreset(name);
    const problem = drawProblem(drawFor(`full ${name}`), preset, networkOf(preset.architecture), { b: B, side: SIDE, steps: STEPS });
    const step = describeStep(engine(), problem);
    const device = await trainOnDevice(engine(), step, problem);
    for (const tensor of step.states) engine().free(tensor);
    const oracle = trainWithTf(tf, problem);
    const losses = device.losses.map((loss, i) => Math.abs(loss / oracle.losses[i]! - 1));
    const [gradients, moves] = [listAgreement(device.gradients!, oracle.gradients!), listAgreement(device.moved, oracle.moved)];
    console.info(`${name}: loss ${device.losses.map((loss) => loss.toPrecision(7)).join(" ")}, off by at most ${Math.max(...losses).toExponential(1)}\n  gradients: ${gradients.text}\n  moved: ${moves.text}`);
    expect(device.gradients!.size).toBe(Object.keys(problem.model.parameters).length);
    expect(gradients.leastCosine).toBeGreaterThan(LEAST_COSINE);
    expect(Math.max(...losses)).toBeLessThan(1e-3);
  });
});
