// What the convolution kernels share: their dimension letters, and how their test problems are written.
import { ceilDiv } from "../../src/kernel/define.ts";

/**
 * Sizes of a convolution: images [b, ih, iw, ci], filters [fh, fw, cg, co], results [b, oh, ow, co]. A group has cg input
 * and og output channels. Result (oy, ox) reads input (oy·strideH + ky·dilationH − padH, …); whatever lies outside is
 * zero, so padding behind the image is not a number of its own: it follows from oh and ow.
 */
export const CONV_DIMS = [
  "b", "ih", "iw", "ci", "oh", "ow", "co", "fh", "fw", "groups", "cg", "og",
  "strideH", "strideW", "dilationH", "dilationW", "padH", "padW",
] as const;

export type ConvDim = (typeof CONV_DIMS)[number];
export type ConvNumbers = Readonly<Record<ConvDim, number>>;

/** Channels follow from groups. */
export function deriveChannels({ groups, cg, og }: ConvNumbers): { ci: number; co: number } {
  return { ci: groups * cg, co: groups * og };
}

/** Multiply-adds count two; those with the padding are counted too. */
export function convFlops({ b, oh, ow, fh, fw, cg, co }: ConvNumbers): number {
  return 2 * b * oh * ow * fh * fw * cg * co;
}

/** Extent of the result along one axis; `before` and `after` count zeros. */
export function outputExtent(input: number, filter: number, stride: number, dilation: number, before: number, after: number): number {
  return Math.floor((input + before + after - dilation * (filter - 1) - 1) / stride) + 1;
}

type Pair = readonly [number, number];

/** A test problem. Pairs are (vertical, horizontal); `channels` is (cg, og); `padding` is the same on all sides, or [top, bottom, left, right]. */
export function convProblem(p: {
  readonly b?: number;
  readonly image: Pair;
  readonly filter: Pair;
  readonly channels: Pair;
  readonly groups?: number;
  readonly stride?: Pair;
  readonly dilation?: Pair;
  readonly padding?: number | readonly [number, number, number, number];
}): Omit<ConvNumbers, "ci" | "co"> {
  const [strideH, strideW] = p.stride ?? [1, 1];
  const [dilationH, dilationW] = p.dilation ?? [1, 1];
  const padding = p.padding ?? 0;
  const [top, bottom, left, right] = typeof padding === "number" ? [padding, padding, padding, padding] : padding;
  const [[ih, iw], [fh, fw], [cg, og]] = [p.image, p.filter, p.channels];
  return {
    b: p.b ?? 1, ih, iw, fh, fw, cg, og, groups: p.groups ?? 1, strideH, strideW, dilationH, dilationW, padH: top, padW: left,
    oh: outputExtent(ih, fh, strideH, dilationH, top, bottom),
    ow: outputExtent(iw, fw, strideW, dilationW, left, right),
  };
}

/** Strips of `width` pixels that cover rows of `columns`, for all rows. */
export function stripCount(rows: number, columns: number, width: number): number {
  return rows * ceilDiv(columns, width);
}

/** Geometries that every convolution kernel is checked with: strides, dilation, groups, even filters, more padding than filter. */
export const RAGGED_PROBLEMS = {
  "one pixel": { numbers: convProblem({ image: [1, 1], filter: [1, 1], channels: [1, 1] }) },
  "3×3": { numbers: convProblem({ b: 2, image: [7, 9], filter: [3, 3], channels: [8, 12], padding: 1 }) },
  "1×1 stride 2": { numbers: convProblem({ b: 2, image: [6, 5], filter: [1, 1], channels: [8, 16], stride: [2, 2] }) },
  "stem on grey images": { numbers: convProblem({ b: 2, image: [17, 22], filter: [5, 5], channels: [1, 8], stride: [4, 4], padding: 2 }) },
  "three channels, odd stride": { numbers: convProblem({ image: [13, 11], filter: [7, 5], channels: [3, 16], stride: [3, 2], padding: [3, 2, 0, 4] }) },
  "dilated, padded beyond its reach": { numbers: convProblem({ image: [5, 6], filter: [3, 2], channels: [4, 8], dilation: [2, 3], padding: 4 }) },
  "stride and dilation with a common factor": { numbers: convProblem({ image: [11, 12], filter: [3, 3], channels: [4, 8], stride: [2, 3], dilation: [2, 2], padding: 2 }) },
  "even filter, groups": { numbers: convProblem({ image: [6, 9], filter: [2, 4], channels: [4, 12], groups: 3, stride: [1, 2], padding: [1, 0, 2, 1] }) },
  "stride above the filter": { numbers: convProblem({ image: [9, 10], filter: [2, 2], channels: [4, 4], stride: [3, 4] }) },
  "odd channels": { numbers: convProblem({ image: [6, 5], filter: [3, 3], channels: [5, 7], padding: 1 }) },
  depthwise: { numbers: convProblem({ b: 2, image: [9, 7], filter: [3, 3], channels: [1, 1], groups: 12, padding: 1 }) },
  "depthwise, dilated stride": { numbers: convProblem({ image: [12, 13], filter: [5, 3], channels: [1, 1], groups: 8, stride: [2, 3], dilation: [1, 2], padding: 3 }) },
  "depthwise with a multiplier": { numbers: convProblem({ image: [6, 7], filter: [3, 3], channels: [1, 2], groups: 5, padding: 1 }) },
} as const;

/** Sizes worth timing: the peers' table, and what small models on grey patches train with. */
export const BENCH_PROBLEMS = {
  "7×7/2 3→64 @224": { numbers: convProblem({ b: 2, image: [224, 224], filter: [7, 7], channels: [3, 64], stride: [2, 2], padding: 3 }), bench: true },
  "3×3 64→64 @56": { numbers: convProblem({ b: 2, image: [56, 56], filter: [3, 3], channels: [64, 64], padding: 1 }), bench: true },
  "3×3 256→256 @14": { numbers: convProblem({ b: 4, image: [14, 14], filter: [3, 3], channels: [256, 256], padding: 1 }), bench: true },
  "3×3/2 128→128 @56": { numbers: convProblem({ image: [56, 56], filter: [3, 3], channels: [128, 128], stride: [2, 2], padding: 1 }), bench: true },
  "depthwise 3×3 96 @56": { numbers: convProblem({ image: [56, 56], filter: [3, 3], channels: [1, 1], groups: 96, padding: 1 }), bench: true },
  "stem 5×5/4 1→16 @64": { numbers: convProblem({ b: 32, image: [64, 64], filter: [5, 5], channels: [1, 16], stride: [4, 4], padding: 2 }), bench: true },
  "3×3 8→8 @16": { numbers: convProblem({ b: 32, image: [16, 16], filter: [3, 3], channels: [8, 8], padding: 1 }), bench: true },
  "3×3/2 16→16 @16": { numbers: convProblem({ b: 32, image: [16, 16], filter: [3, 3], channels: [16, 16], stride: [2, 2], padding: 1 }), bench: true },
} as const;
