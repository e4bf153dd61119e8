// Logistic regression against differences of its loss, a case that is solved by hand, and its own optimality; the linear probe on labels that mean nothing.
import { expect, test } from "vitest";
import { chooseNeighbours } from "../../src/analysis/knn.ts";
import { classifyByNeighbours, type LabelledRows } from "../../src/model/neighbours.ts";
import { fitLinearProbe, foldGroups } from "../../src/analysis/linear-probe.ts";
import { balanceClasses, fitLogistic, fitLogisticPath, logisticObjective, predictLogistic } from "../../src/analysis/logistic.ts";
import { scorePredictions } from "../../src/model/scores.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

/** Gaussian clouds, one a class, `distance` deviations apart from the origin in directions of their own; brains shift them all. */
function makeClouds(count: number, channels: number, classes: number, distance: number, seed: number): LabelledRows {
  const random = randomStream(keyOfSeed(seed), [0, 0, 0]);
  const values = new Float32Array(count * channels);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = i % classes;
    for (let j = 0; j < channels; j++) values[i * channels + j] = random.normal() + (j % classes === labels[i] ? distance : 0);
  }
  return { values, labels, count, channels, classes };
}

test("the gradient is that of the loss", () => {
  const random = randomStream(keyOfSeed(5), [0, 0, 0]);
  // Seven rows: the last of the four lanes is empty in the second round.
  const [count, classes, width] = [7, 3, 5];
  const x = new Float64Array(8 * width);
  for (let i = 0; i < count; i++) for (let j = 0; j < width; j++) x[i * width + j] = j === width - 1 ? 1 : random.normal();
  const labels = Int32Array.from({ length: count }, () => random.below(classes));
  const weights = Float64Array.from({ length: classes * width }, () => random.normal());
  const gradient = new Float64Array(weights.length);
  const unused = new Float64Array(weights.length);
  const importance = Float64Array.of(0.5, 1, 2);
  const loss = logisticObjective(x, labels, importance, width, 0.3, weights, gradient);
  let expected = 0;
  for (let i = 0; i < count; i++) {
    const z = Array.from({ length: classes }, (_, k) => Array.from({ length: width }, (_, j) => weights[k * width + j]! * x[i * width + j]!).reduce((a, b) => a + b));
    expected -= importance[labels[i]!]! * Math.log(Math.exp(z[labels[i]!]!) / z.reduce((sum, v) => sum + Math.exp(v), 0)) / count;
  }
  for (let k = 0; k < classes; k++) for (let j = 0; j < width - 1; j++) expected += 0.15 * weights[k * width + j]! ** 2;
  expect(loss).toBeCloseTo(expected, 12);
  // Central differences err by h²/6 of a third derivative of order 1 and by 1e-16/h of rounding: 1e-10 here.
  const h = 1e-5;
  for (let p = 0; p < weights.length; p++) {
    const at = (value: number) => logisticObjective(x, labels, importance, width, 0.3, weights.map((w, i) => (i === p ? value : w)), unused);
    expect((at(weights[p]! + h) - at(weights[p]! - h)) / (2 * h)).toBeCloseTo(gradient[p]!, 8);
  }
});

test("a class of few rows weighs as much as one of many", () => {
  expect([...balanceClasses(Int32Array.of(0, 0, 0, 2), 3)]).toEqual([4 / 6, 0, 2]);
  // Nine rows at 0 of one class and one at 0 of the other: nothing tells them apart, so both are equally likely, biases included.
  const labels = Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  const { weights, converged } = fitLogistic({ values: new Float32Array(10), labels, count: 10, channels: 1, classes: 2 }, 0.1);
  expect(converged).toBe(true);
  expect(weights[1]! - weights[3]!).toBeCloseTo(0, 5);
});

test("two points, two classes: the solution by hand", () => {
  // x = ±1, standardised as it is. With weights (−w, w) and biases 0 the margin is 2w at each point, and d/dw of
  // ln(1 + e^(−2w)) + strength · w² is 0 where 2 / (1 + e^(2w)) = 2 · strength · w.
  const strength = 0.1;
  const { weights, converged } = fitLogistic({ values: Float32Array.of(-1, 1), labels: Int32Array.of(0, 1), count: 2, channels: 1, classes: 2 }, strength);
  const [w0, b0, w1, b1] = weights as unknown as [number, number, number, number];
  expect(converged).toBe(true);
  expect(w0).toBeCloseTo(-w1, 6);
  expect(b0 - b1).toBeCloseTo(0, 6);
  // The gradient is below 1e-6 and the curvature above 0.1, so that w is right to 1e-5.
  expect(1 / (1 + Math.exp(2 * w1)) / strength).toBeCloseTo(w1, 4);
});

test("a path converges to what single fits find, with features that nearly repeat each other and one that is constant", () => {
  const rows = makeClouds(300, 6, 3, 1, 2);
  const channels = 13;
  const values = new Float32Array(rows.count * channels);
  const random = randomStream(keyOfSeed(9), [0, 0, 0]);
  for (let i = 0; i < rows.count; i++)
    for (let j = 0; j < 6; j++) {
      values[i * channels + j] = 100 + rows.values[i * 6 + j]!;
      values[i * channels + 6 + j] = 1e-3 * (rows.values[i * 6 + j]! + 0.01 * random.normal());
      values[i * channels + 12] = 0.7;
    }
  const copy = { ...rows, values, channels };
  const path = fitLogisticPath(copy, [1, 0.01, 0.0001]);
  for (const model of path) {
    expect(model.converged, `strength ${model.strength}, ${model.iterations} iterations`).toBe(true);
    const alone = fitLogistic(copy, model.strength);
    // Both gradients are below 1e-6, so that weights differ by at most √(39) · 2e-6 / strength.
    for (let i = 0; i < alone.weights.length; i++) if (i % 14 < 13) expect(Math.abs(alone.weights[i]! - model.weights[i]!)).toBeLessThan((12.5e-6) / model.strength);
  }
  for (let k = 0; k < 3; k++) expect(path[2]!.weights[k * 14 + 12]).toBe(0);
});

test("clouds far apart are told apart, also on other rows; equal input gives equal bits", () => {
  const model = fitLogistic(makeClouds(300, 8, 4, 5, 1), 0.01);
  const fresh = makeClouds(400, 8, 4, 5, 77);
  // Two centres are √(4 · 25) = 10 deviations apart: half of it is exceeded with a chance of 3e-7.
  expect(scorePredictions(fresh.labels, predictLogistic(model, fresh.values, fresh.count), 4).accuracy).toBe(1);
  expect(fitLogistic(makeClouds(300, 8, 4, 5, 1), 0.01).weights).toEqual(model.weights);
});

test("labels that mean nothing give scores at chance", async () => {
  const rows = makeClouds(600, 32, 4, 0, 4);
  const fresh = makeClouds(2000, 32, 4, 0, 5);
  const { model } = await fitLinearProbe(rows, foldGroups(Int32Array.from({ length: 600 }, (_, i) => Math.floor(i / 200)), 5));
  const { macroF1, accuracy } = scorePredictions(fresh.labels, predictLogistic(model, fresh.values, fresh.count), 4);
  // Accuracy of guessing one of four 2,000 times: 0.25 ± 0.0097, here within five deviations. Macro-F1 is at most a little above it.
  expect(Math.abs(accuracy - 0.25)).toBeLessThan(0.049);
  expect(macroF1).toBeLessThan(0.3);
});

test("of features that tell classes apart, shuffled labels leave nothing, to the linear probe and to neighbours", async () => {
  const shuffle = (rows: LabelledRows, seed: number): LabelledRows => {
    const random = randomStream(keyOfSeed(seed), [1, 0, 0]);
    const labels = rows.labels.slice();
    for (let i = labels.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [labels[i], labels[j]] = [labels[j]!, labels[i]!];
    }
    return { ...rows, labels };
  };
  const [rows, fresh] = [makeClouds(600, 32, 4, 1, 4), makeClouds(2000, 32, 4, 1, 5)];
  const folds = foldGroups(Int32Array.from({ length: 600 }, (_, i) => Math.floor(i / 200)), 5);
  const measure = async (fit: LabelledRows, judge: LabelledRows): Promise<number[]> => {
    const { model } = await fitLinearProbe(fit, folds);
    const [near = new Int32Array()] = classifyByNeighbours(fit, judge.values, judge.count, [chooseNeighbours(fit, folds).chosen]);
    return [predictLogistic(model, judge.values, judge.count), near].map((predicted) => scorePredictions(judge.labels, predicted, 4).accuracy);
  };
  // Centres are √(2 · 8) = 4 deviations apart: beyond half of it lies 2.3 %, to each of three others.
  for (const accuracy of await measure(rows, fresh)) expect(accuracy).toBeGreaterThan(0.9);
  // Guessing one of four 2,000 times: 0.25 ± 0.0097, here within five deviations.
  for (const accuracy of await measure(shuffle(rows, 6), shuffle(fresh, 7))) expect(Math.abs(accuracy - 0.25)).toBeLessThan(0.049);
});

test("groups stay together in folds, and folds are of like size", () => {
  const groups = [3, 3, 3, 3, 1, 1, 2, 2, 9];
  const { of, count } = foldGroups(groups, 2);
  expect(count).toBe(2);
  for (let i = 1; i < groups.length; i++) if (groups[i] === groups[i - 1]) expect(of[i]).toBe(of[i - 1]);
  expect(of.filter((fold) => fold === 0).length).toBe(5); // 4 and 1, against 2 and 2
  expect(foldGroups([5, 5], 4).count).toBe(1);
});
