// The accounting of a run: the span of the device's work is its kernels and the gaps between them, less what overlaps.
import type { Span } from "../engine/timing.ts";

/** Milliseconds; span = kernels + gaps − overlap. */
export interface Accounting {
  /** From the begin of the first command to the end of the last. */
  readonly span: number;
  /** The commands' own times, added up. */
  readonly kernels: number;
  /** Time in which none ran. */
  readonly gaps: number;
  /** Time in which more than one ran, counted for each but the first. */
  readonly overlap: number;
  /** Gaps by length would hide where they lie: the longest one, and what it lies behind. */
  readonly longestGap: { readonly milliseconds: number; readonly after: string };
}

export function account(spans: readonly Span[]): Accounting {
  const sorted = [...spans].sort((x, y) => x.begin - y.begin);
  let [kernels, gaps, overlap] = [0, 0, 0];
  let longestGap = { milliseconds: 0, after: "" };
  let reached = sorted[0]?.begin ?? 0;
  let latest = "";
  for (const { begin, end, path } of sorted) {
    kernels += end - begin;
    if (begin > reached) {
      gaps += begin - reached;
      if (begin - reached > longestGap.milliseconds) longestGap = { milliseconds: begin - reached, after: latest };
    } else overlap += Math.min(end, reached) - begin;
    if (end >= reached) [reached, latest] = [end, path];
  }
  return { span: reached - (sorted[0]?.begin ?? 0), kernels, gaps, overlap, longestGap };
}

/** Means over runs; of the gaps the longest. */
export function averageOf(runs: readonly Accounting[]): Accounting {
  const mean = (of: (run: Accounting) => number) => runs.reduce((sum, run) => sum + of(run), 0) / Math.max(1, runs.length);
  const longestGap = runs.map((run) => run.longestGap).reduce((most, gap) => (gap.milliseconds > most.milliseconds ? gap : most), { milliseconds: 0, after: "" });
  return { span: mean(({ span }) => span), kernels: mean(({ kernels }) => kernels), gaps: mean(({ gaps }) => gaps), overlap: mean(({ overlap }) => overlap), longestGap };
}
