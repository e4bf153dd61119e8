// The descriptor of two-dimensional convolution.
import { ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { ACTIVATION_STAGES, RESIDUAL_STAGE, activationOf } from "../../src/kernel/special.ts";
import { FORWARD, splitRows } from "../../src/kernel/split-rows.ts";
import { splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { matrixTileVariants } from "../lib/matrix-tile.ts";
import broadcast from "./conv2d.broadcast.wgsl?raw";
import channels from "./conv2d.channels.wgsl?raw";
import depthwise from "./conv2d.depthwise.wgsl?raw";
import direct from "./conv2d.direct.wgsl?raw";
import matrix from "./conv2d.matrix.wgsl?raw";
import naive from "./conv2d.naive.wgsl?raw";
import slide from "./conv2d.slide.wgsl?raw";
import tiled from "./conv2d.tiled.wgsl?raw";
import thin from "./conv2d.thin.wgsl?raw";
import { BENCH_PROBLEMS, CONV_DIMS, type ConvNumbers, convFlops, convProblem, deriveChannels, RAGGED_PROBLEMS, stripCount } from "./problem.ts";
import { broadcastWidth, inEights, isDepthwise, preferVariants, slidesAlongRows } from "./variants.ts";

/** y = act(x ∗ w + bias) + residual: cross-correlation of channels-last images with zero padding. Sums in f32. */
export const conv2d = defineKernel({
  name: "conv2d",
  doc: "y = act(x ∗ w + bias) + residual: cross-correlation of images [b, ih, iw, ci] with filters [fh, fw, ci/groups, co], with stride, zero padding, dilation and groups. Sums in f32.",
  dims: CONV_DIMS,
  flags: ["bias", "relu", "gelu", "silu", "residual"],
  args: {
    x: read("b", "ih", "iw", "ci"),
    w: read("fh", "fw", "cg", "co"),
    y: write("b", "oh", "ow", "co"),
    bias: when("bias", read("co")),
    residual: when("residual", read("b", "oh", "ow", "co")),
  },
  derive: deriveChannels,
  libraries,
  variants: {
    naive: { source: naive, grid: ({ b, oh, ow, co }) => [ceilDiv(co, 8), ceilDiv(b * oh * ow, 8), 1] },
    direct: {
      source: direct,
      grid: ({ b, oh, ow, og, groups }, constant) => [ceilDiv(stripCount(b * oh, ow, 4), constant("WIDTH")), ceilDiv(og, 8), groups],
      params: { WIDTH: [8, 32, 64] },
      legal: ({ og }) => og % 4 === 0,
    },
    depthwise: {
      source: depthwise,
      grid: ({ b, oh, ow, co }, constant) => [ceilDiv(stripCount(b * oh, ow, 4) * (co / 4), constant("WIDTH")), 1, 1],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      legal: isDepthwise,
    },
    slide: {
      source: slide,
      grid: ({ b, oh, ow, co }, constant) => [ceilDiv(stripCount(b * oh, ow, 8) * (co / 4), constant("WIDTH")), 1, 1],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      specialize: { FW: ({ fw }) => fw },
      legal: (n) => isDepthwise(n) && slidesAlongRows(n),
    },
    tiled: {
      source: tiled,
      params: { UNROLL: [0, 1] },
      grid: ({ b, oh, ow, og, groups }, constant) => [ceilDiv(b * oh * ow, constant("ROWS")), ceilDiv(og, constant("COLUMNS")), groups],
      tiles: { ow: "DEPTH" },
      legal: ({ cg, og }) => cg % 4 === 0 && og % 4 === 0,
    },
    ...matrixTileVariants({
      source: matrix,
      grid: ({ b, oh, ow, og, groups }: ConvNumbers, constant) => [ceilDiv(b * oh * ow, constant("BM")), ceilDiv(og, constant("BN")), groups],
      takes: inEights,
      tiles: { og: "BN" },
    }),
    thin: {
      source: thin,
      grid: ({ b, oh, ow, og }, constant) => [ceilDiv(stripCount(b * oh, ow, 4), constant("WIDTH")), ceilDiv(og, 8), 1],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      specialize: { SUBGROUP: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ groups, dilationW, og }, traits, _, constant) => groups === 1 && dilationW === 1 && og % 4 === 0 && broadcastWidth(traits, constant("WIDTH")),
    },
    broadcast: {
      source: broadcast,
      grid: ({ b, oh, ow, og, groups }, constant) => [ceilDiv(stripCount(b * oh, ow, 4), constant("WIDTH")), ceilDiv(og, 8), groups],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      specialize: { SUBGROUP: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits, _, constant) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, constant("WIDTH")),
    },
    channels: {
      source: channels,
      grid: ({ b, oh, ow, og, groups }, constant) => [ceilDiv(og, 4 * constant("SG")), ceilDiv(b * oh * ow, 16), groups],
      specialize: { SG: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, traits.subgroupMin),
    },
  },
  choose: preferVariants(["slide", "depthwise", "broadcast", "thin", "direct"], ["slide", "depthwise", "matrix", "tiled", "direct"], "og", ({ b, oh, ow }) => b * oh * ow, ({ groups }) => groups),
  flops: convFlops,
  builtins: { exp: 16, division: 2, erf: 1 },
  reference({ x, w, y, bias, residual }, n, { round, has }) {
    const act = activationOf(has);
    for (let z = 0; z < n.b; z++)
      for (let oy = 0; oy < n.oh; oy++)
        for (let ox = 0; ox < n.ow; ox++)
          for (let o = 0; o < n.co; o++) {
            const first = Math.floor(o / n.og) * n.cg;
            let sum = 0;
            for (let ky = 0; ky < n.fh; ky++)
              for (let kx = 0; kx < n.fw; kx++) {
                const iy = oy * n.strideH + ky * n.dilationH - n.padH;
                const ix = ox * n.strideW + kx * n.dilationW - n.padW;
                if (iy < 0 || iy >= n.ih || ix < 0 || ix >= n.iw) continue;
                const atX = ((z * n.ih + iy) * n.iw + ix) * n.ci + first;
                const atW = (ky * n.fw + kx) * n.cg * n.co + o;
                for (let c = 0; c < n.cg; c++) sum = round(sum + round(x[atX + c]! * w[atW + c * n.co]!));
              }
            if (has("bias")) sum = round(sum + bias[o]!);
            sum = round(act(sum));
            const at = ((z * n.oh + oy) * n.ow + ox) * n.co + o;
            y[at] = has("residual") ? round(sum + residual[at]!) : sum;
          }
  },
  epilogue: { output: "y", stages: [...ACTIVATION_STAGES, RESIDUAL_STAGE] },
  cases: {
    ...RAGGED_PROBLEMS,
    "bias relu residual": { numbers: convProblem({ image: [7, 6], filter: [3, 3], channels: [8, 12], padding: 1 }), flags: ["bias", "relu", "residual"] },
    "bias gelu": { numbers: convProblem({ image: [9, 9], filter: [4, 4], channels: [8, 24], stride: [4, 4], padding: [0, 3, 0, 3] }), flags: ["bias", "gelu"] },
    silu: { numbers: convProblem({ image: [5, 7], filter: [3, 1], channels: [8, 16], padding: 1 }), flags: ["silu"] },
    "depthwise silu": { numbers: convProblem({ image: [5, 9], filter: [3, 3], channels: [1, 1], groups: 8, padding: 1 }), flags: ["silu"] },
    "depthwise bias gelu": { numbers: convProblem({ image: [5, 9], filter: [3, 3], channels: [1, 1], groups: 8, padding: 1 }), flags: ["bias", "gelu"] },
    "depthwise bias relu residual": { numbers: convProblem({ image: [6, 5], filter: [3, 3], channels: [1, 1], groups: 8, padding: 1 }), flags: ["bias", "relu", "residual"] },
    "several tiles": { numbers: convProblem({ b: 2, image: [9, 11], filter: [3, 3], channels: [20, 68], padding: 1 }) },
    "eights in groups and a rest, bias relu residual": { numbers: convProblem({ b: 2, image: [9, 7], filter: [3, 2], channels: [24, 40], groups: 2, stride: [2, 1], dilation: [1, 2], padding: 1 }), flags: ["bias", "relu", "residual"] },
    ...BENCH_PROBLEMS,
  },
  free: { b: 1, ih: 1, iw: 1, oh: 1, ow: 1, og: 1 },
  split: splitBy(splitAlong("b"), splitRows(FORWARD)),
  gradient: "op",
});
