// The descriptor of exp, log, square root and square.
import { defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { elementGrid, inVectors, ROWS, vectorGrid } from "./pointwise.ts";
import naive from "./elementary.naive.wgsl?raw";
import vector from "./elementary.vector.wgsl?raw";

const numbers = { n: 1028 };

/** y = exp(x), or by flag log x, √x or x². */
export const elementary = defineKernel({
  name: "elementary",
  doc: "y = exp(x), or by flag log x, √x or x².",
  dims: ["n"],
  flags: ["log", "sqrt", "square"],
  args: { x: read("n"), y: write("n") },
  variants: {
    naive: { source: naive, grid: elementGrid },
    vector: { source: vector, grid: vectorGrid, legal: inVectors, params: ROWS, tiles: { n: "ROWS" } },
  },
  flops: ({ n }) => n,
  builtins: { exp: 2, log: 1, sqrt: 1 },
  reference({ x, y }, _, { round, has }) {
    const of = has("log") ? Math.log : has("sqrt") ? Math.sqrt : has("square") ? (v: number) => v * v : Math.exp;
    for (let i = 0; i < x.length; i++) y[i] = round(of(x[i]!));
  },
  // Where all four are defined.
  inputs: { x: (random) => 0.1 + 1.9 * random() },
  cases: {
    one: { numbers: { n: 1 } },
    exp: { numbers },
    log: { numbers, flags: ["log"] },
    sqrt: { numbers, flags: ["sqrt"] },
    square: { numbers, flags: ["square"] },
    "exp 788×1536": { numbers: { n: 788 * 1536 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: "op",
});
