// `cytonet tune`: finds the fastest variant and constants of kernels on your adapter, each verified, in a process that may crash.
import * as catalogue from "../../../kernels/index.ts";
import { listJobs } from "../../bench/bench.ts";
import { parseSweep } from "../../bench/sweep.ts";
import { printTime } from "../../bench/print.ts";
import { EXIT_CODES, UserError, suggest } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { openCache } from "../../host/node-cache.ts";
import { nodeFiles } from "../../host/files-node.ts";
import type { ChildRequest } from "../../host/node-tune-child.ts";
import { hashSource, type TunedEntry } from "../../kernel/tuning.ts";
import { createMeasurer, type MeasureRequest } from "../../tune/measure.ts";
import { SHIPPED } from "../../tune/shipped.ts";
import { printStore, readStore } from "../../tune/store.ts";
import { tune, type TuneProgress } from "../../tune/tune.ts";
import { matchesName } from "../../bench/sweep.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";
import { createChildMeasurer, storePath } from "../tuning.ts";

export interface TuneFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly set?: readonly string[];
  readonly dtype?: "f32" | "f16";
  readonly maxFlops?: number;
  readonly minutes: number;
  readonly timeout: number;
  readonly rounds?: number;
  readonly store?: string;
  readonly again?: boolean;
  readonly list?: boolean;
  readonly clear?: boolean;
  readonly worker?: boolean;
}

const SCHEMA = "cytonet-tune/1";

export async function runTune(pattern: string | undefined, flags: TuneFlags): Promise<void> {
  if (flags.worker) return serveMeasurements(flags);
  if (flags.list && flags.clear) throw new UserError(EXIT_CODES.usage, "cytonet tune: --list with --clear, expected one of them");
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const store = await findStore(flags.store);
  if (flags.list) return listStore(pattern, store, flags);
  const lock = await nodeFiles.lock(`${store}.lock`);
  try {
    if (flags.clear) return await clearStore(pattern, store);
    await runTuner(pattern, store, flags);
  } finally {
    await lock.release();
  }
}

async function findStore(named: string | undefined): Promise<string> {
  const known = named ?? (await storePath());
  if (known !== undefined) return known;
  const folder = await openCache();
  if (folder === undefined) throw new UserError(EXIT_CODES.cannotCreate, "cytonet tune: no folder to keep tuned choices in, expected one that can be written; name a file with --store, or set CYTONET_CACHE to a folder");
  return joinPath(folder, "tuned.json");
}

async function runTuner(pattern: string | undefined, store: string, flags: TuneFlags): Promise<void> {
  const { dtype, maxFlops } = flags;
  const { jobs, tooLarge } = listJobs({ sweeps: (flags.set ?? []).map(parseSweep), ...(pattern === undefined ? {} : { pattern }), ...(dtype === undefined ? {} : { dtype }), ...(maxFlops === undefined ? {} : { maxFlops }) });
  if (jobs.some(({ constants }) => constants.length > 0)) throw new UserError(EXIT_CODES.usage, "cytonet tune: --set with a constant, expected a size; constants are what tuning is about");
  if (jobs.length === 0) {
    const near = suggest(pattern ?? "", Object.values(catalogue).map(({ name }) => name))[0];
    throw new UserError(EXIT_CODES.usage, `cytonet tune: no case matches ${JSON.stringify(pattern)}${tooLarge.length > 0 ? " within --max-flops" : ""}, expected part of a kernel's name or case`, near === undefined || near === pattern ? [] : [`Did you mean ${near}?`]);
  }
  const problems = jobs.map(({ kernel, name, numbers, flags: own, dtype: type }) => ({ kernel: kernel.name, case: name, numbers, flags: own, dtype: type }));
  const stop = listenForStop(() => process.stderr.write("stopping; what is measured is kept, the same command goes on\n"));
  const progress = createProgress();
  const began = performance.now();
  const script = process.argv[1] ?? "";
  const measurer = createChildMeasurer([process.execPath, script, "tune", "--worker", ...(flags.adapter === undefined ? [] : ["--adapter", flags.adapter])], 1000 * flags.timeout);
  try {
    progress.update("opening the device and measuring its roofs");
    const { fingerprint } = await measurer.describe();
    const report = await tune({
      kernels: catalogue,
      problems,
      measurer,
      files: nodeFiles,
      store,
      minutes: flags.minutes,
      signal: stop.signal,
      ...(flags.again ? { again: true } : {}),
      ...(flags.rounds === undefined ? {} : { rounds: flags.rounds }),
      onProgress: (state) => {
        if (state.outcome && state.outcome.status !== "ok") progress.note(`${state.problem.kernel} ${state.candidate}: ${state.outcome.status}: ${state.outcome.reason}`);
        progress.update(describe(state, 60 * flags.minutes - (performance.now() - began) / 1000));
      },
      onEntry: (entry) => progress.note(`${entry.kernel} ${entry.dtype} ${printSizes(entry)}: ${printChoice(entry)}, ${printGain(entry)}, ${(100 * entry.share).toFixed(0)} % of the roof`),
    });
    progress.end("");
    const rows = report.entries.map(toRow);
    const summary = { tuned: report.entries.length, faster: report.entries.filter(({ ratio }) => ratio < 1).length, known: report.known, left: report.left, failed: report.failures.length };
    const head = { date: new Date().toISOString(), adapter: fingerprint.adapter, driver: fingerprint.driver, store };
    await emit(flags.format === "table" ? printEntries(report.entries) : formatRows(flags.format, SCHEMA, rows, { head, tail: { complete: report.left === 0, summary, failures: report.failures } }), flags.output);
    process.stderr.write(`${summary.tuned} tuned, ${summary.faster} of them faster than the kernel's own choice; ${summary.known} known already, ${summary.failed} candidates failed; kept in ${store}\n`);
    if (report.left > 0) process.stderr.write(`${report.left} problems are not finished; the same command goes on with them\n`);
    process.exitCode = stop.code() ?? EXIT_CODES.ok;
  } finally {
    await measurer.dispose();
    progress.end("");
    stop.dispose();
  }
}

/** `3/20 matmul f32 1024³ 4/12 register ROWS=8: best tile64 0.81× 45 % of roof, 4 min left`. */
function describe({ problem, problemsDone, problems, candidate, candidatesDone, candidates, best }: TuneProgress, left: number): string {
  const so = best ? `; best ${best.name} ${best.ratio.toFixed(2)}× ${(100 * best.share).toFixed(0)} % of roof` : "";
  return `${problemsDone + 1}/${problems} ${problem.kernel} ${problem.dtype} ${candidatesDone}/${candidates} ${candidate}${so}; ${formatSeconds(Math.max(0, left))} left`;
}

const printSizes = ({ numbers, flags }: TunedEntry): string => [...Object.entries(numbers).map(([name, value]) => `${name}=${value}`), ...flags.map((flag) => `+${flag}`)].join(" ");
const printChoice = ({ choice }: TunedEntry): string => [choice.variant, ...Object.entries(choice.params ?? {}).map(([name, value]) => `${name}=${value}`)].join(" ");
const printGain = ({ ratio }: TunedEntry): string => (ratio < 1 ? `${ratio.toFixed(2)} of the time` : "the kernel's own choice");

function toRow(entry: TunedEntry): Row {
  const { kernel, dtype, flags, bucket, ratio, low, high, milliseconds, share, candidates, failed, adapter, driver, date } = entry;
  return { kernel, dtype, flags: flags.join(" "), sizes: printSizes(entry), bucket, choice: printChoice(entry), ratio, low, high, milliseconds, share, candidates, failed, adapter, driver, date };
}

/** Two lines an entry where the sizes are long; none wider than 80 columns. */
function printEntries(entries: readonly TunedEntry[], stateOf?: (entry: TunedEntry) => string): string {
  const cut = (text: string, most: number) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
  const line = (name: string, choice: string, time: string, ratio: string, share: string, state: string) => `${cut(name, 26).padEnd(26)} ${cut(choice, 21).padEnd(21)} ${time.padStart(8)} ${ratio.padStart(5)} ${share.padStart(5)} ${state}`.trimEnd();
  const lines = entries.flatMap((entry) => [
    line(`${entry.kernel} ${entry.dtype}`, printChoice(entry), printTime(entry.milliseconds), entry.ratio < 1 ? entry.ratio.toFixed(2) : "=", `${(100 * entry.share).toFixed(0)} %`, stateOf?.(entry) ?? ""),
    cut(`  ${printSizes(entry)}`, 80),
  ]);
  return `${[line("kernel", "choice", "time", "×own", "roof", stateOf ? "state" : ""), ...lines].join("\n")}\n`;
}

/** Whether a choice's templates are still those it was measured with; whose device it is stands in the row. */
function stateOf({ kernel, source }: TunedEntry): string {
  const found = Object.values(catalogue).find(({ name }) => name === kernel);
  return found && hashSource(found) === source ? "holds" : "stale";
}

async function listStore(pattern: string | undefined, store: string, flags: TuneFlags): Promise<void> {
  const mine = (await readStore(nodeFiles, store)).map((entry) => ({ entry, from: "own" }));
  const all = [...mine, ...SHIPPED.map((entry) => ({ entry, from: "shipped" }))].filter(({ entry }) => pattern === undefined || matchesName(pattern, entry.kernel));
  const rows = all.map(({ entry, from }) => ({ ...toRow(entry), from, state: stateOf(entry) }));
  const text = () => {
    const adapters = new Map<string, TunedEntry[]>();
    for (const { entry } of all) adapters.set(`${entry.adapter}, ${entry.driver}`, [...(adapters.get(`${entry.adapter}, ${entry.driver}`) ?? []), entry]);
    return [...adapters].map(([adapter, entries]) => `${adapter.slice(0, 80)}\n${printEntries(entries, stateOf)}`).join("\n");
  };
  await emit(flags.format === "table" ? text() : formatRows(flags.format, SCHEMA, rows, { head: { store } }), flags.output);
  process.stderr.write(`${mine.length} in ${store}, ${SHIPPED.length} shipped; each is used only on the adapter and driver that it names\n`);
}

async function clearStore(pattern: string | undefined, store: string): Promise<void> {
  const entries = await readStore(nodeFiles, store).catch((cause: unknown) => {
    if (pattern === undefined && cause instanceof UserError && cause.exitCode === EXIT_CODES.badData) return [];
    throw cause;
  });
  const kept = pattern === undefined ? [] : entries.filter(({ kernel }) => !matchesName(pattern, kernel));
  if (kept.length > 0) await nodeFiles.writeAtomic(store, new TextEncoder().encode(printStore(kept)));
  else await nodeFiles.remove(store);
  if (pattern === undefined) await nodeFiles.remove(`${store}.journal`);
  process.stderr.write(`${entries.length - kept.length} tuned choices removed from ${store}, ${kept.length} kept\n`);
}

/** What the child does: opens the device, answers requests, and ends when its parent does. */
async function serveMeasurements(flags: TuneFlags): Promise<void> {
  await withEngine({ ...flags, untuned: true }, async (engine) => {
    const measurer = createMeasurer(engine, catalogue);
    const answer = async ({ what, argument }: ChildRequest): Promise<unknown> => {
      if (what === "measure") return measurer.measure(argument as MeasureRequest);
      const { traits, ...rest } = await measurer.describe();
      return { ...rest, traits: { ...traits, features: [...traits.features] } };
    };
    process.on("message", (request: ChildRequest) => {
      answer(request).then(
        (value) => process.send?.({ id: request.id, value }),
        // The device may be gone: the next candidate gets a process with a new one.
        (cause: unknown) => {
          process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
          process.exit(EXIT_CODES.internal);
        },
      );
    });
    // The parent's end, be it by a kill that no handler sees, closes the channel.
    await new Promise<void>((resolve) => process.once("disconnect", resolve));
    process.exit(EXIT_CODES.ok);
  });
}
