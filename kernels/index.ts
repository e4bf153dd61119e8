// The catalogue: every kernel of the project, one line each.
export { matmul } from "./matmul/matmul.ts";
export { binary } from "./pointwise/binary.ts";
export { scale } from "./pointwise/scale.ts";
export { strided } from "./pointwise/strided.ts";
export { reduce } from "./reduce/reduce.ts";
