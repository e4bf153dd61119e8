// Learning-rate schedules: pure functions of the step.

export interface Schedule {
  readonly schedule: "cosine" | "linear" | "step" | "constant";
  /** Share of the steps in which the rate rises linearly. */
  readonly warmup: number;
  /** Where cosine and linear end, as a share of the peak. */
  readonly floor: number;
  /** step: shares of the steps after which the rate is multiplied with `decay`. */
  readonly milestones: readonly number[];
  readonly decay: number;
}

/**
 * The learning rate as a share of its peak. `step` counts from 0. After the warm-up: cosine, half a cosine down to the floor (Loshchilov and Hutter 2017);
 * linear, a line to it; step, times `decay` at each milestone; constant, the peak.
 */
export function scheduleAt(step: number, steps: number, { schedule, warmup, floor, milestones, decay }: Schedule): number {
  const rise = Math.max(1, Math.round(steps * warmup));
  if (step < rise) return (step + 1) / rise;
  const share = (step - rise) / Math.max(1, steps - rise);
  switch (schedule) {
    case "cosine":
      return floor + (1 - floor) * (0.5 * (1 + Math.cos((Math.PI * (step - rise)) / Math.max(1, steps - rise))));
    case "linear":
      return floor + (1 - floor) * (1 - share);
    case "step":
      return decay ** milestones.filter((milestone) => step >= Math.round(milestone * steps)).length;
    case "constant":
      return 1;
  }
}
