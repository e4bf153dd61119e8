// The probe of subgroup matrices: its text compiles for every shape that devices claim, and what it expects is the product.
import { afterAll, beforeAll, expect, test } from "vitest";
import { matrixProbe, probeFactors, probeProducts } from "../../src/engine/matrices.ts";
import type { MatrixShape } from "../../src/kernel/define.ts";
import { rounderOf } from "../../src/kernel/dtype.ts";
import { openNullAdapter } from "../../src/host/node.ts";

const SHAPES: readonly MatrixShape[] = [
  { component: "f16", result: "f32", M: 16, N: 16, K: 16 },
  { component: "f16", result: "f16", M: 16, N: 16, K: 16 },
  { component: "f16", result: "f32", M: 16, N: 8, K: 16 },
  { component: "f32", result: "f32", M: 8, N: 8, K: 8 },
];

let device: GPUDevice;
let close: () => void;
beforeAll(async () => {
  const handle = await openNullAdapter();
  device = await handle.adapter.requestDevice({ requiredFeatures: ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"] as GPUFeatureName[] });
  close = () => {
    device.destroy();
    handle.close();
  };
});
afterAll(() => close?.());

test.each(SHAPES)("the probe of $component to $result, $M × $N × $K, compiles", async (shape) => {
  device.pushErrorScope("validation");
  device.createShaderModule({ code: matrixProbe(shape, 128) });
  expect((await device.popErrorScope())?.message).toBeUndefined();
});

test.each(SHAPES)("what the probe of $component to $result, $M × $N × $K, multiplies is exact, and in f32 tells sums that are secretly f16", (shape) => {
  const factors = probeFactors(shape);
  const products = probeProducts(shape, factors);
  expect(products.length).toBe(2 * shape.M * shape.N);
  // By hand: one element by rows, one by columns.
  const [a, b] = [factors.subarray(0, shape.M * shape.K), factors.subarray(shape.M * shape.K)];
  let [byRows, byColumns] = [0, 0];
  for (let p = 0; p < shape.K; p++) {
    byRows += a[2 * shape.K + p]! * b[p * shape.N + 3]!;
    byColumns += a[p * shape.M + 2]! * b[3 * shape.K + p]!;
  }
  expect(products[2 * shape.N + 3]).toBe(byRows);
  expect(products[shape.M * shape.N + 2 * shape.N + 3]).toBe(byColumns);
  const [component, result, half] = [rounderOf(shape.component), rounderOf(shape.result), rounderOf("f16")];
  expect(factors.every((value) => component(value) === value)).toBe(true);
  expect(products.every((value) => result(value) === value)).toBe(true);
  expect(products.some((value) => half(value) !== value)).toBe(shape.result === "f32");
});
