// Intervals by the bootstrap over spatial blocks: neighbouring patches share tissue, so blocks are drawn, never patches.
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { scoreConfusion, type Scores } from "../model/scores.ts";

/** A number with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The confusion matrix of each block, as its entries that are not 0. */
export interface BlockTable {
  readonly classes: number;
  readonly block: Int32Array;
  /** Row · classes + column. */
  readonly cell: Int32Array;
  readonly weight: Float64Array;
}

export interface BootstrapOptions {
  /** Blocks there are. */
  readonly blocks: number;
  readonly resamples: number;
  readonly seed: number;
}

/** What one method scores: on the test samples, and in each resample. */
export interface Resampled {
  readonly confusion: Float64Array;
  readonly scores: Scores;
  /** [resamples] each. */
  readonly resamples: Readonly<Record<keyof Scores, Float64Array>>;
}

const STREAM = 0xb0;
const METRICS = ["macroF1", "balancedAccuracy", "accuracy"] as const satisfies readonly (keyof Scores)[];

/** The table of predictions. `blocks` [count]. */
export function tabulate(truth: ArrayLike<number>, predicted: ArrayLike<number>, blocks: Int32Array, classes: number): BlockTable {
  return collect(classes, blocks, (i, add) => add(truth[i]! * classes + predicted[i]!, 1));
}

/** The table that is expected where each class is called at random with the frequency `priors` [classes], whatever is shown. */
export function tabulateGuesses(truth: ArrayLike<number>, priors: ArrayLike<number>, blocks: Int32Array): BlockTable {
  const classes = priors.length;
  return collect(classes, blocks, (i, add) => {
    for (let k = 0; k < classes; k++) if (priors[k]! > 0) add(truth[i]! * classes + k, priors[k]!);
  });
}

function collect(classes: number, blocks: Int32Array, list: (i: number, add: (cell: number, weight: number) => void) => void): BlockTable {
  const cells = classes * classes;
  const sums = new Map<number, number>();
  blocks.forEach((block, i) => list(i, (cell, weight) => void sums.set(block * cells + cell, (sums.get(block * cells + cell) ?? 0) + weight)));
  const keys = [...sums.keys()].sort((a, b) => a - b);
  return { classes, block: Int32Array.from(keys, (key) => Math.floor(key / cells)), cell: Int32Array.from(keys, (key) => key % cells), weight: Float64Array.from(keys, (key) => sums.get(key)!) };
}

/**
 * Draws as many blocks as there are, with repetition, `resamples` times, and scores what they hold. All tables see the same draws, so that
 * differences between methods are paired. A class that a draw does not hold is in no mean of it.
 */
export function bootstrap<Name extends string>(tables: Readonly<Record<Name, BlockTable>>, options: BootstrapOptions): Record<Name, Resampled> {
  const random = randomStream(keyOfSeed(options.seed), [0, 0, STREAM]);
  const names = Object.keys(tables) as Name[];
  const whole = new Float64Array(options.blocks).fill(1);
  const out = Object.fromEntries(
    names.map((name) => {
      const confusion = sumBlocks(tables[name], whole);
      const resamples = { macroF1: new Float64Array(options.resamples), balancedAccuracy: new Float64Array(options.resamples), accuracy: new Float64Array(options.resamples) };
      return [name, { confusion, scores: scoreConfusion(confusion, tables[name].classes), resamples }];
    }),
  ) as Record<Name, Resampled>;
  const times = new Float64Array(options.blocks);
  for (let r = 0; r < options.resamples; r++) {
    times.fill(0);
    for (let b = 0; b < options.blocks; b++) times[random.below(options.blocks)]! += 1;
    for (const name of names) {
      const scores = scoreConfusion(sumBlocks(tables[name], times), tables[name].classes);
      for (const metric of METRICS) out[name].resamples[metric][r] = scores[metric];
    }
  }
  return out;
}

function sumBlocks({ classes, block, cell, weight }: BlockTable, times: Float64Array): Float64Array {
  const confusion = new Float64Array(classes * classes);
  for (let e = 0; e < cell.length; e++) confusion[cell[e]!]! += times[block[e]!]! * weight[e]!;
  return confusion;
}

/** A value with the 2.5th and 97.5th percentile of its resamples, interpolated. */
export function estimate(value: number, resamples: Float64Array): Estimate {
  const sorted = resamples.slice().sort();
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)]!;
    return below + (place - Math.floor(place)) * (sorted[Math.ceil(place)]! - below);
  };
  return { value, low: at(0.025), high: at(0.975) };
}

/** How much the first scores above the second, resample by resample. */
export function estimateDifference(first: Resampled, second: Resampled, metric: keyof Scores): Estimate {
  return estimate(first.scores[metric] - second.scores[metric], first.resamples[metric].map((value, r) => value - second.resamples[metric][r]!));
}
