// One case through all engines: prepared in every form, judged, the fastest right form timed in turns with the others.
import { ratioOfRounds, summarise } from "../../src/bench/statistics.ts";
import type { Case } from "./cases.ts";
import { NATIVE, OURS, type EngineName, type Outputs } from "./engine.ts";
import { distanceOf, distanceOfStep, toleranceOf, worse, type Distance } from "./judge.ts";
import { slicesOf } from "./truth-of.ts";
import { EngineFailure, type Worker } from "./worker.ts";
import type { EngineResult, Row } from "./table.ts";

export interface BenchSettings {
  /** Seconds of timing that a case gets, all engines together. */
  readonly seconds: number;
  /** An engine whose single run takes longer than this is left out. */
  readonly maxRunSeconds: number;
  /** Seconds after which preparing or verifying is given up. */
  readonly limitSeconds: number;
  /** Multiplications of f64 that judging a case may take. */
  readonly work: number;
  readonly stopped: () => boolean;
  readonly say: (text: string) => void;
}

/** An engine that takes part in a case, as far as it got. */
interface Entrant {
  readonly worker: Worker;
  form: string;
  milliseconds: number;
  distance: Distance;
  outputs: Outputs;
  /** Other forms and what became of them. */
  readonly notes: string[];
}

/** An engine's turn: long enough for many runs of a short case. */
const SLOT_MS = 80;
const MAX_ROUNDS = 25;
const MIN_ROUNDS = 3;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The judge could not say what is right: whoever was under way is no more to blame than all others. */
class Unjudged extends Error {}

/** Measures one case. Nothing that a peer does wrong ends it; where the judge fails, the case is unjudged and the next one may go on. */
export async function benchCase(problem: Case, adapter: string, workers: readonly Worker[], judge: Worker, settings: BenchSettings): Promise<Row> {
  const tolerance = toleranceOf(problem);
  try {
    return await measureCase(problem, adapter, tolerance, workers, judge, settings);
  } catch (error) {
    if (!(error instanceof Unjudged)) throw error;
    const results = Object.fromEntries(workers.map(({ name }) => [name, { verdict: "unjudged", ms: null, reason: error.message } as const]));
    return summariseCase(problem, adapter, tolerance, results, new Map(), 0);
  } finally {
    for (const worker of workers) await worker.ask({ op: "release" }, settings.limitSeconds).catch(() => worker.stop());
  }
}

async function measureCase(problem: Case, adapter: string, tolerance: number, workers: readonly Worker[], judge: Worker, settings: BenchSettings): Promise<Row> {
  const truth = await openTruth(problem, judge, settings);
  const results: Record<string, EngineResult> = {};
  const entrants: Entrant[] = [];
  for (const worker of workers) {
    if (settings.stopped()) break;
    settings.say(`${problem.name}: ${worker.name} is verified`);
    const found = await enter(problem, worker, truth, tolerance, settings);
    if ("verdict" in found) results[worker.name] = found;
    else entrants.push(found);
  }
  await crossExamine(entrants, truth);
  const right = entrants.filter(({ distance }) => distance.error <= tolerance);
  settings.say(`${problem.name}: timing ${right.map(({ worker }) => worker.name).join(", ")}`);
  const samples = await timeInTurns(right, settings, results);
  for (const { worker, form, distance, milliseconds, notes } of entrants) {
    const times = samples.get(worker.name);
    const common = { form, error: distance.error, ...(notes.length > 0 ? { notes } : {}) };
    if (distance.error > tolerance) results[worker.name] = { verdict: "wrong", ms: milliseconds, reason: `relative error ${distance.error.toExponential(1)}: ${distance.at}`, ...common };
    else if (times && times.length > 0) {
      const { median, mad } = summarise(times);
      results[worker.name] = { verdict: "right", ms: median, spread: mad / median, fastest: Math.min(...times), rounds: times.length, ...common };
    } else results[worker.name] ??= { verdict: "failed", ms: null, reason: "not timed", ...common };
  }
  return summariseCase(problem, adapter, tolerance, results, samples, truth.share());
}

/** Brings an engine into the race with its fastest right form, or says why not. */
async function enter(problem: Case, worker: Worker, truth: Truth, tolerance: number, settings: BenchSettings): Promise<Entrant | EngineResult> {
  const { limitSeconds, maxRunSeconds } = settings;
  const notes: string[] = [];
  let best: Entrant | undefined;
  let reason: { verdict: EngineResult["verdict"]; reason: string } | undefined;
  let ready = "";
  try {
    const forms = await worker.ask({ op: "forms", problem }, limitSeconds);
    for (const form of forms) {
      try {
        await worker.ask({ op: "release" }, limitSeconds);
        await worker.ask({ op: "prepare", problem, form }, limitSeconds);
        ready = form;
        const outputs = await worker.ask({ op: "outputs" }, limitSeconds);
        const distance = await truth.judge(outputs);
        // The first run may still compile; the second tells the time.
        const first = await worker.ask({ op: "run", milliseconds: 0 }, limitSeconds);
        const slow = first.milliseconds[0]! > 1e3 * maxRunSeconds;
        const timed = slow ? first : await worker.ask({ op: "run", milliseconds: SLOT_MS }, limitSeconds);
        const milliseconds = summarise(timed.milliseconds).median;
        const entrant: Entrant = { worker, form, milliseconds, distance: worse(distance, distanceOfRead(problem, timed.read, outputs)), outputs, notes };
        const wrong = entrant.distance.error > tolerance;
        if (forms.length > 1) notes.push(`${form}: ${wrong ? `wrong (${entrant.distance.error.toExponential(1)}), ` : ""}${milliseconds.toPrecision(3)} ms`);
        if (!wrong && milliseconds > 1e3 * maxRunSeconds) {
          reason ??= { verdict: "skipped", reason: `one run takes ${(milliseconds / 1e3).toFixed(1)} s, more than ${maxRunSeconds} s (--max-run)` };
          continue;
        }
        const bestIsWrong = best !== undefined && best.distance.error > tolerance;
        if (!best || (wrong ? bestIsWrong && milliseconds < best.milliseconds : bestIsWrong || milliseconds < best.milliseconds)) best = entrant;
      } catch (error) {
        if (error instanceof Unjudged) throw error;
        ready = "";
        reason = { verdict: error instanceof EngineFailure && error.unsupported ? "unsupported" : "failed", reason: messageOf(error) };
        notes.push(`${form}: ${reason.reason}`);
        if (reason.verdict === "unsupported") break;
      }
    }
    if (best && best.distance.error <= tolerance && best.form !== ready) {
      await worker.ask({ op: "release" }, limitSeconds);
      await worker.ask({ op: "prepare", problem, form: best.form }, limitSeconds);
      await worker.ask({ op: "run", milliseconds: 0 }, limitSeconds);
    }
  } catch (error) {
    if (error instanceof Unjudged) throw error;
    return { verdict: "failed", ms: null, reason: messageOf(error) };
  }
  return best ?? { ms: null, ...(reason ?? { verdict: "failed", reason: "no form of the case" }), ...(notes.length > 1 ? { notes } : {}) };
}

/** What a timed run reads must be what was judged; a step goes on from step to step, so there it must be a number. */
function distanceOfRead(problem: Case, read: readonly number[], outputs: Outputs): Distance {
  if (problem.pass === "step") return { error: read.every(Number.isFinite) ? 0 : Infinity, at: `loss ${read.join()} of a later step` };
  return Object.entries(outputs).reduce<Distance>((worst, [name, data], i) => worse(worst, distanceOf(`${name}, timed`, Float32Array.of(read[i] ?? NaN), [data[0]!])), { error: 0, at: "" });
}

interface Truth {
  judge(outputs: Outputs): Promise<Distance>;
  /** Also computes the slice of an element, and holds outputs to it. */
  judgeAround(outputs: Outputs, name: string, index: number): Promise<Distance>;
  /** How much of the outputs was computed in f64. */
  share(): number;
}

/** The truth of as many slices as the work allows, the first and the last among them. */
async function openTruth(problem: Case, judge: Worker, settings: BenchSettings): Promise<Truth> {
  const { count, work } = slicesOf(problem);
  const wanted = Math.max(1, Math.min(count, Math.floor(settings.work / Math.max(1, work))));
  const known = new Map<number, Readonly<Record<string, Float64Array>>>();
  const learn = async (slice: number) => {
    const before = known.get(slice);
    if (before) return before;
    const found = await judge.ask({ op: "truth", problem, slice }, Math.max(600, settings.limitSeconds)).catch((error: unknown) => {
      throw new Unjudged(`the judge gave no truth: ${messageOf(error)}`, { cause: error });
    });
    known.set(slice, found);
    return found;
  };
  settings.say(`${problem.name}: the truth in f64`);
  for (let i = 0; i < wanted; i++) await learn(wanted === 1 ? count - 1 : Math.round((i * (count - 1)) / (wanted - 1)));
  const judgeSlice = (outputs: Outputs, slice: number, truth: Readonly<Record<string, Float64Array>>): Distance =>
    problem.pass === "step"
      ? distanceOfStep(problem, outputs, truth)
      : Object.entries(truth).reduce<Distance>(
          (worst, [name, part]) => {
            const got = outputs[name];
            return got && got.length !== part.length * count ? { error: Infinity, at: `${name} has ${got.length} elements, expected ${part.length * count}` } : worse(worst, distanceOf(name, got, part, slice * part.length));
          },
          { error: 0, at: "" },
        );
  return {
    judge: async (outputs) => [...known].reduce((worst, [slice, truth]) => worse(worst, judgeSlice(outputs, slice, truth)), { error: 0, at: "" } as Distance),
    async judgeAround(outputs, name, index) {
      const slice = Math.floor((index * count) / (outputs[name]?.length ?? 1));
      return judgeSlice(outputs, slice, await learn(slice));
    },
    share: () => known.size / count,
  };
}

/**
 * Where only a part was compared with the truth: for every two engines the element at which they differ most is computed in
 * f64 too, and both are judged by its slice. What one of them has wrong anywhere shows, unless all have it wrong alike.
 */
async function crossExamine(entrants: readonly Entrant[], truth: Truth): Promise<void> {
  if (truth.share() === 1) return;
  for (const [i, one] of entrants.entries())
    for (const other of entrants.slice(i + 1))
      for (const [name, a] of Object.entries(one.outputs)) {
        const b = other.outputs[name];
        if (!b) continue; // who lacks an output has been judged for it
        let [index, most] = [0, -1];
        for (let at = 0; at < a.length; at++) {
          const off = Math.abs(a[at]! - b[at]!);
          if (!(off <= most)) [index, most] = [at, Number.isNaN(off) ? Infinity : off];
          if (most === Infinity) break;
        }
        await truth.judgeAround(one.outputs, name, index);
      }
  // By all that is known now: an engine may err alike with one and be convicted by another.
  for (const entrant of entrants) entrant.distance = worse(entrant.distance, await truth.judge(entrant.outputs));
}

/** Rounds in which every engine has its turn, each round begun by another. Gives the median of each turn. */
async function timeInTurns(entrants: readonly Entrant[], settings: BenchSettings, results: Record<string, EngineResult>): Promise<Map<string, number[]>> {
  const samples = new Map<string, number[]>(entrants.map(({ worker }) => [worker.name, []]));
  const round = entrants.reduce((sum, { milliseconds }) => sum + Math.max(SLOT_MS, milliseconds), 0);
  const rounds = Math.min(MAX_ROUNDS, Math.max(MIN_ROUNDS, Math.floor((1e3 * settings.seconds) / Math.max(1, round))));
  const fallen = new Set<Entrant>();
  for (let i = 0; i < rounds; i++)
    for (let j = 0; j < entrants.length; j++) {
      const entrant = entrants[(i + j) % entrants.length]!;
      if (fallen.has(entrant) || settings.stopped()) continue;
      try {
        const { milliseconds } = await entrant.worker.ask({ op: "run", milliseconds: SLOT_MS }, settings.limitSeconds);
        samples.get(entrant.worker.name)!.push(summarise(milliseconds).median);
      } catch (error) {
        fallen.add(entrant);
        samples.set(entrant.worker.name, []);
        results[entrant.worker.name] = { verdict: "failed", ms: null, form: entrant.form, error: entrant.distance.error, reason: messageOf(error) };
      }
    }
  return samples;
}

function summariseCase(problem: Case, adapter: string, tolerance: number, results: Readonly<Record<string, EngineResult>>, samples: ReadonlyMap<string, readonly number[]>, judged: number): Row {
  const ours = results[OURS];
  const timeOf = (name: string): number | null => (results[name]?.verdict === "right" ? results[name].ms : null);
  const others = Object.keys(results).filter((name) => name !== OURS);
  const isNative = (name: string) => NATIVE.includes(name as EngineName);
  const times = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, timeOf(name)]));
  const peers = times(others.filter((name) => !isNative(name)));
  const [best] = Object.entries(peers)
    .filter((entry): entry is [string, number] => entry[1] !== null)
    .sort((a, b) => a[1] - b[1]);
  const oursMs = timeOf(OURS);
  const rounds = best && oursMs !== null ? pairOf(samples.get(OURS) ?? [], samples.get(best[0]) ?? []) : undefined;
  const interval = rounds && ratioOfRounds(rounds[0], rounds[1]);
  return {
    case: problem.name,
    adapter,
    ours_ms: oursMs,
    peers,
    ratio: best && oursMs !== null ? best[1] / oursMs : null,
    best: best?.[0] ?? null,
    ...(interval ? { interval: [interval.low, interval.high] as const } : {}),
    native: times(others.filter(isNative)),
    tolerance,
    judged,
    engines: { ...(ours ? { [OURS]: ours } : {}), ...Object.fromEntries(others.map((name) => [name, results[name]!])) },
  };
}

/** Rounds of both that belong together. */
function pairOf(a: readonly number[], b: readonly number[]): readonly [readonly number[], readonly number[]] | undefined {
  const n = Math.min(a.length, b.length);
  return n > 0 ? [a.slice(0, n), b.slice(0, n)] : undefined;
}
