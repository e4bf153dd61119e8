// Comparing two bench reports: row by row the ratio of times with an interval, and whether it is beyond what is allowed.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { BenchReport, BenchRow } from "./bench.ts";
import { findFloor, leastOf, percentile, type Ratio } from "./statistics.ts";

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

/** From here on the machine itself counts as another in the second report. */
const OTHER_PACE = 1.1;
/** Rows from which their scatter tells something. */
const ENOUGH_ROWS = 6;

/**
 * Ratio of the floors (`findFloor`), after / before, of every row that both reports have, each divided by the floor of the pace probe in the same rounds: a
 * machine that is hotter or slower in one report slows both alike. The interval is as wide as the fastest three rounds of all four lie apart, and
 * wider where even the fastest rounds of the probe were not at its best in the file, by as much: other programs slow no two kernels alike. Where the machine was
 * another one in the second report by its pace, the interval also takes in how far the rows scatter, of which most will not have
 * changed. `slower`: the interval lies beyond 1 + `allowed` as a whole, and so do the medians: where nothing was
 * quiet, not even the fastest rounds tell. `equal`: it lies within the allowed on both sides. `wrong`: the second
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
  const [best, bestAfter] = [before, after].map((report) => leastOf(report.rows.flatMap(({ pace }) => pace)));
  const pace = bestAfter! / best!;
  const ratios = pairs.map(([a, b]) => compareFloors(a, b, best!, bestAfter!));
  const scatter = Math.max(pace, 1 / pace) < OTHER_PACE ? 1 : ratios.length < ENOUGH_ROWS ? Math.max(pace, 1 / pace) : scatterOf(ratios.map(({ ratio }) => ratio));
  const rows = pairs.map(([a, b], i): ComparedRow => {
    const { ratio, spread } = ratios[i]!;
    const [low, high] = [ratio / (spread * scatter), ratio * spread * scatter];
    const bulk = middleOf(b) / middleOf(a);
    const verdict: Verdict =
      a.verified && !b.verified ? "wrong" : Math.min(low, bulk) > 1 + allowed ? "slower" : Math.max(high, bulk) < 1 / (1 + allowed) ? "faster" : low >= 1 / (1 + allowed) && high <= 1 + allowed ? "equal" : "unsure";
    return { name: a.name, variant: a.variant, dtype: a.dtype, case: a.case, constants: a.constants, before: a.milliseconds, after: b.milliseconds, ratio, low, high, verdict };
  });
  const only = (own: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>) => [...own.keys()].filter((key) => !other.has(key));
  return { rows, onlyBefore: only(first, second), onlyAfter: only(second, first), pace };
}

/** The median round in units of the median pace. */
function middleOf({ samples, pace }: BenchRow): number {
  return percentile(samples, 0.5) / percentile(pace, 0.5);
}

/** The ratio of two rows, and the factor by which it may be off on either side: independent errors add as their squares do. */
function compareFloors(before: BenchRow, after: BenchRow, best: number, bestAfter: number): { ratio: number; spread: number } {
  const floors = [before, after].map(({ samples, pace }) => ({ time: findFloor(samples), pace: findFloor(pace) }));
  const busy = [best, bestAfter].map((at, i) => Math.max(1, floors[i]!.pace.low / at));
  const factors = [...floors.flatMap(({ time, pace }) => [time.spread, pace.spread]), ...busy];
  const [a, b] = floors.map(({ time, pace }) => time.low / pace.low);
  return { ratio: b! / a!, spread: Math.exp(Math.hypot(...factors.map(Math.log))) };
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
  if (typeof report !== "object" || report === null || report.schema !== "cytonet-bench/1" || !Array.isArray(report.rows) || typeof report.device?.adapter !== "string") throw wrong("it is something else");
  for (const [i, row] of (report.rows as Partial<BenchRow>[]).entries()) {
    const numeric = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === "number" && one > 0);
    if (typeof row.name !== "string" || !numeric(row.samples) || !numeric(row.pace)) throw wrong(`row ${i} has no rounds (samples, pace)`);
  }
  return report as ComparedReport;
}
