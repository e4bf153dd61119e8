// The descriptor of the gradient of a convolution with respect to its filters, in parts.
import { as, ceilDiv, defineKernel, type Numbers, read, write } from "../../src/kernel/define.ts";
import { FORWARD, splitRows } from "../../src/kernel/split-rows.ts";
import { alignment, splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { matrixTileVariants } from "../lib/matrix-tile.ts";
import broadcast from "./conv2d_dw.broadcast.wgsl?raw";
import channels from "./conv2d_dw.channels.wgsl?raw";
import depthwise from "./conv2d_dw.depthwise.wgsl?raw";
import direct from "./conv2d_dw.direct.wgsl?raw";
import matrix from "./conv2d_dw.matrix.wgsl?raw";
import naive from "./conv2d_dw.naive.wgsl?raw";
import tiled from "./conv2d_dw.tiled.wgsl?raw";
import thin from "./conv2d_dw.thin.wgsl?raw";
import { BENCH_PROBLEMS, CONV_DIMS, type ConvDim, convFlops, convProblem, type ConvNumbers, deriveChannels, RAGGED_PROBLEMS } from "./problem.ts";
import { broadcastWidth, inEights, isDepthwise, preferVariants } from "./variants.ts";

type PartNumbers = Readonly<Record<ConvDim | "splits", number>>;

/** Every problem of a list, in so many parts. */
function split<const C extends Readonly<Record<string, { readonly numbers: Omit<ConvNumbers, "ci" | "co">; readonly bench?: boolean }>>>(cases: C, splits: number) {
  return Object.fromEntries(Object.entries(cases).map(([name, c]) => [name, { ...c, numbers: { ...c.numbers, splits } }]));
}

/** Rows of dy in a part; weights in one. */
const share = ({ b, oh, splits }: Numbers): number => ceilDiv(b! * oh!, splits!);
const weights = ({ fh, fw, cg, co }: Numbers): number => fh! * fw! * cg! * co!;

/** What a launch on lines [first, last) of dy makes: its parts. Behind the last line there may be parts of no lines. */
function partsBetween(numbers: Numbers, first: number, last: number) {
  const from = first / share(numbers);
  const to = last === numbers["b"]! * numbers["oh"]! ? numbers["splits"]! : last / share(numbers);
  return { numbers: { splits: to - from }, windows: { parts: { first: from * weights(numbers), count: (to - from) * weights(numbers) } } };
}

/**
 * dw of y = x ∗ w in parts: part s sums, in f32, over rows s·share to (s+1)·share of all images of dy, where share is
 * ceil(b·oh / splits). The parts are added by merge_parts.
 */
export const conv2dDw = defineKernel({
  name: "conv2d_dw",
  doc: "dw of y = x ∗ w in parts: each sums over its share of the rows of dy, so that the long sum over pixels is parallel. Sums in f32.",
  dims: [...CONV_DIMS, "splits"],
  args: {
    x: read("b", "ih", "iw", "ci"),
    dy: read("b", "oh", "ow", "co"),
    parts: as("f32", write("splits", "fh", "fw", "cg", "co")),
  },
  derive: deriveChannels,
  libraries,
  variants: {
    naive: { source: naive, grid: ({ fh, fw, cg, co, splits }) => [ceilDiv(co, 8), ceilDiv(fh * fw * cg, 8), splits] },
    direct: {
      source: direct,
      grid: ({ fh, fw, cg, og, groups, splits }, constant) => [ceilDiv(fh * fw * cg, 4 * constant("WIDTH")), ceilDiv(og, 8) * groups, splits],
      params: { WIDTH: [8, 32, 64] },
      legal: ({ og }) => og % 4 === 0,
    },
    depthwise: {
      source: depthwise,
      grid: ({ fh, fw, co, splits }, constant) => [ceilDiv(fh * fw * (co / 4), constant("WIDTH")), 1, splits],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      legal: isDepthwise,
    },
    tiled: {
      source: tiled,
      params: { UNROLL: [0, 1] },
      grid: ({ fh, fw, cg, og, groups, splits }, constant) => [ceilDiv(fh * fw * cg, constant("ROWS")), ceilDiv(og, constant("COLUMNS")) * groups, splits],
      tiles: { ow: "DEPTH" },
      legal: ({ cg, og }) => cg % 4 === 0 && og % 4 === 0,
    },
    ...matrixTileVariants({
      source: matrix,
      grid: ({ fh, fw, cg, og, groups, splits }: PartNumbers, constant) => [ceilDiv(fh * fw * cg, constant("BM")), ceilDiv(og, constant("BN")) * groups, splits],
      takes: inEights,
      tiles: { og: "BN" },
    }),
    thin: {
      source: thin,
      grid: ({ fh, fw, cg, og, groups, splits }, constant) => [ceilDiv(fh * fw * cg, 4 * constant("WIDTH")), ceilDiv(og, 8) * groups, splits],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      specialize: { SUBGROUP: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ og }, traits, _, constant) => og % 4 === 0 && broadcastWidth(traits, constant("WIDTH")),
    },
    broadcast: {
      source: broadcast,
      grid: ({ fh, fw, cg, og, groups, splits }, constant) => [ceilDiv(fh * fw * (cg / 4), constant("WIDTH")), ceilDiv(og, 8) * groups, splits],
      params: { WIDTH: [8, 32, 64] },
      tiles: { ow: "WIDTH" },
      specialize: { SUBGROUP: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits, _, constant) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, constant("WIDTH")),
    },
    channels: {
      source: channels,
      grid: ({ fh, fw, cg, og, groups, splits }, constant) => [ceilDiv(og, 4 * constant("SG")) * groups, ceilDiv(fh * fw * (cg / 4), 4), splits],
      specialize: { SG: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ cg, og }, traits) => cg % 4 === 0 && og % 4 === 0 && broadcastWidth(traits, traits.subgroupMin),
    },
  },
  choose: preferVariants<PartNumbers>(["depthwise", "broadcast", "thin", "direct"], ["depthwise", "matrix", "tiled", "direct"], "og", ({ fh, fw, cg }) => fh * fw * cg, ({ groups, splits }) => groups * splits),
  flops: convFlops,
  reference({ x, dy, parts }, n, { round }) {
    const lines = n.b * n.oh;
    const share = ceilDiv(lines, n.splits);
    for (let s = 0; s < n.splits; s++)
      for (let ky = 0; ky < n.fh; ky++)
        for (let kx = 0; kx < n.fw; kx++)
          for (let c = 0; c < n.cg; c++)
            for (let o = 0; o < n.co; o++) {
              let sum = 0;
              for (let line = s * share; line < Math.min(lines, (s + 1) * share); line++) {
                const iy = (line % n.oh) * n.strideH + ky * n.dilationH - n.padH;
                if (iy < 0 || iy >= n.ih) continue;
                for (let ox = 0; ox < n.ow; ox++) {
                  const ix = ox * n.strideW + kx * n.dilationW - n.padW;
                  if (ix < 0 || ix >= n.iw) continue;
                  const atX = ((Math.floor(line / n.oh) * n.ih + iy) * n.iw + ix) * n.ci + Math.floor(o / n.og) * n.cg + c;
                  sum = round(sum + round(x[atX]! * dy[(line * n.ow + ox) * n.co + o]!));
                }
              }
              parts[(((s * n.fh + ky) * n.fw + kx) * n.cg + c) * n.co + o] = sum;
            }
  },
  cases: {
    ...split(RAGGED_PROBLEMS, 1),
    "3 parts": { numbers: { ...convProblem({ b: 2, image: [7, 9], filter: [3, 3], channels: [8, 12], padding: 1 }), splits: 3 } },
    "more parts than rows": { numbers: { ...convProblem({ image: [4, 9], filter: [3, 2], channels: [1, 8], stride: [1, 2] }), splits: 5 } },
    "depthwise, 4 parts": { numbers: { ...convProblem({ b: 2, image: [5, 9], filter: [3, 3], channels: [1, 1], groups: 8, padding: 1 }), splits: 4 } },
    "several tiles": { numbers: { ...convProblem({ b: 2, image: [5, 7], filter: [3, 3], channels: [20, 68], padding: 1 }), splits: 2 } },
    "eights in groups and a rest, 3 parts": { numbers: { ...convProblem({ b: 2, image: [9, 17], filter: [3, 2], channels: [24, 72], groups: 2, stride: [2, 1], dilation: [1, 2], padding: 1 }), splits: 3 } },
    ...split(BENCH_PROBLEMS, 16),
  },
  free: { b: 1, ih: 1, iw: 1, oh: 1, ow: 1, og: 1 },
  // Cuts lie between parts, so each launch makes some of them.
  split: splitBy(
    (numbers, flags, room) =>
      splitAlong("b", { step: (n) => alignment(room.step("parts"), weights(n)) * alignment(share(n), n["oh"]!) })(numbers, flags, room)?.map((launch) => {
        const line = launch.windows["dy"]!.first / (numbers["ow"]! * numbers["co"]!);
        const parts = partsBetween(numbers, line, line + launch.numbers["b"]! * numbers["oh"]!);
        return { numbers: { ...launch.numbers, ...parts.numbers }, windows: { ...launch.windows, ...parts.windows } };
      }),
    splitRows({
      ...FORWARD,
      apart: ["parts"],
      unit: (n, room) => (n["b"]! > 1 && n["oh"]! % share(n) ? undefined : share(n) * alignment(room.step("parts"), weights(n))),
      more: (n, { image, from, to }) => partsBetween(n, image * n["oh"]! + from, image * n["oh"]! + to),
    }),
  ),
  gradient: { none: "it is a gradient itself; second derivatives are not taken" },
});
