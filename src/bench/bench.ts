// The kernel bench: every `bench: true` case of the catalogue in every variant, verified, timed and held against measured peaks.
import * as catalogue from "../../kernels/index.ts";
import { copyProbe } from "../../kernels/probe/copy.ts";
import { fmaProbe } from "../../kernels/probe/fma.ts";
import { type Blueprint, tryVariant } from "../kernel/blueprint.ts";
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers } from "../kernel/define.ts";
import { epsilonOf, toNumbers } from "../kernel/dtype.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { allowanceOf } from "../engine/tolerance.ts";
import { createWorkload, medianAndSpread, problemOf, race, type Contestant, type Workload } from "./measure.ts";

export interface BenchOptions {
  /** Matches `kernel case`; all where absent. */
  readonly pattern?: RegExp;
  /** Names of variants; all where absent. */
  readonly variants?: readonly string[];
  /** All that the device and the kernel have, where absent. */
  readonly dtype?: "f32" | "f16";
  /** Shortest measured pass; 20 unless said. */
  readonly minMilliseconds?: number;
  /** Measurements of each variant; 5 unless said. */
  readonly rounds?: number;
  /** Cases of more arithmetic operations are left out. */
  readonly maxFlops?: number;
  /** Called after each row. */
  readonly onRow?: (row: BenchRow, peaks: Peaks) => void;
  /** Asked between cases: true ends the bench with the rows there are. */
  readonly stop?: () => boolean;
}

/** What the device reached in the probes. */
export interface Peaks {
  /** Arithmetic operations a second. */
  readonly flops: number;
  /** Bytes read and written a second. */
  readonly bytes: number;
}

export interface BenchRow {
  readonly name: string;
  readonly case: string;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  readonly flags: readonly string[];
  readonly numbers: Numbers;
  /** Constants of the blueprint that differ from the template's. */
  readonly constants: Readonly<Record<string, number>>;
  /** Whether the kernel's own choice on this device is this variant. */
  readonly chosen: boolean;
  readonly milliseconds: number;
  /** Median distance from the median, as a share of it. */
  readonly spread: number;
  readonly gflops: number;
  readonly gbytes: number;
  readonly bytes: number;
  /** Which peak bounds it, and how much of that it reaches. */
  readonly bound: "compute" | "memory";
  readonly share: number;
  /** Whether its outputs agree with those of `naive`. */
  readonly verified: boolean;
  readonly reason?: string;
}

export interface BenchReport {
  readonly date: string;
  readonly device: Fingerprint;
  readonly peaks: Peaks;
  readonly rows: readonly BenchRow[];
}

/** Runs the bench. A variant that the device or the size rules out has no row; one that is wrong has a row that says so. */
export async function benchKernels(engine: Engine, options: BenchOptions = {}): Promise<BenchReport> {
  const date = new Date().toISOString();
  const peaks = await measurePeaks(engine, options.minMilliseconds);
  const rows: BenchRow[] = [];
  for (const kernel of Object.values(catalogue))
    for (const [name, { numbers, flags = [], bench }] of Object.entries(kernel.cases)) {
      if (!bench || (options.pattern && !options.pattern.test(`${kernel.name} ${name}`))) continue;
      const full = completeNumbers(kernel, numbers);
      if (kernel.flops(full) > (options.maxFlops ?? Infinity)) continue;
      for (const dtype of kernel.dtypes) {
        if (options.dtype && options.dtype !== dtype) continue;
        if (options.stop?.()) return { date, device: engine.device.fingerprint, peaks, rows };
        for (const row of await benchCase(engine, kernel, name, full, flags, dtype, peaks, options)) {
          rows.push(row);
          options.onRow?.(row, peaks);
        }
      }
    }
  return { date, device: engine.device.fingerprint, peaks, rows };
}

/** The best that the probes reach: the roof of every row. */
export async function measurePeaks(engine: Engine, minMilliseconds = 20): Promise<Peaks> {
  const cpu = engine.device.traits.barriers === "dear";
  const best = async (kernel: Kernel, numbers: Numbers, of: (workload: Workload) => number) => {
    const full = completeNumbers(kernel, numbers);
    const problem = problemOf(kernel, "peak", full, [], "f32");
    const workload = await createWorkload(engine, problem, full);
    try {
      const contestants: Contestant[] = [];
      for (const variant of Object.keys(kernel.variants)) {
        const tried = tryVariant({ kernel, numbers: full, flags: new Set(), dtype: "f32" }, engine.device.traits, variant);
        if ("blueprint" in tried) contestants.push(await workload.prepare(tried.blueprint));
      }
      const samples = await race(contestants, minMilliseconds, 5);
      return of(workload) / (Math.min(...samples.flat()) / 1e3);
    } finally {
      workload.dispose();
    }
  };
  // Enough lanes to fill the device, enough steps to hide the start; then more bytes than caches hold.
  const flops = await best(fmaProbe, cpu ? { n: 2 ** 14, steps: 256 } : { n: 2 ** 21, steps: 512 }, (w) => w.flops);
  const bytes = await best(copyProbe, { n: cpu ? 2 ** 22 : 2 ** 25 - 1024 }, (w) => w.bytes);
  return { flops, bytes };
}

async function benchCase(
  engine: Engine,
  kernel: Kernel,
  name: string,
  numbers: Numbers,
  flags: readonly string[],
  dtype: "f32" | "f16",
  peaks: Peaks,
  options: BenchOptions,
): Promise<BenchRow[]> {
  const { traits } = engine.device;
  const problem = { kernel, numbers, flags: new Set(flags), dtype };
  const naive = tryVariant(problem, traits, "naive");
  if ("reason" in naive) return [];
  const blueprints: Blueprint[] = [];
  const preferred = kernel.choose(numbers, traits, problem.flags, dtype);
  for (const variant of Object.keys(kernel.variants)) {
    if (options.variants && !options.variants.includes(variant)) continue;
    const tried = tryVariant(problem, traits, variant, preferred.find((choice) => choice.variant === variant)?.params ?? {});
    if ("blueprint" in tried) blueprints.push(tried.blueprint);
  }
  const favourite = preferred.map(({ variant }) => variant).find((variant) => "blueprint" in tryVariant(problem, traits, variant)) ?? "naive";
  const workload = await createWorkload(engine, problemOf(kernel, name, numbers, flags, dtype), numbers);
  try {
    const expected = await workload.outputs(await workload.prepare(naive.blueprint));
    const contestants: Contestant[] = [];
    const complaints: (string | undefined)[] = [];
    for (const blueprint of blueprints) {
      const contestant = await workload.prepare(blueprint);
      contestants.push(contestant);
      complaints.push(differences(kernel, problem, expected, await workload.outputs(contestant)));
    }
    const samples = await race(contestants, options.minMilliseconds ?? 20, options.rounds ?? 5);
    return contestants.map(({ blueprint }, i): BenchRow => {
      const { median, spread } = medianAndSpread(samples[i]!);
      const seconds = median / 1e3;
      const compute = workload.flops / peaks.flops;
      const memory = workload.bytes / peaks.bytes;
      const reason = complaints[i];
      return {
        name: kernel.name,
        case: name,
        variant: blueprint.variant,
        dtype,
        flags: blueprint.flags,
        numbers,
        constants: blueprint.constants,
        chosen: blueprint.variant === favourite,
        milliseconds: median,
        spread: spread / median,
        gflops: workload.flops / seconds / 1e9,
        gbytes: workload.bytes / seconds / 1e9,
        bytes: workload.bytes,
        bound: compute >= memory ? "compute" : "memory",
        share: Math.max(compute, memory) / seconds,
        verified: reason === undefined,
        ...(reason === undefined ? {} : { reason }),
      };
    });
  } finally {
    workload.dispose();
  }
}

/**
 * Where the outputs of two variants differ by more than two orders of summation explain. Each of the `ops` operations behind
 * an output rounds by up to 2^-24 of a partial result no larger than the output's RMS: a random walk with a standard
 * deviation of sqrt(ops) 2^-24 RMS for each of the two, of which eight are allowed (one in 10^15 exceeds that by chance),
 * besides the rounding to the stored type and what the built-ins may err. Integers must be equal.
 */
function differences(
  kernel: Kernel,
  { numbers, flags, dtype }: { readonly numbers: Numbers; readonly flags: ReadonlySet<string>; readonly dtype: "f32" | "f16" },
  expected: Awaited<ReturnType<Workload["outputs"]>>,
  got: Awaited<ReturnType<Workload["outputs"]>>,
): string | undefined {
  const elements = activeArgs(kernel, flags).filter(({ arg }) => arg.access !== "read").map(({ arg }) => elementCount(arg, numbers));
  const walk = 8 * Math.sqrt(2 * Math.max(1, kernel.flops(numbers) / Math.max(1, ...elements))) * 2 ** -24;
  for (const [name, want] of expected) {
    const have = got.get(name);
    if (!have) return `${name} is missing`;
    const truth = toNumbers(want.dtype, want.data);
    const values = toNumbers(have.dtype, have.data);
    const integer = want.dtype === "u32" || want.dtype === "i32";
    const rms = Math.sqrt(truth.reduce((sum, x) => sum + x * x, 0) / Math.max(1, truth.length));
    const relative = integer ? 0 : walk + 2 * allowanceOf(kernel.builtins) + 2 * epsilonOf(dtype);
    for (let i = 0; i < truth.length; i++) {
      const error = Math.abs(values[i]! - truth[i]!);
      if (!(error <= relative * Math.max(Math.abs(truth[i]!), rms))) return `${name}[${i}] is ${values[i]}, naive gives ${truth[i]}`;
    }
  }
  return undefined;
}
