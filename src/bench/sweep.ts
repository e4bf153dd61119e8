// Sweeps: `m=64:4096:*2` and lists, as sizes of a problem or constants of a template, and the problems that they make of a case.
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { defaultsOf } from "../kernel/template.ts";
import { completeNumbers, type Kernel, type Numbers } from "../kernel/define.ts";

/** One swept name with its values. */
export interface Sweep {
  readonly name: string;
  readonly values: readonly number[];
}

/** One problem to be measured. */
export interface BenchProblem {
  readonly kernel: Kernel;
  /** Of the case it comes from. */
  readonly name: string;
  readonly numbers: Numbers;
  readonly flags: readonly string[];
}

/** More values of one name are a slip of the pen. */
const MOST_VALUES = 1000;

/**
 * Reads `m=64,128,256`, `m=64:4096:*2` (from, to, factor), `m=0:512:64` (from, to, step), or several of them with commas.
 * Errors: UserError 2 that shows the form.
 */
export function parseSweep(text: string): Sweep {
  const wrong = (what: string) => new UserError(EXIT_CODES.usage, `--set ${text}: ${what}, expected NAME=VALUES, where VALUES is a list such as 64,128 or a range such as 64:4096:*2 or 64:512:64`);
  const found = /^(\w+)=(.+)$/.exec(text);
  if (!found) throw wrong("no name with values");
  const [, name = "", list = ""] = found;
  const values = list.split(",").flatMap((part): number[] => {
    const [from, to, step, ...more] = part.split(":");
    const number = (word: string | undefined) => (word !== undefined && /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(word) ? Number(word) : NaN);
    if (to === undefined) {
      if (Number.isNaN(number(from))) throw wrong(`${JSON.stringify(part)} is no number`);
      return [number(from)];
    }
    const factor = step?.startsWith("*") ?? false;
    const [begin, end, by] = [number(from), number(to), step === undefined ? 1 : number(step.replace(/^[*+]/, ""))];
    if (more.length > 0 || [begin, end, by].some(Number.isNaN)) throw wrong(`${JSON.stringify(part)} is no range`);
    if (begin > end || (factor ? by <= 1 || begin <= 0 : by <= 0)) throw wrong(`${JSON.stringify(part)} never reaches its end`);
    const values: number[] = [];
    for (let value = begin; value <= end; value = factor ? value * by : value + by) {
      if (values.push(value) > MOST_VALUES) throw wrong(`${JSON.stringify(part)} has more than ${MOST_VALUES} values`);
    }
    return values;
  });
  return { name, values: [...new Set(values)] };
}

/** Names of the constants that a kernel's templates have, whether tunable or not. */
function constantsIn(kernel: Kernel): string[] {
  return [...new Set(Object.values(kernel.variants).flatMap(({ source }) => [...defaultsOf(source).keys()]))];
}

/** Sweeps over sizes and over constants apart. Errors: UserError 2 where a name belongs to none of the kernels. */
export function sortSweeps(sweeps: readonly Sweep[], kernels: readonly Kernel[]): { readonly sizes: readonly Sweep[]; readonly constants: readonly Sweep[] } {
  const given = (kernel: Kernel) => [...kernel.dims, ...kernel.scalars];
  const isConstant = ({ name }: Sweep) => kernels.some((kernel) => constantsIn(kernel).includes(name));
  for (const { name } of sweeps) {
    if (kernels.some((kernel) => given(kernel).includes(name) || constantsIn(kernel).includes(name))) continue;
    const known = [...new Set(kernels.flatMap((kernel) => [...given(kernel), ...constantsIn(kernel)]))];
    throw new UserError(EXIT_CODES.usage, `--set ${name}: ${kernels.map((kernel) => kernel.name).slice(0, 3).join(", ")}${kernels.length > 3 ? "…" : ""} has no such size or constant, expected one of ${known.join(", ")}`, suggest(name, known).slice(0, 1).map((near) => `Did you mean ${near}?`));
  }
  return { sizes: sweeps.filter((sweep) => !isConstant(sweep)), constants: sweeps.filter(isConstant) };
}

/** All combinations, the last name fastest. */
export function combine(sweeps: readonly Sweep[]): Readonly<Record<string, number>>[] {
  return sweeps.reduce<Readonly<Record<string, number>>[]>((made, { name, values }) => made.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))), [{}]);
}

/** Whether a name written by a person is part of this one: `layerNorm`, `layer_norm` and `layer-norm` are the same. */
export function matchesName(pattern: string, name: string): boolean {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, "");
  return plain(name).includes(plain(pattern));
}

/**
 * The problems of kernels whose `kernel case` matches: the cases made for benches, or, with swept sizes, each of those at each
 * combination; a kernel that has none gives its largest case. Sizes that follow from others cannot be set.
 */
export function listProblems(kernels: readonly Kernel[], pattern: string | undefined, sizes: readonly Sweep[]): BenchProblem[] {
  const problems = new Map<string, BenchProblem>();
  for (const kernel of kernels) {
    const all = Object.entries(kernel.cases);
    const largest = all.map(([name, one]) => ({ name, flops: kernel.flops(completeNumbers(kernel, one.numbers)) })).sort((x, y) => y.flops - x.flops)[0];
    const made = all.filter(([, { bench }]) => bench);
    const named = (made.length > 0 ? made : sizes.length > 0 ? all.filter(([name]) => name === largest?.name) : []).filter(([name]) => pattern === undefined || matchesName(pattern, `${kernel.name} ${name}`));
    const own = sizes.filter(({ name }) => kernel.dims.includes(name) || kernel.scalars.includes(name));
    if (own.length < sizes.length) continue;
    for (const [name, { numbers, flags = [] }] of named)
      for (const changed of combine(own)) {
        const full = completeNumbers(kernel, { ...numbers, ...changed });
        const ignored = Object.entries(changed).find(([dim, value]) => full[dim] !== value);
        if (ignored) throw new UserError(EXIT_CODES.usage, `--set ${ignored[0]}: it follows from the other sizes of ${kernel.name}, expected one of ${kernel.dims.filter((dim) => dim in numbers).join(", ")}`);
        const problem = { kernel, name: own.length > 0 ? Object.entries(changed).map(([dim, value]) => `${dim}=${value}`).join(" ") : name, numbers: full, flags };
        const key = `${kernel.name} ${[...flags].sort().join()} ${JSON.stringify(full)}`;
        if (!problems.has(key)) problems.set(key, problem);
      }
  }
  return [...problems.values()];
}
