// Rows of the bench as text of 80 columns, Markdown, CSV and JSON; comparisons of two benches likewise.
import type { BenchReport, BenchRow, Peaks } from "./bench.ts";
import type { BenchComparison, ComparedRow } from "./compare.ts";

export type BenchFormat = "text" | "json" | "csv" | "md";

/** Rows and device in the wanted form, ending with a newline. */
export function printBench(report: BenchReport, format: BenchFormat): string {
  switch (format) {
    case "json":
      return `${JSON.stringify(report, null, 1)}\n`;
    case "csv":
      return [CSV.map(([name]) => name).join(","), ...report.rows.map((row) => CSV.map(([, of]) => quote(of(row))).join(",")), ""].join("\n");
    case "md":
      return [
        `${report.device.adapter}, ${report.date}; measured peaks ${printRoofs(report.peaks)}`,
        "",
        "| kernel | case | time | ± | p5 to p95 | rate | of the roof | bound | against the choice |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
        ...report.rows.map((row) => {
          const { time, spread, rate, share, bound, relative } = columns(row);
          return `| ${row.name}.${nameOf(row)} ${row.dtype} | ${problem(row)} | ${time} | ${spread} | ${printTime(row.p5)} to ${printTime(row.p95)} | ${rate} | ${share} | ${bound} | ${relative}${row.relative && !row.chosen ? ` (${printRatio(row.relative.low)} to ${printRatio(row.relative.high)})` : ""} |`;
        }),
        "",
      ].join("\n");
    case "text":
      return printTable(report);
  }
}

/** A block a problem, a line a variant; none wider than 80 columns. */
function printTable(report: BenchReport): string {
  const lines = [cut(`${report.device.adapter}, ${report.date.slice(0, 16)}Z, ${report.clock === "device" ? "timestamps" : "host's clock"}`), cut(`roofs measured: ${printRoofs(report.peaks)}`)];
  let last = "";
  for (const row of report.rows) {
    const head = `${row.name} ${row.dtype} ${row.case}`;
    const key = `${head} ${problem(row)}`;
    if (key !== last) lines.push("", cut(head), ...wrap(`${problem(row)}  ${withUnit(row.flops, "FLOP")}  ${withUnit(row.bytes, "B")}`, "  "));
    last = key;
    const { time, spread, rate, share, bound, relative } = columns(row);
    const name = nameOf(row);
    // Long constants take a line of their own.
    if (name.length > 22) lines.push(...wrap(name, "  "));
    lines.push(`  ${(name.length > 22 ? "" : name).padEnd(22)} ${time.padStart(9)} ${spread.padStart(7)} ${rate.padStart(13)} ${share.padStart(5)} ${bound.padEnd(7)} ${relative.padStart(7)}`.trimEnd());
    if (!row.verified) lines.push(...wrap(`WRONG: ${row.reason ?? ""}`, "    "));
  }
  return `${lines.join("\n")}\n`;
}

/** What a reader should know beside the rows: what is missing, what was unsteady. */
export function listRemarks(report: BenchReport, seconds?: number): string[] {
  const some = (names: readonly string[]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
  const unsteady = report.rows.filter(({ p25, p75, milliseconds }) => p75 - p25 > 0.1 * milliseconds);
  return [
    ...(report.left.length > 0 ? [`${report.left.length} cases left out${seconds === undefined ? "" : `, the ${seconds} s were over`}: ${some(report.left)}`] : []),
    ...(report.tooLarge.length > 0 ? [`${report.tooLarge.length} cases left out, they are above --max-flops: ${some(report.tooLarge)}`] : []),
    ...report.refused.map(({ name, reason }) => `refused: ${name}: ${reason}`),
    ...(unsteady.length > 0 ? [`${unsteady.length} of ${report.rows.length} rows are unsteady (quartiles more than 10 % apart): close other programs, or raise --visits or --min-milliseconds`] : []),
  ];
}

/** `matmul.tiled* f16 vit-s mlp  412 µs ±1.2 %  18.05 TFLOP/s  61 % compute`; a star marks the kernel's own choice. */
export function printRow(row: BenchRow): string {
  const { time, spread, rate, share, bound } = columns(row);
  return `${row.name}.${nameOf(row)} ${row.dtype} ${row.case}  ${time} ±${spread}  ${rate}  ${share} ${bound}`;
}

function nameOf({ variant, constants, chosen }: BenchRow): string {
  return [`${variant}${chosen ? "*" : ""}`, ...Object.entries(constants).map(([name, value]) => `${name}=${value}`)].join(" ");
}

function printRoofs({ flops, bytes, launch }: Peaks): string {
  return `${withUnit(flops, "FLOP/s")}, ${withUnit(bytes, "B/s")}, ${printTime(launch * 1e3)} a launch`;
}

function problem(row: BenchRow): string {
  const numbers = Object.entries(row.numbers).map(([name, value]) => `${name}=${value}`);
  return [...numbers, ...row.flags.map((flag) => `+${flag}`)].join(" ");
}

function columns(row: BenchRow) {
  return {
    time: printTime(row.milliseconds),
    spread: `${(100 * row.spread).toFixed(1)} %`,
    rate: row.bound === "compute" ? withUnit(row.gflops * 1e9, "FLOP/s") : withUnit(row.gbytes * 1e9, "B/s"),
    share: `${(100 * row.share).toFixed(0)} %`,
    bound: row.bound as string,
    relative: row.relative && !row.chosen ? `×${printRatio(row.relative.ratio)}` : "",
  };
}

function printRatio(ratio: number): string {
  return ratio.toFixed(ratio >= 10 ? 1 : 2);
}

/** Milliseconds as `412 µs`. */
export function printTime(milliseconds: number): string {
  const [value, unit] = milliseconds >= 1e3 ? [milliseconds / 1e3, "s"] : milliseconds >= 1 ? [milliseconds, "ms"] : milliseconds >= 1e-3 ? [milliseconds * 1e3, "µs"] : [milliseconds * 1e6, "ns"];
  return `${value.toPrecision(3)} ${unit}`.replace(/(\d)e\+3 /, "$1000 ");
}

export function withUnit(value: number, unit: string): string {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const)
    if (value >= factor) {
      const size = value / factor;
      return `${size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)} ${prefix}${unit}`;
    }
  return `${value.toFixed(0)} ${unit}`;
}

const WIDTH = 80;

function cut(text: string): string {
  return text.length <= WIDTH ? text : `${text.slice(0, WIDTH - 1)}…`;
}

/** Words over as many lines as it takes, each indented. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(cut(`${indent}${word}`));
  }
  return lines;
}

const CSV: readonly (readonly [string, (row: BenchRow) => string | number | boolean])[] = [
  ["name", (r) => r.name],
  ["variant", (r) => r.variant],
  ["dtype", (r) => r.dtype],
  ["case", (r) => r.case],
  ["problem", problem],
  ["constants", (r) => Object.entries(r.constants).map(([name, value]) => `${name}=${value}`).join(" ")],
  ["chosen", (r) => r.chosen],
  ["milliseconds", (r) => r.milliseconds],
  ["spread", (r) => r.spread],
  ["p5", (r) => r.p5],
  ["p25", (r) => r.p25],
  ["p75", (r) => r.p75],
  ["p95", (r) => r.p95],
  ["visits", (r) => r.visits.length],
  ["rounds", (r) => r.visits.flat().length],
  ["relative", (r) => r.relative?.ratio ?? ""],
  ["relativeLow", (r) => r.relative?.low ?? ""],
  ["relativeHigh", (r) => r.relative?.high ?? ""],
  ["gflops", (r) => r.gflops],
  ["gbytes", (r) => r.gbytes],
  ["flops", (r) => r.flops],
  ["bytes", (r) => r.bytes],
  ["bound", (r) => r.bound],
  ["share", (r) => r.share],
  ["verified", (r) => r.verified],
  ["reason", (r) => r.reason ?? ""],
];

function quote(value: string | number | boolean): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A comparison as text of 80 columns: those beyond what is allowed first. */
export function printComparison({ rows, pace, onlyBefore, onlyAfter }: BenchComparison): string {
  const order = ["wrong", "slower", "faster", "unsure", "equal"];
  const sorted = [...rows].sort((x, y) => order.indexOf(x.verdict) - order.indexOf(y.verdict) || y.ratio - x.ratio);
  const line = (name: string, before: string, after: string, ratio: string, interval: string, verdict: string) => `${name.padEnd(34)} ${before.padStart(8)} ${after.padStart(8)} ${ratio.padStart(5)} ${interval.padEnd(12)} ${verdict}`.trimEnd();
  const describe = (row: ComparedRow) => {
    const name = [`${row.name}.${row.variant}`, row.dtype, ...Object.entries(row.constants).map(([key, value]) => `${key}=${value}`), row.case].join(" ");
    return line(name.length > 34 ? `${name.slice(0, 33)}…` : name, printTime(row.before), printTime(row.after), printRatio(row.ratio), `${printRatio(row.low)} to ${printRatio(row.high)}`, row.verdict);
  };
  return [
    `machine: ${pace > 1 ? `${((pace - 1) * 100).toFixed(0)} % slower` : `${((1 / pace - 1) * 100).toFixed(0)} % faster`} in the second file by its probe; intervals allow for that`,
    line("kernel", "before", "after", "ratio", "interval", ""),
    ...sorted.map(describe),
    ...(onlyBefore.length > 0 ? [`only in the first: ${onlyBefore.length} rows`] : []),
    ...(onlyAfter.length > 0 ? [`only in the second: ${onlyAfter.length} rows`] : []),
    "",
  ].join("\n");
}
