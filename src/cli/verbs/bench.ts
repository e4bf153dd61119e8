// `cytonet bench`: how fast each kernel is on your adapter, verified while it is measured and held against measured peaks.
import * as catalogue from "../../../kernels/index.ts";
import { benchKernels, listJobs, type BenchReport } from "../../bench/bench.ts";
import { BENCH_SCHEMA as SCHEMA, compareReports, readReport } from "../../bench/compare.ts";
import { listRemarks, printBench, printComparison, printRow } from "../../bench/print.ts";
import { parseSweep } from "../../bench/sweep.ts";
import { EXIT_CODES, UserError, suggest } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows } from "../output.ts";
import { createProgress } from "../progress.ts";

export interface BenchFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly set?: readonly string[];
  readonly variant?: readonly string[];
  readonly dtype?: "f32" | "f16";
  readonly rounds?: number;
  readonly visits?: number;
  readonly minMilliseconds?: number;
  readonly maxFlops?: number;
  readonly seconds?: number;
}

export interface CompareFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  /** Part by which a row may be slower. */
  readonly failOn: number;
}

const COMPARE_SCHEMA = "cytonet-bench-compare/1";

export async function runBench(pattern: string | undefined, flags: BenchFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const sweeps = (flags.set ?? []).map(parseSweep);
  const { variant, dtype, rounds, visits, minMilliseconds, maxFlops } = flags;
  const options = {
    sweeps,
    ...(pattern === undefined ? {} : { pattern }),
    ...(variant === undefined ? {} : { variants: variant }),
    ...(dtype === undefined ? {} : { dtype }),
    ...(rounds === undefined ? {} : { rounds }),
    ...(visits === undefined ? {} : { visits }),
    ...(minMilliseconds === undefined ? {} : { minMilliseconds }),
    ...(maxFlops === undefined ? {} : { maxFlops }),
  };
  checkNames(pattern, variant ?? []);
  const { jobs, tooLarge } = listJobs(options);
  if (jobs.length === 0 && tooLarge.length === 0) throw noCase(pattern);
  const stop = listenForStop(() => process.stderr.write("stopping after this case; what is measured is kept\n"));
  const progress = createProgress();
  const end = performance.now() + 1000 * (flags.seconds ?? Infinity);
  let [now, last] = ["", ""];
  try {
    const report = await withEngine(flags, (engine) =>
      benchKernels(engine, {
        ...options,
        stop: () => stop.signal.aborted || performance.now() > end,
        onCase: (name, done, total) => progress.update((now = `${done}/${total} ${name}`)),
        onRow: (row) => progress.update(`${now.split(" ")[0] ?? ""} ${(last = printRow(row))}`),
      }),
    );
    progress.end("");
    await emit(formatReport(report, flags.format), flags.output);
    for (const line of listRemarks(report, flags.seconds)) process.stderr.write(`${line}\n`);
    const wrong = report.rows.filter(({ verified }) => !verified);
    for (const { name, variant: one, dtype: type, case: problem, reason } of wrong) process.stderr.write(`WRONG ${name}.${one} ${type} ${problem}: ${reason ?? ""}\n`);
    if (flags.output !== undefined && last !== "") process.stderr.write(`${report.rows.length} rows in ${flags.output}\n`);
    process.exitCode = stop.code() ?? (wrong.length > 0 ? EXIT_CODES.checkFailed : EXIT_CODES.ok);
  } finally {
    progress.end("");
    stop.dispose();
  }
}

function formatReport(report: BenchReport, format: Format): string {
  switch (format) {
    case "table":
      return printBench(report, "text");
    case "md":
    case "csv":
      return printBench(report, format);
    case "json":
      return `${JSON.stringify({ schema: SCHEMA, ...report, complete: report.left.length === 0 }, null, 2)}\n`;
    case "jsonl": {
      const { adapter, driver } = report.device;
      const { rows, ...rest } = report;
      const lines = rows.map((row) => ({ schema: SCHEMA, date: report.date, adapter, driver, ...row }));
      return [...lines, { schema: SCHEMA, ...rest, complete: report.left.length === 0 }].map((line) => `${JSON.stringify(line)}\n`).join("");
    }
  }
}

/** Names that nothing has would give an empty table, which tells nobody why. */
function checkNames(pattern: string | undefined, variants: readonly string[]): void {
  const known = [...new Set(Object.values(catalogue).flatMap(({ variants: own }) => Object.keys(own)))];
  for (const variant of variants)
    if (!known.includes(variant)) throw new UserError(EXIT_CODES.usage, `--variant: no ${JSON.stringify(variant)}, expected one of ${known.join(", ")}`, suggest(variant, known).slice(0, 1).map((name) => `Did you mean ${name}?`));
  if (pattern !== undefined && /[/\\]|\.json$/.test(pattern)) throw new UserError(EXIT_CODES.usage, `cytonet bench: ${JSON.stringify(pattern)} is no part of a kernel's name`, ["`cytonet bench compare A.json B.json` compares two files."]);
}

function noCase(pattern: string | undefined): UserError {
  const kernels = Object.values(catalogue);
  const near = suggest(pattern ?? "", kernels.map(({ name }) => name))[0];
  const withCases = kernels.filter(({ cases }) => Object.values(cases).some(({ bench }) => bench)).map(({ name }) => name);
  return new UserError(EXIT_CODES.usage, `cytonet bench: no case matches ${JSON.stringify(pattern)}, expected part of a kernel's name or case`, [
    near === undefined ? `Kernels with cases: ${withCases.join(", ")}.` : near === pattern ? `${near} has no case for benches; give it a size with --set.` : `Did you mean ${near}?`,
  ]);
}

/** Two files of `cytonet bench --format json`: exit code 3 where a row is slower than allowed, 1 where one has become wrong. */
export async function runCompare(first: string, second: string, flags: CompareFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const [before, after] = await Promise.all([first, second].map(async (path) => readReport(path, new TextDecoder().decode(await nodeFiles.read(path)))));
  const comparison = compareReports(before!, after!, flags.failOn);
  const count = (verdict: string) => comparison.rows.filter((row) => row.verdict === verdict).length;
  const { rows, ...rest } = comparison;
  const flat = rows.map(({ constants, ...row }) => ({ ...row, constants: Object.entries(constants).map(([name, value]) => `${name}=${value}`).join(" ") }));
  const summary = { equal: count("equal"), slower: count("slower"), faster: count("faster"), unsure: count("unsure"), wrong: count("wrong") };
  await emit(flags.format === "table" ? printComparison(comparison) : formatRows(flags.format, COMPARE_SCHEMA, flat, { head: { before: first, after: second, failOn: flags.failOn }, tail: { ...rest, summary } }), flags.output);
  process.stderr.write(`${Object.entries(summary).map(([name, many]) => `${many} ${name}`).join(", ")}; slower: the whole interval is above +${(100 * flags.failOn).toPrecision(3).replace(/\.?0+$/, "")} %\n`);
  if (summary.unsure > 0) process.stderr.write("unsure: the interval reaches beyond what is allowed, on either side; more --visits make it narrower, and it takes four to have one\n");
  process.exitCode = summary.wrong > 0 ? EXIT_CODES.checkFailed : summary.slower > 0 ? EXIT_CODES.regression : EXIT_CODES.ok;
}
