// A blueprint: which text of a kernel runs. Plain data; its key names the pipeline, the profiler's row and the tuner's entry.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Constants, Kernel, Numbers, Traits } from "./define.ts";
import type { Dtype } from "./dtype.ts";
import { defaultsOf } from "./template.ts";

export interface Blueprint {
  readonly kernel: string;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  /** Sorted. */
  readonly flags: readonly string[];
  /** Every constant that differs from the template's default, sorted by name. */
  readonly constants: Readonly<Record<string, number>>;
}

/** A problem to be solved by some variant of a kernel. */
export interface Problem {
  readonly kernel: Kernel;
  readonly numbers: Numbers;
  readonly flags: ReadonlySet<string>;
  readonly dtype: "f32" | "f16";
}

/** `matmul.tiled f32 +bias TILE_M=64`: readable, unique, and stable across runs. */
export function blueprintKey(b: Blueprint): string {
  const flags = b.flags.map((flag) => `+${flag}`).join("");
  const constants = Object.entries(b.constants).map(([name, value]) => `${name}=${value}`);
  return [`${b.kernel}.${b.variant}`, b.dtype, flags, ...constants].filter((part) => part !== "").join(" ");
}

/** Values of a variant's constants under a blueprint. */
export function constantsOf(kernel: Kernel, b: Blueprint): Constants {
  const defaults = defaultsOf(variantOf(kernel, b.variant).source);
  return (name) => {
    const value = b.constants[name] ?? defaults.get(name);
    if (value === undefined) throw new Error(`${kernel.name}.${b.variant}: no constant ${name} in its //#params block`);
    return value;
  };
}

export function variantOf(kernel: Kernel, name: string) {
  const variant = kernel.variants[name];
  if (!variant) throw new Error(`${kernel.name}: no variant ${name}; there are ${Object.keys(kernel.variants).join(", ")}`);
  return variant;
}

/** The shared functions of a variant, by the name that `//#use` calls them. */
export function librariesOf(kernel: Kernel, name: string): Readonly<Record<string, string>> {
  return { ...kernel.libraries, ...variantOf(kernel, name).libraries };
}

/** Why a variant cannot solve a problem on a device, or the blueprint that does. */
export function tryVariant(
  problem: Problem,
  traits: Traits,
  name: string,
  params: Readonly<Record<string, number>> = {},
): { blueprint: Blueprint } | { reason: string } {
  const { kernel, numbers, flags, dtype } = problem;
  const variant = variantOf(kernel, name);
  if (variant.dtypes && !variant.dtypes.includes(dtype)) return { reason: `${kernel.name}.${name} has no ${dtype} form` };
  const missing = [...(variant.needs ?? []), ...(dtype === "f16" ? ["shader-f16"] : [])].filter((f) => !traits.features.has(f));
  if (missing.length) return { reason: `the device lacks ${missing.join(", ")}` };
  if (!kernel.dtypes.includes(dtype)) return { reason: `${kernel.name} has no ${dtype} form` };
  const constants: Record<string, number> = { ...params };
  for (const [constant, of] of Object.entries(variant.specialize ?? {})) constants[constant] = of(numbers, traits);
  const sorted = Object.fromEntries(Object.entries(constants).sort(([x], [y]) => (x < y ? -1 : 1)));
  const blueprint: Blueprint = { kernel: kernel.name, variant: name, dtype, flags: [...flags].sort(), constants: sorted };
  if (variant.legal && !variant.legal(numbers, traits, flags, constantsOf(kernel, blueprint)))
    return { reason: `${kernel.name}.${name} does not take this size` };
  return { blueprint };
}

/** The blueprint that the kernel prefers on this device. `naive` takes everything, so there always is one unless a feature lacks. */
export function chooseBlueprint(problem: Problem, traits: Traits): Blueprint {
  const choices = [...problem.kernel.choose(problem.numbers, traits, problem.flags, problem.dtype), { variant: "naive" }];
  let reason = "";
  for (const choice of choices) {
    const tried = tryVariant(problem, traits, choice.variant, "params" in choice ? choice.params : {});
    if ("blueprint" in tried) return tried.blueprint;
    reason = tried.reason;
  }
  throw new UserError(EXIT_CODES.unavailable, `${problem.kernel.name} ${problem.dtype}: no variant can run here: ${reason}`, ["Use f32, or another adapter; `cytonet doctor` lists what there is."]);
}

/** Whether `Elem` of this dtype exists as a blueprint type. */
export function isElem(dtype: Dtype): dtype is "f32" | "f16" {
  return dtype === "f32" || dtype === "f16";
}
