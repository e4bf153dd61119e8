// Whether a measured variant is right: against the f64 reference where that is cheap, else against `naive` within what rounding explains.
import { completeNumbers, activeArgs, elementCount, type Numbers } from "../kernel/define.ts";
import { type Dtype, epsilonOf, type HostArray, toNumbers } from "../kernel/dtype.ts";
import { type CheckCase, makeInputs, runReference } from "../engine/check.ts";
import { allowanceOf, compare, nearby } from "../engine/tolerance.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";

export type Outputs = ReadonlyMap<string, { readonly dtype: Dtype; readonly data: HostArray }>;

/** What is wrong with some outputs, or undefined. */
export type Verifier = (got: Outputs) => string | undefined;

interface Budget {
  readonly flops: number;
  readonly elements: number;
}

/** Work of a reference that is quick beside the measurement; it runs twice, for the truth and for the yardstick. */
const WHOLE: Budget = { flops: 1e7, elements: 2e6 };
/** The same of one of several cuts. */
const CUT: Budget = { flops: 2e6, elements: 3e5 };

/**
 * Judges the outputs of one problem. A problem that is small enough is held to the rule of the check: four times the error of f32
 * arithmetic in plain order, an ulp, and the built-ins' allowance. A larger one is compared with `naive`, which errs too: each may
 * be off by four times the yardstick's error, which is measured where one size is cut until the reference is quick (an error
 * grows with the sizes that are summed over; of the cuts the worst counts, so one that leaves those whole decides), and by no
 * less than a random walk of roundings: `ops` roundings of 2^-24 of the RMS have a standard deviation of sqrt(ops) 2^-24 RMS,
 * of which eight are allowed (one in 10^15 exceeds that by chance).
 */
export function createVerifier(problem: CheckCase, naive: Outputs): Verifier {
  const numbers = completeNumbers(problem.kernel, problem.numbers);
  return isQuick(problem, numbers, WHOLE) ? againstTruth(problem) : againstNaive(problem, numbers, naive);
}

function isQuick({ kernel, flags }: CheckCase, numbers: Numbers, most: Budget): boolean {
  return kernel.flops(numbers) <= most.flops && activeArgs(kernel, new Set(flags)).reduce((sum, { arg }) => sum + elementCount(arg, numbers), 0) <= most.elements;
}

function againstTruth(problem: CheckCase): Verifier {
  const { truth, yardstick } = evaluate(problem, makeInputs(problem));
  let around: Map<string, number> | undefined;
  return (got) => {
    for (const [name, expected] of truth) {
      const have = got.get(name);
      if (!have) return `${name} is missing`;
      const compareWith = (least: number) => compare(toNumbers(have.dtype, have.data), expected, yardstick.get(name)!, have.dtype, allowanceOf(problem.kernel.builtins), least);
      let found = compareWith(0);
      // Few outputs may happen to be exact in plain order.
      if (!found.ok) found = compareWith((around ??= measureAround(problem)).get(name) ?? 0);
      const { ok, index, got: value, expected: right } = found;
      if (!ok) return `${name}[${index}] is ${value}, the reference gives ${right}`;
    }
    return undefined;
  };
}

/** The yardstick's largest errors at points near the inputs. */
function measureAround(problem: CheckCase): Map<string, number> {
  const { kernel, dtype, seed } = problem;
  const isFloat = (name: string) => ["f32", "f16"].includes(kernel.args[name]!.dtype === "elem" ? dtype : kernel.args[name]!.dtype);
  return nearby(randomStream(keyOfSeed(seed), [0, 0, 4]).uniform, (shift) => {
    const inputs = new Map([...makeInputs(problem)].map(([name, value]) => [name, isFloat(name) ? value.map((x) => Math.fround(shift(x))) : value]));
    const { truth, yardstick } = evaluate(problem, inputs);
    return new Map([...truth].map(([name, right]) => [name, { truth: right, yardstick: yardstick.get(name)! }]));
  });
}

function evaluate(problem: CheckCase, inputs: ReadonlyMap<string, Float64Array>): { readonly truth: Map<string, Float64Array>; readonly yardstick: Map<string, Float64Array> } {
  return { truth: runReference(problem, inputs, false), yardstick: runReference(problem, inputs, true) };
}

function againstNaive(problem: CheckCase, numbers: Numbers, naive: Outputs): Verifier {
  const { kernel, flags, dtype } = problem;
  const elements = activeArgs(kernel, new Set(flags)).filter(({ arg }) => arg.access !== "read").map(({ arg }) => elementCount(arg, numbers));
  const walk = 8 * Math.sqrt(2 * Math.max(1, kernel.flops(numbers) / Math.max(1, ...elements))) * 2 ** -24;
  const yard = measureYardstick(problem, numbers);
  return (got) => {
    for (const [name, want] of naive) {
      const have = got.get(name);
      if (!have) return `${name} is missing`;
      const expected = toNumbers(want.dtype, want.data);
      const values = toNumbers(have.dtype, have.data);
      const integer = want.dtype === "u32" || want.dtype === "i32";
      const rms = rmsOf(expected);
      const relative = integer ? 0 : Math.max(walk, 2 * 4 * (yard.get(name) ?? 0)) + 2 * allowanceOf(kernel.builtins) + 2 * epsilonOf(dtype);
      for (let i = 0; i < expected.length; i++) {
        if (!(Math.abs(values[i]! - expected[i]!) <= relative * Math.max(Math.abs(expected[i]!), rms))) return `${name}[${i}] is ${values[i]}, naive gives ${expected[i]}`;
      }
    }
    return undefined;
  };
}

/** Largest error of f32 arithmetic in plain order by output, relative to its RMS: the worst over cuts of one free size each. */
function measureYardstick(problem: CheckCase, numbers: Numbers): Map<string, number> {
  const { kernel } = problem;
  const worst = new Map<string, number>();
  for (const [dim, least] of Object.entries(kernel.free)) {
    const from = typeof least === "number" ? least : (numbers[least] ?? 1);
    let cut: Numbers = numbers;
    // Multiples of four stay such: some cases are made of whole vectors.
    for (let size = numbers[dim] ?? 0; !isQuick(problem, cut, CUT) && size / 2 >= Math.max(4, from); ) {
      size = Math.max(4, Math.floor(size / 8) * 4);
      cut = completeNumbers(kernel, { ...numbers, [dim]: size });
    }
    if (!isQuick(problem, cut, CUT)) continue;
    const { truth, yardstick } = evaluate({ ...problem, numbers: cut }, makeInputs({ ...problem, numbers: cut }));
    for (const [name, right] of truth) {
      const rms = rmsOf(right);
      const error = right.reduce((most, x, i) => Math.max(most, Math.abs(yardstick.get(name)![i]! - x)), 0);
      if (rms > 0 && Number.isFinite(error)) worst.set(name, Math.max(worst.get(name) ?? 0, error / rms));
    }
  }
  return worst;
}

function rmsOf(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2;
  return Math.sqrt(squares / Math.max(1, values.length));
}
