// Learning-rate schedules: pure functions of the step.

/** Linear warm-up over a share of the steps, then half a cosine down to zero (Loshchilov and Hutter 2017). `step` counts from 0. */
export function warmupCosine(step: number, steps: number, warmup: number): number {
  const rise = Math.max(1, Math.round(steps * warmup));
  if (step < rise) return (step + 1) / rise;
  return 0.5 * (1 + Math.cos((Math.PI * (step - rise)) / Math.max(1, steps - rise)));
}
