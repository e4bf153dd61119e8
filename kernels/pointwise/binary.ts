// The descriptor of the four arithmetic operations with broadcasting.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { ACTIVATION_STAGES, activationOf } from "../../src/kernel/special.ts";
import { cutEvenly, leastCommon } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import gather from "./binary.gather.wgsl?raw";
import naive from "./binary.naive.wgsl?raw";
import vector from "./binary.vector.wgsl?raw";

/** Sizes of a case: extents d0..d3 of the result and, per operand, which of them it has (1) or repeats (0). */
function broadcast(d: readonly [number, number, number, number], a: readonly number[], b: readonly number[]) {
  const strides = (has: readonly number[]) => d.map((_, i) => (has[i] ? d.reduce((p, extent, j) => (j > i && has[j] ? p * extent : p), 1) : 0));
  const [a0, a1, a2, a3] = strides(a) as [number, number, number, number];
  const [b0, b1, b2, b3] = strides(b) as [number, number, number, number];
  return { d0: d[0], d1: d[1], d2: d[2], d3: d[3], a0, a1, a2, a3, b0, b1, b2, b3 };
}

/** Whether an operand is one stretch of memory that is read again and again from its start. */
function isStretch(extents: readonly number[], strides: readonly number[]): boolean {
  let size = 1;
  let repeats = false;
  return [3, 2, 1, 0].every((i) => {
    if (extents[i] === 1) return true;
    if (strides[i] === 0) return (repeats = true);
    const fits = !repeats && strides[i] === size;
    size *= extents[i]!;
    return fits;
  });
}

/** y = act(a + b), or −, ×, ÷ by flag; each operand may be repeated along some dimensions. Computes in f32. */
export const binary = defineKernel({
  name: "binary",
  doc: "y = act(a + b) elementwise, or −, ×, ÷ by flag, with operands repeated along dimensions where their stride is 0.",
  dims: ["d0", "d1", "d2", "d3", "a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3", "na", "nb", "n"],
  flags: ["subtract", "multiply", "divide", "relu", "gelu", "silu"],
  args: { a: read("na"), b: read("nb"), y: write("n") },
  derive: ({ d0, d1, d2, d3, a0, a1, a2, a3, b0, b1, b2, b3 }) => {
    const size = (s0: number, s1: number, s2: number, s3: number) => 1 + (d0 - 1) * s0 + (d1 - 1) * s1 + (d2 - 1) * s2 + (d3 - 1) * s3;
    return { na: size(a0, a1, a2, a3), nb: size(b0, b1, b2, b3), n: d0 * d1 * d2 * d3 };
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    gather: { source: gather, grid: ({ n }) => [ceilDiv(n / 4, 64), 1, 1], legal: ({ d3 }) => d3 % 4 === 0 },
    vector: {
      source: vector,
      grid: ({ na, nb, n }, constant) => {
        const width = na === nb ? ceilDiv(n / 4, constant("ROWS")) : Math.min(na, nb) / 4;
        return [ceilDiv(ceilDiv(n / 4 / width, constant("ROWS")) * width, 64), 1, 1];
      },
      params: { ROWS: [1, 4, 8] },
      legal: ({ d0, d1, d2, d3, a0, a1, a2, a3, b0, b1, b2, b3, na, nb, n }) =>
        Math.max(na, nb) === n && n % 4 === 0 && na % 4 === 0 && nb % 4 === 0 && isStretch([d0, d1, d2, d3], [a0, a1, a2, a3]) && isStretch([d0, d1, d2, d3], [b0, b1, b2, b3]),
    },
  },
  flops: ({ n }) => n,
  // The gelu of a sum of numbers below 1 and the exp of at most their square; of quotients, see `inputs`.
  builtins: { exp: 16, division: 2, erf: 1 },
  reference({ a, b, y }, { d0, d1, d2, d3, a0, a1, a2, a3, b0, b1, b2, b3 }, { round, has }) {
    const act = activationOf(has);
    let i = 0;
    for (let i0 = 0; i0 < d0; i0++)
      for (let i1 = 0; i1 < d1; i1++)
        for (let i2 = 0; i2 < d2; i2++)
          for (let i3 = 0; i3 < d3; i3++) {
            const p = a[i0 * a0 + i1 * a1 + i2 * a2 + i3 * a3]!;
            const q = b[i0 * b0 + i1 * b1 + i2 * b2 + i3 * b3]!;
            y[i++] = round(act(round(has("subtract") ? p - q : has("multiply") ? p * q : has("divide") ? p / q : p + q)));
          }
  },
  // Denominators keep away from 0, where a quotient has no bound.
  inputs: { b: (random) => (random() < 0.5 ? -1 : 1) * (0.5 + random()) },
  epilogue: { output: "y", stages: ACTIVATION_STAGES },
  asEpilogue: ({ na, nb, n }, flags) =>
    na === n && nb === n && flags.size === 0
      ? [
          { stage: "residual", input: "a", other: "b", output: "y" },
          { stage: "residual", input: "b", other: "a", output: "y" },
        ]
      : [],
  cases: {
    one: { numbers: broadcast([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]) },
    equal: { numbers: broadcast([1, 1, 1, 1028], [0, 0, 0, 1], [0, 0, 0, 1]) },
    "subtract ragged": { numbers: broadcast([1, 1, 1, 131], [0, 0, 0, 1], [0, 0, 0, 1]), flags: ["subtract"] },
    "multiply by a row": { numbers: broadcast([1, 1, 9, 24], [0, 0, 1, 1], [0, 0, 0, 1]), flags: ["multiply"] },
    "row divided by all": { numbers: broadcast([1, 1, 7, 12], [0, 0, 0, 1], [0, 0, 1, 1]), flags: ["divide"] },
    "add a number, relu": { numbers: broadcast([1, 1, 1, 72], [0, 0, 0, 1], [0, 0, 0, 0]), flags: ["relu"] },
    "multiply by a column, gelu": { numbers: broadcast([1, 1, 13, 11], [0, 0, 1, 1], [0, 0, 1, 0]), flags: ["multiply", "gelu"] },
    "outer sum in turns, silu": { numbers: broadcast([3, 5, 2, 7], [1, 0, 1, 0], [0, 1, 0, 1]), flags: ["silu"] },
    "divide by columns": { numbers: broadcast([1, 1, 9, 16], [0, 0, 1, 1], [0, 0, 1, 0]), flags: ["divide"] },
    "multiply channels of images": { numbers: broadcast([1, 3, 5, 8], [0, 1, 1, 1], [0, 1, 0, 1]), flags: ["multiply"] },
    "equal, relu": { numbers: broadcast([1, 1, 1, 68], [0, 0, 0, 1], [0, 0, 0, 1]), flags: ["relu"] },
    "multiply by a row, gelu": { numbers: broadcast([1, 1, 9, 24], [0, 0, 1, 1], [0, 0, 0, 1]), flags: ["multiply", "gelu"] },
    "add a row, silu": { numbers: broadcast([1, 1, 7, 12], [0, 0, 1, 1], [0, 0, 0, 1]), flags: ["silu"] },
    "subtract in turns": { numbers: broadcast([3, 5, 2, 4], [1, 0, 1, 0], [0, 1, 0, 1]), flags: ["subtract", "silu"] },
    "add 788×1536": { numbers: broadcast([1, 1, 1, 788 * 1536], [0, 0, 0, 1], [0, 0, 0, 1]), bench: true },
    "multiply rows of 788×1536": { numbers: broadcast([1, 1, 788, 1536], [0, 0, 1, 1], [0, 0, 1, 0]), flags: ["multiply"], bench: true },
    "add a row to 788×1536": { numbers: broadcast([1, 1, 788, 1536], [0, 0, 1, 1], [0, 0, 0, 1]), bench: true },
  },
  free: { d0: 1, d1: 1, d2: 1, d3: 1 },
  // Operands of the result's shape in stretches; beside them what is repeated, whole.
  split(numbers, _, room) {
    const [na, nb, n] = [numbers["na"]!, numbers["nb"]!, numbers["n"]!];
    const list = (letter: string) => [0, 1, 2, 3].map((i) => numbers[`${letter}${i}`]!);
    const small = Math.min(na, nb);
    if (Math.max(na, nb) !== n || !isStretch(list("d"), list("a")) || !isStretch(list("d"), list("b")) || (small < n && small > room.most("a"))) return undefined;
    const period = small === n ? 1 : small;
    const unit = ["a", "b", "y"].reduce((sum, name) => leastCommon(sum, room.step(name)), period);
    return cutEvenly(n, room.most("y"), unit)?.map(([from, to]) => {
      const window = { first: from, count: to - from };
      const four = (letter: string, values: readonly number[]) => Object.fromEntries(values.map((value, i) => [`${letter}${i}`, value]));
      const extents = period === 1 ? [1, 1, 1, to - from] : [(to - from) / period, 1, 1, period];
      const strides = (count: number) => [count === n ? period : 0, 0, 0, period === 1 && count < n ? 0 : 1];
      const size = (count: number) => (count === n ? to - from : count);
      return {
        numbers: { ...numbers, ...four("d", extents), ...four("a", strides(na)), ...four("b", strides(nb)), na: size(na), nb: size(nb), n: to - from },
        windows: { ...(na === n ? { a: window } : {}), ...(nb === n ? { b: window } : {}), y: window },
      };
    });
  },
  gradient: "op",
});
