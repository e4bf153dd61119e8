// Rows of the bench as text in fixed columns, Markdown, CSV and JSON.
import type { BenchReport, BenchRow, Peaks } from "./bench.ts";

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
        `${report.device.adapter}, ${report.date}; measured peaks ${printHeader(report.peaks)}`,
        "",
        "| kernel | case | ms | ± | rate | of the peak | moved | bound |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        ...report.rows.map((row) => {
          const { time, spread, rate, share, moved, bound } = columns(row, report.peaks);
          return `| ${row.name}.${row.variant} ${row.dtype}${row.chosen ? " *" : ""} | ${problem(row)} | ${time} | ${spread} | ${rate} | ${share} | ${moved} | ${bound} |`;
        }),
        "",
      ].join("\n");
    case "text":
      return [`${report.device.adapter} (${report.device.driver}), ${report.date}`, `peaks: ${printHeader(report.peaks)}`, ...report.rows.map((row) => printRow(row, report.peaks)), ""].join("\n");
  }
}

/** `matmul.tiled f16 m=1576 n=3072 k=768   0.412 ms ±1.2 %   18.05 TFLOP/s   61 % of 29.6   17.1 MB   compute`; a star marks the kernel's own choice. */
export function printRow(row: BenchRow, peaks: Peaks): string {
  const { time, spread, rate, share, moved, bound } = columns(row, peaks);
  const name = `${row.name}.${row.variant}${row.chosen ? "*" : ""} ${row.dtype} ${problem(row)}`;
  return `${name.padEnd(72)} ${time.padStart(10)} ms ±${spread.padEnd(6)} ${rate.padStart(14)}   ${share.padEnd(15)} ${moved.padStart(9)}   ${bound}`;
}

function printHeader({ flops, bytes }: Peaks): string {
  return `${withUnit(flops, "FLOP/s")}, ${withUnit(bytes, "B/s")}`;
}

function problem(row: BenchRow): string {
  const numbers = Object.entries(row.numbers).map(([name, value]) => `${name}=${value}`);
  return [...numbers, ...row.flags.map((flag) => `+${flag}`)].join(" ");
}

function columns(row: BenchRow, peaks: Peaks) {
  const peak = row.bound === "compute" ? peaks.flops : peaks.bytes;
  const [size, , prefix] = scaleOf(peak);
  return {
    time: row.milliseconds.toFixed(3),
    spread: `${(100 * row.spread).toFixed(1)} %`,
    rate: row.bound === "compute" ? withUnit(row.gflops * 1e9, "FLOP/s") : withUnit(row.gbytes * 1e9, "B/s"),
    share: `${(100 * row.share).toFixed(0)} % of ${size.toPrecision(3)} ${prefix}`.trim(),
    moved: withUnit(row.bytes, "B"),
    bound: row.verified ? row.bound : `WRONG: ${row.reason ?? ""}`,
  };
}

function scaleOf(value: number): [number, number, string] {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) if (value >= factor) return [value / factor, factor, prefix];
  return [value, 1, ""];
}

function withUnit(value: number, unit: string): string {
  const [size, , prefix] = scaleOf(value);
  return `${size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)} ${prefix}${unit}`;
}

const CSV: readonly (readonly [string, (row: BenchRow) => string | number | boolean])[] = [
  ["name", (r) => r.name],
  ["variant", (r) => r.variant],
  ["dtype", (r) => r.dtype],
  ["case", (r) => r.case],
  ["problem", problem],
  ["chosen", (r) => r.chosen],
  ["milliseconds", (r) => r.milliseconds],
  ["spread", (r) => r.spread],
  ["gflops", (r) => r.gflops],
  ["gbytes", (r) => r.gbytes],
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
