// Every gradient case of every op: what `cytonet check` and the tests run.
import type { GradientCase } from "./gradcheck.ts";
import { gradientCases as matmulCases } from "./matmul.ts";

export const GRADIENT_CASES: readonly GradientCase[] = [...matmulCases];
