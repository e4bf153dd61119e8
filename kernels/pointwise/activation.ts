// The descriptors of activations and of their slopes.
import { defineKernel, read, write } from "../../src/kernel/define.ts";
import { gelu, normalCdf, silu } from "../../src/kernel/special.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { elementGrid, inVectors, ROWS, vectorGrid } from "./pointwise.ts";
import slopeNaive from "./activation_dx.naive.wgsl?raw";
import slopeVector from "./activation_dx.vector.wgsl?raw";
import naive from "./activation.naive.wgsl?raw";
import vector from "./activation.vector.wgsl?raw";

type Flag = "gelu" | "silu" | "sigmoid" | "tanh";
const flags = ["gelu", "silu", "sigmoid", "tanh"] as const;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
// Both tails of every function are reached at 6.
const wide = (random: () => number) => 12 * random() - 6;

const numbers = { n: 1028 };
const cases = {
  one: { numbers: { n: 1 } },
  ragged: { numbers: { n: 131 } },
  relu: { numbers },
  gelu: { numbers, flags: ["gelu"] },
  silu: { numbers, flags: ["silu"] },
  sigmoid: { numbers, flags: ["sigmoid"] },
  tanh: { numbers, flags: ["tanh"] },
  "gelu 788×1536": { numbers: { n: 788 * 1536 }, flags: ["gelu"], bench: true },
} as const;

function apply(has: (flag: Flag) => boolean, x: number): number {
  return has("gelu") ? gelu(x) : has("silu") ? silu(x) : has("sigmoid") ? sigmoid(x) : has("tanh") ? Math.tanh(x) : Math.max(x, 0);
}

/** y = max(x, 0), or by flag x Φ(x) (exact gelu), x σ(x) (silu), σ(x), tanh x. */
export const activation = defineKernel({
  name: "activation",
  doc: "y = max(x, 0), or by flag x Φ(x) (gelu, exact form), x σ(x) (silu), σ(x) or tanh x.",
  dims: ["n"],
  flags,
  args: { x: read("n"), y: write("n") },
  libraries,
  variants: {
    naive: { source: naive, grid: elementGrid },
    vector: { source: vector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: ({ n }) => 8 * n,
  // exp of at most x²/2 = 18 in gelu's tails, one quotient each, and the rational erf.
  builtins: { exp: 18, division: 1, erf: 1 },
  reference({ x, y }, _, { round, has }) {
    for (let i = 0; i < x.length; i++) y[i] = round(apply(has, x[i]!));
  },
  inputs: { x: wide },
  asEpilogue: (_, on) => (on.has("sigmoid") || on.has("tanh") ? [] : [{ stage: on.has("gelu") ? "gelu" : on.has("silu") ? "silu" : "relu", input: "x", output: "y" }]),
  cases,
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});

/** dx = dy · act′, from the result of relu, σ and tanh, from the argument of gelu and silu. */
export const activationDx = defineKernel({
  name: "activation_dx",
  doc: "dx = dy · act′, where `kept` is the result of relu, σ and tanh, and the argument of gelu and silu.",
  dims: ["n"],
  flags,
  args: { dy: read("n"), kept: read("n"), dx: write("n") },
  libraries,
  variants: {
    naive: { source: slopeNaive, grid: elementGrid },
    vector: { source: slopeVector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: ({ n }) => 10 * n,
  builtins: { exp: 18, division: 1, erf: 1 },
  reference({ dy, kept, dx }, _, { round, has }) {
    const slope = (v: number): number => {
      if (has("gelu")) return normalCdf(v) + (v * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI);
      if (has("silu")) return sigmoid(v) * (1 + v * (1 - sigmoid(v)));
      if (has("sigmoid")) return round(v * round(1 - v));
      if (has("tanh")) return round(1 - round(v * v));
      return v > 0 ? 1 : 0;
    };
    for (let i = 0; i < dx.length; i++) dx[i] = round(dy[i]! * round(slope(kept[i]!)));
  },
  inputs: { kept: wide },
  cases,
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});
