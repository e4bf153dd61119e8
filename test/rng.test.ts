// Philox against its published known-answer vectors, and the draws built upon it.
import { describe, expect, test } from "vitest";
import { keyOfSeed, philox4x32, randomStream, randomUniform, type Words2, type Words4 } from "../src/kernel/rng.ts";

const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");

describe("philox4x32-10", () => {
  const vectors: [Words4, Words2, string][] = [
    [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ];
  test.each(vectors)("counter %j under key %j", (counter, key, want) => {
    expect(hex(philox4x32(counter, key))).toBe(want);
  });

  test("a bijection's neighbours differ", () => {
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) seen.add(hex(philox4x32([i, 0, 0, 0], [7, 0])));
    expect(seen.size).toBe(1000);
  });
});

describe("draws", () => {
  test("uniform numbers are multiples of 2^-24 below 1", () => {
    for (let i = 0; i < 200; i++) {
      for (const u of randomUniform([i, 1, 2, 3], [4, 5])) {
        expect(u).toBeGreaterThanOrEqual(0);
        expect(u).toBeLessThan(1);
        expect(Number.isInteger(u * 2 ** 24)).toBe(true);
      }
    }
  });

  test("a stream repeats itself and differs from its neighbours", () => {
    const take = (seed: number, name: [number, number, number]): number[] => {
      const stream = randomStream(keyOfSeed(seed), name);
      return Array.from({ length: 9 }, () => stream.word());
    };
    expect(take(1, [0, 0, 0])).toEqual(take(1, [0, 0, 0]));
    expect(take(1, [0, 0, 0])).not.toEqual(take(2, [0, 0, 0]));
    expect(take(1, [0, 0, 0])).not.toEqual(take(1, [0, 1, 0]));
    expect(take(2 ** 40, [0, 0, 0])).not.toEqual(take(0, [0, 0, 0]));
  });

  test("below() stays in range and is even: chi-squared of 6 faces under its 1 - 1e-6 quantile", () => {
    const stream = randomStream(keyOfSeed(3), [0, 0, 0]);
    const counts = new Float64Array(6);
    const n = 60000;
    for (let i = 0; i < n; i++) {
      const face = stream.below(6);
      counts[face] = (counts[face] ?? 0) + 1;
    }
    const chi2 = counts.reduce((sum, count) => sum + (count - n / 6) ** 2 / (n / 6), 0);
    // 5 degrees of freedom: P(chi2 > 35.9) = 1e-6.
    expect(chi2).toBeLessThan(35.9);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(n);
  });

  test("normal() has mean 0 and variance 1 within five standard errors", () => {
    const stream = randomStream(keyOfSeed(4), [1, 0, 0]);
    const n = 40000;
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const x = stream.normal();
      sum += x;
      squares += x * x;
    }
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(squares / n - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  });

  test("seeds that are no integers are refused", () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => keyOfSeed(seed)).toThrow(RangeError);
  });
});
