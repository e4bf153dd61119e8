// How well two partitions of the same things agree, whatever their parts are called.

export interface Agreement {
  /** Adjusted Rand index: 1 for equal partitions, 0 on average for unrelated ones. */
  readonly ari: number;
  /** Mutual information over the mean of the two entropies: 0 to 1, and a little above 0 for unrelated partitions of few things. */
  readonly nmi: number;
}

/**
 * Compares two partitions, given as codes from 0. Two that both put everything in one part, or each thing in its own, are equal: 1 and 1.
 * Sources: Hubert and Arabie, "Comparing partitions", 1985; Vinh et al., "Information theoretic measures for clusterings comparison", 2010.
 */
export function comparePartitions(a: ArrayLike<number>, b: ArrayLike<number>): Agreement {
  const table = crossTabulate(a, b);
  const pairs = (n: number): number => (n * (n - 1)) / 2;
  const sum = (values: Iterable<number>, of: (n: number) => number): number => [...values].reduce((total, n) => total + of(n), 0);
  const rows = table.map((row) => sum(row, Number));
  const columns = (table[0] ?? []).map((_, j) => sum(table.map((row) => row[j]!), Number));
  const count = sum(rows, Number);

  const together = sum(table.flat(), pairs);
  const [inA, inB] = [sum(rows, pairs), sum(columns, pairs)];
  const expected = count > 1 ? (inA * inB) / pairs(count) : 0;
  const most = (inA + inB) / 2;
  const ari = most === expected ? 1 : (together - expected) / (most - expected);

  const entropy = (sizes: readonly number[]): number => -sum(sizes, (n) => (n > 0 ? (n / count) * Math.log(n / count) : 0));
  const mutual = table.reduce((total, row, i) => total + row.reduce((part, n, j) => part + (n > 0 ? (n / count) * Math.log((n * count) / (rows[i]! * columns[j]!)) : 0), 0), 0);
  const mean = (entropy(rows) + entropy(columns)) / 2;
  return { ari, nmi: mean > 0 ? Math.min(1, Math.max(0, mutual / mean)) : 1 };
}

/** How many things have code i in `a` and j in `b`: [largest code of a + 1][largest code of b + 1]. */
export function crossTabulate(a: ArrayLike<number>, b: ArrayLike<number>): number[][] {
  let [rows, columns] = [0, 0];
  for (let i = 0; i < a.length; i++) [rows, columns] = [Math.max(rows, a[i]! + 1), Math.max(columns, b[i]! + 1)];
  const table = Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
  for (let i = 0; i < a.length; i++) table[a[i]!]![b[i]!]! += 1;
  return table;
}
