// A linear probe: logistic regression whose strength of regularisation is chosen by validation inside the training rows, by whole groups.
import type { LabelledRows } from "../model/neighbours.ts";
import { fitLogistic, fitLogisticPath, predictLogistic, type LogisticModel } from "./logistic.ts";
import { scorePredictions } from "../model/scores.ts";

/** From strong to weak, so that each fit begins at the one before. */
export const STRENGTHS: readonly number[] = [1, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001];

/** Rows of one fold are predicted by what was fitted on all others. */
export interface Folds {
  /** [count] the fold of each row. */
  readonly of: Int32Array;
  readonly count: number;
}

/** The choice of a setting: its mean macro-F1 over the folds, for each candidate. */
export interface Choice {
  readonly chosen: number;
  readonly candidates: readonly { readonly value: number; readonly macroF1: number }[];
}

export interface LinearProbe {
  readonly model: LogisticModel;
  readonly choice: Choice;
}

/** Validation only ranks strengths: macro-F1 moves by some thousandths beyond this, and by none beyond that of the last fit. */
const ROUGH = { tolerance: 3e-4 };
const FINE = { tolerance: 1e-5 };

/**
 * Puts rows into at most `most` folds by their group, so that no group is on both sides of a fold: the largest groups first, each to the fold
 * with the fewest rows so far. One fold comes out of one group; there is nothing to validate on then.
 */
export function foldGroups(groups: ArrayLike<number>, most: number): Folds {
  const sizes = new Map<number, number>();
  for (let i = 0; i < groups.length; i++) sizes.set(groups[i]!, (sizes.get(groups[i]!) ?? 0) + 1);
  const rows = new Array<number>(Math.min(most, sizes.size)).fill(0);
  const foldOf = new Map<number, number>();
  for (const [group, size] of [...sizes].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
    const fold = rows.indexOf(Math.min(...rows));
    rows[fold]! += size;
    foldOf.set(group, fold);
  }
  return { of: Int32Array.from(groups, (group) => foldOf.get(group)!), count: rows.length };
}

/** Rows by their index. */
export function takeRows(rows: LabelledRows, indices: ArrayLike<number>): LabelledRows {
  const { channels } = rows;
  const values = new Float32Array(indices.length * channels);
  const labels = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]!;
    values.set(rows.values.subarray(from * channels, (from + 1) * channels), i * channels);
    labels[i] = rows.labels[from]!;
  }
  return { ...rows, values, labels, count: indices.length };
}

/** Rows that settings are chosen on, at most: enough to rank a few candidates. */
const MOST_CHOOSING = 3000;

/** Rows and folds with every so manieth row only, so that choosing costs no more for more rows; the order of rows, by sections, keeps all of them in. */
export function thinRows(rows: LabelledRows, folds: Folds): { rows: LabelledRows; folds: Folds } {
  if (rows.count <= MOST_CHOOSING) return { rows, folds };
  const indices = Array.from({ length: MOST_CHOOSING }, (_, i) => Math.floor((i * rows.count) / MOST_CHOOSING));
  return { rows: takeRows(rows, indices), folds: { of: Int32Array.from(indices, (i) => folds.of[i]!), count: folds.count } };
}

/** The two sides of a fold. */
export function splitFold(rows: LabelledRows, folds: Folds, fold: number): { fit: LabelledRows; validate: LabelledRows } {
  const indices = Array.from({ length: rows.count }, (_, i) => i);
  return { fit: takeRows(rows, indices.filter((i) => folds.of[i] !== fold)), validate: takeRows(rows, indices.filter((i) => folds.of[i] === fold)) };
}

/** The candidate with the best mean over folds; the first of equals. `scores` [folds][candidates]. */
export function chooseBest(values: readonly number[], scores: readonly (readonly number[])[]): Choice {
  const candidates = values.map((value, c) => ({ value, macroF1: scores.reduce((sum, fold) => sum + fold[c]!, 0) / Math.max(1, scores.length) }));
  const best = Math.max(...candidates.map(({ macroF1 }) => macroF1));
  return { chosen: candidates.find(({ macroF1 }) => macroF1 >= best - 1e-12)!.value, candidates };
}

/**
 * Chooses the strength by mean macro-F1 over the folds (on 3,000 rows at most), the stronger of equals, and fits with it on all rows. Standardisation is part of each fit, so
 * that no statistic comes from the rows that are predicted. `pause` is awaited between fits, for whoever must stay responsive.
 */
export async function fitLinearProbe(rows: LabelledRows, folds: Folds, pause: () => Promise<void> = async () => {}): Promise<LinearProbe> {
  if (folds.count < 2) throw new RangeError(`fitLinearProbe: ${folds.count} folds, expected at least two`);
  const scores: number[][] = [];
  const thin = thinRows(rows, folds);
  for (let fold = 0; fold < folds.count; fold++) {
    const { fit, validate } = splitFold(thin.rows, thin.folds, fold);
    const models = fitLogisticPath(fit, STRENGTHS, ROUGH);
    scores.push(models.map((model) => scorePredictions(validate.labels, predictLogistic(model, validate.values, validate.count), rows.classes).macroF1));
    await pause();
  }
  const choice = chooseBest(STRENGTHS, scores);
  const model = fitLogistic(rows, choice.chosen, FINE);
  await pause();
  return { model, choice };
}
