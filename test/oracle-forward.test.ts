// Forward passes of the ops against ONNX Runtime on the CPU, on random shapes.
import { describe, test } from "vitest";
import { gelu } from "../src/ops/activation.ts";
import { conv2d } from "../src/ops/conv.ts";
import { matmul } from "../src/ops/matmul.ts";
import { avgPool2d, globalAvgPool, maxPool2d } from "../src/ops/pool.ts";
import { softmax } from "../src/ops/softmax.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { onnxGraph } from "./oracles/onnx-graph.ts";
import { CONV_KINDS, drawConv, drawPool } from "./oracles/problems.ts";
import { useEngine } from "./oracles/use-engine.ts";
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
