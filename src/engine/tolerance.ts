// How far a result may lie from the truth: derived from what f32 arithmetic loses in plain order and from the WGSL specification.
import type { Builtin } from "../kernel/define.ts";
import { type Dtype, epsilonOf } from "../kernel/dtype.ts";

const F32 = 2 ** -23;

/** Error that the WGSL specification allows each built-in, relative to its result; `amount` is the uses, for exp the largest |argument|. */
const ALLOWED: Record<Builtin, (amount: number) => number> = {
  division: (n) => 2.5 * F32 * n,
  exp: (x) => (3 + 2 * x) * F32,
  log: (n) => 3 * F32 * n,
  inverseSqrt: (n) => 2 * F32 * n,
  sqrt: (n) => 3 * F32 * n, // inherited from 1 / inverseSqrt
  sin: (n) => 2 ** -11 * n, // absolute, on [-π, π]
  tanh: (n) => 1e-5 * n, // absolute
  erf: (n) => 1.5e-7 * n, // absolute: the rational approximation of lib/activation, not a built-in
};

/** Sum of the allowances, relative to the larger of an element and the tensor's RMS. */
export function allowanceOf(builtins: Partial<Record<Builtin, number>>): number {
  return Object.entries(builtins).reduce((sum, [name, amount]) => sum + ALLOWED[name as Builtin](amount), 0);
}

/** How one array compares with the truth. */
export interface Comparison {
  readonly ok: boolean;
  /** Largest error, as a multiple of what is allowed. */
  readonly worst: number;
  /** Largest error, and the root of the mean squared one, in ulps of the tensor's RMS. */
  readonly ulps: number;
  readonly rmsUlps: number;
  /** The elements that are not within what is allowed. */
  readonly wrong: readonly number[];
  /** Where the worst element is, with both values. */
  readonly index: number;
  readonly got: number;
  readonly expected: number;
}

/**
 * Error allowed = 4 × the largest error of the yardstick (the same formula in f32, in plain order) + 1 ulp of the element
 * + the built-ins' allowance relative to max(|element|, RMS). Anything that is not a number fails. `least` is an error of the
 * yardstick that is known already: see `nearby`.
 */
export function compare(got: ArrayLike<number>, truth: ArrayLike<number>, yardstick: ArrayLike<number>, dtype: Dtype, allowance: number, least = 0): Comparison {
  let squares = 0;
  let yard = least;
  for (let i = 0; i < truth.length; i++) {
    squares += truth[i]! ** 2;
    yard = Math.max(yard, Math.abs(yardstick[i]! - truth[i]!)); // NaN stays NaN
  }
  const rms = Math.sqrt(squares / Math.max(1, truth.length));
  const epsilon = epsilonOf(dtype);
  // Subnormal results may be flushed to zero, so an error below the smallest normal number is none.
  const tiny = dtype === "f16" ? 2 ** -14 : dtype === "f32" ? 2 ** -126 : 0;
  let worst = { ratio: 0, index: 0 };
  let largest = 0;
  let errors = 0;
  const wrong: number[] = [];
  for (let i = 0; i < truth.length; i++) {
    const size = Math.abs(truth[i]!);
    const allowed = 4 * yard + epsilon * size + allowance * Math.max(size, rms) + tiny;
    const error = Math.abs(got[i]! - truth[i]!);
    // A yardstick that overflowed would allow anything.
    const ratio = Number.isNaN(error) || !Number.isFinite(allowed) ? Infinity : error === 0 ? 0 : error / allowed;
    if (ratio > worst.ratio) worst = { ratio, index: i };
    if (ratio > 1) wrong.push(i);
    largest = Math.max(largest, error);
    errors += error ** 2;
  }
  const ulp = epsilon > 0 && rms > 0 ? epsilon * rms : 1;
  return {
    ok: worst.ratio <= 1 && got.length === truth.length,
    worst: worst.ratio,
    ulps: largest / ulp,
    rmsUlps: Math.sqrt(errors / Math.max(1, truth.length)) / ulp,
    wrong,
    index: worst.index,
    got: got[worst.index] ?? NaN,
    expected: truth[worst.index] ?? NaN,
  };
}

/** Nearby points at which the yardstick is measured where one measurement may have been a lucky one. */
const NEARBY = 6;
/** How far they lie away, relative to each value: far enough to round differently everywhere, near enough to be the same problem. */
const NEARBY_DISTANCE = 2 ** -7;

/**
 * The largest error of a yardstick over points near the one that was tested, by array. An array of few elements may happen to be exact
 * in plain order, and would then allow nothing to any other order; rounding errors at neighbouring points are as large as there.
 * `evaluate` gives truth and yardstick where every value is multiplied by what `shift` gives for it.
 */
export function nearby(random: () => number, evaluate: (shift: (value: number) => number) => ReadonlyMap<string, { readonly truth: ArrayLike<number>; readonly yardstick: ArrayLike<number> }>): Map<string, number> {
  const errors = new Map<string, number>();
  for (let i = 0; i < NEARBY; i++)
    for (const [name, { truth, yardstick }] of evaluate((value) => value * (1 + NEARBY_DISTANCE * (random() - 0.5)))) {
      let largest = errors.get(name) ?? 0;
      for (let k = 0; k < truth.length; k++) {
        const error = Math.abs(yardstick[k]! - truth[k]!);
        if (error > largest && Number.isFinite(error)) largest = error;
      }
      errors.set(name, largest);
    }
  return errors;
}
