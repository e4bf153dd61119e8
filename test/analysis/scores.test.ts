// Scores against values computed by hand.
import { expect, test } from "vitest";
import { countConfusion, scoreClasses, scoreConfusion, scorePredictions } from "../../src/model/scores.ts";

const truth = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
const predicted = [0, 0, 0, 1, 1, 1, 0, 2, 1, 1];

test("the confusion matrix has the truth in its rows", () => {
  expect([...countConfusion(truth, predicted, 3)]).toEqual([3, 1, 0, 1, 2, 0, 0, 2, 1]);
});

test("precision, recall and F1 of each class, and their means", () => {
  const confusion = countConfusion(truth, predicted, 3);
  const [a, b, c] = scoreClasses(confusion, 3);
  expect(a).toEqual({ precision: 3 / 4, recall: 3 / 4, f1: 6 / 8, support: 4 });
  expect(b).toEqual({ precision: 2 / 5, recall: 2 / 3, f1: 4 / 8, support: 3 });
  expect(c).toEqual({ precision: 1, recall: 1 / 3, f1: 2 / 4, support: 3 });
  const { macroF1, balancedAccuracy, accuracy } = scorePredictions(truth, predicted, 3);
  expect(macroF1).toBeCloseTo((0.75 + 0.5 + 0.5) / 3, 14);
  expect(balancedAccuracy).toBeCloseTo((3 / 4 + 2 / 3 + 1 / 3) / 3, 14);
  expect(accuracy).toBe(0.6);
});

test("a class that is never there is in no mean; one that is never called has F1 0", () => {
  expect(scoreConfusion([3, 1, 0, 0, 4, 0, 0, 0, 0], 3)).toEqual({ macroF1: (6 / 7 + 8 / 9) / 2, balancedAccuracy: (3 / 4 + 1) / 2, accuracy: 7 / 8 });
  expect(scoreClasses([0, 2, 0, 3], 2)[0]).toEqual({ precision: 0, recall: 0, f1: 0, support: 2 });
  expect(scoreConfusion([0, 0, 0, 0], 2)).toEqual({ macroF1: 0, balancedAccuracy: 0, accuracy: 0 });
});
