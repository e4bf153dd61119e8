// The presets at full size beside TensorFlow.js on the CPU, on demand: CYTONET_PARITY=r50,vit-s,vit-b,hybrid for gradients, CYTONET_COURSE=vit-s for ten steps. Minutes each, so no part of the usual tests.
import { describe, expect, test } from "vitest";
import { findPreset } from "../src/model/presets.ts";
import { describeStep, differentiateOnDevice, differentiateWithTf, drawProblem, trainOnDevice, trainWithTf, type Problem } from "./oracles/course.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { networkOf } from "./oracles/networks.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { useEngine } from "./support/engine.ts";
import { listAgreement } from "./oracles/agreement.ts";

const [SLOPES, COURSES] = ["CYTONET_PARITY", "CYTONET_COURSE"].map((variable) => (process.env[variable] ?? "").split(",").filter((name) => name !== "")) as [string[], string[]];
/** Patches of a batch and their side, px: TensorFlow.js takes minutes for the convolutions of larger ones. */
const SIZES: Readonly<Record<string, { readonly b: number; readonly side: number }>> = { hybrid: { b: 6, side: 32 } };
const USUAL = { b: 6, side: 64 };
/** Steps are compared on images of 2 × 2 patches. */
const COURSE = { b: 6, side: 32 };
const STEPS = 10;
/**
 * What the last norm of a bottleneck is scaled by, as training leaves it small: with branches as large as what they are added to, fifty layers
 * would make rounding so large that plain f32 tells little of gradients.
 */
const BRANCH = 0.2;
/**
 * Both are f32 in orders of their own. What lies between them grows with the depth, and where an argument of ReLU is as near to its kink as
 * rounding reaches, one of them has its slope and the other has not; with some million arguments a few always are. A formula that differs
 * in one of the layers turns gradients by far more.
 */
const LEAST_COSINE = 0.9999;

const draw = (name: string, size: typeof USUAL, steps: number): Problem => {
  const preset = findPreset(name);
  const problem = drawProblem(drawFor(`full ${name}`), preset, networkOf(preset.architecture), { ...size, steps });
  for (const [key, { data }] of Object.entries(problem.model.parameters)) if (/norm3\.(weight|bias)$/.test(key)) data.forEach((value, i) => (data[i] = BRANCH * value));
  return problem;
};

describe.skipIf(oraclesMissing || SLOPES.length + COURSES.length === 0)(`presets at full size, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const engine = useEngine();

  test.each(SLOPES)("%s: the gradient of every parameter", async (name) => {
    const problem = draw(name, SIZES[name] ?? USUAL, 1);
    const device = await differentiateOnDevice(engine(), problem);
    const oracle = differentiateWithTf(await loadTfjs(), problem);
    const { leastCosine, text } = listAgreement(device.gradients, oracle.gradients);
    console.info(`${name}, ${problem.b} patches of ${problem.side} px: loss ${device.loss}, in TensorFlow.js ${oracle.loss}\n  gradients: ${text}`);
    expect(device.gradients.size).toBe(problem.model.spec.parameters.length);
    expect(leastCosine).toBeGreaterThan(LEAST_COSINE);
  });

  test.each(COURSES)(`%s: ${STEPS} steps of AdamW, ${COURSE.b} patches of ${COURSE.side} px each`, async (name) => {
    const problem = draw(name, COURSE, STEPS);
    const step = describeStep(engine(), problem);
    const device = await trainOnDevice(engine(), step, problem);
    for (const tensor of step.states) engine().free(tensor);
    const oracle = trainWithTf(await loadTfjs(), problem);
    const losses = device.losses.map((loss, i) => Math.abs(loss / oracle.losses[i]! - 1));
    const { leastCosine, text } = listAgreement(device.moved, oracle.moved);
    console.info(`${name}: losses ${device.losses.map((loss) => loss.toPrecision(7)).join(" ")}, off by at most ${Math.max(...losses).toExponential(1)}\n  moved: ${text}`);
    expect(leastCosine).toBeGreaterThan(LEAST_COSINE);
  });
});
