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

const RESAMPLES = 1000;

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
  return intervalOf(percentile(ratios, 0.5), createDraw(ratios, random, (sorted) => quantileOfSorted(sorted, 0.5)), miss);
}

/** What `of` makes of as many samples drawn with replacement, at each call. */
function createDraw(samples: readonly number[], random: RandomStream, of: (sorted: ArrayLike<number>) => number): () => number {
  const drawn = new Float64Array(samples.length);
  return () => {
    for (let i = 0; i < drawn.length; i++) drawn[i] = samples[random.below(samples.length)]!;
    return of(drawn.sort());
  };
}

/** Percentile bootstrap (Efron and Tibshirani 1993, chapter 13). */
function intervalOf(ratio: number, resample: () => number, miss: number): Ratio {
  const drawn = Float64Array.from({ length: RESAMPLES }, resample).sort();
  return { ratio, low: quantileOfSorted(drawn, miss / 2), high: quantileOfSorted(drawn, 1 - miss / 2) };
}

/**
 * Where samples lie densest: of the half of them that spans the least, again the half, down to two or three (half-sample mode, Bickel and Frühwirth 2006). What
 * comes beside the kernel's own time only adds where a machine is quiet at its best; on shared ones it also takes away, when neighbours rest. The mode is what most rounds agree on, either way.
 */
export function modeOf(samples: readonly number[]): number {
  return modeOfSorted([...samples].sort((x, y) => x - y));
}

function modeOfSorted(sorted: ArrayLike<number>): number {
  let [start, count] = [0, sorted.length];
  while (count > 3) {
    const half = Math.ceil(count / 2);
    let at = start;
    for (let i = start; i + half <= start + count; i++) if (sorted[i + half - 1]! - sorted[i]! < sorted[at + half - 1]! - sorted[at]!) at = i;
    [start, count] = [at, half];
  }
  const [x = NaN, y = x, z = y] = [sorted[start], sorted[start + 1], sorted[start + 2]];
  if (count < 3) return count === 2 ? (x + y) / 2 : x;
  return y - x < z - y ? (x + y) / 2 : y - x > z - y ? (y + z) / 2 : y;
}

/** b/a by the modes of two samples that were not taken in turns, with the interval of the bootstrap over both. */
export function ratioOfModes(a: readonly number[], b: readonly number[], miss = 0.05): Ratio {
  const random = randomStream(keyOfSeed(1), [a.length, b.length, 9]);
  const [before, after] = [createDraw(a, random, modeOfSorted), createDraw(b, random, modeOfSorted)];
  return intervalOf(modeOf(b) / modeOf(a), () => after() / before(), miss);
}
