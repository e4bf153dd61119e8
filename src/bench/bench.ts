// The kernel bench: cases of the catalogue and sweeps of them in every variant, verified, timed in turns and held against measured peaks.
import * as catalogue from "../../kernels/index.ts";
import { type Blueprint, tryVariant } from "../kernel/blueprint.ts";
import type { Numbers } from "../kernel/define.ts";
import { defaultsOf } from "../kernel/template.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { UserError } from "../errors.ts";
import { createWorkload, problemOf, race, type Contestant, type Workload } from "./measure.ts";
import { createPacer, measurePeaks, type Pacer, type Peaks } from "./peaks.ts";
import { ratioOfRounds, summarise, type Ratio } from "./statistics.ts";
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
  /** Measurements of each variant at a visit; 9 unless said. */
  readonly rounds?: number;
  /** How often each case is visited; 6 unless said. All cases have their first before any has its second. */
  readonly visits?: number;
  /** Cases of more arithmetic operations are left out. */
  readonly maxFlops?: number;
  /** Called before each visit of a case. */
  readonly onCase?: (name: string, done: number, total: number) => void;
  /** Called for each row after a visit of its case. */
  readonly onRow?: (row: BenchRow, peaks: Peaks) => void;
  /** Asked between visits: true ends the bench with the rows there are. */
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
  /** Median over all rounds, and its median absolute deviation as a share of it; percentiles, ms. */
  readonly milliseconds: number;
  readonly spread: number;
  readonly p5: number;
  readonly p25: number;
  readonly p75: number;
  readonly p95: number;
  /** The rounds by visit, ms. Rounds of a visit share memory and moment; visits differ in both, as two runs do. */
  readonly visits: readonly (readonly number[])[];
  /** What a probe that never changes took in the same rounds, ms: see `compareReports`. */
  readonly pace: readonly (readonly number[])[];
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
  const visits = options.visits ?? VISITS;
  const measured = new Map<Job, Measured>();
  const refused: { name: string; reason: string }[] = [];
  const begun = new Set<Job>();
  options.onCase?.("peaks", 0, visits * jobs.length);
  const peaks = await measurePeaks(engine, options.minMilliseconds);
  const pacer = await createPacer(engine);
  const turns = Array.from({ length: visits }, (_, visit) => jobs.map((job, i) => ({ job, visit, turn: visit * jobs.length + i }))).flat();
  try {
    for (const { job, visit, turn } of turns) {
      if (options.stop?.()) break;
      begun.add(job);
      const known = measured.get(job);
      // What did not run at its first visit is among the refused.
      if (visit > 0 && !known) continue;
      options.onCase?.(job.label, turn, turns.length);
      const found = await visitCase(engine, job, known, pacer, options, refused);
      if (!found) continue;
      measured.set(job, found);
      for (const row of describeRows(job, found, peaks)) options.onRow?.(row, peaks);
    }
  } finally {
    pacer.dispose();
  }
  const rows = [...measured].flatMap(([job, found]) => describeRows(job, found, peaks));
  const left = jobs.filter((job) => !begun.has(job)).map(({ label }) => label);
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

const VISITS = 6;
const ROUNDS = 9;
const MIN_MILLISECONDS = 10;

/** A case with all its visits so far. */
interface Measured {
  readonly bytes: number;
  readonly flops: number;
  readonly entries: readonly Entry[];
  readonly pace: readonly (readonly number[])[];
}

interface Entry {
  readonly blueprint: Blueprint;
  readonly chosen: boolean;
  /** Why it is wrong. */
  readonly reason: string | undefined;
  readonly visits: readonly (readonly number[])[];
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

/**
 * Lays a case out in fresh memory, runs its variants in turns, the pacer last among them, and adds the rounds to what is `known` of it. The first visit finds
 * the variants and verifies them. At later ones all have rounds or none, since rounds are compared one by one: what finds no memory this time changes nothing.
 */
async function visitCase(engine: Engine, job: Job, known: Measured | undefined, pacer: Pacer, options: BenchOptions, refused: { name: string; reason: string }[]): Promise<Measured | undefined> {
  const { kernel, numbers, flags, dtype } = job;
  const problem = problemOf(kernel, job.name, numbers, flags, dtype);
  const refuse = createRefuser(engine, job, refused);
  const workload = await createWorkload(engine, problem, numbers).catch(refuse(job.label));
  if (!workload) return known;
  try {
    const entries = known ? known.entries : await verifyVariants(engine, job, workload, options, refuse);
    const ready: { entry: Entry; contestant: Contestant }[] = [];
    for (const entry of entries) {
      const contestant = await workload.prepare(entry.blueprint).catch(refuse(labelOf(job, entry.blueprint)));
      if (contestant) ready.push({ entry, contestant });
    }
    const contestants = [...ready.map(({ contestant }) => contestant), pacer.contestant];
    const rounds = await race(contestants, options.minMilliseconds ?? MIN_MILLISECONDS, options.rounds ?? ROUNDS, (i, cause) => {
      if (i === ready.length) throw cause;
      refuse(labelOf(job, ready[i]!.entry.blueprint))(cause);
    });
    const done = ready.map(({ entry }, i) => ({ ...entry, visits: [...entry.visits, rounds[i]!] })).filter((_, i) => rounds[i]!.length > 0);
    if (known && done.length < known.entries.length) return known;
    const { bytes, flops } = workload;
    return done.length > 0 ? { bytes, flops, entries: done, pace: [...(known?.pace ?? []), rounds.at(-1)!] } : undefined;
  } finally {
    workload.dispose();
  }
}

/** The variants of a case that compile and run, each held to `naive` or the reference. */
async function verifyVariants(engine: Engine, job: Job, workload: Workload, options: BenchOptions, refuse: (name: string) => (cause: unknown) => undefined): Promise<Entry[]> {
  const { kernel, numbers, flags, dtype } = job;
  const naive = tryVariant({ kernel, numbers, flags: new Set(flags), dtype }, engine.device.traits, "naive");
  if ("reason" in naive) return [];
  const expected = await workload.prepare(naive.blueprint).then(workload.outputs).catch(refuse(job.label));
  if (!expected) return [];
  const verify = createVerifier(problemOf(kernel, job.name, numbers, flags, dtype), expected);
  const entries: Entry[] = [];
  for (const { blueprint, chosen } of listBlueprints(engine, job, options.variants)) {
    const entry = await workload
      .prepare(blueprint)
      .then(async (contestant) => ({ blueprint, chosen, reason: verify(await workload.outputs(contestant)), visits: [] }))
      .catch(refuse(labelOf(job, blueprint)));
    if (entry) entries.push(entry);
  }
  return entries;
}

function describeRows(job: Job, { bytes, flops, entries, pace }: Measured, peaks: Peaks): BenchRow[] {
  const own = entries.find(({ chosen }) => chosen)?.visits.flat();
  return entries.map(({ blueprint, chosen, reason, visits }): BenchRow => {
    const samples = visits.flat();
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
      visits,
      pace,
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
