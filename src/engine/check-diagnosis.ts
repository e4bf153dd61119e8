// What is wrong with a wrong result, in words: which elements, and whether it is only the sign or a factor.
import type { Comparison } from "./tolerance.ts";

/** A dimension of a result: its letter and its extent. */
export interface Dimension {
  readonly dim: string;
  readonly extent: number;
}

/**
 * `y[28] is 0.1, expected 0.2: 1e+5 times the allowed error; 37 of 1073 elements are wrong, all of them at n = 28, the last`, and where
 * all are what is expected but for the sign, or for one factor, that.
 */
export function describeWrong(name: string, comparison: Comparison, got: ArrayLike<number>, expected: ArrayLike<number>, shape: readonly Dimension[]): string {
  const { index, wrong, worst } = comparison;
  const head = `${name}[${index}] is ${comparison.got}, expected ${comparison.expected}: ${worst.toPrecision(3)} times the allowed error`;
  const count = `${wrong.length} of ${expected.length} elements ${wrong.length === 1 ? "is" : "are"} wrong`;
  const where = describePlace(wrong, shape);
  const factor = findFactor(got, expected, wrong);
  // A factor that reads as 1 says nothing: the elements are only not exact enough.
  const times = factor === undefined ? 1 : Number(factor.toPrecision(3));
  const how = factor === -1 ? "; the sign is wrong" : times === 1 ? "" : `; they are ${times} times what is expected`;
  return `${head}; ${count}${where === "" ? "" : `, all of them at ${where}`}${how}`;
}

/** What the indices have in common: `n = 28, the last`, `m ≥ 32`; empty where they lie everywhere. */
function describePlace(indices: readonly number[], shape: readonly Dimension[]): string {
  let step = shape.reduce((product, { extent }) => product * extent, 1);
  const parts: string[] = [];
  for (const { dim, extent } of shape) {
    step /= extent;
    if (extent === 1) continue;
    let [low, high] = [Infinity, -Infinity];
    for (const index of indices) {
      const at = Math.floor(index / step) % extent;
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
    if (low === high) parts.push(`${dim} = ${low}${low === extent - 1 ? ", the last" : low === 0 ? ", the first" : ""}`);
    else if (low > 0) parts.push(`${dim} ≥ ${low} of ${extent}`);
    else if (high < extent - 1) parts.push(`${dim} ≤ ${high} of ${extent}`);
  }
  return parts.join(" and ");
}

/** How far a quotient may lie from the others to count as the same factor. */
const SAME = 1e-2;

/** The factor by which all wrong elements differ from what is expected, if it is one; those near zero have no say. */
function findFactor(got: ArrayLike<number>, expected: ArrayLike<number>, wrong: readonly number[]): number | undefined {
  const largest = wrong.reduce((most, i) => Math.max(most, Math.abs(expected[i]!)), 0);
  const factors = wrong.filter((i) => Math.abs(expected[i]!) > 0.1 * largest).map((i) => got[i]! / expected[i]!);
  const [first] = factors;
  if (first === undefined || !Number.isFinite(first) || first === 0) return undefined;
  // A single element is some multiple of whatever is expected.
  if (factors.length < 2) return Math.abs(first + 1) <= SAME ** 2 ? -1 : undefined;
  if (!factors.every((factor) => Math.abs(factor - first) <= SAME * Math.abs(first))) return undefined;
  return Math.abs(first + 1) <= SAME ? -1 : first;
}
