// Principal components against data whose components are known.
import { expect, test } from "vitest";
import { colourScores, principalComponents } from "../../src/analysis/pca.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

test("finds the axes, shares and scores of a rotated Gaussian", () => {
  const random = randomStream(keyOfSeed(3), [0, 0, 0]);
  const [count, channels] = [4000, 5];
  const deviations = [5, 3, 2, 0.1, 0.1];
  // Householder reflection: an orthonormal basis that is none of the coordinate axes.
  const v = [1, 2, 3, 4, 5].map((x) => x / Math.sqrt(55));
  const basis = (j: number, c: number) => (j === c ? 1 : 0) - 2 * v[j]! * v[c]!;
  const values = new Float64Array(count * channels);
  for (let i = 0; i < count; i++) {
    const z = deviations.map((s) => s * random.normal());
    for (let c = 0; c < channels; c++) values[i * channels + c] = 7 + z.reduce((sum, x, j) => sum + x * basis(j, c), 0);
  }
  const { axes, share, scores, mean } = principalComponents(values, count, channels, 3);
  let sampleVariance = 0;
  for (let c = 0; c < channels; c++) for (let i = 0; i < count; i++) sampleVariance += (values[i * channels + c]! - mean[c]!) ** 2 / (count - 1);
  const total = deviations.reduce((sum, s) => sum + s * s, 0);
  for (let j = 0; j < 3; j++) {
    const dot = Array.from({ length: channels }, (_, c) => axes[j * channels + c]! * basis(j, c)).reduce((a, b) => a + b);
    // Sampling turns an axis by about (s_i s_j / (s_i² - s_j²)) / √n: 0.02 for the closest pair here.
    expect(Math.abs(dot)).toBeGreaterThan(0.998);
    expect(share[j]).toBeCloseTo(deviations[j]! ** 2 / total, 1);
    const variance = Array.from({ length: count }, (_, i) => scores[3 * i + j]! ** 2).reduce((a, b) => a + b) / (count - 1);
    expect(variance / sampleVariance).toBeCloseTo(share[j]!, 6);
  }
  for (let c = 0; c < channels; c++) expect(mean[c]).toBeCloseTo(7, 0);
});

test("equal rows give no colour but no NaN either", () => {
  const { scores, share } = principalComponents(new Float32Array(40).fill(2), 10, 4, 3);
  expect([...share]).toEqual([0, 0, 0]);
  expect([...colourScores(scores, 10)].every((x) => x === 0)).toBe(true);
});

test("more components than rows leaves the rest at zero", () => {
  const { scores, share } = principalComponents([1, 0, 0, 1], 2, 2, 2);
  expect(share[0]).toBeCloseTo(1, 12);
  expect(scores.every(Number.isFinite)).toBe(true);
});
