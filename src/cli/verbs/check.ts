// `cytonet check`: every kernel in every variant against its f64 reference, every gradient rule against differences, on your adapter.
import { measureAccuracy, type AccuracyRow } from "../../engine/check-accuracy.ts";
import { listSupport } from "../../engine/check-support.ts";
import { IN_FLIGHT, shareOut } from "../../engine/concurrent.ts";
import type { Fingerprint } from "../../engine/device.ts";
import type { Engine } from "../../engine/engine.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import type { CheckMode, Format } from "../arguments.ts";
import { listForward, listTasks, printAgain, selectByName, type Task } from "../check-tasks.ts";
import { listenForStop, withEngine, withEngines, type DeviceFlags, type Stop } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds, type ProgressLine } from "../progress.ts";

export interface CheckFlags extends DeviceFlags {
  readonly format: Format;
  readonly mode: CheckMode;
  readonly output?: string;
  readonly force?: boolean;
  readonly seed: number;
  readonly only?: string;
}

const SCHEMA = "cytonet-check/1";

export async function runChecks(pattern: string | undefined, flags: CheckFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const selection = selectByName(pattern);
  const { mode, seed, only } = flags;
  if (only !== undefined && (mode === "support" || mode === "accuracy")) throw new UserError(EXIT_CODES.usage, `--only: one case has no ${mode} of its own; leave out --mode`);
  const stop = listenForStop(() => process.stderr.write("stopping; what has been run is reported\n"));
  const progress = createProgress();
  try {
    // What streams comes in its order, and a case or a list is one device's work.
    const open = only === undefined && (mode === "test" || mode === "forward" || mode === "gradient") && !(flags.format === "jsonl" && flags.output === undefined) ? withEngines : withOneEngine;
    const report = await open(flags, async (engine, engines): Promise<Report> => {
      const { fingerprint, traits } = engine.device;
      if (mode === "support") return reportSupport(selection.kernels.flatMap((kernel) => listSupport(kernel, traits)), fingerprint);
      if (mode === "accuracy") {
        const checks = selection.kernels.flatMap((kernel) => listForward(kernel, seed, traits));
        const measured = await measureAccuracy(engine, selection.kernels, checks, stop.signal, (done, total, id) => progress.update(`${done}/${total} checks  ${id}`));
        return reportAccuracy(measured.rows, measured.complete, fingerprint, seed);
      }
      const kinds = new Set<Task["kind"]>(mode === "test" ? ["forward", "gradient"] : [mode]);
      return runTasks(engines, engine.device.fingerprint, listTasks(selection, kinds, only, seed, traits), flags, stop, progress);
    });
    progress.end("");
    await emit(report.text(flags.format, flags.output !== undefined), flags.output);
    process.stderr.write(report.lines.map((line) => `${line}\n`).join(""));
    if (report.failed) process.exitCode = EXIT_CODES.checkFailed;
    const code = stop.code();
    if (code !== undefined) process.exitCode = code;
  } finally {
    progress.end("");
    stop.dispose();
  }
}

const withOneEngine: typeof withEngines = (flags, body) => withEngine(flags, (engine) => body(engine, [engine]));

/** What is printed at the end: data, lines for people, and whether something failed. */
interface Report {
  readonly text: (format: Format, toFile: boolean) => string;
  readonly lines: readonly string[];
  readonly failed: boolean;
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

function headOf(device: Fingerprint): Record<string, unknown> {
  return { date: new Date().toISOString(), adapter: device.adapter, driver: device.driver, features: device.features };
}

async function runTasks(engines: readonly Engine[], device: Fingerprint, tasks: readonly Task[], flags: CheckFlags, stop: Stop, progress: ProgressLine): Promise<Report> {
  const done: { readonly row: Row; readonly group: string; readonly index: number }[] = [];
  const places = new Map(tasks.map((task, index) => [task, index]));
  const tallies: Record<Task["kind"], Tally> = { forward: { passed: 0, failed: 0, skipped: 0 }, gradient: { passed: 0, failed: 0, skipped: 0 } };
  const failures = () => tallies.forward.failed + tallies.gradient.failed;
  const streams = flags.format === "jsonl" && flags.output === undefined;
  const began = performance.now();
  const run = async (engine: Engine, task: Task) => {
    stop.throwIfStopped();
    return task.run(engine);
  };
  try {
    await shareOut(unitsOf(tasks), engines, IN_FLIGHT, run, (result, task) => {
      tallies[task.kind][result.status]++;
      if (result.status === "failed") progress.note(`FAILED ${result.id}\n  ${result.reason ?? ""}\n  again: ${printAgain(task.id)}`);
      const row: Row = { kind: task.kind, check: result.id, status: result.status, error: shorten(result.worst), ulps: shorten(result.ulps), reason: result.reason ?? null };
      done.push({ row, group: task.group, index: places.get(task) ?? 0 });
      // What an early stop, or a lost device, must not take with it.
      if (streams) process.stdout.write(`${JSON.stringify({ schema: SCHEMA, ...row })}\n`);
      const left = (tasks.length - done.length) * ((performance.now() - began) / 1000 / done.length);
      progress.update(`${done.length}/${tasks.length} checks  ${failures()} failed  ${formatSeconds(left)} left  ${task.group}`);
    });
  } catch (error) {
    if (stop.code() === undefined) throw error;
  }
  const complete = done.length === tasks.length;
  done.sort((x, y) => x.index - y.index);
  const rows = done.map(({ row }) => row);
  const skips: Record<string, number> = {};
  for (const { status, reason } of rows) if (status === "skipped") skips[String(reason)] = (skips[String(reason)] ?? 0) + 1;
  const surroundings = { head: { ...headOf(device), seed: flags.seed, mode: flags.mode }, tail: { skips, complete, summary: tallies } };
  const text = (format: Format, toFile: boolean) => {
    if (format === "jsonl" && !toFile) return formatRows(format, SCHEMA, [], surroundings);
    return formatRows(format, SCHEMA, format === "table" || format === "md" ? summarise(rows, done.map(({ group }) => group)) : rows, surroundings);
  };
  const kinds = (Object.keys(tallies) as Task["kind"][]).filter((kind) => tasks.some((task) => task.kind === kind));
  return {
    text,
    failed: failures() > 0,
    lines: [
      ...kinds.map((kind) => `${kind}: ${tallies[kind].passed} passed, ${tallies[kind].failed} failed, ${tallies[kind].skipped} skipped`),
      ...printSkips(skips),
      `seed ${flags.seed}; another draws other values and shapes`,
      ...(complete ? [] : [`stopped after ${rows.length} of ${tasks.length} checks`]),
    ],
  };
}

/** Tasks that belong together, which follow each other. */
function unitsOf(tasks: readonly Task[]): Task[][] {
  const units: Task[][] = [];
  for (const task of tasks) {
    const last = units.at(-1);
    if (last && last[0]?.unit === task.unit) last.push(task);
    else units.push([task]);
  }
  return units;
}

/** Reasons for skips; those that name a variant are one, and all formats for machines have them apart. */
function printSkips(skips: Readonly<Record<string, number>>): string[] {
  const merged = new Map<string, number>();
  for (const [reason, count] of Object.entries(skips)) {
    const common = reason.replace(/^\S+ does not take this size$/, "the variant does not take the size");
    merged.set(common, (merged.get(common) ?? 0) + count);
  }
  return [...merged].map(([reason, count]) => `  ${count} skipped: ${reason}`);
}

function shorten(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(3));
}

/** One line a kernel's variant and type, or a gradient: a table of thousands of cases helps nobody. */
function summarise(rows: readonly Row[], names: readonly string[]): Row[] {
  const groups = new Map<string, { kind: string; name: string; passed: number; failed: number; skipped: number; error: number; ulps: number }>();
  rows.forEach((row, i) => {
    const name = names[i] ?? "";
    const key = `${String(row["kind"])} ${name}`;
    const group = groups.get(key) ?? { kind: String(row["kind"]), name, passed: 0, failed: 0, skipped: 0, error: 0, ulps: 0 };
    group[row["status"] as keyof Tally]++;
    group.error = Math.max(group.error, Number(row["error"] ?? 0));
    group.ulps = Math.max(group.ulps, Number(row["ulps"] ?? 0));
    groups.set(key, group);
  });
  return [...groups.values()].map(({ error, ...rest }) => ({ ...rest, "error/allowed": error }));
}

function reportSupport(found: ReturnType<typeof listSupport>, device: Fingerprint): Report {
  const rows = found.map(({ kernel, variant, dtype, flags, taken, cases, chosen, reasons }): Row => ({ kernel, variant, dtype, flags: flags.join(" "), taken, cases, chosen, reason: reasons.join("; ") || null }));
  const text = (format: Format) => {
    if (format !== "table" && format !== "md") return formatRows(format, SCHEMA, rows, { head: headOf(device) });
    // Flags together: a row a variant and type.
    const merged = new Map<string, { name: string; taken: number; cases: number; chosen: number; reasons: Set<string> }>();
    for (const { kernel, variant, dtype, taken, cases, chosen, reasons } of found) {
      const name = `${kernel}.${variant} ${dtype}`;
      const row = merged.get(name) ?? { name, taken: 0, cases: 0, chosen: 0, reasons: new Set<string>() };
      row.taken += taken;
      row.cases += cases;
      row.chosen += chosen;
      for (const reason of reasons) row.reasons.add(reason.replace(`${kernel}.${variant} does not take this size`, "size"));
      merged.set(name, row);
    }
    return formatRows(format, SCHEMA, [...merged.values()].map(({ reasons, ...row }) => ({ ...row, "why not": [...reasons].join(", ") })));
  };
  const none = found.filter(({ taken }) => taken === 0).length;
  return { text, failed: false, lines: [`${found.length - none} of ${found.length} forms (variant × type × flags) run on ${device.adapter}; taken: of the declared cases, chosen: where it is the first choice`] };
}

function reportAccuracy(found: readonly AccuracyRow[], complete: boolean, device: Fingerprint, seed: number): Report {
  const rows = found.map((row): Row => ({ ...row, maxUlp: shorten(row.maxUlp), rmsUlp: shorten(row.rmsUlp), allowed: shorten(row.allowed), worst: row.worst ?? null }));
  const text = (format: Format) => {
    const narrow = format === "table" || format === "md" ? rows.map(({ allowed, ...row }) => ({ ...row, "error/allowed": allowed ?? null })) : rows;
    return formatRows(format, SCHEMA, narrow, { head: { ...headOf(device), seed, mode: "accuracy" }, tail: { complete } });
  };
  return { text, failed: false, lines: ["kernels: error in ulps of a result's root mean square; functions: in ulps of each result, over all 65536 numbers of f16", ...(complete ? [] : ["stopped early"])] };
}
