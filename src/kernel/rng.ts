// Counter-based random numbers (Philox4x32-10): a value is a pure function of key and counter, so any draw can be repeated alone.

/** Four or two unsigned 32-bit words. */
export type Words4 = readonly [number, number, number, number];
export type Words2 = readonly [number, number];

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** The upper 32 bits of the 64-bit product: doubles would round it, so it is built from 16-bit halves. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/**
 * Ten rounds of Philox4x32: 128 random bits for a counter under a key.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked against its known-answer vectors.
 */
export function philox4x32(counter: Words4, key: Words2): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0];
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The Philox key of a seed: any integer of at most 53 bits. */
export function keyOfSeed(seed: number): Words2 {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`keyOfSeed: seed ${seed}, expected an integer from 0 to 2^53 - 1`);
  return [seed >>> 0, Math.floor(seed / 4294967296)];
}

/** A 32-bit word as a number in [0, 1): its upper 24 bits, hence exact in f32 and equal on the GPU. */
export function toUniform(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** Four numbers in [0, 1). */
export function randomUniform(counter: Words4, key: Words2): [number, number, number, number] {
  const [a, b, c, d] = philox4x32(counter, key);
  return [toUniform(a), toUniform(b), toUniform(c), toUniform(d)];
}

/** Successive draws under one key; the last counter word counts, the three others name the stream. */
export interface RandomStream {
  /** The next 32-bit word. */
  word(): number;
  /** The next number in [0, 1). */
  uniform(): number;
  /** The next whole number in [0, bound), without bias; 1 ≤ bound ≤ 2^32. */
  below(bound: number): number;
  /** The next standard normal number (Box and Muller). */
  normal(): number;
}

export function randomStream(key: Words2, name: readonly [number, number, number]): RandomStream {
  let block: Words4 = [0, 0, 0, 0];
  let used = 4;
  let position = 0;
  const word = (): number => {
    if (used === 4) {
      block = philox4x32([position++, name[0], name[1], name[2]], key);
      used = 0;
    }
    return block[used++] ?? 0;
  };
  const below = (bound: number): number => {
    // Words in the incomplete last stretch of 2^32 would favour small results: they are drawn again.
    const limit = 4294967296 - (4294967296 % bound);
    for (;;) {
      const drawn = word();
      if (drawn < limit) return drawn % bound;
    }
  };
  const uniform = (): number => toUniform(word());
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { word, uniform, below, normal };
}
