// A gradient case: one application of an op with test inputs; each file of ops ends with its own.
import type { Tensor } from "../engine/trace.ts";
import type { Dtype } from "../kernel/dtype.ts";

/** Input of a gradient case. Float inputs are differentiated unless `fixed`. */
export interface GradientInput {
  readonly shape: readonly number[];
  /** "f32" unless said; integers are never differentiated. */
  readonly dtype?: Dtype;
  readonly fixed?: boolean;
  /** Values; uniform in [-1, 1) unless said. Keep away from kinks (ReLU at 0, equal maxima): differences fail there. */
  readonly values?: (random: () => number, index: number) => number;
}

/** One application of an op (or of several) whose gradient is checked. */
export interface GradientCase {
  readonly name: string;
  /** Name of the op where several cases of it are drawn: they are counted together. */
  readonly op?: string;
  readonly inputs: Readonly<Record<string, GradientInput>>;
  readonly build: (x: Readonly<Record<string, Tensor>>) => Tensor;
}
