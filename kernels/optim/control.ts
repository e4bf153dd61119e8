// Where the optimizer's control state and hyper-parameters keep what: shared by the kernels, the ops and the trainer.

/** Elements of the control state, f32. All zeros is a valid beginning: a loss scale of 0 means 1. */
export const CONTROL = {
  /** Steps taken; skipped ones do not count. Exact up to 2^24. */
  steps: 0,
  /** Norm of the last gradient, without the loss scale. 0 where it was not finite. */
  norm: 1,
  /** What the last raw gradient was multiplied with: gradientScale / loss scale, and clipping. */
  factor: 2,
  /** 1 where the last gradient was finite and within the limit, so that the step is taken; else 0. */
  finite: 3,
  /** 1 − β₁^steps and 1 − β₂^steps, each kept as the moving average of ones, so rounding cannot cancel. */
  correction1: 4,
  correction2: 5,
  /** What the next loss gradient is to be multiplied with, so that f16 gradients do not underflow. */
  lossScale: 6,
  /** Steps taken since the loss scale last changed. */
  streak: 7,
} as const;
export const CONTROL_SIZE = 8;

/** Elements of the hyper-parameters, f32. */
export const HYPER = {
  learningRate: 0,
  /** β₁ of AdamW, the momentum of gradient descent. */
  beta1: 1,
  beta2: 2,
  epsilon: 3,
  weightDecay: 4,
  /** Largest norm that a gradient keeps; 0 keeps all. */
  clip: 5,
  /** Multiplies every gradient: 1 / micro-batches, for example. */
  gradientScale: 6,
  /** Steps after which the loss scale doubles; 0 keeps it as it is, also after a skipped step. */
  growthInterval: 7,
  /** Where the loss scale stops growing. */
  maxLossScale: 8,
  /** Largest norm with which a step is taken; 0 takes any. */
  limit: 9,
} as const;
export const HYPER_SIZE = 10;

/** Of the elements [from, to) of flat buffers, how many decay: numbers of a launch on a window. */
export const decayWithin = ({ decayEnd }: Readonly<Record<string, number>>, from: number, to: number): { decayEnd: number } => ({ decayEnd: Math.min(Math.max(decayEnd! - from, 0), to - from) });

/** Test inputs: a control state in the middle of training, and hyper-parameters. */
export const CONTROL_INPUT = (_: () => number, index: number): number => [3, 2, 0.5, 1, 0.27, 0.003, 2, 9][index] ?? 0;
export const HYPER_INPUT = (_: () => number, index: number): number => [0.01, 0.9, 0.999, 1e-8, 0.05, 1, 0.5, 10, 65536][index] ?? 0;
