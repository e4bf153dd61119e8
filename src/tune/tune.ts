// The tuner: every candidate of a problem linted, verified and timed against the kernel's own choice; the fastest for sure is kept.
import { blueprintKey, type Problem } from "../kernel/blueprint.ts";
import { completeNumbers, type Kernel } from "../kernel/define.ts";
import { createTuningTable, printKey, tuningKey, type TunedEntry } from "../kernel/tuning.ts";
import { identifyDevice } from "../engine/device.ts";
import type { Files } from "../files.ts";
import { lintCandidate, listCandidates, ownChoice, type Candidate } from "./candidates.ts";
import { openJournal } from "./journal.ts";
import type { Measurer, Outcome, TuneProblem } from "./measure.ts";
import { addToStore, readStore } from "./store.ts";

export interface TuneOptions {
  readonly kernels: Readonly<Record<string, Kernel>>;
  readonly problems: readonly TuneProblem[];
  readonly measurer: Measurer;
  readonly files: Files;
  /** The file that holds the entries; the journal lies beside it. */
  readonly store: string;
  /** No candidate is begun after this time; without it all are tried. */
  readonly minutes?: number;
  /** Also problems that the store has an entry for. */
  readonly again?: boolean;
  readonly signal?: AbortSignal;
  /** Rounds of a candidate, and the shortest pass; 9 and 10 ms unless said. */
  readonly rounds?: number;
  readonly minMilliseconds?: number;
  readonly onProgress?: (state: TuneProgress) => void;
  readonly onEntry?: (entry: TunedEntry) => void;
}

export interface TuneProgress {
  readonly problem: TuneProblem;
  readonly problemsDone: number;
  readonly problems: number;
  readonly candidate: string;
  readonly candidatesDone: number;
  readonly candidates: number;
  /** What became of the candidate; absent while it is measured. */
  readonly outcome?: Outcome;
  /** The fastest so far, which may be the kernel's own choice. */
  readonly best?: { readonly name: string; readonly ratio: number; readonly share: number };
}

export interface TuneReport {
  /** Entries made in this run. */
  readonly entries: readonly TunedEntry[];
  /** Problems that had one already. */
  readonly known: number;
  /** Problems that were not finished: the same command goes on with them. */
  readonly left: number;
  readonly failures: readonly { readonly name: string; readonly outcome: Outcome }[];
}

/** Rounds of the race that decides whether the fastest of many candidates was more than lucky. */
const FINAL_ROUNDS = 15;
/** Candidates that may try to win it. */
const FINALISTS = 3;

type Measured = Extract<Outcome, { status: "ok" }>;

/** Tunes problem by problem until all are done or the time is over. What was measured stays in the journal for the next run. */
export async function tune(options: TuneOptions): Promise<TuneReport> {
  const { kernels, problems, measurer, files, store, signal } = options;
  const end = performance.now() + 60_000 * (options.minutes ?? Infinity);
  const over = () => (signal?.aborted ?? false) || performance.now() > end;
  const { fingerprint, traits } = await measurer.describe();
  const device = identifyDevice(fingerprint);
  const known = createTuningTable(options.again ? [] : await readStore(files, store));
  const journal = await openJournal(files, `${store}.journal`);
  const entries: TunedEntry[] = [];
  const failures: { name: string; outcome: Outcome }[] = [];
  let [skipped, left] = [0, 0];

  for (const [problemsDone, posed] of problems.entries()) {
    const kernel = Object.values(kernels).find(({ name }) => name === posed.kernel);
    if (!kernel) throw new Error(`no kernel ${posed.kernel}`);
    const problem: Problem = { kernel, numbers: completeNumbers(kernel, posed.numbers), flags: new Set(posed.flags), dtype: posed.dtype };
    const key = tuningKey(problem, device);
    if (known.find(problem, device) || entries.some((entry) => printKey(entry) === printKey(key))) {
      skipped++;
      continue;
    }
    if (over()) {
      left++;
      continue;
    }
    const own = ownChoice(problem, traits);
    const candidates = listCandidates(problem, traits);
    const outcomes = new Map<Candidate, Outcome>();
    let best: { name: string; ratio: number; share: number } | undefined;
    const tell = (candidate: Candidate, outcome?: Outcome) =>
      options.onProgress?.({ problem: posed, problemsDone, problems: problems.length, candidate: nameOf(candidate), candidatesDone: outcomes.size, candidates: candidates.length + 1, ...(outcome ? { outcome } : {}), ...(best ? { best } : {}) });
    const measure = async (candidate: Candidate, label: string, rounds: number): Promise<Outcome> => {
      const name = `${printKey(key)} | ${JSON.stringify(problem.numbers)} | ${blueprintKey(candidate.blueprint)} | ${label} ${rounds}`;
      const before = journal.find(name);
      if (before) return before;
      tell(candidate);
      await journal.begin(name);
      const mistakes = lintCandidate(problem, candidate);
      const outcome: Outcome = mistakes.length > 0 ? { status: "refused", reason: mistakes.join("; ") } : await measurer.measure({ problem: posed, own: own.blueprint, candidate: candidate.blueprint, rounds, minMilliseconds: options.minMilliseconds ?? 10 });
      // Stopped from outside, a child that ends says nothing about its candidate.
      if (!(signal?.aborted && outcome.status === "crashed")) await journal.end(name, outcome);
      return outcome;
    };
    for (const candidate of [own, ...candidates]) {
      if (over()) break;
      const outcome = await measure(candidate, "race", options.rounds ?? 9);
      outcomes.set(candidate, outcome);
      if (outcome.status === "ok" && (best === undefined || outcome.ratio < best.ratio)) best = { name: nameOf(candidate), ratio: outcome.ratio, share: outcome.share };
      if (outcome.status !== "ok" && !signal?.aborted) failures.push({ name: `${posed.kernel} ${posed.dtype} ${posed.case}: ${nameOf(candidate)}`, outcome });
      tell(candidate, outcome);
    }
    const base = outcomes.get(own);
    if (outcomes.size <= candidates.length || (signal?.aborted ?? false)) {
      left++;
      continue;
    }
    const won = await chooseWinner(own, outcomes, (candidate) => measure(candidate, "final", FINAL_ROUNDS));
    // Without any measurement that holds there is nothing to keep.
    const result = won?.outcome ?? (base?.status === "ok" ? base : undefined);
    if (!result) continue;
    const { adapter, driver } = fingerprint;
    const entry: TunedEntry = {
      ...key,
      choice: (won?.candidate ?? own).choice,
      numbers: problem.numbers,
      ratio: won ? result.ratio : 1,
      low: won ? result.low : 1,
      high: won ? result.high : 1,
      milliseconds: result.milliseconds,
      share: result.share,
      adapter,
      driver,
      date: new Date().toISOString(),
      candidates: outcomes.size,
      failed: [...outcomes.values()].filter(({ status }) => status !== "ok").length,
    };
    await addToStore(files, store, [entry]);
    entries.push(entry);
    options.onEntry?.(entry);
  }
  if (left === 0) await journal.remove();
  return { entries, known: skipped, left, failures };
}

/** The fastest candidate whose whole interval lies below the kernel's own choice, in the race and again in a longer one: of many, one is always lucky. */
async function chooseWinner(own: Candidate, outcomes: ReadonlyMap<Candidate, Outcome>, again: (candidate: Candidate) => Promise<Outcome>): Promise<{ candidate: Candidate; outcome: Measured } | undefined> {
  const faster = [...outcomes]
    .flatMap(([candidate, outcome]) => (candidate !== own && outcome.status === "ok" && outcome.high < 1 ? [{ candidate, outcome }] : []))
    .sort((x, y) => x.outcome.ratio - y.outcome.ratio);
  for (const { candidate } of faster.slice(0, FINALISTS)) {
    const outcome = await again(candidate);
    if (outcome.status === "ok" && outcome.high < 1) return { candidate, outcome };
  }
  return undefined;
}

function nameOf({ blueprint: { variant, constants } }: Candidate): string {
  return [variant, ...Object.entries(constants).map(([name, value]) => `${name}=${value}`)].join(" ");
}
