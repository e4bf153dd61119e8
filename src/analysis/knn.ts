// Nearest neighbours by cosine similarity: the probe that fits nothing.
import { chooseBest, splitFold, thinRows, type Choice, type Folds } from "./linear-probe.ts";
import { classifyByNeighbours, type LabelledRows } from "../model/neighbours.ts";
import { scorePredictions } from "../model/scores.ts";

/** Numbers of neighbours to choose from. */
export const NEIGHBOURS: readonly number[] = [1, 5, 10, 20, 50];

/** Chooses k by mean macro-F1 over the folds (on 3,000 rows at most), the smaller of equals. */
export function chooseNeighbours(rows: LabelledRows, folds: Folds): Choice {
  const scores: number[][] = [];
  const thin = thinRows(rows, folds);
  for (let fold = 0; fold < folds.count; fold++) {
    const { fit, validate } = splitFold(thin.rows, thin.folds, fold);
    const predicted = classifyByNeighbours(fit, validate.values, validate.count, NEIGHBOURS);
    scores.push(predicted.map((some) => scorePredictions(validate.labels, some, rows.classes).macroF1));
  }
  return chooseBest(NEIGHBOURS, scores);
}
