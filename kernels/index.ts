// The catalogue: every kernel of the project, one line each.
export { conv2d } from "./conv/conv2d.ts";
export { conv2dDw, conv2dDwMerge } from "./conv/conv2d_dw.ts";
export { conv2dDx } from "./conv/conv2d_dx.ts";
export { anchorMeans } from "./loss/anchor-means.ts";
export { anchorSums } from "./loss/anchor-sums.ts";
export { spatialNceDz } from "./loss/spatial-nce-dz.ts";
export { spatialNce } from "./loss/spatial-nce.ts";
export { unitRowsDx } from "./loss/unit-rows-dx.ts";
export { unitRows } from "./loss/unit-rows.ts";
export { matmul } from "./matmul/matmul.ts";
export { activation, activationDx } from "./pointwise/activation.ts";
export { binary } from "./pointwise/binary.ts";
export { narrow, widen } from "./pointwise/cast.ts";
export { elementary } from "./pointwise/elementary.ts";
export { fill } from "./pointwise/fill.ts";
export { scale } from "./pointwise/scale.ts";
export { strided } from "./pointwise/strided.ts";
export { reduce } from "./reduce/reduce.ts";
