// Special functions in f64, for references: erf, the normal distribution, activations.
import type { EpilogueStage } from "./define.ts";

/** Error function to f64 rounding: Maclaurin series below 3, continued fraction of erfc (Lentz) above. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  const erfc = Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction));
  return Math.sign(x) * (1 - erfc);
}

/** Distribution function of the standard normal. */
export function normalCdf(x: number): number {
  return 0.5 * (1 + erf(x * Math.SQRT1_2));
}
export function relu(x: number): number {
  return Math.max(x, 0);
}
/** x Φ(x), the exact form (Hendrycks and Gimpel 2016), not the tanh approximation. */
export function gelu(x: number): number {
  return x * normalCdf(x);
}
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** The activations that kernels offer for what they write, as stages: the flags that `activationOf` reads. */
export const ACTIVATION_STAGES: readonly EpilogueStage[] = ["relu", "gelu", "silu"].map((name) => ({ name, flag: name }));

/** The stage that adds an argument of this name. */
export const RESIDUAL_STAGE: EpilogueStage = { name: "residual", flag: "residual", arg: "residual" };

/** The activation that the flags of a kernel name, or the identity. */
export function activationOf(has: (flag: "relu" | "gelu" | "silu") => boolean): (x: number) => number {
  return has("relu") ? relu : has("gelu") ? gelu : has("silu") ? silu : (x) => x;
}
