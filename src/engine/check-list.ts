// Which checks there are: the cases of every variant and type, sizes around its tiles, shapes drawn by seed, other constants, other orders, indices watched.
import { blueprintKey, chooseBlueprint, constantsOf, tryVariant } from "../kernel/blueprint.ts";
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers, type Traits } from "../kernel/define.ts";
import { keyOfSeed, randomStream, type RandomStream } from "../kernel/rng.ts";
import { hasBarrier } from "./check-order.ts";
import { printNumbers } from "./trace.ts";

/** One thing to check. */
export interface CheckCase {
  readonly kernel: Kernel;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  readonly flags: readonly string[];
  readonly numbers: Numbers;
  readonly params?: Readonly<Record<string, number>>;
  readonly seed: number;
  /** Name of the case it comes from. */
  readonly name: string;
  /** Whether the invocations of a workgroup change places, so that none finds its neighbours in its own subgroup: see check-order.ts. */
  readonly scattered?: boolean;
  /** Whether it is not the results that are looked at but the indices, each held to the end of its array: see check-bounds.ts. */
  readonly watched?: boolean;
}

export interface ListOptions {
  /** Of the inputs' values and of the shapes that are drawn; 1 unless given. */
  readonly seed?: number;
  /** Also sizes around tiles, drawn shapes, other constants and scattered invocations: only the declared cases unless given. */
  readonly ragged?: boolean;
  /** Device for which sizes are chosen. Without it tiles are tried with sizes that a variant may not take, and no shapes are drawn. */
  readonly traits?: Traits;
}

/** Work above which a case is for benches only: its f64 reference would take seconds. */
const MAX_REFERENCE_FLOPS = 2e7;
/** Elements of all arguments above which comparing them would. */
const MAX_ELEMENTS = 3e5;
/** The same for drawn shapes: there are thousands, and small ones have all the edges. */
const MAX_DRAWN_FLOPS = 4e5;
const MAX_DRAWN_ELEMENTS = 2e4;
/** Shapes drawn for each variant and set of flags in its first type, those in its others, where the template differs by conversions only, and tries for each. */
const DRAWS = 10;
const DRAWS_AGAIN = 6;
const TRIES = 16;
/** Share of the sizes that a draw leaves as the case has them. */
const KEPT = 0.3;

/** What can be checked of a kernel: each declared case in every variant and type, and more where `ragged` asks for it. */
export function listChecks(kernel: Kernel, options: ListOptions = {}): CheckCase[] {
  const { seed = 1, ragged = false, traits } = options;
  const checks: CheckCase[] = [];
  for (const variant of Object.keys(kernel.variants))
    for (const dtype of kernel.variants[variant]!.dtypes ?? kernel.dtypes) {
      const small = Object.entries(kernel.cases)
        .map(([name, { numbers, flags = [] }]): CheckCase => ({ kernel, variant, dtype, flags, numbers, seed, name }))
        .filter((check) => isSmall(check, MAX_REFERENCE_FLOPS, MAX_ELEMENTS));
      const isFirst = dtype === (kernel.variants[variant]!.dtypes ?? kernel.dtypes)[0];
      // Of what is minor, as many forms as have every flag in the first type, and the emptiest and the fullest in the others: the template is the same, but for conversions.
      const forms = byForm(small).filter((form) => !ragged || traits === undefined || form.some((check) => isTaken(check, traits)) || drawShapes(form, traits, 1).length > 0);
      const minor = ragged && traits !== undefined && isMinor(kernel, variant, dtype, traits);
      const declared = minor ? (isFirst ? coverFlags(forms) : forms.filter((_, i) => i === 0 || i === forms.length - 1)).flat() : small;
      // Fewer forms with more shapes each.
      const draws = Math.round(((isFirst ? DRAWS : DRAWS_AGAIN) * forms.length) / Math.max(1, byForm(declared).length));
      const own: CheckCase[] = [];
      for (const check of declared) {
        own.push(check);
        if (ragged) own.push(...aroundTiles(check, traits));
      }
      if (ragged && traits) {
        own.push(...drawShapes(declared, traits, draws));
        if (isFirst) {
          own.push(...otherConstants(declared, traits), ...otherOrders(declared, traits));
          // First, so that an index that goes astray is named before it does harm.
          own.unshift(...watchedIndices(declared, traits));
        }
      }
      checks.push(...new Map(own.map((check) => [checkId(check), check])).values());
    }
  return checks;
}

/**
 * The part of `checks` that needs few pipelines, which take seconds each on software adapters: every form of what the device
 * would choose and of `naive` in f32; of all else (variants for other devices, and these in f16 where there is f16) the forms with the
 * fewest and the most flags, and of what stands in for another variant only the latter. Of a form that the device would not choose it
 * takes one pipeline, where sizes make several. `cytonet check` runs them all.
 */
export function selectQuick(checks: readonly CheckCase[], traits: Traits): CheckCase[] {
  const forms = new Map<string, Set<string>>();
  const groupOf = ({ kernel, variant, dtype }: CheckCase) => `${kernel.name}.${variant} ${dtype}`;
  const formOf = ({ flags }: CheckCase) => [...flags].sort().join();
  const pipelines = new Map<string, string>();
  const pipelineOf = ({ kernel, variant, dtype, flags, numbers, params = {} }: CheckCase) => {
    const tried = tryVariant({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }, traits, variant, params);
    return "blueprint" in tried ? blueprintKey(tried.blueprint) : undefined;
  };
  const width = (form: string) => (form === "" ? 0 : form.split(",").length);
  for (const check of checks) forms.set(groupOf(check), (forms.get(groupOf(check)) ?? new Set()).add(formOf(check)));
  return checks.filter((check) => {
    const { kernel, variant, dtype, numbers } = check;
    if (dtype === "f32") {
      if (variant === "naive") return true;
      const flags = new Set(check.flags);
      if (chooseBlueprint({ kernel, numbers: completeNumbers(kernel, numbers), flags, dtype }, traits).variant === variant) return true;
      // The template is the same in f16, where it has more to get wrong; devices without f16 run this one.
      if (traits.features.has("shader-f16") && (kernel.variants[variant]?.dtypes ?? kernel.dtypes).includes("f16")) return false;
    }
    const sorted = [...forms.get(groupOf(check))!].sort((x, y) => width(x) - width(y));
    const pipeline = pipelineOf(check);
    if (pipeline === undefined) return false;
    const standsIn = kernel.variants[variant]?.standsInFor !== undefined;
    if (formOf(check) !== sorted.at(-1) && (standsIn || formOf(check) !== sorted[0])) return false;
    if (chooseBlueprint({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(check.flags), dtype }, traits).variant === variant) return true;
    const form = `${groupOf(check)} ${formOf(check)}`;
    if (!pipelines.has(form)) pipelines.set(form, pipeline);
    return pipelines.get(form) === pipeline;
  });
}

/** `matmul.naive f32 +bias m=1 n=1 k=1 seed=1`: what `cytonet check --only` takes to run exactly this again. */
export function checkId(check: CheckCase): string {
  const params = Object.entries(check.params ?? {}).map(([name, value]) => ` ${name}=${value}`).join("");
  const how = (check.scattered ? " scattered" : "") + (check.watched ? " watched" : "");
  return `${check.kernel.name}.${check.variant} ${check.dtype}${check.flags.map((f) => ` +${f}`).join("")}${params}${how} ${printNumbers(check.numbers)} seed=${check.seed}`;
}

function isSmall({ kernel, numbers, flags }: CheckCase, flops: number, elements: number): boolean {
  const full = completeNumbers(kernel, numbers);
  return kernel.flops(full) <= flops && activeArgs(kernel, new Set(flags)).reduce((sum, { arg }) => sum + elementCount(arg, full), 0) <= elements;
}

/** Whether the variant takes it on the device. */
function isTaken({ kernel, numbers, flags, dtype, variant, params }: CheckCase, traits: Traits): boolean {
  return "blueprint" in tryVariant({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }, traits, variant, params ?? {});
}

/** One less, as many and one more than a tile, two tiles and a rest, one, and a prime; the next multiple of four where a variant wants those. */
function aroundTiles(check: CheckCase, traits?: Traits): CheckCase[] {
  if (traits && !isTaken(check, traits)) return [];
  const { kernel, variant, dtype, flags, numbers } = check;
  const constant = constantsOf(kernel, { kernel: kernel.name, variant, dtype, flags: [...flags].sort(), constants: check.params ?? {} });
  return Object.entries(kernel.variants[variant]?.tiles ?? {}).flatMap(([dim, name]) => {
    const tile = constant(name);
    const sizes = new Set([1, tile - 1, tile, tile + 1, 2 * tile + 3, 13]);
    return [...sizes].flatMap((size): CheckCase[] => {
      if (size < 1) return [];
      const of = (extent: number): CheckCase => ({ ...check, numbers: { ...numbers, [dim]: extent }, name: `${check.name}, ${dim} = ${extent}` });
      const candidates = traits ? [of(size), of(Math.ceil(size / 4) * 4)].filter((one) => isTaken(one, traits)) : [of(size)];
      return candidates.slice(0, 1).filter((one) => isSmall(one, MAX_REFERENCE_FLOPS, MAX_ELEMENTS));
    });
  });
}

/** Sizes at which kernels have edges: about vectors, subgroups and workgroups. */
const EDGES = [1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 20, 24, 31, 32, 33, 36, 63, 64, 65, 68, 127, 128, 129, 132, 255, 256, 257, 260];

/** Ragged shapes: every free size of a case is drawn, until the variant takes the whole. */
function drawShapes(declared: readonly CheckCase[], traits: Traits, draws = DRAWS): CheckCase[] {
  const drawn: CheckCase[] = [];
  const dims = Object.entries(declared[0]?.kernel.free ?? {});
  if (dims.length === 0) return [];
  for (const cases of byForm(declared)) {
    // The same shapes for every variant that takes them, so that their errors compare.
    const { kernel, flags, seed } = cases[0]!;
    const random = randomStream(keyOfSeed(seed), [hashOf(`${kernel.name} ${[...flags].sort().join()}`), 0, 2]);
    for (let i = 0; i < draws; i++) {
      // The more tries fail, the smaller the sizes; the last ones in fours, for the variants that read vectors.
      for (let attempt = 0; attempt < TRIES; attempt++) {
        const from = cases[random.below(cases.length)]!;
        const most = 300 / 2 ** (attempt % 8);
        const numbers: Record<string, number> = { ...from.numbers };
        for (const [dim, least] of dims) {
          // Some stay as they are: variants for operands that lie in one piece take nothing else.
          if (dims.length > 1 && random.uniform() < KEPT) continue;
          const size = drawSize(random, Math.max(4, most));
          numbers[dim] = Math.max(typeof least === "number" ? least : (numbers[least] ?? 1), attempt < TRIES / 2 ? size : Math.ceil(size / 4) * 4);
        }
        const check: CheckCase = { ...from, numbers, name: `${from.name}, drawn` };
        if (!isSmall(check, MAX_DRAWN_FLOPS, MAX_DRAWN_ELEMENTS) || !isTaken(check, traits)) continue;
        drawn.push(check);
        break;
      }
    }
  }
  return drawn;
}

function drawSize(random: RandomStream, most: number): number {
  const edges = EDGES.filter((size) => size <= most);
  if (random.uniform() < 0.5) return edges[random.below(edges.length)]!;
  return Math.floor(Math.exp(random.uniform() * Math.log(most)));
}

/**
 * The other values of each tunable constant, which a tuner may choose, and the sets that the kernel itself chooses: in the smallest form, with a declared and two drawn shapes. Of what stands in for
 * another variant only the latter: nobody tunes it.
 */
function otherConstants(declared: readonly CheckCase[], traits: Traits): CheckCase[] {
  const [first] = declared;
  if (!first) return [];
  const { kernel, variant, dtype } = first;
  const constant = constantsOf(kernel, { kernel: kernel.name, variant, dtype, flags: [], constants: {} });
  const standsIn = kernel.variants[variant]?.standsInFor !== undefined;
  const single = standsIn ? [] : Object.entries(kernel.variants[variant]?.params ?? {}).flatMap(([name, values]) => values.filter((value) => value !== constant(name)).map((value) => ({ [name]: value })));
  return [...single, ...chosenSets(kernel, variant, dtype, traits).filter((params) => standsIn || Object.keys(params).length > 1)].flatMap((params) => {
    const plain = byForm(declared.map((check) => ({ ...check, params })))[0] ?? [];
    const last = plain.filter((check) => isTaken(check, traits)).slice(-1);
    return [...last, ...drawShapes(last, traits).slice(0, 2)];
  });
}

/** Sets of constants that the kernel chooses for one of its cases, on processors or GPUs; of a stand-in, those of what it stands in for. */
function chosenSets(kernel: Kernel, variant: string, dtype: CheckCase["dtype"], traits: Traits): Readonly<Record<string, number>>[] {
  const name = kernel.variants[variant]?.standsInFor ?? variant;
  const sets = new Map<string, Readonly<Record<string, number>>>();
  for (const { numbers, flags = [] } of Object.values(kernel.cases))
    for (const barriers of ["cheap", "dear"] as const)
      for (const { variant: chosen, params = {} } of kernel.choose(completeNumbers(kernel, numbers), { ...traits, barriers }, new Set(flags), dtype))
        if (chosen === name && Object.keys(params).length > 0) sets.set(JSON.stringify(params), params);
  return [...sets.values()];
}

/** One case of each template with barriers and shapes drawn from it, with the invocations of its workgroups in other places. */
function otherOrders(declared: readonly CheckCase[], traits: Traits): CheckCase[] {
  const [first] = declared;
  if (!first || !hasBarrier(first.kernel, first.variant)) return [];
  const forms = byForm(declared).map((cases) => cases.filter((check) => isTaken(check, traits))).filter((cases) => cases.length > 0);
  const last = (forms[0] ?? []).slice(-1);
  return [...last, ...drawShapes(last, traits)].map((check) => ({ ...check, scattered: true }));
}

/** Shapes with their indices watched, the last declared and those that are drawn: of every form that indexes in its own way, the one with the fewest flags. */
function watchedIndices(declared: readonly CheckCase[], traits: Traits): CheckCase[] {
  const forms = new Map<string, readonly CheckCase[]>();
  for (const cases of byForm(declared)) {
    const { kernel, flags } = cases[0]!;
    // What is added to a result at its own place, or done to it, is read and written where the result is.
    const harmless = new Set([...(kernel.epilogue?.stages ?? []).map(({ flag }) => flag), ...Object.values(kernel.args).flatMap(({ flag, access }) => (access === "read" ? flag ?? [] : []))]);
    const form = flags.filter((flag) => !harmless.has(flag)).sort().join();
    if (!forms.has(form)) forms.set(form, cases);
  }
  return [...forms.values()].flatMap((cases) => [...cases.filter((check) => isTaken(check, traits)).slice(-1), ...drawShapes(cases, traits)].map((check) => ({ ...check, watched: true })));
}

/**
 * Whether a few forms of a variant are enough in a type: it stands in for another one, or the device never chooses it. Each form is a
 * pipeline, and those of tiles for GPUs take software adapters many seconds.
 */
function isMinor(kernel: Kernel, variant: string, dtype: CheckCase["dtype"], traits: Traits): boolean {
  if (kernel.variants[variant]?.standsInFor !== undefined) return true;
  if (variant === "naive" || (dtype === "f16" && !traits.features.has("shader-f16"))) return false;
  return !Object.values(kernel.cases).some(({ numbers, flags = [] }) => chooseBlueprint({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }, traits).variant === variant);
}

/** The forms with the fewest and the most flags, and as many others as it takes to have every flag once. */
function coverFlags(forms: readonly (readonly CheckCase[])[]): (readonly CheckCase[])[] {
  const taken = new Set([forms[0], forms.at(-1)]);
  const missing = new Set(forms.flatMap((form) => form[0]!.flags));
  const news = (form: readonly CheckCase[]) => form[0]!.flags.filter((flag) => missing.has(flag)).length;
  for (let best = forms.at(-1); best && news(best) > 0; best = [...forms].sort((x, y) => news(y) - news(x))[0]) {
    taken.add(best);
    for (const flag of best[0]!.flags) missing.delete(flag);
  }
  return forms.filter((form) => taken.has(form));
}

/** Cases by their flags, those with the fewest first. */
function byForm(checks: readonly CheckCase[]): CheckCase[][] {
  const forms = new Map<string, CheckCase[]>();
  for (const check of checks) {
    const form = [...check.flags].sort().join();
    forms.set(form, [...(forms.get(form) ?? []), check]);
  }
  return [...forms.values()].sort((x, y) => x[0]!.flags.length - y[0]!.flags.length);
}

/** A number for a name (FNV-1a). */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193) >>> 0;
  return hash;
}
