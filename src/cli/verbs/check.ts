// `cytonet check`: every kernel in every variant against its f64 reference, every gradient rule against differences, on your adapter.
import * as catalogue from "../../../kernels/index.ts";
import { checkId, listChecks, runCheck, type CheckResult } from "../../engine/check.ts";
import { IN_FLIGHT, runConcurrently } from "../../engine/concurrent.ts";
import { EXIT_CODES, UserError, suggest } from "../../errors.ts";
import { GRADIENT_CASES } from "../../ops/cases.ts";
import { checkGradient } from "../../ops/gradcheck.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface CheckFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly seed: number;
  readonly only?: string;
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** One check that can be run: of a kernel, or of a gradient rule. */
interface Task {
  readonly kind: "forward" | "gradient";
  /** What runs exactly this again. */
  readonly again: string;
  run(engine: Parameters<typeof runCheck>[0]): Promise<CheckResult>;
}

export async function runChecks(pattern: string | undefined, flags: CheckFlags): Promise<void> {
  const { seed } = flags;
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const tasks = listTasks(pattern, flags.only, seed);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is reported\n"));
  const progress = createProgress();
  const rows: Row[] = [];
  const skips: Record<string, number> = {};
  const tallies: Record<Task["kind"], Tally> = { forward: { passed: 0, failed: 0, skipped: 0 }, gradient: { passed: 0, failed: 0, skipped: 0 } };
  const began = performance.now();
  try {
    const device = await withEngine(flags, async (engine) => {
      await runConcurrently(tasks, IN_FLIGHT, async (task) => (stop.throwIfStopped(), task.run(engine)), (result, task, index) => {
        tallies[task.kind][result.status]++;
        if (result.status === "skipped") skips[result.reason ?? "unknown"] = (skips[result.reason ?? "unknown"] ?? 0) + 1;
        if (result.status === "failed") progress.note(`FAILED ${result.id}\n  ${result.reason ?? ""}\n  again: ${task.again}`);
        rows.push({ kind: task.kind, check: result.id, status: result.status, error: shorten(result.worst), ulps: shorten(result.ulps), reason: result.reason ?? null });
        const left = (tasks.length - index - 1) * ((performance.now() - began) / 1000 / (index + 1));
        progress.update(`${index + 1}/${tasks.length} checks  ${tallies.forward.failed + tallies.gradient.failed} failed  ${formatSeconds(left)} left  ${result.id}`);
      });
      return engine.device.fingerprint;
    });
    const surroundings = {
      head: { adapter: device.adapter, driver: device.driver, features: device.features, seed },
      tail: { skips, summary: tallies },
    };
    progress.end("");
    await emit(formatRows(flags.format, "cytonet-check/1", flags.format === "table" || flags.format === "md" ? summarise(rows) : rows, surroundings), flags.output);
    const line = (name: Task["kind"]) => `${name}: ${tallies[name].passed} passed, ${tallies[name].failed} failed, ${tallies[name].skipped} skipped`;
    const reasons = Object.entries(skips).map(([reason, count]) => `  ${count} skipped: ${reason}`);
    process.stderr.write(`${[line("forward"), line("gradient"), ...reasons].join("\n")}\n`);
    if (tallies.forward.failed + tallies.gradient.failed > 0) process.exitCode = EXIT_CODES.checkFailed;
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** The checks asked for. Errors: UserError 2 where a name or a case does not exist. */
function listTasks(pattern: string | undefined, only: string | undefined, seed: number): Task[] {
  const kernels = Object.values(catalogue).filter(({ name }) => pattern === undefined || name.includes(pattern));
  const gradients = GRADIENT_CASES.filter(({ name }) => pattern === undefined || name.includes(pattern));
  if (kernels.length === 0 && gradients.length === 0) {
    const names = Object.values(catalogue).map(({ name }) => name);
    const near = suggest(pattern ?? "", names)[0];
    throw new UserError(EXIT_CODES.usage, `cytonet check: nothing is called ${JSON.stringify(pattern)}, expected part of a kernel's name`, [near === undefined ? `There are ${names.join(", ")}.` : `Did you mean ${near}?`]);
  }
  const tasks: (Task & { readonly id: string })[] = [
    ...kernels.flatMap((kernel) =>
      // The seed stands in the case's name, so a case is found again by its name alone.
      listChecks(kernel, { ragged: true, seed: seedOf(only) ?? seed }).map((check) => {
        const id = checkId(check);
        return { kind: "forward" as const, id, again: `cytonet check --only ${quote(id)}`, run: (engine: Parameters<typeof runCheck>[0]) => runCheck(engine, check) };
      }),
    ),
    ...gradients.map((one) => {
      const id = `gradient of ${one.name} seed=${seedOf(only) ?? seed}`;
      return { kind: "gradient" as const, id, again: `cytonet check --only ${quote(id)}`, run: (engine: Parameters<typeof runCheck>[0]) => checkGradient(engine, one, seedOf(only) ?? seed) };
    }),
  ];
  const chosen = only === undefined ? tasks : tasks.filter(({ id }) => id === only);
  if (chosen.length === 0) throw new UserError(EXIT_CODES.usage, `--only: no case ${JSON.stringify(only)}, expected one as a failed check prints it; copy it whole`);
  return chosen;
}

function seedOf(id: string | undefined): number | undefined {
  const found = /seed=(\d+)$/.exec(id ?? "")?.[1];
  return found === undefined ? undefined : Number(found);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function shorten(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(3));
}

/** One line a kernel's variant or a gradient: a table of thousands of cases helps nobody. */
function summarise(rows: readonly Row[]): Row[] {
  const groups = new Map<string, { kind: string; name: string; passed: number; failed: number; skipped: number; error: number; ulps: number }>();
  for (const row of rows) {
    const id = String(row["check"]);
    const name = row["kind"] === "gradient" ? id.replace(/^gradient of | seed=.*$/g, "") : id.split(" ").slice(0, 2).join(" ");
    const key = `${String(row["kind"])} ${name}`;
    const group = groups.get(key) ?? { kind: String(row["kind"]), name, passed: 0, failed: 0, skipped: 0, error: 0, ulps: 0 };
    group[row["status"] as keyof Tally]++;
    group.error = Math.max(group.error, Number(row["error"] ?? 0));
    group.ulps = Math.max(group.ulps, Number(row["ulps"] ?? 0));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ error, ...rest }) => ({ ...rest, "error/allowed": error }));
}
