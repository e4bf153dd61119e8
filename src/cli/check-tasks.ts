// What `cytonet check` can run: forward checks of kernels and checks of gradient rules, found by name, by mode or by the name of one case.
import * as catalogue from "../../kernels/index.ts";
import { matchesName } from "../bench/sweep.ts";
import { checkId, listChecks, runCheck, type CheckCase, type CheckResult } from "../engine/check.ts";
import type { Engine } from "../engine/engine.ts";
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import type { Kernel, Traits } from "../kernel/define.ts";
import { listGradientCases } from "../ops/cases.ts";
import type { GradientCase } from "../ops/gradient-case.ts";
import { checkGradient, gradientId } from "../ops/gradcheck.ts";

/** One check that can be run: of a kernel, or of a gradient rule. */
export interface Task {
  readonly kind: "forward" | "gradient";
  readonly id: string;
  /** What the summary counts it under. */
  readonly group: string;
  /** Checks of one unit share pipelines and follow each other; units do not know each other. */
  readonly unit: string;
  run(engine: Engine): Promise<CheckResult>;
}

/** What a pattern chose. */
export interface Selection {
  readonly kernels: readonly Kernel[];
  readonly gradients: (seed: number) => readonly GradientCase[];
}

/** The kernels and gradients whose names contain `pattern`, however it spells words: `layerNorm` and `layer-norm` are both forward and gradient. Errors: UserError 2 where there are none. */
export function selectByName(pattern: string | undefined): Selection {
  const kernels = Object.values(catalogue).filter(({ name }) => pattern === undefined || matchesName(pattern, name));
  const gradients = (seed: number) => listGradientCases(seed).filter(({ name }) => pattern === undefined || matchesName(pattern, name));
  if (kernels.length === 0 && gradients(1).length === 0) {
    const names = Object.values(catalogue).map(({ name }) => name);
    const near = suggest(pattern ?? "", names)[0];
    throw new UserError(EXIT_CODES.usage, `cytonet check: nothing is called ${JSON.stringify(pattern)}, expected part of a kernel's name`, [near === undefined ? `There are ${names.join(", ")}.` : `Did you mean ${near}?`]);
  }
  return { kernels, gradients };
}

/** Every check of a kernel on a device. */
export function listForward(kernel: Kernel, seed: number, traits: Traits): CheckCase[] {
  return listChecks(kernel, { ragged: true, seed, traits });
}

/** The checks of a selection. Errors: UserError 2 where `only` is no case. */
export function listTasks({ kernels, gradients }: Selection, kinds: ReadonlySet<Task["kind"]>, only: string | undefined, seed: number, traits: Traits): Task[] {
  // The seed stands in the case's name, so a case is found again by its name alone.
  const own = seedOf(only) ?? seed;
  const tasks: Task[] = [];
  /** The watched cases of each variant, which come first: the others wait for them, because an index that goes astray might take the process down. */
  const watched = new Map<string, Promise<CheckResult>[]>();
  const runForward = async (engine: Engine, check: CheckCase): Promise<CheckResult> => {
    const variant = `${check.kernel.name}.${check.variant}`;
    if (check.watched) {
      const result = runCheck(engine, check);
      watched.set(variant, [...(watched.get(variant) ?? []), result]);
      return result;
    }
    const seen = await Promise.all(watched.get(variant) ?? []);
    return seen.some(({ stray }) => stray) ? { id: checkId(check), status: "skipped", reason: "an index of the variant goes astray" } : runCheck(engine, check);
  };
  if (kinds.has("forward"))
    for (const kernel of kernels)
      for (const check of listForward(kernel, own, traits))
        tasks.push({ kind: "forward", id: checkId(check), group: `${kernel.name}.${check.variant} ${check.dtype}`, unit: `${kernel.name}.${check.variant}`, run: (engine) => runForward(engine, check) });
  if (kinds.has("gradient"))
    for (const one of gradients(own)) tasks.push({ kind: "gradient", id: gradientId(one, own), group: one.op ?? one.name, unit: `gradient of ${one.op ?? one.name}`, run: (engine) => checkGradient(engine, one, own) });
  const chosen = only === undefined ? tasks : tasks.filter(({ id }) => id === only);
  if (chosen.length === 0 && only !== undefined) throw new UserError(EXIT_CODES.usage, `--only: no case ${JSON.stringify(only)}, expected one as a failed check prints it; copy it whole`);
  return chosen;
}

/** The command that runs exactly one case again. */
export function printAgain(id: string): string {
  return `cytonet check --only '${id.replaceAll("'", "'\\''")}'`;
}

function seedOf(id: string | undefined): number | undefined {
  const found = /seed=(\d+)$/.exec(id ?? "")?.[1];
  return found === undefined ? undefined : Number(found);
}
