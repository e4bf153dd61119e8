// Looking patches up: for a patch, those of other brains whose features point in the most similar direction.
import { compareRows, normaliseRows } from "../model/neighbours.ts";

export interface Nearest {
  /** [queries, k] rows of the bank, nearest first. */
  readonly rows: Int32Array;
  /** [queries, k] cosines of the angles between the features. */
  readonly similarities: Float32Array;
  readonly k: number;
}

/** The `k` rows of a bank [bankCount, channels] nearest to each query [count, channels] by cosine similarity; of equal ones the first. `k` is at most bankCount. */
export async function findNearest(bank: Float32Array, bankCount: number, queries: Float32Array, count: number, channels: number, k: number): Promise<Nearest> {
  const out = { rows: new Int32Array(count * k), similarities: new Float32Array(count * k), k };
  const all = compareRows(normaliseRows(queries, count, channels), count, normaliseRows(bank, bankCount, channels), bankCount, channels);
  for (let q = 0; q < count; q++) {
    const own = all.subarray(q * bankCount, (q + 1) * bankCount);
    const order = Array.from(own, (_, i) => i).sort((a, b) => own[b]! - own[a]! || a - b);
    for (let j = 0; j < k; j++) {
      out.rows[q * k + j] = order[j]!;
      out.similarities[q * k + j] = own[order[j]!]!;
    }
  }
  return out;
}
