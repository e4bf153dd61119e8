// The descriptor of padding with zeros.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./pad.naive.wgsl?raw";
import vector from "./pad.vector.wgsl?raw";

type Five = readonly [number, number, number, number, number];

/** Numbers of a case: extents of y, extents of x, and where x begins in y. */
function place(d: Five, e: Five, b: Five) {
  return Object.fromEntries([0, 1, 2, 3, 4].flatMap((i) => [[`d${i}`, d[i]!], [`e${i}`, e[i]!], [`b${i}`, b[i]!]])) as Record<`${"d" | "e" | "b"}${0 | 1 | 2 | 3 | 4}`, number>;
}

/** y = x at [b0, …, b4], and zeros around. */
export const pad = defineKernel({
  name: "pad",
  doc: "y[i] = x[i − b] where all of 0 ≤ i_k − b_k < e_k, else 0; b + e ≤ d.",
  dims: ["d0", "d1", "d2", "d3", "d4", "e0", "e1", "e2", "e3", "e4", "b0", "b1", "b2", "b3", "b4", "n"],
  args: { x: read("e0", "e1", "e2", "e3", "e4"), y: write("d0", "d1", "d2", "d3", "d4") },
  derive: ({ d0, d1, d2, d3, d4 }) => ({ n: d0 * d1 * d2 * d3 * d4 }),
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vector: { source: vector, grid: ({ n }) => [ceilDiv(n / 4, 64), 1, 1], legal: ({ d4, e4, b4 }) => [d4, e4, b4].every((size) => size % 4 === 0) },
  },
  flops: () => 0,
  reference({ x, y }, { d1, d2, d3, d4, e0, e1, e2, e3, e4, b0, b1, b2, b3, b4 }) {
    y.fill(0);
    let from = 0;
    for (let i0 = 0; i0 < e0; i0++)
      for (let i1 = 0; i1 < e1; i1++)
        for (let i2 = 0; i2 < e2; i2++)
          for (let i3 = 0; i3 < e3; i3++)
            for (let i4 = 0; i4 < e4; i4++) y[((((i0 + b0) * d1 + i1 + b1) * d2 + i2 + b2) * d3 + i3 + b3) * d4 + i4 + b4] = x[from++]!;
  },
  cases: {
    one: { numbers: place([1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]) },
    "one in many": { numbers: place([1, 1, 3, 4, 5], [1, 1, 1, 1, 1], [0, 0, 1, 3, 2]) },
    "image border": { numbers: place([1, 2, 9, 7, 8], [1, 2, 6, 5, 8], [0, 0, 1, 1, 0]) },
    "ragged in five": { numbers: place([3, 3, 4, 2, 5], [2, 1, 3, 2, 3], [1, 0, 1, 0, 2]) },
    "columns in vectors": { numbers: place([1, 1, 1, 6, 20], [1, 1, 1, 6, 12], [0, 0, 0, 0, 4]) },
    "image 4×56×56×64": { numbers: place([1, 4, 58, 58, 64], [1, 4, 56, 56, 64], [0, 0, 1, 1, 0]), bench: true },
  },
  // Where nothing is put before or behind along the first extent that is cut: images of a batch, one by one.
  split: (numbers, flags, room) => {
    const at = [0, 1, 2, 3, 4].find((i) => numbers[`d${i}`]! > 1) ?? 4;
    const inner = [0, 1, 2, 3, 4].slice(at + 1).reduce((product, i) => product * numbers[`d${i}`]!, 1);
    return splitAlong(`d${at}`, { also: [`e${at}`], when: (n) => n[`e${at}`] === n[`d${at}`], numbers: (_, from, to) => ({ n: (to - from) * inner }) })(numbers, flags, room);
  },
  gradient: "op",
});
