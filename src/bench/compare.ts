// Comparing two bench reports: row by row the ratio of times with an interval, and whether it is beyond what is allowed.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { BenchReport, BenchRow } from "./bench.ts";
import { modeOf, percentile, ratioOfModes, type Ratio } from "./statistics.ts";

/** The schema of the files that can be compared. */
export const BENCH_SCHEMA = "cytonet-bench/2";

/** What compares reports: the part of them that counts. */
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
  /** How much slower the machine itself was in the second report, by the probe that ran between all rounds. */
  readonly pace: number;
}

/** From here on the machine itself counts as another in the second report. */
const OTHER_PACE = 1.1;
/** Rows from which their scatter tells something. */
const ENOUGH_ROWS = 6;
/** Visits in each report from which their rounds are worth an interval. */
const ENOUGH_VISITS = 4;
/** Share of the pairs of visits that must say the same: rounds of a visit share its memory and its moment, so that few visits of another kind could move a mode. */
const AGREED = 0.6;
/** What another program may do to a row for as long as a visit lasts: of two cores it takes one. */
const ONE_MOMENT = 2;

/**
 * Ratio after / before of every row that both reports have, by the modes of all rounds (`ratioOfModes`). With fewer than four visits in either report, rounds share
 * the moment, and the interval is their range and a factor of 2 on either side. A probe that never changes tells whether the machine itself had
 * another pace in the second report: as it is not known how much a kernel follows it, the interval holds the ratio with and without it. Where the paces are more than a tenth apart,
 * ratios are divided by it, and the interval also takes in how far the rows scatter, of which most will not have changed.
 * `slower`: the interval lies beyond 1 + `allowed` as a whole, and so do most pairs of visits. `equal`: it lies within the allowed on both sides. `wrong`: the second
 * gives wrong numbers where the first did not.
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
  const [own, other] = [before, after].map(({ rows }) => modeOf(casesOf(rows).flatMap(({ pace }) => pace.flat())));
  const pace = other! / own!;
  const ratios = pairs.map(([a, b]) => compareRows(a, b, allowed));
  const elsewhere = Math.max(pace, 1 / pace) >= OTHER_PACE;
  const scatter = !elsewhere ? 1 : ratios.length < ENOUGH_ROWS ? Math.max(pace, 1 / pace) : scatterOf(ratios.map(({ ratio }) => ratio));
  const rows = pairs.map(([a, b], i): ComparedRow => {
    const found = ratios[i]!;
    const ratio = found.ratio / (elsewhere ? pace : 1);
    const low = (elsewhere ? found.low / pace : Math.min(found.low, found.low / pace)) / scatter;
    const high = (elsewhere ? found.high / pace : Math.max(found.high, found.high / pace)) * scatter;
    const verdict: Verdict = a.verified && !b.verified ? "wrong" : low > 1 + allowed && found.slower >= AGREED ? "slower" : high < 1 / (1 + allowed) && found.faster >= AGREED ? "faster" : low >= 1 / (1 + allowed) && high <= 1 + allowed ? "equal" : "unsure";
    return { name: a.name, variant: a.variant, dtype: a.dtype, case: a.case, constants: a.constants, before: a.milliseconds, after: b.milliseconds, ratio, low, high, verdict };
  });
  const only = (here: ReadonlyMap<string, unknown>, there: ReadonlyMap<string, unknown>) => [...here.keys()].filter((key) => !there.has(key));
  return { rows, onlyBefore: only(first, second), onlyAfter: only(second, first), pace };
}

/** The rows with the first variant of each case: all variants of a case have the pace of the same rounds. */
function casesOf(rows: readonly BenchRow[]): BenchRow[] {
  return [...new Map(rows.map((row) => [JSON.stringify([row.name, row.dtype, row.flags, row.case, row.numbers]), row])).values()];
}

/** The ratio with its interval, and in which shares of the pairs of visits the second is slower, or faster, by more than is `allowed`. */
function compareRows(before: BenchRow, after: BenchRow, allowed: number): Ratio & { readonly slower: number; readonly faster: number } {
  const [a, b] = [before, after].map(({ visits }) => visits.flat());
  const [first, second] = [before, after].map(({ visits }) => visits.map((rounds) => percentile(rounds, 0.5)));
  const pairs = first!.flatMap((one) => second!.map((other) => other / one));
  const share = (of: (ratio: number) => boolean) => pairs.filter(of).length / pairs.length;
  const agreed = { slower: share((ratio) => ratio > 1 + allowed), faster: share((ratio) => ratio < 1 / (1 + allowed)) };
  if (Math.min(before.visits.length, after.visits.length) >= ENOUGH_VISITS) return { ...ratioOfModes(a!, b!), ...agreed };
  const [x, y] = [a!, b!].map((rounds) => rounds.sort((one, two) => one - two));
  return { ...agreed, ratio: modeOf(y!) / modeOf(x!), low: y![0]! / x!.at(-1)! / ONE_MOMENT, high: (y!.at(-1)! / x![0]!) * ONE_MOMENT };
}

/** How far rows lie from their middle, as a factor: twice what is a standard deviation where they are normal, by the median so that a few that did change do not count. */
function scatterOf(ratios: readonly number[]): number {
  const logs = ratios.map(Math.log);
  const middle = percentile(logs, 0.5);
  return Math.exp(2 * 1.4826 * percentile(logs.map((x) => Math.abs(x - middle)), 0.5));
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
  if (typeof report !== "object" || report === null || report.schema !== BENCH_SCHEMA || !Array.isArray(report.rows) || typeof report.device?.adapter !== "string") throw wrong(report?.schema !== BENCH_SCHEMA && /^cytonet-bench\/\d+$/.test(report?.schema ?? "") ? `it is of another version (${JSON.stringify(report?.schema)}, this one writes ${JSON.stringify(BENCH_SCHEMA)}); run the bench again` : "it is something else");
  for (const [i, row] of (report.rows as Partial<BenchRow>[]).entries()) {
    const numeric = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === "number" && one > 0);
    const visited = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every(numeric);
    if (typeof row.name !== "string" || !visited(row.visits) || !visited(row.pace)) throw wrong(`row ${i} has no rounds (visits, pace)`);
  }
  return report as ComparedReport;
}
