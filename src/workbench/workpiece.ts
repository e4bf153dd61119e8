// What is on the bench: one kernel in one variant, with type, flags, constants and a problem to run it on; each mistake named.
import * as catalogue from "../../kernels/index.ts";
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { type Blueprint, chooseBlueprint, tryVariant } from "../kernel/blueprint.ts";
import { completeNumbers, type Kernel, type Numbers, type Traits } from "../kernel/define.ts";
import { defaultsOf } from "../kernel/template.ts";

export interface Workpiece {
  readonly kernel: Kernel;
  readonly blueprint: Blueprint;
  readonly numbers: Numbers;
  /** The case whose sizes they are, or "sizes as given". */
  readonly case: string;
  /** Whether the device would choose this variant by itself. */
  readonly chosen: boolean;
}

export interface Wanted {
  readonly variant?: string;
  readonly dtype?: "f32" | "f16";
  readonly flags?: readonly string[];
  readonly case?: string;
  /** Sizes in place of the case's, by dimension. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Constants in place of the template's. */
  readonly constants?: Readonly<Record<string, number>>;
}

function refuse(message: string, wanted: string, names: readonly string[]): UserError {
  const near = suggest(wanted, names)[0];
  return new UserError(EXIT_CODES.usage, `${message}, expected one of ${names.join(", ")}`, near === undefined ? [] : [`Did you mean ${near}?`]);
}

/** The kernel of a name; hyphens and underscores are the same. */
export function findKernel(name: string): Kernel {
  const plain = (text: string) => text.replaceAll("-", "_");
  const kernels = Object.values(catalogue);
  const found = kernels.find((kernel) => plain(kernel.name) === plain(name));
  if (found) return found;
  throw refuse(`cytonet kernel: nothing is called ${JSON.stringify(name)}`, name, kernels.map((kernel) => kernel.name));
}

/** Seconds that a case may take at the device's pessimistic rates to be timed over and over. */
const SHORT = 0.1;

/**
 * The workpiece that was asked for. Unless a case is named it is the first with the wanted flags that benches know, or, where `rates` are
 * given, the largest that is still quickly run. Errors: UserError 2 for names that do not exist, 69 where the device cannot take it.
 */
export function findWorkpiece(kernel: Kernel, wanted: Wanted, traits: Traits, rates?: { readonly flops: number; readonly bytes: number }): Workpiece {
  const { dtype = "f32", sizes = {}, constants = {} } = wanted;
  if (!kernel.dtypes.includes(dtype)) throw refuse(`--dtype ${dtype}: ${kernel.name} has no such form`, dtype, kernel.dtypes);
  if (wanted.variant !== undefined && !kernel.variants[wanted.variant]) throw refuse(`--variant ${wanted.variant}: ${kernel.name} has none`, wanted.variant, Object.keys(kernel.variants));
  for (const flag of wanted.flags ?? []) if (!kernel.flags.includes(flag)) throw refuse(`--flags: ${kernel.name} has no flag ${flag}`, flag, kernel.flags.length > 0 ? kernel.flags : ["(none)"]);
  if (wanted.case !== undefined && !kernel.cases[wanted.case]) throw refuse(`--case ${JSON.stringify(wanted.case)}: ${kernel.name} has none`, wanted.case, Object.keys(kernel.cases));
  for (const name of Object.keys(sizes)) if (![...kernel.dims, ...kernel.scalars].includes(name)) throw refuse(`--size ${name}: ${kernel.name} has no such size`, name, [...kernel.dims, ...kernel.scalars]);

  const problems = Object.entries(kernel.cases)
    .filter(([name]) => wanted.case === undefined || name === wanted.case)
    .map(([name, { numbers, flags = [], bench = false }]) => {
      const full = completeNumbers(kernel, { ...numbers, ...sizes });
      const own = new Set(wanted.flags ?? flags);
      const fits = wanted.flags === undefined || (wanted.flags.length === flags.length && wanted.flags.every((flag) => flags.includes(flag)));
      const tried = wanted.variant === undefined ? undefined : tryVariant({ kernel, numbers: full, flags: own, dtype }, traits, wanted.variant, constants);
      return { name, numbers: full, flags: own, bench, fits, reason: tried && "reason" in tried ? tried.reason : undefined };
    });
  const taken = problems.filter(({ reason }) => reason === undefined);
  if (taken.length === 0) throw new UserError(EXIT_CODES.unavailable, `${kernel.name}.${wanted.variant ?? ""} ${dtype}: ${problems[0]?.reason ?? "no case takes it"}`, ["Without --variant the device's own choice is taken; --explain lists what it takes."]);
  const seconds = ({ numbers }: { readonly numbers: Numbers }) => (rates ? kernel.flops(numbers) / rates.flops : 0);
  const order = [...taken].sort((x, y) => Number(y.fits) - Number(x.fits) || (rates ? Number(seconds(x) > SHORT) - Number(seconds(y) > SHORT) || (seconds(x) > SHORT ? 1 : -1) * (kernel.flops(x.numbers) - kernel.flops(y.numbers)) : Number(y.bench) - Number(x.bench)));
  const problem = order[0]!;
  const request = { kernel, numbers: problem.numbers, flags: problem.flags, dtype };
  const own = chooseBlueprint(request, traits);
  const variant = wanted.variant ?? own.variant;
  const declared = defaultsOf(kernel.variants[variant]!.source);
  for (const name of Object.keys(constants))
    if (!declared.has(name)) throw refuse(`--set ${name}: the //#params block of ${kernel.name}.${variant} has no such constant`, name, declared.size > 0 ? [...declared.keys()] : ["(none)"]);
  const tried = tryVariant(request, traits, variant, { ...(variant === own.variant ? own.constants : {}), ...constants });
  if ("reason" in tried) throw new UserError(EXIT_CODES.unavailable, `${kernel.name}.${variant} ${dtype}: ${tried.reason}`, ["--explain lists what this device takes."]);
  return { kernel, blueprint: tried.blueprint, numbers: problem.numbers, case: Object.keys(sizes).length > 0 ? "sizes as given" : problem.name, chosen: own.variant === variant };
}
