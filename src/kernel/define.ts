// The declaration of a kernel: one object from which tests, gradients, benches, tuning and documentation are derived.
import type { Dtype } from "./dtype.ts";
import type { Split } from "./split.ts";

/** Element type of an argument: fixed, or `elem`, the type that the blueprint chooses (`alias Elem` of the template). */
export type ArgDtype = Dtype | "elem";

/** How a kernel touches an argument. `write` is fully overwritten; `update` is read and written in place (state). */
export type Access = "read" | "write" | "update";

/** An argument: a storage buffer whose shape is written in the kernel's dimension letters. */
export interface Arg {
  readonly access: Access;
  readonly shape: readonly (string | number)[];
  readonly dtype: ArgDtype;
  /** Flag that brings this argument into being. */
  readonly flag?: string;
  /** Flag that takes it away. */
  readonly unless?: string;
}

/** An input of the given shape. */
export function read(...shape: (string | number)[]): Arg {
  return { access: "read", shape, dtype: "elem" };
}
/** An output of the given shape: every element is written. */
export function write(...shape: (string | number)[]): Arg {
  return { access: "write", shape, dtype: "elem" };
}
/** State that is read and written in place. */
export function update(...shape: (string | number)[]): Arg {
  return { access: "update", shape, dtype: "elem" };
}
/** The same argument with a fixed element type. */
export function as(dtype: Dtype, arg: Arg): Arg {
  return { ...arg, dtype };
}
/** The same argument, there only with the flag. */
export function when(flag: string, arg: Arg): Arg {
  return { ...arg, flag };
}
/** The same argument, there only without the flag. */
export function unless(flag: string, arg: Arg): Arg {
  return { ...arg, unless: flag };
}

/** A product that a subgroup computes as one: M × K elements of `component` times K × N of them, added to M × N sums of `result`. */
export interface MatrixShape {
  readonly component: "f16" | "f32";
  readonly result: "f16" | "f32";
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What the device offers, as far as kernels may ask. Never a vendor's name. */
export interface Traits {
  readonly features: ReadonlySet<string>;
  /** Bounds of the subgroup width; both 1 where the device has no subgroups. */
  readonly subgroupMin: number;
  readonly subgroupMax: number;
  /** Workgroup memory in bytes. */
  readonly workgroupMemory: number;
  /** Invocations in a workgroup. */
  readonly invocations: number;
  /** Whether barriers and workgroup memory cost little (GPUs) or much (processors that emulate one). */
  readonly barriers: "cheap" | "dear";
  /** Subgroup matrices that the device was seen to multiply rightly. */
  readonly matrices: readonly MatrixShape[];
}

/** Whether a device multiplies subgroup matrices of this shape. */
export function offersMatrix({ matrices }: Traits, { component, result, M, N, K }: MatrixShape): boolean {
  return matrices.some((one) => one.component === component && one.result === result && one.M === M && one.N === N && one.K === K);
}

/** Value of a template constant by name; asking for one that does not exist is an error of the kernel's author. */
export type Constants = (name: string) => number;

export interface Variant<Numbers, Flag extends string> {
  /** The template's text. */
  readonly source: string;
  /** Workgroups to launch along x, y, z; any size, the engine cuts what a device cannot take at once. */
  readonly grid: (numbers: Numbers, constant: Constants, flags: ReadonlySet<Flag>) => readonly [number, number, number];
  /** Tunable constants of the template with the values worth trying. The default stands in the template. */
  readonly params?: Readonly<Record<string, readonly number[]>>;
  /** Template constants that follow from the problem or the device: each value is a pipeline of its own. */
  readonly specialize?: Readonly<Record<string, (numbers: Numbers, traits: Traits) => number>>;
  /** Shared functions of this variant alone, in place of the kernel's under the same name. */
  readonly libraries?: Readonly<Record<string, string>>;
  /** Element types that it takes; all of the kernel's unless said. */
  readonly dtypes?: readonly ("f32" | "f16")[];
  /** The variant that it stands in for on devices without what that needs: it is checked like any other, but nothing ever chooses it. */
  readonly standsInFor?: string;
  /** Device features without which the variant cannot run. */
  readonly needs?: readonly string[];
  /** Whether the variant can take this problem on this device. Absent: any. */
  readonly legal?: (numbers: Numbers, traits: Traits, flags: ReadonlySet<Flag>, constant: Constants) => boolean;
  /** Dimensions that a constant cuts into tiles: the tests try sizes around each multiple. */
  readonly tiles?: Readonly<Record<string, string>>;
}

/** A variant to use, with constants other than the template's own where given. */
export interface Choice {
  readonly variant: string;
  readonly params?: Readonly<Record<string, number>>;
}

/** One problem that tests and benches use. */
export interface Case<Numbers, Flag extends string> {
  readonly numbers: Numbers;
  readonly flags?: readonly Flag[];
  /** Whether `cytonet bench` has a row for it. */
  readonly bench?: boolean;
}

/** What a reference is run with. */
export interface ReferenceContext<Flag extends string> {
  /** Identity for the truth in f64; rounding to f32 for the yardstick of what f32 arithmetic in plain order loses. */
  readonly round: (x: number) => number;
  has(flag: Flag): boolean;
}

/** A stage that a kernel can apply to its result before storing it. */
export interface EpilogueStage {
  /** Name under which other kernels offer themselves, e.g. `relu` or `residual`. */
  readonly name: string;
  /** Flag that turns it on. */
  readonly flag: string;
  /** Argument that receives the second operand, for stages that have one. */
  readonly arg?: string;
}

/** A way in which a kernel's whole work can be done as the epilogue of the kernel that made one of its inputs. */
export interface EpilogueOffer {
  readonly stage: string;
  /** The argument that must come from the other kernel. */
  readonly input: string;
  /** The argument that becomes the stage's second operand. */
  readonly other?: string;
  readonly output: string;
}

/** Built-in functions whose accuracy the WGSL specification bounds; see `allowance` in the check. */
export type Builtin = "division" | "exp" | "log" | "inverseSqrt" | "sqrt" | "sin" | "tanh" | "erf";

/** What an author writes. The type parameters are inferred from `args`, `dims`, `scalars` and `flags`. */
export interface KernelSpec<A extends Record<string, Arg>, D extends string, S extends string, F extends string> {
  readonly name: string;
  /** One or two sentences with formula and bounds. */
  readonly doc: string;
  /** Sizes, as u32 members of the template's `Uniforms`, in this order after `origin`. */
  readonly dims: readonly D[];
  /** Further f32 members of `Uniforms`, after the sizes. */
  readonly scalars?: readonly S[];
  readonly flags?: readonly F[];
  /** Arguments in binding order: the first is `@binding(1)`, whether or not its flag is on; 0 holds the uniforms. */
  readonly args: A;
  /** Dims that follow from the others: neither callers nor cases give them. */
  readonly derive?: (numbers: Readonly<Record<D | S, number>>) => Partial<Record<D, number>>;
  /** Shared functions by the name that `//#use` calls them. */
  readonly libraries?: Readonly<Record<string, string>>;
  /** `naive` is the readable specification and must exist. */
  readonly variants: { readonly naive: Variant<Readonly<Record<D | S, number>>, F> } & Readonly<
    Record<string, Variant<Readonly<Record<D | S, number>>, F>>
  >;
  /** Variants in order of preference; the first legal one is used. Absent: the last declared first. */
  readonly choose?: (
    numbers: Readonly<Record<D | S, number>>,
    traits: Traits,
    flags: ReadonlySet<F>,
    dtype: Dtype,
  ) => readonly Choice[];
  /** Element types that `Elem` may take; ["f32", "f16"] unless said. */
  readonly dtypes?: readonly ("f32" | "f16")[];
  /** Arithmetic operations (a multiply-add is two). */
  readonly flops: (numbers: Readonly<Record<D | S, number>>) => number;
  /** How often each built-in of bounded accuracy acts on the way to one output (for exp: |argument| at most, in units of 1). */
  readonly builtins?: Partial<Record<Builtin, number>>;
  /** The formula, in plain loops over f64 arrays: fills the outputs. Arguments whose flag is off are empty. */
  readonly reference: (
    args: { readonly [K in keyof A]: Float64Array },
    numbers: Readonly<Record<D | S, number>>,
    context: ReferenceContext<F>,
  ) => void;
  /** Values for test inputs where uniform numbers in [-1, 1) do not fit. `random` gives [0, 1). */
  readonly inputs?: {
    readonly [K in keyof A]?: (random: () => number, index: number, numbers: Readonly<Record<D | S, number>>) => number;
  };
  readonly cases: Readonly<Record<string, Case<Readonly<Partial<Record<D | S, number>>>, F>>>;
  /**
   * Sizes that may change on their own in any case, each with the least it may be: a number, or another size. The check draws
   * ragged ones for them. Not those that are specialised: each value would be a pipeline.
   */
  readonly free?: Readonly<Partial<Record<D, number | D>>>;
  /** What the kernel can apply to its output before storing, in the order of application. */
  readonly epilogue?: { readonly output: string; readonly stages: readonly EpilogueStage[] };
  /** Ways in which this kernel can become somebody's epilogue; none by default. */
  readonly asEpilogue?: (numbers: Readonly<Record<D | S, number>>, flags: ReadonlySet<F>) => readonly EpilogueOffer[];
  /** How a problem whose arguments exceed what a binding holds is cut; absent where it cannot be. */
  readonly split?: Split;
  /** A gradient rule exists in `src/ops`, or the reason why the kernel has none. */
  readonly gradient: "op" | { readonly none: string };
}

export type Numbers = Readonly<Record<string, number>>;

/** A kernel as the engine sees it: the same declaration with the author's types forgotten. */
export interface Kernel {
  readonly name: string;
  readonly doc: string;
  readonly dims: readonly string[];
  readonly scalars: readonly string[];
  readonly flags: readonly string[];
  readonly args: Readonly<Record<string, Arg>>;
  readonly derive: (numbers: Numbers) => Partial<Numbers>;
  readonly libraries: Readonly<Record<string, string>>;
  readonly variants: Readonly<Record<string, Variant<Numbers, string>>>;
  readonly choose: (numbers: Numbers, traits: Traits, flags: ReadonlySet<string>, dtype: Dtype) => readonly Choice[];
  readonly dtypes: readonly ("f32" | "f16")[];
  readonly flops: (numbers: Numbers) => number;
  readonly builtins: Partial<Record<Builtin, number>>;
  readonly reference: (args: Record<string, Float64Array>, numbers: Numbers, context: ReferenceContext<string>) => void;
  readonly inputs: Readonly<Record<string, ((random: () => number, index: number, numbers: Numbers) => number) | undefined>>;
  readonly cases: Readonly<Record<string, Case<Numbers, string>>>;
  readonly free: Readonly<Record<string, number | string>>;
  readonly epilogue?: { readonly output: string; readonly stages: readonly EpilogueStage[] };
  readonly asEpilogue: (numbers: Numbers, flags: ReadonlySet<string>) => readonly EpilogueOffer[];
  readonly split?: Split;
  readonly gradient: "op" | { readonly none: string };
}

/** Declares a kernel. The author's types check the declaration; the result is plain data. */
export function defineKernel<
  const A extends Record<string, Arg>,
  const D extends string,
  const S extends string = never,
  const F extends string = never,
>(spec: KernelSpec<A, D, S, F>): Kernel {
  const names = Object.keys(spec.variants);
  const erased = {
    scalars: [],
    flags: [],
    derive: () => ({}),
    libraries: {},
    dtypes: ["f32", "f16"],
    builtins: {},
    inputs: {},
    free: {},
    asEpilogue: () => [],
    choose: () => [...names].reverse().map((variant) => ({ variant })),
    ...spec,
  };
  // The author's names are narrower than strings; the engine passes exactly the declared ones.
  return erased as unknown as Kernel;
}

/** All numbers of a problem: the given ones and those that follow. Throws where one is missing or no number. */
export function completeNumbers(kernel: Kernel, given: Numbers): Numbers {
  const numbers = { ...given, ...kernel.derive(given) } as Record<string, number>;
  for (const dim of kernel.dims) {
    const value = numbers[dim];
    if (value === undefined || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw new RangeError(`${kernel.name}: dimension ${dim} is ${value}, expected an integer from 0 to 2^32-1`);
  }
  for (const scalar of kernel.scalars)
    if (typeof numbers[scalar] !== "number") throw new RangeError(`${kernel.name}: scalar ${scalar} is missing`);
  return numbers;
}

/** Elements of an argument in a problem. */
export function elementCount(arg: Arg, numbers: Numbers): number {
  let count = 1;
  for (const dim of arg.shape) count *= typeof dim === "number" ? dim : (numbers[dim] ?? NaN);
  return count;
}

/** The arguments that exist under these flags, with their binding numbers. */
export function activeArgs(kernel: Kernel, flags: ReadonlySet<string>): { name: string; binding: number; arg: Arg }[] {
  return Object.entries(kernel.args)
    .map(([name, arg], index) => ({ name, binding: index + 1, arg }))
    .filter(({ arg }) => (arg.flag === undefined || flags.has(arg.flag)) && (arg.unless === undefined || !flags.has(arg.unless)));
}

/** Smallest integer not below a/b. */
export function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}
