// k-means and what compares partitions: clusters that are known, values worked out by hand.
import { expect, test } from "vitest";
import { comparePartitions, crossTabulate } from "../../src/analysis/agreement.ts";
import { clusterByKMeans } from "../../src/analysis/kmeans.ts";
import { findNearest } from "../../src/analysis/retrieval.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

/** Three clouds of deviation 0.1 about (0, 0), (10, 0) and (0, 10), row i in cloud i mod 3. */
function makeClouds(count: number): { values: Float64Array; truth: number[] } {
  const random = randomStream(keyOfSeed(5), [1, 2, 3]);
  const truth = Array.from({ length: count }, (_, i) => i % 3);
  const values = Float64Array.from({ length: 2 * count }, (_, j) => (truth[Math.floor(j / 2)] === 1 + (j % 2) ? 10 : 0) + 0.1 * random.normal());
  return { values, truth };
}

test("finds clusters that lie apart, from every seed, and the same ones again", () => {
  const { values, truth } = makeClouds(90);
  for (const seed of [1, 2, 3]) {
    const found = clusterByKMeans(values, 90, 2, { k: 3, seed });
    expect(comparePartitions(found.labels, truth).ari).toBe(1);
    // 90 rows, 2 coordinates of variance 0.01, 3 means taken out: 1.74 expected, deviation 0.19.
    expect(found.inertia).toBeGreaterThan(0.9);
    expect(found.inertia).toBeLessThan(2.6);
    expect(clusterByKMeans(values, 90, 2, { k: 3, seed })).toEqual(found);
  }
});

test("inertia and centres are those of the clusters", () => {
  const values = [0, 2, 10, 14];
  const { labels, centres, inertia } = clusterByKMeans(values, 4, 1, { k: 2, seed: 1 });
  expect([labels[0], labels[2]].map((label) => centres[label!])).toEqual([1, 12]);
  expect(labels[1]).toBe(labels[0]);
  expect(labels[3]).toBe(labels[2]);
  expect(inertia).toBe(1 + 1 + 4 + 4);
});

test("ends where rows coincide, one cluster is the mean, and k must fit", () => {
  expect(clusterByKMeans([1, 1, 1, 1, 5], 5, 1, { k: 3, seed: 1 }).inertia).toBe(0);
  expect([...clusterByKMeans([1, 2, 6], 3, 1, { k: 1, seed: 1 }).centres]).toEqual([3]);
  expect(new Set(clusterByKMeans([1, 2, 6], 3, 1, { k: 3, seed: 1 }).labels).size).toBe(3);
  expect(() => clusterByKMeans([1, 2], 2, 1, { k: 3, seed: 1 })).toThrow(/k 3, expected a whole number from 1 to the 2 rows/);
});

test("ARI and NMI by hand", () => {
  // Of 6 things in parts of 3 and 3, {0, 0, 1 | 0, 1, 1}: pairs together in both 1 + 0 + 0 + 1 = 2, in each 6, of 15; expected 36/15.
  const { ari, nmi } = comparePartitions([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 1]);
  expect(ari).toBeCloseTo((2 - 36 / 15) / (6 - 36 / 15), 12);
  const mutual = (4 / 6) * Math.log(2 / 6 / (1 / 4)) + (2 / 6) * Math.log(1 / 6 / (1 / 4));
  expect(nmi).toBeCloseTo(mutual / Math.log(2), 12);
  expect(comparePartitions([0, 0, 1, 1], [1, 1, 0, 0])).toEqual({ ari: 1, nmi: 1 });
  expect(comparePartitions([0, 0, 0], [0, 0, 0])).toEqual({ ari: 1, nmi: 1 });
  // Each of the four combinations once: nothing is known of one from the other.
  expect(comparePartitions([0, 0, 1, 1], [0, 1, 0, 1])).toEqual({ ari: (0 - 4 / 6) / (2 - 4 / 6), nmi: 0 });
  expect(crossTabulate([0, 2, 2], [1, 0, 0])).toEqual([[0, 1], [0, 0], [2, 0]]);
});

test("nearest rows by angle, whatever their length; of equal ones the first", async () => {
  const bank = Float32Array.of(1, 0, 0, 5, 3, 3, 0, 2);
  const found = await findNearest(bank, 4, Float32Array.of(0, 0.5, 2, 2), 2, 2, 3);
  expect([...found.rows]).toEqual([1, 3, 2, 2, 0, 1]);
  expect([...found.similarities.subarray(0, 3)].map((value) => Number(value.toFixed(6)))).toEqual([1, 1, Number(Math.SQRT1_2.toFixed(6))]);
});
