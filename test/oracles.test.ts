// The oracles themselves: they load, they compute, and they are on the CPU; known answers only.
import { expect, test as runTest } from "vitest";
import { oraclesMissing } from "./oracles/installed.ts";
import { runOnnx } from "./oracles/onnx.ts";
import { loadTfjs } from "./oracles/tfjs.ts";

const test = runTest.skipIf(oraclesMissing);

test("ONNX Runtime multiplies matrices and convolves with attributes of every kind", async () => {
  const { y, z, g } = await runOnnx(
    [
      { op: "Gemm", inputs: ["a", "b"], outputs: ["y"], attributes: { alpha: { float: 0.5 }, transB: 1 } },
      { op: "Conv", inputs: ["x", "w"], outputs: ["z"], attributes: { strides: [2, 2], auto_pad: "VALID" } },
      { op: "Gelu", inputs: ["y"], outputs: ["g"], attributes: { approximate: "none" } },
    ],
    {
      a: { dims: [1, 2], data: Float32Array.of(1, 2) },
      b: { dims: [2, 2], data: Float32Array.of(3, 4, 5, 6) },
      x: { dims: [1, 1, 3, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) },
      w: { dims: [1, 1, 1, 1], data: Float32Array.of(10) },
    },
    ["y", "z", "g"],
  );
  expect([...(y?.data ?? [])]).toEqual([5.5, 8.5]);
  expect(z?.dims).toEqual([1, 1, 2, 2]);
  expect([...(z?.data ?? [])]).toEqual([10, 30, 70, 90]);
  // Φ(5.5) is 1 − 1.9e-8, which f32 rounds to 1 or to its neighbour.
  expect(Math.abs((g?.data[0] ?? 0) - 5.5)).toBeLessThanOrEqual(5.5 * 2 ** -23);
});

test("ONNX Runtime takes tensors of integers", async () => {
  const { y } = await runOnnx(
    [{ op: "Reshape", inputs: ["x", "shape"], outputs: ["y"] }],
    { x: { dims: [4], data: Float32Array.of(1, 2, 3, 4) }, shape: { dims: [2], data: BigInt64Array.of(2n, -1n) } },
    ["y"],
  );
  expect(y?.dims).toEqual([2, 2]);
});

test("TensorFlow.js differentiates on the CPU", async () => {
  const tf = await loadTfjs();
  expect(tf.getBackend()).toBe("cpu");
  const gradient = tf.grad((x) => tf.sum(tf.mul(tf.square(x), tf.scalar(3))));
  expect([...(await gradient(tf.tensor1d([1, -2])).data())]).toEqual([6, -12]);
  const dw = tf.grad((w) => tf.sum(tf.conv2d(tf.ones([1, 3, 3, 1]) as never, w as never, 1, "valid")));
  expect([...(await dw(tf.zeros([2, 2, 1, 1])).data())]).toEqual([4, 4, 4, 4]);
});
