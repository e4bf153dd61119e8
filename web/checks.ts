// The kernel checks on the page: a growing tally a kernel, failures by the name that runs them again.
import { checkGradient, GRADIENT_CASES, kernels, listChecks, runCheck, runConcurrently, type CheckResult, type Engine } from "../src/browser.ts";
import { find, make } from "./dom.ts";

type Status = CheckResult["status"];
const STATUSES: readonly Status[] = ["passed", "failed", "skipped"];

interface Line {
  readonly total: number;
  readonly counts: Record<Status, number>;
  readonly bars: Record<Status, HTMLElement>;
  readonly cells: Record<Status, HTMLElement>;
}

interface Task {
  readonly line: Line;
  run(): Promise<CheckResult>;
}

const IN_FLIGHT = 4;

/** Runs every check, showing each result as it comes; ends early where the signal says so. */
export async function showChecks(engine: Engine, signal: AbortSignal): Promise<void> {
  const body = find("checks", HTMLTableSectionElement);
  const failures = find("failures", HTMLUListElement);
  const state = find("checks-state", HTMLElement);
  body.replaceChildren();
  failures.replaceChildren();
  const tasks: Task[] = [];
  for (const kernel of Object.values(kernels)) {
    const checks = listChecks(kernel, { ragged: true });
    const line = addLine(body, kernel.name, checks.length);
    tasks.push(...checks.map((check) => ({ line, run: () => runCheck(engine, check) })));
  }
  const gradients = addLine(body, "gradients", GRADIENT_CASES.length);
  tasks.push(...GRADIENT_CASES.map((one) => ({ line: gradients, run: () => checkGradient(engine, one) })));

  const totals: Record<Status, number> = { passed: 0, failed: 0, skipped: 0 };
  const describe = () => STATUSES.map((status) => `${totals[status]} ${status}`).join(", ");
  const skips = new Map<string, number>();
  await runConcurrently(
    tasks,
    IN_FLIGHT,
    async (task) => (signal.aborted ? undefined : task.run()),
    (result, { line }, index) => {
      if (!result) return;
      totals[result.status]++;
      record(line, result.status);
      if (result.status === "skipped") skips.set(result.reason ?? "", (skips.get(result.reason ?? "") ?? 0) + 1);
      if (result.status === "failed") failures.append(make("li", "", `${result.id}: ${result.reason ?? ""}`));
      state.textContent = `${index + 1} of ${tasks.length}: ${describe()}`;
    },
  );
  const reasons = [...skips].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} skipped: ${reason}`);
  state.textContent = `${signal.aborted ? "stopped" : "done"}: ${describe()}`;
  state.title = reasons.join("\n");
}

function addLine(body: HTMLElement, name: string, total: number): Line {
  const row = make("tr");
  const tally = make("div", "tally");
  const line: Line = { total, counts: { passed: 0, failed: 0, skipped: 0 }, bars: both(() => make("i")), cells: both(() => make("td", "", "0")) };
  for (const status of STATUSES) line.bars[status].className = status;
  tally.append(...STATUSES.map((status) => line.bars[status]));
  const wide = make("td", "wide");
  wide.append(tally);
  row.append(make("td", "", name), wide, ...STATUSES.map((status) => line.cells[status]));
  body.append(row);
  return line;
}

function both(create: () => HTMLElement): Record<Status, HTMLElement> {
  return { passed: create(), failed: create(), skipped: create() };
}

function record({ total, counts, bars, cells }: Line, status: Status): void {
  counts[status]++;
  bars[status].style.width = `${(100 * counts[status]) / total}%`;
  cells[status].textContent = String(counts[status]);
}
