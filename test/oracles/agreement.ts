// How far two sets of tensors by the same names are apart: cosine and relative error of each, and the worst of all.
import { twinOf } from "./judge.ts";

export interface Agreement {
  readonly leastCosine: number;
  /** Median and worst of both, for people. */
  readonly text: string;
}

/** Gradients that vanish in exact arithmetic are measured by the size of those of a like size, and have no direction. */
export function listAgreement(ours: ReadonlyMap<string, ArrayLike<number>>, theirs: ReadonlyMap<string, ArrayLike<number>>): Agreement {
  const norm = (values: ArrayLike<number>): number => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
    return Math.sqrt(sum);
  };
  const rows = [...theirs].map(([name, b]) => {
    const a = ours.get(name)!;
    let [off, dot] = [0, 0];
    for (let i = 0; i < b.length; i++) {
      off += (a[i]! - b[i]!) ** 2;
      dot += a[i]! * b[i]!;
    }
    const twin = twinOf(name);
    return { name, error: Math.sqrt(off) / norm(theirs.get(twin)!), cosine: twin === name ? dot / (norm(a) * norm(b)) : 1 };
  });
  const errors = [...rows].sort((x, y) => x.error - y.error);
  const cosines = [...rows].sort((x, y) => x.cosine - y.cosine);
  const [worst, least] = [errors.at(-1)!, cosines[0]!];
  const text = `${rows.length} tensors; relative error ${errors[errors.length >> 1]!.error.toExponential(1)} in the median, at most ${worst.error.toExponential(1)} (${worst.name}); 1 − cosine at most ${(1 - least.cosine).toExponential(1)} (${least.name})`;
  return { leastCosine: least.cosine, text };
}
