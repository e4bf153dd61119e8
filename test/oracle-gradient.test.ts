// Gradients of the ops against TensorFlow.js on the CPU, on random shapes: its ops, its differentiation.
import { beforeAll, describe, expect, test } from "vitest";
import type { Tensor as TracedTensor } from "../src/engine/trace.ts";
import { attention, attentionPool } from "../src/ops/attention.ts";
import { conv2d } from "../src/ops/conv.ts";
import { crossEntropy, mse } from "../src/ops/loss.ts";
import { batchNorm, layerNorm } from "../src/ops/norm.ts";
import { avgPool2d, globalAvgPool, maxPool2d } from "../src/ops/pool.ts";
import { softmax } from "../src/ops/softmax.ts";
import { spatialNce } from "../src/ops/spatial-nce.ts";
import { drawFor, SEED, type Draw, type Value } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import type { Tensor } from "./oracles/tfjs-entry.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { CONV_KINDS, drawAttention, drawAttentionPool, drawConv, drawPool } from "./oracles/problems.ts";
import { nceTargets, tfAttention, tfAvgPool, tfBatchNorm, tfConv, tfCrossEntropy, tfDifferentiate, tfLayerNorm, tfMaxPool, tfSpatialNce, type NceSetting, type Tf } from "./oracles/tfjs-ops.ts";
import { useEngine } from "./support/engine.ts";
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

  test.each([1, 2, 3])("pooling, draw %i", async (number) => {
    const d = drawFor(`pool ${number}`);
    const { x, window, stride, padding, shape } = drawPool(d);
    const dy = d.uniform(shape);
    const options = { stride, padding };
    await expectAgreement(engine(), {
      inputs: { x, dy },
      build: (t) => withGradients(t, ["x"], maxPool2d(t.x, window, options), t.dy),
      oracle: () => tfDifferentiate(tf, { x }, (t) => tfMaxPool(tf, t.x, window, options), dy),
    });
    for (const countIncludePad of [true, false])
      await expectAgreement(engine(), {
        inputs: { x, dy },
        build: (t) => withGradients(t, ["x"], avgPool2d(t.x, window, { ...options, countIncludePad }), t.dy),
        oracle: () => tfDifferentiate(tf, { x }, (t) => tfAvgPool(tf, t.x, window, { ...options, countIncludePad }), dy),
      });
    const global = d.uniform([x.shape[0]!, x.shape[3]!]);
    await expectAgreement(engine(), {
      inputs: { x, dy: global },
      build: (t) => withGradients(t, ["x"], globalAvgPool(t.x), t.dy),
      oracle: () => tfDifferentiate(tf, { x }, (t) => tf.mean(t.x, [1, 2]), global),
    });
  });

  test.each([1, 2])("norms, draw %i", async (number) => {
    const d = drawFor(`norm ${number}`);
    const [b, h, w, c] = [d.int(1, 4), d.int(1, 9), d.int(2, 9), d.int(2, 90)];
    const epsilon = d.pick([1e-6, 1e-5, 1e-3]);
    const learned = { x: d.uniform([b, h, w, c], -1, 3), gamma: d.uniform([c]), beta: d.uniform([c]) };
    const inputs = { ...learned, dy: d.uniform([b, h, w, c]) };
    await expectAgreement(engine(), {
      inputs,
      build: (t) => withGradients(t, Object.keys(learned), layerNorm(t.x, t.gamma, t.beta, epsilon), t.dy),
      oracle: () => tfDifferentiate(tf, learned, (t) => tfLayerNorm(tf, t.x, t.gamma, t.beta, epsilon), inputs.dy),
    });
    await expectAgreement(engine(), {
      inputs,
      build: (t) => withGradients(t, Object.keys(learned), batchNorm(t.x, t.gamma, t.beta, { training: true, eps: epsilon }), t.dy),
      oracle: () => tfDifferentiate(tf, learned, (t) => tfBatchNorm(tf, t.x, t.gamma, t.beta, epsilon).y, inputs.dy),
    });
  });

  test("a formula that is wrong by a little is seen", async () => {
    const d = drawFor("mistakes");
    const [rows, c, epsilon] = [d.int(100, 300), d.int(4, 20), 1e-5];
    const learned = { x: d.uniform([rows, c]), gamma: d.uniform([c], 0.5, 1), beta: d.uniform([c]) };
    const inputs = { ...learned, dy: d.uniform([rows, c]) };
    const build = (t: Readonly<Record<keyof typeof inputs, TracedTensor>>) => withGradients(t, Object.keys(learned), batchNorm(t.x, t.gamma, t.beta, { training: true, eps: epsilon }), t.dy);
    const oracle = (gain: number) => () => tfDifferentiate(tf, learned, (t) => tfBatchNorm(tf, t.x, tf.mul(t.gamma, tf.scalar(gain)), t.beta, epsilon).y, inputs.dy);
    await expectAgreement(engine(), { inputs, build, oracle: oracle(1) });
    // As if the variance were the unbiased one.
    await expect(expectAgreement(engine(), { inputs, build, oracle: oracle(Math.sqrt((rows - 1) / rows)) })).rejects.toThrow("the oracle says");
  });

  test.each(["of itself", "few queries", "few keys"] as const)("attention, %s", async (kind) => {
    const d = drawFor(`attention ${kind}`);
    const { q, k, v, scale } = drawAttention(d, kind);
    const dy = d.uniform(q.shape);
    const [, n = 0, , width = 0] = q.shape;
    // A single key has weight 1 whatever its score: dq and dk are 0, as differences of equal sums ⟨dy, v⟩, each at most the width.
    const largest = (x: Value<Float32Array>) => x.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const terms: Record<string, number> = k.shape[1] === 1 ? { dq: width * scale * largest(k), dk: n * width * scale * largest(q) } : {};
    await expectAgreement(engine(), {
      inputs: { q, k, v, dy },
      terms,
      build: (t) => withGradients(t, ["q", "k", "v"], attention(t.q, t.k, t.v), t.dy),
      oracle: () => tfDifferentiate(tf, { q, k, v }, (t) => tfAttention(tf, t.q, t.k, t.v, scale), dy),
    });
  });

  test("pooling by attention", async () => {
    const d = drawFor("attention pool");
    const { tensors, heads, queries } = drawAttentionPool(d);
    const [b = 0, n = 0, c = 0] = tensors.x.shape;
    const [, e = 0] = tensors.query.shape;
    const dy = d.uniform([b, queries, e]);
    await expectAgreement(engine(), {
      inputs: { ...tensors, dy },
      build: (t) => withGradients(t, Object.keys(tensors), attentionPool(t.x, t, heads).y, t.dy),
      oracle: () =>
        tfDifferentiate(tf, tensors, (t) => {
          const tokens = (w: Tensor, bias: Tensor) => tf.reshape(tf.add(tf.matMul(tf.reshape(t.x, [b * n, c]), w), bias), [b, n, heads, e / heads]);
          const q = tf.tile(tf.reshape(t.query, [1, queries, heads, e / heads]), [b, 1, 1, 1]);
          return tf.reshape(tfAttention(tf, q, tokens(t.wk, t.bk), tokens(t.wv, t.bv), 1 / Math.sqrt(e / heads)), [b, queries, e]);
        }, dy),
    });
  });

  test.each([0, 0.15])("cross-entropy, smoothing %f", async (smoothing) => {
    const d = drawFor(`cross-entropy ${smoothing}`);
    const [n, classes] = [d.int(2, 60), d.int(2, 150)];
    const [x, labels, dy] = [d.uniform([n, classes], -6, 6), d.labels([n], classes), d.uniform([], 0.5, 2)];
    await expectAgreement(engine(), {
      inputs: { x, labels, dy },
      build: (t) => withGradients(t, ["x"], crossEntropy(t.x, t.labels, { smoothing }), t.dy),
      oracle: () => tfDifferentiate(tf, { x }, (t) => tfCrossEntropy(tf, t.x, labels, smoothing), dy),
    });
  });

  test("mean squared error and softmax", async () => {
    const d = drawFor("mse");
    const shape = [d.int(1, 50), d.int(1, 120)];
    const [a, b, dy, dsoft] = [d.uniform(shape), d.uniform(shape), d.uniform([], 0.5, 2), d.uniform(shape)];
    await expectAgreement(engine(), {
      inputs: { a, b, dy },
      build: (t) => withGradients(t, ["a", "b"], mse(t.a, t.b), t.dy),
      oracle: () => tfDifferentiate(tf, { a, b }, (t) => tf.mean(tf.squaredDifference(t.a, t.b)), dy),
    });
    await expectAgreement(engine(), {
      inputs: { a, dy: dsoft },
      build: (t) => withGradients(t, ["a"], softmax(t.a), t.dy),
      oracle: () => tfDifferentiate(tf, { a }, (t) => tf.softmax(t.a), dsoft),
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
