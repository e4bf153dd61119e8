// What a device takes of the catalogue: each variant, type and set of flags, by features, limits and sizes. Nothing is compiled or run.
import { chooseBlueprint, tryVariant } from "../kernel/blueprint.ts";
import { completeNumbers, type Kernel, type Traits } from "../kernel/define.ts";
import { UserError } from "../errors.ts";

/** One form of a kernel. */
export interface Support {
  readonly kernel: string;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  readonly flags: readonly string[];
  /** How many of the declared cases with these flags the variant takes, of how many, and for how many it is the first choice. */
  readonly taken: number;
  readonly cases: number;
  readonly chosen: number;
  /** Why not the others. */
  readonly reasons: readonly string[];
}

/** Every form of a kernel, benches' cases included. */
export function listSupport(kernel: Kernel, traits: Traits): Support[] {
  const forms = new Map<string, readonly string[]>();
  for (const { flags = [] } of Object.values(kernel.cases)) forms.set([...flags].sort().join(), flags);
  return Object.keys(kernel.variants).flatMap((variant) =>
    kernel.dtypes.flatMap((dtype) =>
      [...forms].map(([form, flags]): Support => {
        const cases = Object.values(kernel.cases).filter((one) => [...(one.flags ?? [])].sort().join() === form);
        const problems = cases.map(({ numbers }) => ({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }));
        const tried = problems.map((problem) => tryVariant(problem, traits, variant));
        const reasons = new Set(tried.flatMap((one) => ("reason" in one ? [one.reason] : [])));
        const chosen = problems.filter((problem) => choiceOf(problem, traits) === variant).length;
        return { kernel: kernel.name, variant, dtype, flags, taken: tried.filter((one) => "blueprint" in one).length, cases: cases.length, chosen, reasons: [...reasons] };
      }),
    ),
  );
}

/** The variant that is preferred; undefined where none can run. */
function choiceOf(problem: Parameters<typeof chooseBlueprint>[0], traits: Traits): string | undefined {
  try {
    return chooseBlueprint(problem, traits).variant;
  } catch (cause) {
    if (cause instanceof UserError) return undefined;
    throw cause;
  }
}
