// `cytonet check`: every kernel in every variant against its f64 reference, every gradient rule against differences, on your adapter.
import * as catalogue from "../../../kernels/index.ts";
import { checkId, listChecks, runCheck, type CheckResult } from "../../engine/check.ts";
import { EXIT_CODES, UserError, suggest } from "../../errors.ts";
import { GRADIENT_CASES } from "../../ops/cases.ts";
import { checkGradient } from "../../ops/gradcheck.ts";
import { withEngine, type DeviceOptions } from "../device.ts";
import { emit, formatRows, parseFormat, type Row } from "../output.ts";
import { createProgress } from "../progress.ts";

export interface CheckFlags extends DeviceOptions {
  readonly format: string;
  readonly output?: string;
  readonly seed: string;
  readonly only?: string;
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

export async function runChecks(pattern: string | undefined, flags: CheckFlags): Promise<void> {
  const format = parseFormat(flags.format);
  const seed = Number(flags.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UserError(EXIT_CODES.usage, `--seed: ${JSON.stringify(flags.seed)}, expected a whole number from 0`);
  const kernels = Object.values(catalogue).filter(({ name }) => pattern === undefined || name.includes(pattern));
  const gradients = GRADIENT_CASES.filter(({ name }) => pattern === undefined || name.includes(pattern));
  if (kernels.length === 0 && gradients.length === 0) {
    const names = Object.values(catalogue).map(({ name }) => name);
    const near = suggest(pattern ?? "", names);
    throw new UserError(EXIT_CODES.usage, `check: nothing is called ${JSON.stringify(pattern)}`, [near.length ? `Did you mean ${near.join(" or ")}?` : `There are ${names.join(", ")}.`]);
  }
  const progress = createProgress();
  const rows: Row[] = [];
  const skips: Record<string, number> = {};
  const forward: Tally = { passed: 0, failed: 0, skipped: 0 };
  const gradient: Tally = { passed: 0, failed: 0, skipped: 0 };
  await withEngine(flags, async (engine) => {
    const record = (kind: string, tally: Tally, result: CheckResult) => {
      tally[result.status]++;
      if (result.status === "skipped") skips[result.reason ?? "unknown"] = (skips[result.reason ?? "unknown"] ?? 0) + 1;
      if (result.status === "failed") progress.note(`FAILED ${result.id}\n  ${result.reason}\n  again: cytonet check ${kind === "forward" ? `--only ${JSON.stringify(result.id)}` : JSON.stringify(result.id.replace(/^gradient of | seed=.*$/g, ""))} --seed ${seed}`);
      rows.push({ kind, check: result.id, status: result.status, error: result.worst === undefined ? null : Number(result.worst.toPrecision(3)), ulps: result.ulps === undefined ? null : Number(result.ulps.toPrecision(3)), reason: result.reason ?? null });
      progress.update(`${forward.passed + gradient.passed} passed, ${forward.failed + gradient.failed} failed, ${forward.skipped + gradient.skipped} skipped: ${result.id}`);
    };
    for (const kernel of kernels)
      for (const check of listChecks(kernel, { ragged: true, seed })) {
        if (flags.only === undefined || checkId(check) === flags.only) record("forward", forward, await runCheck(engine, check));
      }
    if (flags.only === undefined) for (const one of gradients) record("gradient", gradient, await checkGradient(engine, one, seed));
    const summary = { adapter: engine.device.fingerprint.adapter, driver: engine.device.fingerprint.driver, seed, summary: { forward, gradient }, skips };
    const shown = format === "table" || format === "md" ? summarise(rows) : rows;
    await emit(formatRows(format, "cytonet-check/1", shown, summary), flags.output);
  });
  const line = (name: string, { passed, failed, skipped }: Tally) => `${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`;
  progress.end(`${line("forward", forward)}\n${line("gradient", gradient)}${Object.entries(skips).map(([reason, count]) => `\n  ${count} skipped: ${reason}`).join("")}`);
  if (flags.only !== undefined && rows.length === 0) throw new UserError(EXIT_CODES.usage, `check: no case ${JSON.stringify(flags.only)}`, ["Copy it whole from the output of a failed check."]);
  if (forward.failed + gradient.failed > 0) process.exitCode = EXIT_CODES.checkFailed;
}

/** One line a kernel and variant: a table of thousands of cases helps nobody. */
function summarise(rows: readonly Row[]): Row[] {
  const groups = new Map<string, { kind: string; name: string; passed: number; failed: number; skipped: number; error: number; ulps: number }>();
  for (const row of rows) {
    const id = String(row["check"]);
    const name = row["kind"] === "gradient" ? id.replace(/^gradient of | seed=.*$/g, "").split(" ")[0]! : id.split(" ").slice(0, 2).join(" ");
    const key = `${String(row["kind"])} ${name}`;
    const group = groups.get(key) ?? { kind: String(row["kind"]), name, passed: 0, failed: 0, skipped: 0, error: 0, ulps: 0 };
    group[row["status"] as "passed" | "failed" | "skipped"]++;
    group.error = Math.max(group.error, Number(row["error"] ?? 0));
    group.ulps = Math.max(group.ulps, Number(row["ulps"] ?? 0));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ error, ...rest }) => ({ ...rest, "error/allowed": error }));
}
