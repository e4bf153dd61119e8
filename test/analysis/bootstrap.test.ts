// Intervals over blocks: nothing varies where nothing differs, blocks are drawn whole, differences are paired, and guesses score as drawn guesses do.
import { expect, test } from "vitest";
import { bootstrap, estimate, estimateDifference, tabulate, tabulateGuesses } from "../../src/analysis/bootstrap.ts";
import { scorePredictions } from "../../src/model/scores.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

const BLOCKS = 40;
const PATCHES = 25;
const count = BLOCKS * PATCHES;
const blockOf = Int32Array.from({ length: count }, (_, i) => Math.floor(i / PATCHES));
const truth = Int32Array.from({ length: count }, (_, i) => i % 2);
const options = { blocks: BLOCKS, resamples: 2000, seed: 3 };
const width = ({ low, high }: { low: number; high: number }) => high - low;

test("constant data give intervals of no width", () => {
  const { all, none } = bootstrap({ all: tabulate(truth, truth, blockOf, 2), none: tabulate(truth, truth.map((k) => 1 - k), blockOf, 2) }, options);
  expect(estimate(all.scores.macroF1, all.resamples.macroF1)).toEqual({ value: 1, low: 1, high: 1 });
  expect(estimate(none.scores.accuracy, none.resamples.accuracy)).toEqual({ value: 0, low: 0, high: 0 });
  expect(estimateDifference(all, none, "accuracy")).toEqual({ value: 1, low: 1, high: 1 });
});

test("blocks are drawn whole: errors that fill blocks give the interval of as many coins as there are blocks, not patches", () => {
  const predicted = truth.map((k, i) => (blockOf[i]! % 2 === 0 ? k : 1 - k));
  const { whole } = bootstrap({ whole: tabulate(truth, predicted, blockOf, 2) }, options);
  const single = Int32Array.from({ length: count }, (_, i) => i);
  const { apart } = bootstrap({ apart: tabulate(truth, predicted, single, 2) }, { ...options, blocks: count });
  const byBlocks = estimate(whole.scores.accuracy, whole.resamples.accuracy);
  const byPatches = estimate(apart.scores.accuracy, apart.resamples.accuracy);
  expect(byBlocks.value).toBe(0.5);
  // 2 · 1.96 · √(0.25 / 40); a percentile of 2,000 draws is itself uncertain by 4 % of it, and coins come in steps of 1/40.
  expect(Math.abs(width(byBlocks) - 2 * 1.96 * Math.sqrt(0.25 / BLOCKS))).toBeLessThan(0.05);
  expect(width(byBlocks) / width(byPatches)).toBeGreaterThan(4); // √25 = 5
});

test("all methods see the same draws, so that a method never differs from its equal", () => {
  const random = randomStream(keyOfSeed(1), [0, 0, 0]);
  const predicted = truth.map(() => random.below(2));
  const tables = { first: tabulate(truth, predicted, blockOf, 2), second: tabulate(truth, predicted.slice(), blockOf, 2) };
  const { first, second } = bootstrap(tables, options);
  expect(width(estimate(first.scores.macroF1, first.resamples.macroF1))).toBeGreaterThan(0.02);
  expect(estimateDifference(first, second, "macroF1")).toEqual({ value: 0, low: 0, high: 0 });
  expect(bootstrap(tables, options).first.resamples.macroF1).toEqual(first.resamples.macroF1);
  expect(bootstrap(tables, { ...options, seed: 4 }).first.resamples.macroF1).not.toEqual(first.resamples.macroF1);
});

test("expected guesses score as drawn guesses do on average", () => {
  const priors = [0.5, 0.3, 0.2];
  const random = randomStream(keyOfSeed(8), [0, 0, 0]);
  const draw = () => {
    const u = random.uniform();
    return u < 0.5 ? 0 : u < 0.8 ? 1 : 2;
  };
  const labels = Int32Array.from({ length: count }, (_, i) => (i % 10 < 2 ? 0 : i % 10 < 5 ? 1 : 2));
  const { chance } = bootstrap({ chance: tabulateGuesses(labels, priors, blockOf) }, options);
  const drawn = Array.from({ length: 200 }, () => scorePredictions(labels, labels.map(draw), 3));
  const mean = (metric: "macroF1" | "accuracy") => drawn.reduce((sum, scores) => sum + scores[metric], 0) / drawn.length;
  // One draw deviates by about √(0.25 / 1000) = 0.016, their mean over 200 by 0.0011; F1 is bent by less than 1/1000 more.
  expect(Math.abs(chance.scores.macroF1 - mean("macroF1"))).toBeLessThan(0.006);
  expect(Math.abs(chance.scores.accuracy - mean("accuracy"))).toBeLessThan(0.005);
  expect(chance.scores.accuracy).toBeCloseTo(0.2 * 0.5 + 0.3 * 0.3 + 0.5 * 0.2, 12);
});
