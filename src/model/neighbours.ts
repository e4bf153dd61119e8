// Nearest rows of features by cosine similarity, and the classes that they vote for.

/** Rows of features with their classes. */
export interface LabelledRows {
  /** [count, channels] */
  readonly values: Float32Array;
  /** [count] from 0 to classes - 1. */
  readonly labels: Int32Array;
  readonly count: number;
  readonly channels: number;
  readonly classes: number;
}

/** Queries at once: bounds the memory of their similarities. */
const CHUNK = 256;

/** Rows of length 1; a row of zeros stays one. */
export function normaliseRows(values: Float32Array, count: number, channels: number): Float32Array {
  const out = new Float32Array(count * channels);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = 0; j < channels; j++) sum += values[i * channels + j]! ** 2;
    const inverse = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    for (let j = 0; j < channels; j++) out[i * channels + j] = values[i * channels + j]! * inverse;
  }
  return out;
}

/** Dot products of queries [rows, channels] with a bank [count, channels], four rows of the bank at a time: [rows, count]. */
export function compareRows(queries: Float32Array, rows: number, bank: Float32Array, count: number, channels: number): Float32Array {
  const out = new Float32Array(rows * count);
  const even = count - (count % 4);
  for (let q = 0; q < rows; q++) {
    const at = q * channels;
    for (let i = 0; i < even; i += 4) {
      const [a, b, c, d] = [i * channels, (i + 1) * channels, (i + 2) * channels, (i + 3) * channels];
      let [sa, sb, sc, sd] = [0, 0, 0, 0];
      for (let j = 0; j < channels; j++) {
        const x = queries[at + j]!;
        sa += x * bank[a + j]!;
        sb += x * bank[b + j]!;
        sc += x * bank[c + j]!;
        sd += x * bank[d + j]!;
      }
      out[q * count + i] = sa;
      out[q * count + i + 1] = sb;
      out[q * count + i + 2] = sc;
      out[q * count + i + 3] = sd;
    }
    for (let i = even; i < count; i++) {
      let sum = 0;
      for (let j = 0; j < channels; j++) sum += queries[at + j]! * bank[i * channels + j]!;
      out[q * count + i] = sum;
    }
  }
  return out;
}

/**
 * The class of each query by the vote of its k nearest rows, for each k [count]. Of classes with equal votes the one whose votes are more similar
 * in sum wins. Cosine similarity; rows need not be of length 1. Where there are fewer rows than k, all vote.
 */
export function classifyByNeighbours(rows: LabelledRows, queries: Float32Array, count: number, ks: readonly number[]): Int32Array[] {
  const { channels, classes, labels } = rows;
  const bank = normaliseRows(rows.values, rows.count, channels);
  const normalised = normaliseRows(queries, count, channels);
  const most = Math.min(rows.count, Math.max(...ks));
  const out = ks.map(() => new Int32Array(count));
  const best = new Float64Array(most);
  const owner = new Int32Array(most);
  for (let from = 0; from < count; from += CHUNK) {
    const size = Math.min(CHUNK, count - from);
    const similar = compareRows(normalised.subarray(from * channels, (from + size) * channels), size, bank, rows.count, channels);
    for (let q = 0; q < size; q++) {
      // The nearest in falling order; of equals the first stays before.
      let filled = 0;
      for (let i = 0; i < rows.count; i++) {
        const value = similar[q * rows.count + i]!;
        if (filled === most && value <= best[most - 1]!) continue;
        let at = filled < most ? filled++ : most - 1;
        for (; at > 0 && value > best[at - 1]!; at--) {
          best[at] = best[at - 1]!;
          owner[at] = owner[at - 1]!;
        }
        best[at] = value;
        owner[at] = i;
      }
      for (const [c, k] of ks.entries()) {
        const votes = new Float64Array(classes);
        const sums = new Float64Array(classes);
        for (let n = 0; n < Math.min(k, filled); n++) {
          const label = labels[owner[n]!]!;
          votes[label]! += 1;
          sums[label]! += best[n]!;
        }
        let winner = 0;
        for (let label = 1; label < classes; label++) if (votes[label]! > votes[winner]! || (votes[label] === votes[winner] && sums[label]! > sums[winner]!)) winner = label;
        out[c]![from + q] = winner;
      }
    }
  }
  return out;
}
