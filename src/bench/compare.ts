// Comparing two bench reports: row by row the ratio of times with an interval, and whether it is beyond what is allowed.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { BenchReport, BenchRow } from "./bench.ts";
import { percentile, ratioOfMedians, type Ratio } from "./statistics.ts";

/** What compares reports: the part of them that counts, so that older files can be read. */
export type ComparedReport = Pick<BenchReport, "date" | "device" | "rows">;

export type Verdict = "equal" | "slower" | "faster" | "unsure" | "wrong";

export interface ComparedRow extends Ratio {
  readonly name: string;
  readonly variant: string;
  readonly dtype: string;
  readonly case: string;
  readonly constants: Readonly<Record<string, number>>;
  /** Medians, ms. */
  readonly before: number;
  readonly after: number;
  readonly verdict: Verdict;
}

export interface BenchComparison {
  readonly rows: readonly ComparedRow[];
  /** Rows that only one of the reports has. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  /** How much slower the machine itself was in the second report, by the probe that ran between the rounds; 1 where it did not. */
  readonly pace: number;
}

/** Probability that rows of one build, all of them together, show a row as slower or faster by chance alone. */
const MISS = 0.05;

/**
 * Ratio of the medians, after / before, of every row that both reports have. Each round is divided by what the pace probe took
 * in it, so that a machine that was busy or hot during one report slows both alike. Other programs slow a kernel on many cores more, or less,
 * than the probe: the interval is widened by as much as the probe was off its best during the row. `slower`: the interval lies beyond
 * 1 + `allowed` as a whole, and so does the ratio of the fastest rounds; the interval is as wide as the number of rows makes necessary (Bonferroni). `equal`: it lies within the
 * allowed on both sides. `wrong`: the second gives wrong numbers where the first did not.
 * Errors: UserError 65 where the devices differ or nothing is common.
 */
export function compareReports(before: ComparedReport, after: ComparedReport, allowed: number): BenchComparison {
  for (const key of ["adapter", "driver"] as const)
    if (before.device[key] !== after.device[key])
      throw new UserError(EXIT_CODES.badData, `cytonet bench compare: the first file is of ${key} ${JSON.stringify(before.device[key])}, the second of ${JSON.stringify(after.device[key])}, expected one device`);
  const second = new Map(after.rows.map((row) => [keyOf(row), row]));
  const first = new Map(before.rows.map((row) => [keyOf(row), row]));
  const pairs = [...first].flatMap(([key, row]) => (second.has(key) ? [[row, second.get(key)!] as const] : []));
  if (pairs.length === 0) throw new UserError(EXIT_CODES.badData, "cytonet bench compare: the files have no row in common, expected the same cases, variants and sizes; run both benches with the same arguments");
  const [paceBefore, paceAfter] = [createBusyness(before.rows), createBusyness(after.rows)];
  const rows = pairs.map(([a, b]): ComparedRow => {
    const paced = a.pace.length === a.samples.length && b.pace.length === b.samples.length;
    const rounds = (row: BenchRow) => (paced ? row.samples.map((time, i) => time / row.pace[i]!) : row.samples);
    const found = ratioOfMedians(rounds(a), rounds(b), MISS / pairs.length);
    const busy = Math.max(paceBefore(a), paceAfter(b));
    const wide = { ...found, low: found.low / busy, high: found.high * busy };
    const best = bestOf(b, paced) / bestOf(a, paced);
    const verdict: Verdict = a.verified && !b.verified ? "wrong" : Math.min(wide.low, best) > 1 + allowed ? "slower" : Math.max(wide.high, best) < 1 / (1 + allowed) ? "faster" : wide.low >= 1 / (1 + allowed) && wide.high <= 1 + allowed ? "equal" : "unsure";
    return { name: a.name, variant: a.variant, dtype: a.dtype, case: a.case, constants: a.constants, before: a.milliseconds, after: b.milliseconds, ...wide, verdict };
  });
  const paces = pairs.map(([a, b]) => percentile(b.pace, 0.5) / percentile(a.pace, 0.5)).filter(Number.isFinite);
  const only = (own: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>) => [...own.keys()].filter((key) => !other.has(key));
  return { rows, onlyBefore: only(first, second), onlyAfter: only(second, first), pace: paces.length > 0 ? percentile(paces, 0.5) : 1 };
}

/** How much slower the probe was during a row's rounds than at its best in the file: 1 on a quiet machine. */
function createBusyness(rows: readonly BenchRow[]): (row: BenchRow) => number {
  const best = percentile(rows.flatMap(({ pace }) => pace), 0.05);
  return ({ pace }) => (pace.length > 0 ? Math.max(1, percentile(pace, 0.5) / best) : 1);
}

/** The fastest round in units of the fastest pace: other programs only ever add time, in bursts that may cover most rounds of one file. */
function bestOf({ samples, pace }: BenchRow, paced: boolean): number {
  return Math.min(...samples) / (paced ? Math.min(...pace) : 1);
}

/** `matmul.tiled f32 +bias TILE=64 m=1 n=1 k=1`: what makes rows of two reports the same. */
function keyOf({ name, variant, dtype, flags, constants, numbers }: BenchRow): string {
  const pairs = (of: Readonly<Record<string, number>>) => Object.entries(of).map(([key, value]) => `${key}=${value}`);
  return [`${name}.${variant}`, dtype, ...flags.map((flag) => `+${flag}`), ...pairs(constants), ...pairs(numbers)].join(" ");
}

/** A report as `cytonet bench --format json` writes it. Errors: UserError 65 where it is none. */
export function readReport(where: string, text: string): ComparedReport {
  const wrong = (what: string) => new UserError(EXIT_CODES.badData, `${where}: ${what}, expected a report of \`cytonet bench --format json\``);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong("it is no JSON");
  }
  const report = value as Partial<ComparedReport & { schema: string }> | null;
  if (typeof report !== "object" || report === null || report.schema !== "cytonet-bench/1" || !Array.isArray(report.rows) || typeof report.device?.adapter !== "string") throw wrong("it is something else");
  for (const [i, row] of (report.rows as Partial<BenchRow>[]).entries()) {
    const numeric = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === "number" && one > 0);
    if (typeof row.name !== "string" || !numeric(row.samples) || !numeric(row.pace)) throw wrong(`row ${i} has no rounds (samples, pace)`);
  }
  return report as ComparedReport;
}
