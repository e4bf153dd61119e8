// Random problems from a seed: CYTONET_ORACLE_SEED, or always the same one. It is printed, and stands in the titles of the tests.
import { sizeOf } from "../../src/engine/trace.ts";
import { keyOfSeed, randomStream, type RandomStream } from "../../src/kernel/rng.ts";

/** A tensor with its values on the host. */
export interface Value<A extends Float32Array | Uint32Array | Int32Array = Float32Array | Uint32Array | Int32Array> {
  readonly shape: readonly number[];
  readonly data: A;
}

/** The seed of this run. Throws where the variable is set to something else than a whole number. */
export const SEED = ((text) => {
  if (text === undefined || text === "") return 20260101;
  if (!/^\d{1,15}$/.test(text)) throw new Error(`CYTONET_ORACLE_SEED: ${JSON.stringify(text)}, expected a whole number of at most 15 digits`);
  return Number(text);
})(process.env["CYTONET_ORACLE_SEED"]);

console.info(`oracles: random problems of seed ${SEED}; CYTONET_ORACLE_SEED sets another`);

/** Draws for one test: `name` keeps the problems of one test apart from changes to the others. */
export function drawFor(name: string): Draw {
  const hash = [...name].reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)!) >>> 0, 7);
  return drawFrom(randomStream(keyOfSeed(SEED), [hash, 0, 0x0a]));
}

/** Random sizes and tensors. */
export interface Draw {
  /** A whole number from `least` to `most`. */
  int(least: number, most: number): number;
  pick<T>(items: readonly T[]): T;
  /** Even values in [low, high). */
  uniform(shape: readonly number[], low?: number, high?: number): Value<Float32Array>;
  normal(shape: readonly number[], deviation?: number): Value<Float32Array>;
  /** Whole numbers from 0 to `bound` − 1. */
  labels(shape: readonly number[], bound: number): Value<Uint32Array>;
}

function drawFrom(random: RandomStream): Draw {
  const int = (least: number, most: number) => least + random.below(most - least + 1);
  const fill = (shape: readonly number[], value: () => number): Value<Float32Array> => ({ shape, data: Float32Array.from({ length: sizeOf(shape) }, value) });
  return {
    int,
    pick: (items) => items[random.below(items.length)]!,
    uniform: (shape, low = -1, high = 1) => fill(shape, () => low + (high - low) * random.uniform()),
    normal: (shape, deviation = 1) => fill(shape, () => deviation * random.normal()),
    labels: (shape, bound) => ({ shape, data: Uint32Array.from({ length: sizeOf(shape) }, () => random.below(bound)) }),
  };
}
