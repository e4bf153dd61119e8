// Every gradient case of every op: the declared ones, which the tests run, and those drawn by seed, which `cytonet check` runs too.
import { drawGradientCases } from "./drawn-cases.ts";
import type { GradientCase } from "./gradient-case.ts";
import { gradientCases as matmulCases } from "./matmul.ts";
import { gradientCases as activationCases } from "./activation.ts";
import { gradientCases as arithmeticCases } from "./arithmetic.ts";
import { gradientCases as reduceCases } from "./reduce.ts";
import { gradientCases as scaleCases } from "./scale.ts";
import { gradientCases as shapeCases } from "./shape.ts";
import { gradientCases as softmaxCases } from "./softmax.ts";
import { gradientCases as spatialNceCases } from "./spatial-nce.ts";
import { gradientCases as convCases } from "./conv.ts";
import { gradientCases as poolCases } from "./pool.ts";
import { gradientCases as dropoutCases } from "./dropout.ts";
import { gradientCases as lossCases } from "./loss.ts";
import { gradientCases as attentionCases } from "./attention.ts";
import { gradientCases as normCases } from "./norm.ts";

export const GRADIENT_CASES: readonly GradientCase[] = [...matmulCases, ...convCases, ...poolCases, ...activationCases, ...arithmeticCases, ...reduceCases, ...scaleCases, ...shapeCases, ...softmaxCases, ...spatialNceCases, ...dropoutCases, ...lossCases, ...attentionCases, ...normCases];

/** The declared cases and the drawn ones of a seed. */
export function listGradientCases(seed: number): readonly GradientCase[] {
  return [...GRADIENT_CASES, ...drawGradientCases(seed)];
}
