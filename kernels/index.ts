// The catalogue: every kernel of the project, one line each.
export { matmul } from "./matmul/matmul.ts";
