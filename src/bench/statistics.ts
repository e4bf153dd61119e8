// What rounds of a measurement tell: median, spread, percentiles, and intervals of ratios by the bootstrap.
import { keyOfSeed, randomStream, type RandomStream } from "../kernel/rng.ts";

/** A measured time, in the unit of the samples. */
export interface Summary {
  readonly median: number;
  /** Median absolute deviation from the median. */
  readonly mad: number;
  readonly p5: number;
  readonly p25: number;
  readonly p75: number;
  readonly p95: number;
}

/** A ratio with the interval that holds it with the probability asked for. */
export interface Ratio {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 4000;

/** How near the fastest rounds must lie to each other for the floor to be known. */
const SETTLED = 1.02;

/** The least of any number of values, Infinity of none: spread into arguments, hundreds of thousands would overflow the stack. */
export function leastOf(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Infinity);
}

/** What a measurement comes down to: the fastest round, and how far the third fastest lies above it, as a factor. */
export interface Floor {
  readonly low: number;
  readonly spread: number;
}

/**
 * The floor under the rounds. Other programs, interrupts and heat only ever add time, so that the fastest rounds are those that tell of the
 * kernel; that three of them are alike shows that none is a fluke.
 */
export function findFloor(samples: readonly number[]): Floor {
  const sorted = [...samples].sort((x, y) => x - y);
  const [low = NaN] = sorted;
  return { low, spread: (sorted[Math.min(2, sorted.length - 1)] ?? NaN) / low };
}

/** Whether more rounds would hardly change the floor. */
export function isSettled(samples: readonly number[]): boolean {
  return samples.length > 2 && findFloor(samples).spread <= SETTLED;
}

/** The value below which a share `p` of the samples lies, between neighbours in proportion (type 7 of Hyndman and Fan 1996). */
export function percentile(samples: readonly number[], p: number): number {
  return quantileOfSorted([...samples].sort((x, y) => x - y), p);
}

function quantileOfSorted(sorted: ArrayLike<number>, p: number): number {
  if (sorted.length === 0) return NaN;
  const at = p * (sorted.length - 1);
  const below = Math.floor(at);
  const [x = NaN, y = x] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
  return x + (at - below) * (y - x);
}

export function summarise(samples: readonly number[]): Summary {
  const median = percentile(samples, 0.5);
  const at = (p: number) => percentile(samples, p);
  return { median, mad: percentile(samples.map((x) => Math.abs(x - median)), 0.5), p5: at(0.05), p25: at(0.25), p75: at(0.75), p95: at(0.95) };
}

/** Median of b/a round by round: for contestants that took turns, so that what slowed a round slowed both. */
export function ratioOfRounds(a: readonly number[], b: readonly number[], miss = 0.05): Ratio {
  const random = randomStream(keyOfSeed(1), [a.length, b.length, 8]);
  const ratios = a.map((x, i) => b[i]! / x);
  return intervalOf(percentile(ratios, 0.5), createMedianDraw(ratios, random), miss);
}

/** The median of as many samples drawn with replacement, at each call. */
function createMedianDraw(samples: readonly number[], random: RandomStream): () => number {
  const drawn = new Float64Array(samples.length);
  return () => {
    for (let i = 0; i < drawn.length; i++) drawn[i] = samples[random.below(samples.length)]!;
    return quantileOfSorted(drawn.sort(), 0.5);
  };
}

/** Percentile bootstrap (Efron and Tibshirani 1993, chapter 13). */
function intervalOf(ratio: number, resample: () => number, miss: number): Ratio {
  const drawn = Float64Array.from({ length: RESAMPLES }, resample).sort();
  return { ratio, low: quantileOfSorted(drawn, miss / 2), high: quantileOfSorted(drawn, 1 - miss / 2) };
}
