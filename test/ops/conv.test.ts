// Convolution and pooling as ops: what they are compiled to, and what they refuse.
import { describe, expect, test } from "vitest";
import { f32 } from "../../src/engine/engine.ts";
import { trace, tensorOf, type Tensor } from "../../src/engine/trace.ts";
import { relu } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { conv2d, filterParts } from "../../src/ops/conv.ts";
import { avgPool2d, maxPool2d } from "../../src/ops/pool.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

const input = (...shape: number[]): Tensor => {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return tensorOf({ kind: "input", name: "input x", dtype: "f32", count }, shape);
};
const kernelsOf = (build: () => Tensor) => trace(build).nodes.map((node) => (node.kind === "dispatch" ? node.kernel.name : node.kind));

test("activation and residual join the convolution before them", async () => {
  // One pixel, one tap of 2 on 4 channels: relu(2 x + bias) + r, by hand.
  const plan = await engine().plan(
    ({ x, w, bias, r }) => ({ y: add(relu(conv2d(x, w, { padding: 1, bias })), r) }),
    { x: f32(1, 1, 1, 4), w: f32(3, 3, 4, 4), bias: f32(4), r: f32(1, 1, 1, 4) },
  );
  try {
    expect(plan.statistics.dispatches).toBe(1);
    const w = new Float32Array(3 * 3 * 4 * 4);
    for (let c = 0; c < 4; c++) w[(4 * 4 + c) * 4 + c] = 2; // the middle tap takes each channel twice
    const { y } = await plan.run({ x: Float32Array.of(1, -1, 3, 0), w, bias: Float32Array.of(0.5, 0.5, -8, 0), r: Float32Array.of(10, 20, 30, 40) });
    expect([...y!]).toEqual([12.5, 20, 30, 40]);
  } finally {
    plan.dispose();
  }
});

test("1×1 filters at every pixel are a matrix product", () => {
  expect(kernelsOf(() => conv2d(input(2, 3, 5, 8), input(1, 1, 8, 4)))).toEqual(["matmul"]);
  expect(kernelsOf(() => conv2d(input(2, 3, 5, 8), input(1, 1, 8, 4), { stride: 2 }))).toEqual(["conv2d"]);
  expect(kernelsOf(() => conv2d(input(2, 3, 5, 8), input(1, 1, 8, 4), { padding: [0, 1, 0, 0] }))).toEqual(["conv2d"]);
  expect(kernelsOf(() => conv2d(input(2, 3, 5, 8), input(1, 1, 4, 4), { groups: 2 }))).toEqual(["conv2d"]);
});

test("filter gradients are cut into parts only where the sum over pixels is long", () => {
  const sizes = { b: 2, ih: 56, iw: 56, oh: 56, ow: 56, fh: 3, fw: 3, groups: 1, strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, padH: 1, padW: 1 };
  expect(filterParts({ ...sizes, cg: 64, og: 64 })).toBe(28); // 9 tiles of 64 × 64: 28 parts of 4 rows make 252 workgroups
  expect(filterParts({ ...sizes, b: 3, cg: 64, og: 64 })).toBe(42); // not 28 of 6 rows: no part goes on in another image
  expect(filterParts({ ...sizes, cg: 512, og: 512 })).toBe(1); // 576 tiles fill the device by themselves
  expect(filterParts({ ...sizes, oh: 4, ow: 4, cg: 64, og: 64 })).toBe(1); // 32 pixels are one part
  expect(filterParts({ ...sizes, b: 1, oh: 5, ow: 2000, cg: 4, og: 4 })).toBe(5); // no part without a row
});

describe("sizes that do not fit are refused with what to do", () => {
  const cases: [string, () => Tensor, RegExp][] = [
    ["rank", () => conv2d(input(3, 5, 8), input(1, 1, 8, 4)), /images have shape \[3, 5, 8\], expected \[b, h, w, ci\]/],
    ["filters", () => conv2d(input(1, 3, 5, 8), input(3, 8, 4)), /filters have shape \[3, 8, 4\]/],
    ["channels", () => conv2d(input(1, 3, 5, 8), input(3, 3, 4, 4)), /in 1 groups, expected filters/],
    ["groups", () => conv2d(input(1, 3, 5, 8), input(3, 3, 4, 5), { groups: 2 }), /a multiple of groups/],
    ["bias", () => conv2d(input(1, 3, 5, 8), input(3, 3, 8, 4), { bias: input(8) }), /bias has shape \[8\], expected \[4\]/],
    ["stride", () => conv2d(input(1, 3, 5, 8), input(3, 3, 8, 4), { stride: 0 }), /stride 0, 0, expected whole numbers from 1 on/],
    ["padding", () => conv2d(input(1, 3, 5, 8), input(3, 3, 8, 4), { padding: [0, -1] }), /padding 0, 0, -1, -1, expected whole numbers from 0 on/],
    ["extent", () => conv2d(input(1, 2, 5, 8), input(3, 3, 8, 4)), /3 × 3 taps do not fit into images of 2 × 5 pixels/],
    ["window", () => maxPool2d(input(1, 2, 5, 8), 3), /windows of 3 × 3 do not fit/],
    ["padded window", () => avgPool2d(input(1, 4, 5, 8), 2, { padding: 2 }), /expected less than the window/],
  ];
  test.each(cases)("%s", (_, build, message) => {
    expect(() => trace(build)).toThrow(message);
  });
});
