// The descriptors of max pooling and its gradient.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { BACKWARD, FORWARD, splitRows } from "../../src/kernel/split-rows.ts";
import { alignment, splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import naive from "./max_pool.naive.wgsl?raw";
import vec4 from "./max_pool.vec4.wgsl?raw";
import dxNaive from "./max_pool_dx.naive.wgsl?raw";
import dxVec4 from "./max_pool_dx.vec4.wgsl?raw";
import { POOL_DIMS, POOL_PROBLEMS, poolFlops, type PoolNumbers } from "./problem.ts";

/** Calls `visit` with the flat index in x of every pixel of a window that lies in the image, in row order. */
function visitWindow(n: PoolNumbers, z: number, oy: number, ox: number, c: number, visit: (at: number) => void): void {
  for (let ky = 0; ky < n.fh; ky++)
    for (let kx = 0; kx < n.fw; kx++) {
      const iy = oy * n.strideH + ky - n.padH;
      const ix = ox * n.strideW + kx - n.padW;
      if (iy >= 0 && iy < n.ih && ix >= 0 && ix < n.iw) visit(((z * n.ih + iy) * n.iw + ix) * n.c + c);
    }
}

/** Flat index in x of the first maximum of a window. */
function firstMaximum(x: Float64Array, n: PoolNumbers, z: number, oy: number, ox: number, c: number): number {
  let best = -1;
  visitWindow(n, z, oy, ox, c, (at) => {
    if (best < 0 || x[at]! > x[best]!) best = at;
  });
  return best;
}

/** y = the largest x of each window; padding never wins. */
export const maxPool = defineKernel({
  name: "max_pool",
  doc: "y = the largest x of each window of fh × fw pixels; padding never wins.",
  dims: POOL_DIMS,
  args: { x: read("b", "ih", "iw", "c"), y: write("b", "oh", "ow", "c") },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ b, oh, ow, c }) => [ceilDiv(b * oh * ow * c, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ b, oh, ow, c }) => [ceilDiv(b * oh * ow * c, 256), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  flops: poolFlops,
  reference({ x, y }, n) {
    let at = 0;
    for (let z = 0; z < n.b; z++)
      for (let oy = 0; oy < n.oh; oy++)
        for (let ox = 0; ox < n.ow; ox++) for (let c = 0; c < n.c; c++) y[at++] = x[firstMaximum(x, n, z, oy, ox, c)]!;
  },
  cases: POOL_PROBLEMS,
  free: { b: 1, c: 1 },
  split: splitBy(splitAlong("b"), splitRows(FORWARD)),
  gradient: "op",
});

/** dx of max pooling: all of a window's dy goes to its first maximum in row order, found again from x. */
export const maxPoolDx = defineKernel({
  name: "max_pool_dx",
  doc: "dx of max pooling: all of a window's dy goes to its first maximum in row order, found again from x. Gathers; sums in f32.",
  // Of x it sees xh rows, `above` of them before the first of dx.
  dims: [...POOL_DIMS, "xh", "above"],
  derive: ({ ih }) => ({ xh: ih, above: 0 }),
  args: { x: read("b", "xh", "iw", "c"), dy: read("b", "oh", "ow", "c"), dx: write("b", "ih", "iw", "c") },
  libraries,
  variants: {
    naive: { source: dxNaive, grid: ({ b, ih, iw, c }) => [ceilDiv(b * ih * iw * c, 64), 1, 1] },
    vec4: { source: dxVec4, grid: ({ b, ih, iw, c }) => [ceilDiv(b * ih * iw * c, 256), 1, 1], legal: ({ c }) => c % 4 === 0 },
  },
  // Each pixel of a window compares itself with all others.
  flops: (n) => poolFlops(n) * n.fh * n.fw,
  reference({ x, dy, dx }, n, { round }) {
    dx.fill(0);
    let from = 0;
    for (let z = 0; z < n.b; z++)
      for (let oy = 0; oy < n.oh; oy++)
        for (let ox = 0; ox < n.ow; ox++)
          for (let c = 0; c < n.c; c++) {
            // Rows of x, padded so that they are counted from its own first one.
            const at = firstMaximum(x, { ...n, ih: n.xh, padH: n.padH - n.above }, z, oy, ox, c);
            const pixel = Math.floor(at / n.c / n.iw);
            const row = (pixel % n.xh) - n.above;
            const add = dy[from++]!;
            if (row < 0 || row >= n.ih) continue;
            const to = ((z * n.ih + row) * n.iw + (Math.floor(at / n.c) % n.iw)) * n.c + c;
            dx[to] = round(dx[to]! + add);
          }
  },
  // Few different values, so that windows have several maxima.
  inputs: { x: (random) => Math.floor(4 * random()) },
  cases: POOL_PROBLEMS,
  free: { b: 1, c: 1 },
  split: splitBy(
    splitAlong("b"),
    splitRows({
      ...BACKWARD,
      apart: ["x"],
      // Every window of dy in sight is seen whole in x.
      more({ ih, iw, c, fh, strideH, padH }, { image, from, to, low, high }, room) {
        const row = iw! * c!;
        const unit = alignment(room.step("x"), row);
        const first = Math.min(from, Math.max(0, low * strideH! - padH!));
        const start = first - (first % unit);
        const end = Math.min(ih!, Math.max(to, (high - 1) * strideH! - padH! + fh!));
        return { numbers: { xh: end - start, above: from - start }, windows: { x: { first: (image * ih! + start) * row, count: (end - start) * row } } };
      },
    }),
  ),
  gradient: { none: "it is a gradient itself; second derivatives are not taken" },
});
