// The descriptor of the gradient of a convolution with respect to its images.
import { ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { BACKWARD, splitRows } from "../../src/kernel/split-rows.ts";
import { splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { matrixTileVariants } from "../lib/matrix-tile.ts";
import broadcast from "./conv2d_dx.broadcast.wgsl?raw";
import channels from "./conv2d_dx.channels.wgsl?raw";
import depthwise from "./conv2d_dx.depthwise.wgsl?raw";
import direct from "./conv2d_dx.direct.wgsl?raw";
import matrix from "./conv2d_dx.matrix.wgsl?raw";
import naive from "./conv2d_dx.naive.wgsl?raw";
import slide from "./conv2d_dx.slide.wgsl?raw";
import thin from "./conv2d_dx.thin.wgsl?raw";
import tiled from "./conv2d_dx.tiled.wgsl?raw";
import { BENCH_PROBLEMS, CONV_DIMS, type ConvNumbers, convFlops, convProblem, deriveChannels, RAGGED_PROBLEMS, stripCount } from "./problem.ts";
import { broadcastWidth, inEights, isDepthwise, preferVariants, slidesAlongRows } from "./variants.ts";

function gcd(p: number, q: number): number {
  return q === 0 ? p : gcd(q, p % q);
}

/** Pixels of the largest class, in strips of 4 or of another width. */
function classStrips({ b, ih, iw, strideH, strideW }: ConvNumbers, width = 4): number {
  return stripCount(b * ceilDiv(ih, strideH), ceilDiv(iw, strideW), width);
}

/** dx of y = x ∗ w (+ residual, which lets gradients add up in place of a separate sum). Gathers; sums in f32. */
export const conv2dDx = defineKernel({
  name: "conv2d_dx",
  doc: "dx of y = x ∗ w (+ residual). Every element gathers what it went into; pixels are taken by their remainders modulo the strides, so that no tap is visited in vain. Sums in f32.",
  // Taps that meet one pixel are stepH, stepW apart.
  dims: [...CONV_DIMS, "stepH", "stepW"],
  flags: ["residual"],
  args: {
    dy: read("b", "oh", "ow", "co"),
    w: read("fh", "fw", "cg", "co"),
    dx: write("b", "ih", "iw", "ci"),
    residual: when("residual", read("b", "ih", "iw", "ci")),
  },
  derive: (n) => ({ ...deriveChannels(n), stepH: n.strideH / gcd(n.strideH, n.dilationH), stepW: n.strideW / gcd(n.strideW, n.dilationW) }),
  libraries,
  variants: {
    naive: { source: naive, grid: ({ b, ih, iw, ci }) => [ceilDiv(ci, 8), ceilDiv(b * ih * iw, 8), 1] },
    direct: {
      source: direct,
      grid: (n, constant) => [ceilDiv(classStrips(n), constant("WIDTH")), n.cg / 4, n.groups * n.strideH * n.strideW],
      params: { WIDTH: [8, 32, 64] },
      legal: ({ cg, og }) => cg % 4 === 0 && og % 4 === 0,
    },
    depthwise: {
      source: depthwise,
      grid: (n, constant) => [ceilDiv(classStrips(n) * (n.ci / 4), constant("WIDTH")), 1, n.strideH * n.strideW],
      params: { WIDTH: [8, 32, 64] },
      tiles: { iw: "WIDTH" },
      legal: isDepthwise,
    },
    slide: {
      source: slide,
      grid: (n, constant) => [ceilDiv(classStrips(n, 8) * (n.ci / 4), constant("WIDTH")), 1, n.strideH],
      params: { WIDTH: [8, 32, 64] },
      tiles: { iw: "WIDTH" },
      specialize: { FW: ({ fw }) => fw },
      legal: (n) => isDepthwise(n) && slidesAlongRows(n),
    },
    thin: {
      source: thin,
      grid: (n, constant) => [ceilDiv(classStrips(n, 8), constant("WIDTH")), 1, n.strideH * n.strideW],
      params: { WIDTH: [8, 32, 64] },
      tiles: { iw: "WIDTH" },
      specialize: { CI: ({ ci }) => Math.min(4, ci) },
      legal: ({ groups, ci, og, strideW, dilationW }) => groups === 1 && ci <= 4 && og % 4 === 0 && strideW % dilationW === 0,
    },
    tiled: {
      source: tiled,
      params: { UNROLL: [0, 1] },
      grid: ({ b, ih, iw, cg, groups, strideH, strideW }, constant) => [
        ceilDiv(b * ceilDiv(ih, strideH) * ceilDiv(iw, strideW), constant("ROWS")),
        ceilDiv(cg, constant("COLUMNS")),
        groups * strideH * strideW,
      ],
      tiles: { iw: "DEPTH" },
      legal: ({ cg, og }) => cg % 4 === 0 && og % 4 === 0,
    },
    ...matrixTileVariants({
      source: matrix,
      grid: ({ b, ih, iw, cg, groups, strideH, strideW }: ConvNumbers, constant) => [ceilDiv(b * ceilDiv(ih, strideH) * ceilDiv(iw, strideW), constant("BM")), ceilDiv(cg, constant("BN")), groups * strideH * strideW],
      takes: inEights,
      tiles: { cg: "BN" },
    }),
    broadcast: {
      source: broadcast,
      grid: (n, constant) => [ceilDiv(classStrips(n), constant("WIDTH")), ceilDiv(n.cg, 8), n.groups * n.strideH * n.strideW],
      params: { WIDTH: [8, 32, 64] },
      tiles: { iw: "WIDTH" },
      specialize: { SUBGROUP: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits, _, constant) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, constant("WIDTH")),
    },
    channels: {
      source: channels,
      grid: ({ b, ih, iw, cg, groups, strideH, strideW }, constant) => [ceilDiv(cg, 4 * constant("SG")), ceilDiv(b * ceilDiv(ih, strideH) * ceilDiv(iw, strideW), 16), groups * strideH * strideW],
      specialize: { SG: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, traits.subgroupMin),
    },
  },
  choose: preferVariants(["slide", "depthwise", "thin", "broadcast", "direct"], ["slide", "depthwise", "thin", "matrix", "tiled", "direct"], "cg", ({ b, ih, iw, strideH, strideW }) => b * ceilDiv(ih, strideH) * ceilDiv(iw, strideW), ({ groups, strideH, strideW }) => groups * strideH * strideW),
  flops: convFlops,
  reference({ dy, w, dx, residual }, n, { round, has }) {
    for (let z = 0; z < n.b; z++)
      for (let iy = 0; iy < n.ih; iy++)
        for (let ix = 0; ix < n.iw; ix++)
          for (let c = 0; c < n.ci; c++) {
            const first = Math.floor(c / n.cg) * n.og;
            let sum = 0;
            for (let ky = 0; ky < n.fh; ky++)
              for (let kx = 0; kx < n.fw; kx++) {
                const oy = (iy + n.padH - ky * n.dilationH) / n.strideH;
                const ox = (ix + n.padW - kx * n.dilationW) / n.strideW;
                if (!Number.isInteger(oy) || !Number.isInteger(ox) || oy < 0 || ox < 0 || oy >= n.oh || ox >= n.ow) continue;
                const atY = ((z * n.oh + oy) * n.ow + ox) * n.co + first;
                const atW = ((ky * n.fw + kx) * n.cg + (c % n.cg)) * n.co + first;
                for (let o = 0; o < n.og; o++) sum = round(sum + round(dy[atY + o]! * w[atW + o]!));
              }
            const at = ((z * n.ih + iy) * n.iw + ix) * n.ci + c;
            dx[at] = has("residual") ? round(sum + residual[at]!) : sum;
          }
  },
  epilogue: { output: "dx", stages: [{ name: "residual", flag: "residual", arg: "residual" }] },
  cases: {
    ...RAGGED_PROBLEMS,
    residual: { numbers: convProblem({ image: [7, 6], filter: [3, 3], channels: [8, 12], stride: [2, 1], padding: 1 }), flags: ["residual"] },
    "three channels, residual": { numbers: convProblem({ image: [13, 11], filter: [7, 5], channels: [3, 16], stride: [3, 2], padding: [3, 2, 0, 4] }), flags: ["residual"] },
    "depthwise residual": { numbers: convProblem({ image: [7, 6], filter: [3, 3], channels: [1, 1], groups: 8, stride: [2, 1], padding: 1 }), flags: ["residual"] },
    "several tiles": { numbers: convProblem({ b: 2, image: [9, 11], filter: [3, 3], channels: [68, 20], padding: 1 }) },
    "eights in groups and a rest, residual": { numbers: convProblem({ b: 2, image: [9, 17], filter: [3, 2], channels: [40, 24], groups: 2, stride: [2, 1], dilation: [1, 2], padding: 1 }), flags: ["residual"] },
    ...BENCH_PROBLEMS,
  },
  free: { b: 1, ih: 1, iw: 1, oh: 1, ow: 1, og: 1 },
  split: splitBy(splitAlong("b"), splitRows(BACKWARD)),
  gradient: { none: "it is a gradient itself; second derivatives are not taken" },
});
