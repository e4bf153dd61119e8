// The kernel bench: cases of the catalogue and sweeps of them in every variant, verified, timed in turns and held against measured peaks.
import * as catalogue from "../../kernels/index.ts";
import { type Blueprint, tryVariant } from "../kernel/blueprint.ts";
import type { Numbers } from "../kernel/define.ts";
import { defaultsOf } from "../kernel/template.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { UserError } from "../errors.ts";
import { createWorkload, problemOf, race, type Contestant } from "./measure.ts";
import { createPacer, measurePeaks, type Pacer, type Peaks } from "./peaks.ts";
import { findFloor, isSettled, leastOf, ratioOfRounds, summarise, type Ratio } from "./statistics.ts";
import { combine, listProblems, sortSweeps, type BenchProblem, type Sweep } from "./sweep.ts";
import { createVerifier } from "./verify.ts";

export { measurePeaks, type Peaks } from "./peaks.ts";

export interface BenchOptions {
  /** Part of `kernel case`, whatever its case, hyphens and underscores; all where absent. */
  readonly pattern?: string;
  /** Sizes and constants to sweep over, see `parseSweep`. */
  readonly sweeps?: readonly Sweep[];
  /** Names of variants; all where absent. */
  readonly variants?: readonly string[];
  /** All that the device and the kernel have, where absent. */
  readonly dtype?: "f32" | "f16";
  /** Shortest measured pass; 10 unless said. */
  readonly minMilliseconds?: number;
  /** Measurements of each variant, at least; 9 unless said. On a busy machine there are up to five times as many, some of them at the end. */
  readonly rounds?: number;
  /** Cases of more arithmetic operations are left out. */
  readonly maxFlops?: number;
  /** Called before each case. */
  readonly onCase?: (name: string, done: number, total: number) => void;
  /** Called after each row. */
  readonly onRow?: (row: BenchRow, peaks: Peaks) => void;
  /** Asked between cases: true ends the bench with the rows there are. */
  readonly stop?: () => boolean;
}

export type Bound = "compute" | "memory" | "launch";

export interface BenchRow {
  readonly name: string;
  readonly case: string;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  readonly flags: readonly string[];
  readonly numbers: Numbers;
  /** Constants of the blueprint that differ from the template's. */
  readonly constants: Readonly<Record<string, number>>;
  /** Whether the kernel's own choice on this device is this variant, with these constants. */
  readonly chosen: boolean;
  /** Median over the rounds, and its median absolute deviation as a share of it; percentiles and all rounds, ms. */
  readonly milliseconds: number;
  readonly spread: number;
  readonly p5: number;
  readonly p25: number;
  readonly p75: number;
  readonly p95: number;
  readonly samples: readonly number[];
  /** What a probe that never changes took in the same rounds, ms: see `compareReports`. */
  readonly pace: readonly number[];
  /** Time as a multiple of the kernel's own choice, round by round, with its 95 % interval; 1 for that itself. */
  readonly relative?: Ratio;
  readonly gflops: number;
  readonly gbytes: number;
  readonly bytes: number;
  readonly flops: number;
  /** Which roof bounds it, and how much of that it reaches. */
  readonly bound: Bound;
  readonly share: number;
  /** Whether its outputs are right: see `createVerifier`. */
  readonly verified: boolean;
  readonly reason?: string;
}

export interface BenchReport {
  readonly date: string;
  readonly device: Fingerprint;
  /** Whose clock: timestamps of the device, or the host's around a submit. */
  readonly clock: "device" | "host";
  readonly peaks: Peaks;
  readonly rows: readonly BenchRow[];
  /** Cases that were not begun because `stop` said so, and those of too many operations. */
  readonly left: readonly string[];
  readonly tooLarge: readonly string[];
  /** What did not compile or did not fit, with the reason. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/** Runs the bench. A variant that the device or the size rules out has no row; one that is wrong has a row that says so. */
export async function benchKernels(engine: Engine, options: BenchOptions = {}): Promise<BenchReport> {
  const date = new Date().toISOString();
  const { jobs, tooLarge } = listJobs(options);
  const measured: Measured[] = [];
  const refused: { name: string; reason: string }[] = [];
  const left: string[] = [];
  options.onCase?.("peaks", 0, jobs.length);
  const peaks = await measurePeaks(engine, options.minMilliseconds);
  const pacer = await createPacer(engine);
  try {
    for (const [i, job] of jobs.entries()) {
      if (left.length > 0 || options.stop?.()) {
        left.push(job.label);
        continue;
      }
      options.onCase?.(job.label, i, jobs.length);
      const found = await benchCase(engine, job, pacer, options, refused);
      if (!found) continue;
      measured.push(found);
      for (const row of describeRows(found, peaks)) options.onRow?.(row, peaks);
    }
    // What was measured while others kept the machine busy gets another chance, later and in other memory.
    for (let visit = 0; visit < VISITS; visit++)
      for (const [i, found] of measured.entries()) {
        if (options.stop?.() || !isDisturbed(found, measured)) continue;
        options.onCase?.(`${found.job.label}, again`, i, measured.length);
        await measureAgain(engine, found, pacer, options, refused);
      }
  } finally {
    pacer.dispose();
  }
  const rows = measured.flatMap((found) => describeRows(found, peaks));
  const clock = engine.device.traits.features.has("timestamp-query") ? "device" : "host";
  return { date, device: engine.device.fingerprint, clock, peaks, rows, left, tooLarge, refused };
}

interface Job extends BenchProblem {
  readonly dtype: "f32" | "f16";
  readonly label: string;
  readonly constants: readonly Sweep[];
}

/** What there is to measure. Errors: UserError 2 where a swept name is unknown. */
export function listJobs(options: Pick<BenchOptions, "pattern" | "sweeps" | "dtype" | "maxFlops">): { jobs: Job[]; tooLarge: string[] } {
  const kernels = Object.values(catalogue);
  const plain = listProblems(kernels, options.pattern, []);
  const swept = (options.sweeps?.length ?? 0) > 0;
  const named = swept && plain.length > 0 ? [...new Set(plain.map(({ kernel }) => kernel))] : kernels;
  const { sizes, constants } = sortSweeps(options.sweeps ?? [], named);
  const problems = sizes.length > 0 ? listProblems(named, options.pattern, sizes) : plain;
  const jobs: Job[] = [];
  const tooLarge: string[] = [];
  for (const problem of problems)
    for (const dtype of problem.kernel.dtypes) {
      if (options.dtype && options.dtype !== dtype) continue;
      const label = `${problem.kernel.name} ${dtype} ${problem.name}`;
      if (problem.kernel.flops(problem.numbers) > (options.maxFlops ?? Infinity)) tooLarge.push(label);
      else jobs.push({ ...problem, dtype, label, constants });
    }
  return { jobs, tooLarge };
}

/** The kernel's own choice, and every variant; with swept constants, each variant that has them at every combination. */
function listBlueprints(engine: Engine, { kernel, numbers, flags, dtype, constants }: Job, variants: readonly string[] | undefined): { blueprint: Blueprint; chosen: boolean }[] {
  const { traits } = engine.device;
  const problem = { kernel, numbers, flags: new Set(flags), dtype };
  const preferred = kernel.choose(numbers, traits, problem.flags, dtype);
  const favourite = preferred.map(({ variant }) => variant).find((variant) => "blueprint" in tryVariant(problem, traits, variant)) ?? "naive";
  const found: { blueprint: Blueprint; chosen: boolean }[] = [];
  const add = (variant: string, params: Readonly<Record<string, number>>, chosen: boolean) => {
    const tried = tryVariant(problem, traits, variant, params);
    if ("blueprint" in tried && !found.some(({ blueprint }) => sameBlueprint(blueprint, tried.blueprint))) found.push({ blueprint: tried.blueprint, chosen });
  };
  for (const [variant, { source, specialize = {}, standsInFor }] of Object.entries(kernel.variants)) {
    if (variants ? !variants.includes(variant) : standsInFor !== undefined) continue;
    const own = preferred.find((choice) => choice.variant === variant)?.params ?? {};
    const free = constants.filter(({ name }) => defaultsOf(source).has(name) && !(name in specialize));
    if (constants.length === 0 || variant === favourite) add(variant, own, variant === favourite);
    if (free.length > 0) for (const combination of combine(free)) add(variant, { ...own, ...combination }, false);
  }
  return found;
}

function sameBlueprint(a: Blueprint, b: Blueprint): boolean {
  return a.variant === b.variant && JSON.stringify(a.constants) === JSON.stringify(b.constants);
}

/** How often disturbed cases are measured again. */
const VISITS = 3;
/** How much slower than at its best the probe may be in its fastest round of a case. */
const QUIET = 1.03;
const ROUNDS = 9;

/** A case with all its rounds so far. */
interface Measured {
  readonly job: Job;
  readonly bytes: number;
  readonly flops: number;
  readonly entries: readonly { readonly blueprint: Blueprint; readonly chosen: boolean; readonly reason: string | undefined; readonly samples: number[] }[];
  readonly pace: number[];
}

/** Whether the fastest rounds do not lie together, or the probe shows that even they were disturbed. */
function isDisturbed({ entries, pace }: Measured, all: readonly Measured[]): boolean {
  const best = leastOf(all.flatMap((one) => one.pace));
  return !entries.every(({ samples }) => isSettled(samples)) || findFloor(pace).low > QUIET * best;
}

/** What goes beyond the device's limits ends one variant or one case, with its reason among those refused, and not the bench. */
function createRefuser(engine: Engine, job: Job, refused: { name: string; reason: string }[]): (name: string) => (cause: unknown) => undefined {
  return (name) => (cause) => {
    engine.device.assertAlive(job.label);
    if (!(cause instanceof UserError)) throw cause;
    refused.push({ name, reason: cause.message });
    return undefined;
  };
}

const labelOf = (job: Job, { variant, constants }: Blueprint): string => `${job.label} ${variant}${Object.entries(constants).map(([name, value]) => ` ${name}=${value}`).join("")}`;

/** A race with the pacer, who comes last, and without whom nothing counts. */
function raceWithPacer(contestants: readonly Contestant[], pacer: Pacer, options: BenchOptions, most: number, drop: (contestant: number, cause: unknown) => void): Promise<number[][]> {
  return race([...contestants, pacer.contestant], options.minMilliseconds ?? 10, options.rounds ?? ROUNDS, most, (i, cause) => {
    if (i === contestants.length) throw cause;
    drop(i, cause);
  });
}

/** More rounds of a case. What finds no memory this time keeps the rounds that it has. */
async function measureAgain(engine: Engine, { job, entries, pace }: Measured, pacer: Pacer, options: BenchOptions, refused: { name: string; reason: string }[]): Promise<void> {
  const refuse = createRefuser(engine, job, refused);
  const workload = await createWorkload(engine, problemOf(job.kernel, job.name, job.numbers, job.flags, job.dtype), job.numbers).catch(refuse(`${job.label}, again`));
  if (!workload) return;
  try {
    const ready: { contestant: Contestant; samples: number[] }[] = [];
    for (const { blueprint, samples } of entries) {
      const contestant = await workload.prepare(blueprint).catch(refuse(`${labelOf(job, blueprint)}, again`));
      if (contestant) ready.push({ contestant, samples });
    }
    const rounds = options.rounds ?? ROUNDS;
    const found = await raceWithPacer(ready.map(({ contestant }) => contestant), pacer, options, rounds, (i, cause) => refuse(`${labelOf(job, ready[i]!.contestant.blueprint)}, again`)(cause));
    // Rounds are compared one by one, so all have them or nobody.
    if (ready.length < entries.length || found.some(({ length }) => length === 0)) return;
    ready.forEach(({ samples }, i) => samples.push(...found[i]!));
    pace.push(...found.at(-1)!);
  } finally {
    workload.dispose();
  }
}

async function benchCase(engine: Engine, job: Job, pacer: Pacer, options: BenchOptions, refused: { name: string; reason: string }[]): Promise<Measured | undefined> {
  const { kernel, numbers, flags, dtype } = job;
  const naive = tryVariant({ kernel, numbers, flags: new Set(flags), dtype }, engine.device.traits, "naive");
  if ("reason" in naive) return undefined;
  const problem = problemOf(kernel, job.name, numbers, flags, dtype);
  const refuse = createRefuser(engine, job, refused);
  const workload = await createWorkload(engine, problem, numbers).catch(refuse(job.label));
  if (!workload) return undefined;
  try {
    const expected = await workload.prepare(naive.blueprint).then(workload.outputs).catch(refuse(job.label));
    if (!expected) return undefined;
    const verify = createVerifier(problem, expected);
    const entries: { contestant: Contestant; chosen: boolean; reason: string | undefined }[] = [];
    for (const { blueprint, chosen } of listBlueprints(engine, job, options.variants)) {
      const entry = await workload
        .prepare(blueprint)
        .then(async (contestant) => ({ contestant, chosen, reason: verify(await workload.outputs(contestant)) }))
        .catch(refuse(labelOf(job, blueprint)));
      if (entry) entries.push(entry);
    }
    const samples = await raceWithPacer(entries.map(({ contestant }) => contestant), pacer, options, 2 * (options.rounds ?? ROUNDS), (i, cause) => refuse(labelOf(job, entries[i]!.contestant.blueprint))(cause));
    const { bytes, flops } = workload;
    const measured = entries.map(({ contestant: { blueprint }, chosen, reason }, i) => ({ blueprint, chosen, reason, samples: samples[i]! })).filter(({ samples: own }) => own.length > 0);
    return measured.length > 0 ? { job, bytes, flops, pace: samples.at(-1)!, entries: measured } : undefined;
  } finally {
    workload.dispose();
  }
}

function describeRows({ job, bytes, flops, entries, pace }: Measured, peaks: Peaks): BenchRow[] {
  const own = entries.find(({ chosen }) => chosen)?.samples;
  return entries.map(({ blueprint, chosen, reason, samples }): BenchRow => {
    const { median, mad, ...percentiles } = summarise(samples);
    const seconds = median / 1e3;
    const roofs = { compute: flops / peaks.flops, memory: bytes / peaks.bytes, launch: peaks.launch };
    const bound = (Object.keys(roofs) as Bound[]).reduce((most, name) => (roofs[name] > roofs[most] ? name : most));
    return {
      name: job.kernel.name,
      case: job.name,
      variant: blueprint.variant,
      dtype: job.dtype,
      flags: blueprint.flags,
      numbers: job.numbers,
      constants: blueprint.constants,
      chosen,
      milliseconds: median,
      spread: mad / median,
      ...percentiles,
      samples: [...samples],
      pace: [...pace],
      ...(own ? { relative: ratioOfRounds(own, samples) } : {}),
      gflops: flops / seconds / 1e9,
      gbytes: bytes / seconds / 1e9,
      bytes,
      flops,
      bound,
      share: roofs[bound] / seconds,
      verified: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
    };
  });
}
