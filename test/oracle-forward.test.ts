// Forward passes of the ops against ONNX Runtime on the CPU, on random shapes.
import { describe, test } from "vitest";
import { gelu } from "../src/ops/activation.ts";
import { attentionPool, attentionWithMap } from "../src/ops/attention.ts";
import { conv2d } from "../src/ops/conv.ts";
import { matmul } from "../src/ops/matmul.ts";
import { batchNorm, layerNorm } from "../src/ops/norm.ts";
import { avgPool2d, globalAvgPool, maxPool2d } from "../src/ops/pool.ts";
import { softmax } from "../src/ops/softmax.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { onnxGraph } from "./oracles/onnx-graph.ts";
import { CONV_KINDS, drawAttention, drawAttentionPool, drawConv, drawPool } from "./oracles/problems.ts";
import { useEngine } from "./support/engine.ts";
import { expectAgreement } from "./oracles/witnesses.ts";

describe.skipIf(oraclesMissing)(`ONNX Runtime agrees, seed ${SEED}`, () => {
  const engine = useEngine();

  test.each([
    ["plain", false, false, false],
    ["transposed left", true, false, false],
    ["transposed right, bias", false, true, true],
    ["both transposed, bias", true, true, true],
  ])("Gemm, %s", async (name, ta, tb, withBias) => {
    const d = drawFor(`gemm ${name}`);
    const [m, k, n] = [d.int(1, 90), d.int(1, 150), d.int(1, 90)];
    const inputs = { a: d.uniform(ta ? [k, m] : [m, k]), b: d.uniform(tb ? [n, k] : [k, n]), bias: d.uniform([n]) };
    await expectAgreement(engine(), {
      inputs,
      build: ({ a, b, bias }) => ({ y: matmul(a, b, { ta, tb, ...(withBias ? { bias } : {}) }) }),
      oracle: () => {
        const g = onnxGraph();
        const [a, b, bias] = [g.input(inputs.a), g.input(inputs.b), g.input(inputs.bias)];
        return g.run({ y: g.apply("Gemm", withBias ? [a, b, bias] : [a, b], { transA: Number(ta), transB: Number(tb) }) });
      },
    });
  });

  test.each(["batched", "shared right", "shared left"])("MatMul, %s", async (name) => {
    const d = drawFor(`matmul ${name}`);
    const [b, m, k, n] = [d.int(2, 4), d.int(1, 40), d.int(1, 60), d.int(1, 40)];
    const inputs = { a: d.uniform(name === "shared left" ? [m, k] : [b, m, k]), b: d.uniform(name === "shared right" ? [k, n] : [b, k, n]) };
    await expectAgreement(engine(), {
      inputs,
      build: (x) => ({ y: matmul(x.a, x.b) }),
      oracle: () => {
        const g = onnxGraph();
        return g.run({ y: g.matmul(g.input(inputs.a), g.input(inputs.b)) });
      },
    });
  });

  test.each(CONV_KINDS)("Conv, %s", async (kind) => {
    const problem = drawConv(drawFor(`conv ${kind}`), kind);
    const { x, w, bias, attributes } = problem;
    await expectAgreement(engine(), {
      inputs: { x, w, bias },
      build: (t) => ({ y: conv2d(t.x, t.w, { ...attributes, bias: t.bias }) }),
      oracle: () => {
        const g = onnxGraph();
        return g.run({ y: g.toChannelsLast(g.conv(g.toChannelsFirst(g.input(x)), g.input(w), attributes, g.input(bias))) });
      },
    });
  });

  test.each([1, 2, 3])("MaxPool, AveragePool, GlobalAveragePool, draw %i", async (number) => {
    const { x, window, stride, padding } = drawPool(drawFor(`pool ${number}`));
    const options = { stride, padding };
    await expectAgreement(engine(), {
      inputs: { x },
      build: (t) => ({
        max: maxPool2d(t.x, window, options),
        counted: avgPool2d(t.x, window, options),
        uncounted: avgPool2d(t.x, window, { ...options, countIncludePad: false }),
        all: globalAvgPool(t.x),
      }),
      oracle: () => {
        const g = onnxGraph();
        const first = g.toChannelsFirst(g.input(x));
        const [top, bottom, left, right] = padding;
        const attributes = { kernel_shape: window, strides: stride, pads: [top, left, bottom, right] };
        return g.run({
          max: g.toChannelsLast(g.apply("MaxPool", [first], attributes)),
          counted: g.toChannelsLast(g.apply("AveragePool", [first], { ...attributes, count_include_pad: 1 })),
          uncounted: g.toChannelsLast(g.apply("AveragePool", [first], { ...attributes, count_include_pad: 0 })),
          all: g.apply("GlobalAveragePool", [first]),
        });
      },
    });
  });

  test.each([1, 2])("LayerNormalization and BatchNormalization, draw %i", async (number) => {
    const d = drawFor(`norm ${number}`);
    const [b, h, w, c] = [d.int(1, 4), d.int(1, 9), d.int(1, 9), d.int(2, 90)];
    const epsilon = d.pick([1e-6, 1e-5, 1e-3]);
    const inputs = { x: d.uniform([b, h, w, c], -1, 3), gamma: d.uniform([c]), beta: d.uniform([c]), mean: d.uniform([c]), variance: d.uniform([c], 0.3, 3) };
    await expectAgreement(engine(), {
      inputs,
      build: ({ x, gamma, beta, mean, variance }) => ({
        layer: layerNorm(x, gamma, beta, epsilon),
        batch: batchNorm(x, gamma, beta, { running: { mean, variance }, training: false, eps: epsilon }),
      }),
      oracle: () => {
        const g = onnxGraph();
        const [x, gamma, beta] = [g.input(inputs.x), g.input(inputs.gamma), g.input(inputs.beta)];
        return g.run({
          layer: g.layerNorm(x, gamma, beta, epsilon),
          batch: g.toChannelsLast(g.batchNorm(g.toChannelsFirst(x), gamma, beta, g.input(inputs.mean), g.input(inputs.variance), epsilon)),
        });
      },
    });
  });

  test.each(["of itself", "few queries", "few keys"] as const)("attention by MatMul and Softmax, with its map, %s", async (kind) => {
    const { q, k, v, scale } = drawAttention(drawFor(`attention ${kind}`), kind);
    await expectAgreement(engine(), {
      inputs: { q, k, v },
      build: (t) => {
        const { out, map } = attentionWithMap(t.q, t.k, t.v);
        return { out, map: map(), sharper: attentionWithMap(t.q, t.k, t.v, { scale: 2 * scale }).out };
      },
      oracle: () => {
        const g = onnxGraph();
        const [eq, ek, ev] = [g.input(q), g.input(k), g.input(v)];
        return g.run({ out: g.attention(eq, ek, ev, scale), map: g.attentionMap(eq, ek, scale), sharper: g.attention(eq, ek, ev, 2 * scale) });
      },
    });
  });

  test("pooling by attention", async () => {
    const { tensors, heads, queries } = drawAttentionPool(drawFor("attention pool"));
    await expectAgreement(engine(), {
      inputs: tensors,
      build: ({ x, ...weights }) => {
        const { y, map } = attentionPool(x, weights, heads);
        return { y, map: map() };
      },
      oracle: () => {
        const g = onnxGraph();
        const [b = 0, n = 0] = tensors.x.shape;
        const [, e = 0] = tensors.query.shape;
        const x = g.input(tensors.x);
        const tokens = (w: "wk" | "wv", bias: "bk" | "bv") => g.reshape(g.add(g.matmul(x, g.input(tensors[w])), g.input(tensors[bias])), b, n, heads, e / heads);
        const q = g.apply("Expand", [g.reshape(g.input(tensors.query), 1, queries, heads, e / heads), g.integers(b, 1, 1, 1)]);
        const [k, scale] = [tokens("wk", "bk"), 1 / Math.sqrt(e / heads)];
        return g.run({ y: g.attention(q, k, tokens("wv", "bv"), scale), map: g.attentionMap(q, k, scale) });
      },
    });
  });

  test.each([1, 2])("Softmax and Gelu, draw %i", async (number) => {
    const d = drawFor(`softmax ${number}`);
    const x = d.uniform([d.int(1, 5), d.int(1, 30), d.int(1, 200)], -8, 8);
    await expectAgreement(engine(), {
      inputs: { x },
      build: (t) => ({ soft: softmax(t.x), gelu: gelu(t.x) }),
      oracle: () => {
        const g = onnxGraph();
        const edge = g.input(x);
        return g.run({ soft: g.softmax(edge), gelu: g.gelu(edge) });
      },
    });
  });
});
