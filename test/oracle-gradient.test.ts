// Gradients of the ops against TensorFlow.js on the CPU, on random shapes: its ops, its differentiation.
import { beforeAll, describe, test } from "vitest";
import { conv2d } from "../src/ops/conv.ts";
import { spatialNce } from "../src/ops/spatial-nce.ts";
import { drawFor, SEED, type Draw } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { CONV_KINDS, drawConv } from "./oracles/problems.ts";
import { nceTargets, tfConv, tfDifferentiate, tfSpatialNce, type NceSetting, type Tf } from "./oracles/tfjs-ops.ts";
import { useEngine } from "./oracles/use-engine.ts";
import { expectAgreement, withGradients } from "./oracles/witnesses.ts";

describe.skipIf(oraclesMissing)(`TensorFlow.js agrees, seed ${SEED}`, () => {
  const engine = useEngine();
  let tf: Tf;
  beforeAll(async () => {
    tf = await loadTfjs();
  });

  test.each(CONV_KINDS)("convolution, %s", async (kind) => {
    const d = drawFor(`conv ${kind}`);
    const { x, w, bias, shape, attributes } = drawConv(d, kind);
    const inputs = { x, w, bias, dy: d.uniform(shape) };
    await expectAgreement(engine(), {
      inputs,
      build: (t) => withGradients(t, ["x", "w", "bias"], conv2d(t.x, t.w, { ...attributes, bias: t.bias }), t.dy),
      oracle: () => tfDifferentiate(tf, { x, w, bias }, (t) => tfConv(tf, t.x, t.w, attributes, t.bias), inputs.dy),
    });
  });

  /** Places in a box of 10 mm in three spaces, the last sample alone in its own, far from everyone: no anchor wherever distance counts. */
  const places = (d: Draw, n: number) => ({
    position: d.uniform([n, 3], 0, 10),
    space: { shape: [n], data: Int32Array.from({ length: n }, (_, i) => (i === n - 1 ? 9 : d.int(0, 2))) },
    view: { shape: [n], data: Uint32Array.from({ length: n }, (_, i) => i % Math.ceil(n / 2)) },
  });

  const settings: readonly NceSetting[] = [
    { kernel: "radius", tau: 0.2, radius: 3 },
    { kernel: "radius", tau: 0.1, radius: 0.7 },
    { kernel: "radius", tau: 0.3, radius: 3, ignoreBand: [3, 6], crossSpace: "ignore" },
    { kernel: "gaussian", tau: 0.1, sigma: 1.1 },
    { kernel: "gaussian", tau: 0.5, sigma: 0.4, ignoreBand: [1.2, 5] },
    { kernel: "gaussian", tau: 0.2, sigma: 1.5, crossSpace: "ignore" },
    { kernel: "views", tau: 0.15 },
  ];
  test.each(settings.map((setting) => [JSON.stringify(setting), setting] as const))("SpatialNCE %s", async (name, setting) => {
    const d = drawFor(`nce ${name}`);
    const [n, width] = [d.int(20, 70), d.int(3, 40)];
    const where = places(d, n);
    const inputs = { z: d.normal([n, width]), dy: d.uniform([], 0.5, 2), ...where };
    await expectAgreement(engine(), {
      inputs,
      // Differences: the loss of numbers up to log n + 2/τ, the entropy of numbers up to log n + 9/2 (at 3σ).
      terms: { y: Math.log(n) + 2 / setting.tau, entropy: Math.log(n) + 4.5, divergence: 2 * Math.log(n) + 2 / setting.tau + 4.5 },
      build: (x) => {
        const { loss, entropy, divergence, anchors } = spatialNce(x.z, setting.kernel === "views" ? { view: x.view } : { position: x.position, space: x.space }, setting);
        return { ...withGradients(x, ["z"], loss, x.dy), entropy, divergence, anchors };
      },
      oracle: () => {
        const result = tfDifferentiate(tf, { z: inputs.z }, ({ z }) => tfSpatialNce(tf, z, where, setting), inputs.dy);
        const { anchors, entropy } = nceTargets(n, where, setting);
        const mean = anchors > 0 ? entropy / anchors : 0;
        return { ...result, anchors: [anchors], entropy: [mean], divergence: [(result["y"]?.[0] ?? NaN) - mean] };
      },
    });
  });
});
