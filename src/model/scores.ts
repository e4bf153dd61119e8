// Scores of a classification out of its confusion matrix: macro-F1, balanced accuracy, accuracy, and precision and recall of each class.

export interface ClassScores {
  /** Share of what was called this class that is. 0 where nothing was called it. */
  readonly precision: number;
  /** Share of this class that was called so. */
  readonly recall: number;
  /** 2·hits / (members + called so). */
  readonly f1: number;
  /** Members. */
  readonly support: number;
}

export interface Scores {
  /** Mean F1 of the classes that have members. */
  readonly macroF1: number;
  /** Mean recall of the classes that have members. */
  readonly balancedAccuracy: number;
  readonly accuracy: number;
}

/** Counts [classes, classes]: row the truth, column the prediction. */
export function countConfusion(truth: ArrayLike<number>, predicted: ArrayLike<number>, classes: number): Float64Array {
  if (truth.length !== predicted.length) throw new RangeError(`countConfusion: ${predicted.length} predictions, expected ${truth.length}`);
  const confusion = new Float64Array(classes * classes);
  for (let i = 0; i < truth.length; i++) confusion[truth[i]! * classes + predicted[i]!]! += 1;
  return confusion;
}

/** Scores of each class. Entries of the matrix may be expected counts, which are no whole numbers. */
export function scoreClasses(confusion: ArrayLike<number>, classes: number): ClassScores[] {
  return Array.from({ length: classes }, (_, k) => {
    let [support, called] = [0, 0];
    for (let j = 0; j < classes; j++) {
      support += confusion[k * classes + j]!;
      called += confusion[j * classes + k]!;
    }
    const hits = confusion[k * classes + k]!;
    return { precision: called > 0 ? hits / called : 0, recall: support > 0 ? hits / support : 0, f1: support + called > 0 ? (2 * hits) / (support + called) : 0, support };
  });
}

/** The means over classes. A class without members has no recall, and none of the means counts it; without any member at all they are 0. */
export function scoreConfusion(confusion: ArrayLike<number>, classes: number): Scores {
  let [f1, recall, hits, total, present] = [0, 0, 0, 0, 0];
  for (let k = 0; k < classes; k++) {
    let [support, called] = [0, 0];
    for (let j = 0; j < classes; j++) {
      support += confusion[k * classes + j]!;
      called += confusion[j * classes + k]!;
    }
    const own = confusion[k * classes + k]!;
    hits += own;
    total += support;
    if (support <= 0) continue;
    present += 1;
    f1 += (2 * own) / (support + called);
    recall += own / support;
  }
  return { macroF1: present > 0 ? f1 / present : 0, balancedAccuracy: present > 0 ? recall / present : 0, accuracy: total > 0 ? hits / total : 0 };
}

/** `scoreConfusion` of predictions. */
export function scorePredictions(truth: ArrayLike<number>, predicted: ArrayLike<number>, classes: number): Scores {
  return scoreConfusion(countConfusion(truth, predicted, classes), classes);
}
