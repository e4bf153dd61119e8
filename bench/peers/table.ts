// The results: rows as data, in the order in which they are told, and as a table, Markdown, CSV or JSON.
import { ENGINES, NATIVE, OURS, type EngineName } from "./engine.ts";

export interface EngineResult {
  /**
   * `unsupported`: the engine has no means; `skipped`: left out by a limit of this run; `failed`: it should have worked; `unjudged`: the
   * judge failed, so nothing is known of any engine.
   */
  readonly verdict: "right" | "wrong" | "unsupported" | "skipped" | "failed" | "unjudged";
  /** Median of its turns; of a wrong one, a single run. */
  readonly ms: number | null;
  /** Median absolute deviation of the turns, as a share of the median. */
  readonly spread?: number;
  /** The fastest turn: what other programs on the machine disturbed least. */
  readonly fastest?: number;
  readonly rounds?: number;
  /** Largest relative error. */
  readonly error?: number;
  /** In which of its ways the case was written. */
  readonly form?: string;
  readonly notes?: readonly string[];
  readonly reason?: string;
}

export interface Row {
  readonly case: string;
  /** The adapter's name as its driver gives it. */
  readonly adapter: string;
  /** Null where it is wrong or failed. */
  readonly ours_ms: number | null;
  /** WebGPU peers; null where one is wrong, unsupported or failed. */
  readonly peers: Readonly<Record<string, number | null>>;
  /** The fastest right WebGPU peer's time over ours: above 1 where we are faster. */
  readonly ratio: number | null;
  readonly best: string | null;
  /** 95 % interval of the ratio, from the rounds. */
  readonly interval?: readonly [number, number];
  /** Engines that do not run on the adapter, for information. */
  readonly native: Readonly<Record<string, number | null>>;
  /** The relative error up to which an engine counts as right. */
  readonly tolerance: number;
  /** The share of the outputs that was computed in f64; the rest is compared between engines. */
  readonly judged: number;
  readonly engines: Readonly<Record<string, EngineResult>>;
}

/** Whether this project's own result is missing or wrong, which fails the run. */
export const isOursBad = ({ engines }: Row): boolean => !["right", "skipped", "unjudged"].includes(engines[OURS]?.verdict ?? "failed");
/** Whether the judge failed in the case, which fails the run as the bench's own mistake. */
export const isUnjudged = ({ engines }: Row): boolean => engines[OURS]?.verdict === "unjudged";
export const isLost = ({ ratio }: Row): boolean => ratio !== null && ratio < 1;
export const needsAttention = (row: Row): boolean => isOursBad(row) || isUnjudged(row) || isLost(row);

/** What needs attention first: our own mistakes and cases without a judge, then those that a peer wins, the worst first, then all others as they are. */
export function sortRows(rows: readonly Row[]): Row[] {
  const isBad = (row: Row) => isOursBad(row) || isUnjudged(row);
  const lost = rows.filter((row) => !isBad(row) && isLost(row)).sort((a, b) => a.ratio! - b.ratio!);
  return [...rows.filter(isBad), ...lost, ...rows.filter((row) => !needsAttention(row))];
}

export const FORMATS = ["table", "json", "md", "csv"] as const;
export type Format = (typeof FORMATS)[number];

const formatMs = (ms: number): string => (ms >= 1000 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toPrecision(3));

/** What a cell says of an engine. */
export function tellResult(result: EngineResult | undefined): string {
  if (!result) return "–";
  if (result.verdict === "right") return formatMs(result.ms ?? NaN);
  if (result.verdict === "wrong") return `wrong (${(result.error ?? NaN).toExponential(0)})`;
  return result.verdict === "unsupported" ? "–" : result.verdict;
}

/** Engines that a row tells of, ours first and native ones last. */
function columnsOf(rows: readonly Row[]): EngineName[] {
  const present = ENGINES.filter((name) => rows.some(({ engines }) => engines[name] !== undefined));
  return [...present.filter((name) => !NATIVE.includes(name)), ...present.filter((name) => NATIVE.includes(name))];
}

function cellsOf(row: Row, columns: readonly EngineName[]): string[] {
  const cells = columns.map((name) => (name === row.best ? `${tellResult(row.engines[name])} *` : tellResult(row.engines[name])));
  return [row.case, ...cells, row.ratio === null ? "–" : row.ratio.toFixed(2)];
}

const headOf = (columns: readonly EngineName[]): string[] => ["case (ms)", ...columns, "ratio"];

/** The rows, sorted, in a format; `red` paints a line of a table. */
export function renderRows(rows: readonly Row[], format: Format, red: (line: string) => string): string {
  const sorted = sortRows(rows);
  const columns = columnsOf(sorted);
  switch (format) {
    case "json":
      return `${JSON.stringify(sorted, null, 1)}\n`;
    case "csv": {
      const quote = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const lines = sorted.map((row) => [row.case, row.adapter, row.ours_ms, ...columns.slice(1).map((name) => (row.engines[name]?.verdict === "right" ? row.engines[name].ms : null)), row.ratio].map((cell) => quote(cell === null ? "" : String(cell))).join(","));
      return [["case", "adapter", ...columns, "ratio"].join(","), ...lines, ""].join("\n");
    }
    case "md": {
      const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
      return [line(headOf(columns)), line(["---", ...columns.map(() => "---:"), "---:"]), ...sorted.map((row) => line(cellsOf(row, columns))), ""].join("\n");
    }
    case "table": {
      const lines = [headOf(columns), ...sorted.map((row) => cellsOf(row, columns))];
      const widths = lines[0]!.map((_, i) => Math.max(...lines.map((cells) => cells[i]!.length)));
      const text = lines.map((cells) => cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "));
      const reasons = sorted.flatMap((row) => Object.entries(row.engines).flatMap(([name, { verdict, reason }]) => (reason && verdict !== "unsupported" ? [`${row.case}: ${name} ${verdict}: ${reason}`] : [])));
      const painted = text.map((line, i) => (i > 0 && needsAttention(sorted[i - 1]!) ? red(line) : line));
      return [...painted, ...(reasons.length > 0 ? ["", ...reasons] : []), ""].join("\n");
    }
  }
}
