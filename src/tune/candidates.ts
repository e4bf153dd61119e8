// What a tuner tries: every variant of a kernel at every combination of its tunable constants, less what the device cannot take.
import { blueprintKey, chooseBlueprint, tryVariant, type Blueprint, type Problem } from "../kernel/blueprint.ts";
import { lintBarriers } from "../kernel/barriers.ts";
import type { Choice, Traits } from "../kernel/define.ts";
import { lintTemplate, renderBlueprint } from "../kernel/layout.ts";
import { defaultsOf } from "../kernel/template.ts";

export interface Candidate {
  readonly choice: Choice;
  readonly blueprint: Blueprint;
}

/** The kernel's own choice on the device, as a candidate. */
export function ownChoice(problem: Problem, traits: Traits): Candidate {
  const blueprint = chooseBlueprint(problem, traits);
  return { choice: choiceOf(problem, blueprint), blueprint };
}

/** A blueprint without the constants that follow from problem and device. */
function choiceOf({ kernel }: Problem, { variant, constants }: Blueprint): Choice {
  const derived = kernel.variants[variant]?.specialize ?? {};
  const params = Object.fromEntries(Object.entries(constants).filter(([name]) => !(name in derived)));
  return Object.keys(params).length > 0 ? { variant, params } : { variant };
}

/** Constants that differ from those in the template: a blueprint names no others. */
function withoutDefaults({ kernel }: Problem, variant: string, constants: Readonly<Record<string, number>>): Record<string, number> {
  const defaults = defaultsOf(kernel.variants[variant]?.source ?? "");
  const derived = kernel.variants[variant]?.specialize ?? {};
  return Object.fromEntries(Object.entries(constants).filter(([name, value]) => name in derived || defaults.get(name) !== value));
}

/** All other candidates, the kernel's preferences first. Two that render to the same blueprint are one. */
export function listCandidates(problem: Problem, traits: Traits): Candidate[] {
  const { kernel, numbers, flags, dtype } = problem;
  const own = ownChoice(problem, traits).blueprint;
  const seen = new Set([blueprintKey({ ...own, constants: withoutDefaults(problem, own.variant, own.constants) })]);
  const found: Candidate[] = [];
  const preferred = kernel.choose(numbers, traits, flags, dtype).map(({ variant }) => variant);
  for (const variant of new Set([...preferred, ...Object.keys(kernel.variants)])) {
    if (kernel.variants[variant]?.standsInFor !== undefined) continue;
    const tunable = Object.entries(kernel.variants[variant]?.params ?? {});
    const combinations = tunable.reduce<Record<string, number>[]>((made, [name, values]) => made.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))), [{}]);
    for (const params of combinations) {
      const tried = tryVariant(problem, traits, variant, withoutDefaults(problem, variant, params));
      if ("reason" in tried || seen.has(blueprintKey(tried.blueprint))) continue;
      seen.add(blueprintKey(tried.blueprint));
      found.push({ choice: choiceOf(problem, tried.blueprint), blueprint: tried.blueprint });
    }
  }
  return found;
}

/** What is wrong with a candidate's text before any compiler sees it: empty where nothing is. */
export function lintCandidate({ kernel }: Problem, { blueprint }: Candidate): string[] {
  try {
    renderBlueprint(kernel, blueprint);
  } catch (cause) {
    return [cause instanceof Error ? cause.message : String(cause)];
  }
  return [...lintTemplate(kernel, blueprint.variant), ...lintBarriers(kernel, blueprint)];
}
