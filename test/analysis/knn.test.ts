// Nearest neighbours against a search that sorts everything, and in cases where the vote is even.
import { expect, test } from "vitest";
import { classifyByNeighbours } from "../../src/model/neighbours.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

test("votes as a full sort does, whatever the lengths of the vectors", () => {
  const random = randomStream(keyOfSeed(2), [0, 0, 0]);
  const [count, queries, channels, classes] = [103, 300, 7, 4];
  const draw = (n: number) => Float32Array.from({ length: n * channels }, (_, i) => random.normal() * (1 + (Math.floor(i / channels) % 5)));
  const [values, asked] = [draw(count), draw(queries)];
  const labels = Int32Array.from({ length: count }, () => random.below(classes));
  const row = (from: Float32Array, i: number) => [...from.subarray(i * channels, (i + 1) * channels)];
  const cosine = (a: number[], b: number[]) => a.reduce((sum, x, j) => sum + x * b[j]!, 0) / Math.hypot(...a) / Math.hypot(...b);
  const ks = [1, 5, 20];
  const found = classifyByNeighbours({ values, labels, count, channels, classes }, asked, queries, ks);
  for (let q = 0; q < queries; q++) {
    const order = Array.from({ length: count }, (_, i) => ({ i, s: cosine(row(asked, q), row(values, i)) })).sort((a, b) => b.s - a.s);
    for (const [c, k] of ks.entries()) {
      const votes = Array.from({ length: classes }, (_, label) => order.slice(0, k).filter(({ i }) => labels[i] === label));
      const score = (label: number) => votes[label]!.length * 1000 + votes[label]!.reduce((sum, { s }) => sum + s, 0);
      expect(score(found[c]![q]!)).toBe(Math.max(...votes.map((_, label) => score(label))));
    }
  }
});

test("an even vote goes to the more similar, and all vote where there are fewer than k", () => {
  const rows = { values: Float32Array.of(1, 0, 0.8, 0.6, 0, 5), labels: Int32Array.of(1, 0, 2), count: 3, channels: 2, classes: 3 };
  const [one, all] = classifyByNeighbours(rows, Float32Array.of(3, 0.1), 1, [1, 50]);
  expect([one![0], all![0]]).toEqual([1, 1]);
});
