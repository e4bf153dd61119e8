// `cytonet bench`: how fast each kernel is on your adapter, verified while it is measured and held against measured peaks.
import * as catalogue from "../../../kernels/index.ts";
import { benchKernels } from "../../bench/bench.ts";
import { printBench, printRow } from "../../bench/print.ts";
import { EXIT_CODES, UserError, suggest } from "../../errors.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit } from "../output.ts";
import { createProgress } from "../progress.ts";

export interface BenchFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly variant?: readonly string[];
  readonly dtype?: "f32" | "f16";
  readonly rounds?: number;
  readonly minMilliseconds?: number;
  readonly maxFlops?: number;
  readonly seconds?: number;
}

const SCHEMA = "cytonet-bench/1";

export async function runBench(pattern: string | undefined, flags: BenchFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  checkNames(pattern, flags.variant ?? []);
  const stop = listenForStop(() => process.stderr.write("stopping after this case; what is measured is kept\n"));
  const progress = createProgress();
  const end = performance.now() + 1000 * (flags.seconds ?? Infinity);
  try {
    const report = await withEngine(flags, (engine) =>
      benchKernels(engine, {
        ...(pattern === undefined ? {} : { pattern: new RegExp(escape(pattern)) }),
        ...(flags.variant === undefined ? {} : { variants: flags.variant }),
        ...(flags.dtype === undefined ? {} : { dtype: flags.dtype }),
        ...(flags.rounds === undefined ? {} : { rounds: flags.rounds }),
        ...(flags.minMilliseconds === undefined ? {} : { minMilliseconds: flags.minMilliseconds }),
        ...(flags.maxFlops === undefined ? {} : { maxFlops: flags.maxFlops }),
        stop: () => stop.signal.aborted || performance.now() > end,
        onRow: (row, peaks) => progress.update(printRow(row, peaks)),
      }),
    );
    progress.end("");
    const text = {
      table: () => printBench(report, "text"),
      md: () => printBench(report, "md"),
      csv: () => printBench(report, "csv"),
      json: () => `${JSON.stringify({ schema: SCHEMA, ...report }, null, 2)}\n`,
      jsonl: () => report.rows.map((row) => `${JSON.stringify({ schema: SCHEMA, adapter: report.device.adapter, ...row })}\n`).join(""),
    }[flags.format]();
    await emit(text, flags.output);
    const wrong = report.rows.filter(({ verified }) => !verified);
    for (const { name, variant, dtype, case: problem, reason } of wrong) process.stderr.write(`WRONG ${name}.${variant} ${dtype} ${problem}: ${reason ?? ""}\n`);
    process.exitCode = stop.code() ?? (wrong.length > 0 ? EXIT_CODES.checkFailed : EXIT_CODES.ok);
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** Names that nothing has would give an empty table, which tells nobody why. */
function checkNames(pattern: string | undefined, variants: readonly string[]): void {
  const kernels = Object.values(catalogue);
  const cases = kernels.flatMap((kernel) => Object.entries(kernel.cases).filter(([, { bench }]) => bench).map(([name]) => `${kernel.name} ${name}`));
  if (pattern !== undefined && !cases.some((name) => name.includes(pattern))) {
    const near = suggest(pattern, kernels.map(({ name }) => name))[0];
    throw new UserError(EXIT_CODES.usage, `cytonet bench: no case matches ${JSON.stringify(pattern)}, expected part of a kernel's name or case`, [near === undefined ? `Kernels with cases: ${[...new Set(cases.map((name) => name.split(" ")[0]))].join(", ")}.` : `Did you mean ${near}?`]);
  }
  const known = [...new Set(kernels.flatMap(({ variants: own }) => Object.keys(own)))];
  for (const variant of variants)
    if (!known.includes(variant)) throw new UserError(EXIT_CODES.usage, `--variant: no ${JSON.stringify(variant)}, expected one of ${known.join(", ")}`, suggest(variant, known).slice(0, 1).map((name) => `Did you mean ${name}?`));
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
