// Activations and elementary functions, with gradients.
import { activation, activationDx } from "../../kernels/pointwise/activation.ts";
import { elementary } from "../../kernels/pointwise/elementary.ts";
import { dispatch, withGradient, type Tensor } from "../engine/trace.ts";
import { divide, multiply } from "./arithmetic.ts";
import type { GradientCase } from "./gradient-case.ts";
import { scale } from "./scale.ts";

type Activation = "relu" | "gelu" | "silu" | "sigmoid" | "tanh";

function activate(name: Activation, x: Tensor): Tensor {
  const flags = [name !== "relu" && name];
  const numbers = { n: x.storage.count };
  const { y } = dispatch(activation, { inputs: { x }, outputs: { y: x.shape }, numbers, flags });
  // From the result where that is enough: the argument then need not outlive the forward pass, and may never be stored.
  const kept = name === "gelu" || name === "silu" ? x : y;
  return withGradient(y, name, [x], (dy) => [() => dispatch(activationDx, { inputs: { dy, kept }, outputs: { dx: x.shape }, numbers, flags }).dx]);
}

/** max(x, 0), NaN where x is NaN; the slope at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return activate("relu", x);
}
/** x Φ(x) with the normal distribution Φ: the exact form (Hendrycks and Gimpel 2016). */
export function gelu(x: Tensor): Tensor {
  return activate("gelu", x);
}
/** x σ(x) (Elfwing et al. 2018). */
export function silu(x: Tensor): Tensor {
  return activate("silu", x);
}
/** σ(x) = 1 ÷ (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return activate("sigmoid", x);
}
export function tanh(x: Tensor): Tensor {
  return activate("tanh", x);
}

function evaluate(name: "exp" | "log" | "sqrt" | "square", x: Tensor): Tensor {
  return dispatch(elementary, { inputs: { x }, outputs: { y: x.shape }, numbers: { n: x.storage.count }, flags: [name !== "exp" && name] }).y;
}

export function exp(x: Tensor): Tensor {
  const y = evaluate("exp", x);
  return withGradient(y, "exp", [x], (dy) => [() => multiply(dy, y)]);
}
/** Natural logarithm; arguments must be positive. */
export function log(x: Tensor): Tensor {
  return withGradient(evaluate("log", x), "log", [x], (dy) => [() => divide(dy, x)]);
}
/** √x; arguments must be positive for a gradient. */
export function sqrt(x: Tensor): Tensor {
  const y = evaluate("sqrt", x);
  return withGradient(y, "sqrt", [x], (dy) => [() => scale(divide(dy, y), 0.5)]);
}
export function square(x: Tensor): Tensor {
  return withGradient(evaluate("square", x), "square", [x], (dy) => [() => scale(multiply(dy, x), 2)]);
}

const positive = (random: () => number) => 0.2 + random();
// A tenth away from relu's kink, a hundred times the step of the differences.
const offKink = (random: () => number) => (random() < 0.5 ? -1 : 1) * (0.1 + random());

export const gradientCases: readonly GradientCase[] = [
  { name: "relu", inputs: { x: { shape: [7, 12], values: offKink } }, build: ({ x }) => relu(x!) },
  { name: "gelu", inputs: { x: { shape: [7, 11], values: (random) => 8 * random() - 4 } }, build: ({ x }) => gelu(x!) },
  { name: "silu", inputs: { x: { shape: [5, 8], values: (random) => 8 * random() - 4 } }, build: ({ x }) => silu(x!) },
  { name: "sigmoid", inputs: { x: { shape: [13] } }, build: ({ x }) => sigmoid(x!) },
  { name: "tanh", inputs: { x: { shape: [16] } }, build: ({ x }) => tanh(x!) },
  { name: "exp", inputs: { x: { shape: [13] } }, build: ({ x }) => exp(x!) },
  { name: "log", inputs: { x: { shape: [3, 4], values: positive } }, build: ({ x }) => log(x!) },
  { name: "sqrt", inputs: { x: { shape: [13], values: positive } }, build: ({ x }) => sqrt(x!) },
  { name: "square", inputs: { x: { shape: [13] } }, build: ({ x }) => square(x!) },
];
