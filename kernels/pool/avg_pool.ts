// The descriptors of average pooling and its gradient.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { FORWARD, splitRows } from "../../src/kernel/split-rows.ts";
import { splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import naive from "./avg_pool.naive.wgsl?raw";
import vec4 from "./avg_pool.vec4.wgsl?raw";
import dxNaive from "./avg_pool_dx.naive.wgsl?raw";
import dxVec4 from "./avg_pool_dx.vec4.wgsl?raw";
import { POOL_DIMS, POOL_PROBLEMS, poolFlops, type PoolNumbers } from "./problem.ts";

const cases = Object.fromEntries(
  Object.entries(POOL_PROBLEMS).flatMap(([name, c]) =>
    [0, 1].map((countPad) => [`${name}, ${countPad ? "padding counted" : "pixels counted"}`, { ...c, bench: c.bench === true && countPad === 0, numbers: { ...c.numbers, countPad } }]),
  ),
);

/** Calls `visit` with the flat indices in x of a window's pixels that lie in the image, and returns what the window's sum is divided by. */
function visitWindow(n: PoolNumbers & { readonly countPad: number }, z: number, oy: number, ox: number, c: number, visit: (at: number) => void): number {
  let inside = 0;
  for (let ky = 0; ky < n.fh; ky++)
    for (let kx = 0; kx < n.fw; kx++) {
      const iy = oy * n.strideH + ky - n.padH;
      const ix = ox * n.strideW + kx - n.padW;
      if (iy < 0 || iy >= n.ih || ix < 0 || ix >= n.iw) continue;
      inside++;
      visit(((z * n.ih + iy) * n.iw + ix) * n.c + c);
    }
  return n.countPad ? n.fh * n.fw : inside;
}

/** y = the mean of x over each window; countPad 1 divides by fh · fw, 0 by the pixels of the image in the window. */
export const avgPool = defineKernel({
  name: "avg_pool",
  doc: "y = the mean of x over each window of fh × fw pixels; countPad 1 divides by fh · fw, 0 by the pixels of the image in the window. Sums in f32.",
  dims: [...POOL_DIMS, "countPad"],
  args: { x: read("b", "ih", "iw", "c"), y: write("b", "oh", "ow", "c") },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ b, oh, ow, c }) => [ceilDiv(b * oh * ow * c, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ b, oh, ow, c }) => [ceilDiv(b * oh * ow * c, 256), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: poolFlops,
  builtins: { division: 1 },
  reference({ x, y }, n, { round }) {
    let to = 0;
    for (let z = 0; z < n.b; z++)
      for (let oy = 0; oy < n.oh; oy++)
        for (let ox = 0; ox < n.ow; ox++)
          for (let c = 0; c < n.c; c++) {
            let sum = 0;
            const count = visitWindow(n, z, oy, ox, c, (at) => {
              sum = round(sum + x[at]!);
            });
            y[to++] = round(sum / count);
          }
  },
  cases,
  free: { b: 1, c: 1 },
  split: splitBy(splitAlong("b"), splitRows(FORWARD)),
  gradient: "op",
});

/** dx of average pooling: every pixel gets its share of the dy of each window that holds it. */
export const avgPoolDx = defineKernel({
  name: "avg_pool_dx",
  doc: "dx of average pooling: every pixel gets its share of the dy of each window that holds it. Gathers; sums in f32.",
  dims: [...POOL_DIMS, "countPad"],
  args: { dy: read("b", "oh", "ow", "c"), dx: write("b", "ih", "iw", "c") },
  libraries,
  variants: {
    naive: { source: dxNaive, grid: ({ b, ih, iw, c }) => [ceilDiv(b * ih * iw * c, 64), 1, 1] },
    vec4: { source: dxVec4, grid: ({ b, ih, iw, c }) => [ceilDiv(b * ih * iw * c, 256), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: (n) => 2 * poolFlops(n),
  builtins: { division: 1 },
  reference({ dy, dx }, n, { round }) {
    dx.fill(0);
    let from = 0;
    for (let z = 0; z < n.b; z++)
      for (let oy = 0; oy < n.oh; oy++)
        for (let ox = 0; ox < n.ow; ox++)
          for (let c = 0; c < n.c; c++) {
            const places: number[] = [];
            const count = visitWindow(n, z, oy, ox, c, (at) => places.push(at));
            const share = round(dy[from++]! / count);
            for (const at of places) dx[at] = round(dx[at]! + share);
          }
  },
  cases,
  free: { b: 1, c: 1 },
  split: splitAlong("b"),
  gradient: { none: "it is a gradient itself; second derivatives are not taken" },
});
