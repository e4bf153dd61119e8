// The bench of a kernel under the knife: an edited template is linted, checked, and raced against the state at the start.
import { createWorkload, problemOf, race, type Contestant } from "../bench/measure.ts";
import { percentile, ratioOfRounds, type Ratio } from "../bench/statistics.ts";
import { checkId, listChecks, runCheck, type CheckCase } from "../engine/check.ts";
import type { Engine } from "../engine/engine.ts";
import { createPipelines } from "../engine/pipelines.ts";
import { UserError } from "../errors.ts";
import { lintBarriers } from "../kernel/barriers.ts";
import { tryVariant, variantOf, type Blueprint } from "../kernel/blueprint.ts";
import { completeNumbers, type Kernel } from "../kernel/define.ts";
import { lintTemplate, renderBlueprint } from "../kernel/layout.ts";
import { defaultsOf, TemplateError } from "../kernel/template.ts";
import type { Workpiece } from "./workpiece.ts";

/** The texts that may change: the variant's template, and the libraries by name. */
export interface Texts {
  readonly source: string;
  readonly libraries: Readonly<Record<string, string>>;
}

export interface Verdict {
  /** What is wrong with the text, each at its file and line; nothing more is done then. */
  readonly lint: readonly string[];
  readonly checks?: { readonly passed: number; readonly known: number; readonly skipped: number; readonly failures: readonly string[]; readonly worst: number };
  /** Time of the edited kernel over that of the first one. */
  readonly speed?: Ratio & { readonly rounds: number; readonly milliseconds: number };
  /** Milliseconds from the text to the verdict. */
  readonly took: number;
}

export interface Workbench {
  readonly piece: Workpiece;
  /** Judges a text against the one at the start. Never throws for what is wrong with the text. */
  judge(texts: Texts): Promise<Verdict>;
  dispose(): void;
}

/** Checks of an edit at most, and how long they and the race may take: a verdict is there within two seconds. */
const MOST_CHECKS = 12;
const CHECK_MS = 400;
const RACE_MS = 450;
const SAMPLE_MS = 6;

/** The kernel with other texts in one variant. */
export function substitute(kernel: Kernel, variant: string, { source, libraries }: Texts): Kernel {
  return { ...kernel, libraries, variants: { ...kernel.variants, [variant]: { ...variantOf(kernel, variant), source } } };
}

/** Lints one variant: the template against its descriptor, barriers, and, where there is an engine, what its compiler says. */
export async function lintVariant(kernel: Kernel, blueprint: Blueprint, engine?: Engine): Promise<readonly string[]> {
  try {
    const mistakes = [...lintTemplate(kernel, blueprint.variant)];
    renderBlueprint(kernel, blueprint);
    if (mistakes.length === 0) mistakes.push(...lintBarriers(kernel, blueprint));
    if (engine && mistakes.length === 0) await engine.pipelines.get(kernel, blueprint);
    return mistakes;
  } catch (cause) {
    engine?.device.assertAlive(`${kernel.name}.${blueprint.variant}`);
    if (cause instanceof UserError) return [cause.message, ...cause.notes];
    if (cause instanceof TemplateError) return [cause.message];
    throw cause;
  }
}

/** Sets up the bench: memory for the problem, and the kernel as it stands in `texts` as what others are measured against. */
export async function createWorkbench(engine: Engine, piece: Workpiece, texts: Texts): Promise<Workbench> {
  const { kernel, blueprint, numbers } = piece;
  const { variant } = blueprint;
  const base = substitute(kernel, variant, texts);
  // The workload knows one kernel; which text it is compiled from is decided here.
  let current = { kernel: base, engine: withOwnPipelines(engine) };
  const switching: Engine = { ...engine, pipelines: { get: (_kernel, wanted) => current.engine.pipelines.get(current.kernel, wanted), count: 0 } };
  const workload = await createWorkload(switching, problemOf(base, piece.case, numbers, blueprint.flags, blueprint.dtype, variant), numbers);
  const first = await workload.prepare(spelledOut(base, blueprint)).catch((cause: unknown) => {
    workload.dispose();
    throw cause;
  });

  return {
    piece,
    async judge(edit) {
      const began = performance.now();
      const edited = substitute(kernel, variant, edit);
      const own = withOwnPipelines(engine);
      const lint = await lintVariant(edited, blueprint, own);
      if (lint.length > 0) return { lint, took: performance.now() - began };
      const checks = await checkEdit(own, edited, piece);
      if (checks.failures.length > 0) return { lint, checks, took: performance.now() - began };
      current = { kernel: edited, engine: own };
      const speed = await compare(first, await workload.prepare(spelledOut(edited, blueprint)));
      return { lint, checks, speed, took: performance.now() - began };
    },
    dispose: () => workload.dispose(),
  };
}

/** Pipelines are known by blueprints, and every edit has the same one. */
function withOwnPipelines(engine: Engine): Engine {
  return { ...engine, pipelines: createPipelines(engine.device) };
}

/** A blueprint that names every constant: the grid of an edited template follows its own. */
function spelledOut(kernel: Kernel, blueprint: Blueprint): Blueprint {
  const constants = { ...Object.fromEntries(defaultsOf(variantOf(kernel, blueprint.variant).source)), ...blueprint.constants };
  return { ...blueprint, constants: Object.fromEntries(Object.entries(constants).sort(([x], [y]) => (x < y ? -1 : 1))) };
}

/** A few cases: those with the flags on the bench first, small and ragged ones; another pipeline only where time is left. */
async function checkEdit(engine: Engine, kernel: Kernel, { blueprint }: Workpiece): Promise<NonNullable<Verdict["checks"]>> {
  const { traits } = engine.device;
  const own = [...blueprint.flags].sort().join();
  const form = ({ flags }: CheckCase) => [...flags].sort().join();
  const known = listChecks(kernel, { ragged: true, traits }).filter(({ variant, dtype, scattered, watched }) => variant === blueprint.variant && dtype === blueprint.dtype && !scattered && !watched);
  const problemOfCheck = (check: CheckCase) => ({ kernel, numbers: completeNumbers(kernel, check.numbers), flags: new Set(check.flags), dtype: check.dtype });
  const runs = known.filter((check) => check.params === undefined && "blueprint" in tryVariant(problemOfCheck(check), traits, check.variant, {}));
  const size = (check: CheckCase) => kernel.flops(completeNumbers(kernel, check.numbers));
  const others = spread(runs.filter((check) => form(check) !== own), MOST_CHECKS / 2);
  const order = [...spread(runs.filter((check) => form(check) === own).sort((x, y) => size(x) - size(y)), MOST_CHECKS - others.length), ...others];
  const began = performance.now();
  let [passed, skipped, worst] = [0, 0, 0];
  const failures: string[] = [];
  for (const check of order) {
    if (performance.now() - began > CHECK_MS && passed > 0) break;
    const result = await runCheck(engine, check);
    worst = Math.max(worst, result.worst ?? 0);
    if (result.status === "passed") passed++;
    else if (result.status === "skipped") skipped++;
    else failures.push(`${checkId(check)}: ${result.reason ?? ""}`);
    if (failures.length >= 2) break;
  }
  return { passed, known: runs.length, skipped, failures, worst };
}

/** So many of a list, at even distances, the last included. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.round(((i + 0.5) * (list.length - 1)) / (count - 0.5))]!);
}

/** Rounds in which both run, one after the other: what disturbs the machine disturbs both. */
async function compare(first: Contestant, edited: Contestant): Promise<NonNullable<Verdict["speed"]>> {
  // The first run compiles on some drivers.
  await edited.time(1);
  const once = Math.max(await first.time(1), await edited.time(1), 1e-3);
  const rounds = Math.max(7, Math.min(25, Math.floor(RACE_MS / (2.2 * Math.max(SAMPLE_MS, once))) - 2));
  const [before, after] = await race([first, edited], SAMPLE_MS, rounds);
  return { ...ratioOfRounds(before!, after!), rounds, milliseconds: percentile(after!, 0.5) };
}
