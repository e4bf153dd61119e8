// The descriptor of the gradient of a maximum.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import columns from "./max_dx.columns.wgsl?raw";
import naive from "./max_dx.naive.wgsl?raw";

/** dx[o, k, j] = dy[o, j] at the first k where x[o, k, j] is the maximum y[o, j], else 0. */
export const maxDx = defineKernel({
  name: "max_dx",
  doc: "dx[o, k, j] = dy[o, j] at the first k where x[o, k, j] is the maximum y[o, j], else 0.",
  dims: ["outer", "r", "inner"],
  args: { x: read("outer", "r", "inner"), y: read("outer", "inner"), dy: read("outer", "inner"), dx: write("outer", "r", "inner") },
  variants: {
    naive: { source: naive, grid: ({ outer, inner }) => [ceilDiv(outer * inner, 64), 1, 1] },
    columns: { source: columns, grid: ({ outer, inner }) => [ceilDiv((outer * inner) / 4, 64), 1, 1], legal: ({ inner }) => inner % 4 === 0 },
  },
  flops: ({ outer, r, inner }) => outer * r * inner,
  reference({ x, y, dy, dx }, { outer, r, inner }) {
    dx.fill(0);
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < inner; j++)
        for (let k = 0; k < r; k++) {
          const at = (o * r + k) * inner + j;
          if (x[at] !== y[o * inner + j]) continue;
          dx[at] = dy[o * inner + j]!;
          break;
        }
  },
  // Few values, so that maxima are found, and found several times.
  inputs: { x: (random) => Math.floor(4 * random()), y: (random) => 2 + Math.floor(2 * random()) },
  cases: {
    one: { numbers: { outer: 1, r: 1, inner: 1 } },
    rows: { numbers: { outer: 37, r: 19, inner: 1 } },
    "columns in vectors": { numbers: { outer: 2, r: 9, inner: 20 } },
    "columns of 788×1536": { numbers: { outer: 1, r: 788, inner: 1536 }, bench: true },
    middle: { numbers: { outer: 3, r: 11, inner: 13 } },
  },
  free: { outer: 1, r: 1, inner: 1 },
  gradient: "op",
});
