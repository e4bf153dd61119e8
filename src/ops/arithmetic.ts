// Addition, subtraction, multiplication and division with broadcasting, and their gradients.
import { binary } from "../../kernels/pointwise/binary.ts";
import { dispatch, reshape, withGradient, type Tensor } from "../engine/trace.ts";
import { broadcastShapes, repeatedAxes } from "./broadcast.ts";
import type { GradientCase } from "./gradient-case.ts";
import { sum } from "./reduce.ts";
import { negate } from "./scale.ts";

type Operation = "add" | "subtract" | "multiply" | "divide";

/** a + b. Shapes broadcast as in NumPy; both operands have one element type. Throws ShapeError where shapes do not fit. */
export function add(a: Tensor, b: Tensor): Tensor {
  return withGradient(combine("add", a, b), "add", [a, b], (dy) => [() => gather(dy, a), () => gather(dy, b)]);
}

/** a − b, broadcasting as `add`. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return withGradient(combine("subtract", a, b), "subtract", [a, b], (dy) => [() => gather(dy, a), () => gather(negate(dy), b)]);
}

/** a × b elementwise, broadcasting as `add`. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return withGradient(combine("multiply", a, b), "multiply", [a, b], (dy) => [() => gather(multiply(dy, b), a), () => gather(multiply(dy, a), b)]);
}

/** a ÷ b elementwise, broadcasting as `add`. Where b is 0 the result is what the device makes of it. */
export function divide(a: Tensor, b: Tensor): Tensor {
  const y = combine("divide", a, b);
  return withGradient(y, "divide", [a, b], (dy) => [() => gather(divide(dy, b), a), () => gather(negate(divide(multiply(dy, y), b)), b)]);
}

function combine(operation: Operation, a: Tensor, b: Tensor): Tensor {
  const { shape, extents, a: strideA, b: strideB } = broadcastShapes(operation, a.shape, b.shape);
  const numbers = Object.fromEntries([...extents.map((v, i) => [`d${i}`, v]), ...strideA.map((v, i) => [`a${i}`, v]), ...strideB.map((v, i) => [`b${i}`, v])]) as Record<string, number>;
  return dispatch(binary, { inputs: { a, b }, outputs: { y: shape }, numbers, flags: [operation !== "add" && operation] }).y;
}

/** What arrives at a result, summed over the dimensions along which the operand was repeated. */
function gather(dy: Tensor, operand: Tensor): Tensor {
  const axes = repeatedAxes(dy.shape, operand.shape);
  return axes.length ? reshape(sum(dy, axes), operand.shape) : reshape(dy, operand.shape);
}

const pair = (name: string, op: (a: Tensor, b: Tensor) => Tensor, a: readonly number[], b: readonly number[]): GradientCase => ({
  name,
  // Denominators keep away from 0, where a quotient has no bound.
  inputs: { a: { shape: a }, b: { shape: b, values: (random) => (random() < 0.5 ? -1 : 1) * (0.5 + random()) } },
  build: (x) => op(x["a"]!, x["b"]!),
});

export const gradientCases: readonly GradientCase[] = [
  pair("add", add, [5, 13], [5, 13]),
  pair("add a row", add, [37, 6], [6]),
  pair("add in turns", add, [3, 1, 2, 1], [5, 1, 7]),
  pair("subtract", subtract, [4, 9], [4, 1]),
  pair("multiply", multiply, [3, 4, 5], [4, 5]),
  pair("multiply per channel and image", multiply, [2, 3, 3, 8], [2, 1, 1, 8]),
  pair("divide", divide, [1, 7], [6, 1]),
  pair("divide by a number", divide, [11], []),
];
