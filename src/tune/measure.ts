// Measuring candidates on an engine: verified first, then timed in turns with the kernel's own choice.
import { completeNumbers, type Kernel, type Numbers, type Traits } from "../kernel/define.ts";
import { blueprintKey, tryVariant, type Blueprint } from "../kernel/blueprint.ts";
import { createWorkload, problemOf, race, type Contestant, type Workload } from "../bench/measure.ts";
import { measurePeaks, type Peaks } from "../bench/peaks.ts";
import { percentile, ratioOfRounds } from "../bench/statistics.ts";
import { createVerifier, type Verifier } from "../bench/verify.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { UserError } from "../errors.ts";

/** What became of a candidate. Only `ok` may be chosen. */
export type Outcome =
  | { readonly status: "ok"; readonly ratio: number; readonly low: number; readonly high: number; readonly milliseconds: number; readonly share: number }
  | { readonly status: "refused" | "wrong" | "crashed" | "hung"; readonly reason: string };

/** A problem as it travels: kernels are known by name. */
export interface TuneProblem {
  readonly kernel: string;
  readonly case: string;
  readonly numbers: Numbers;
  readonly flags: readonly string[];
  readonly dtype: "f32" | "f16";
}

export interface MeasureRequest {
  readonly problem: TuneProblem;
  /** The kernel's own choice, and what is held against it; the same for measuring that itself. */
  readonly own: Blueprint;
  readonly candidate: Blueprint;
  readonly rounds: number;
  readonly minMilliseconds: number;
}

/** What a tuner measures with: a device in this process, or in one that may crash. */
export interface Measurer {
  /** The device as the tuner must know it. */
  describe(): Promise<{ readonly fingerprint: Fingerprint; readonly traits: Traits; readonly peaks: Peaks }>;
  measure(request: MeasureRequest): Promise<Outcome>;
  dispose(): Promise<void>;
}

/** Rounds after which a candidate that is slower for sure is given up. */
const FIRST_ROUNDS = 3;
/** How much slower it must be for that, at the best of those rounds. */
const HOPELESS = 1.5;

/** Measures on an engine in this process: what a browser has, and what a child process does. Kernels are found by name. */
export function createMeasurer(engine: Engine, kernels: Readonly<Record<string, Kernel>>): Measurer {
  let peaks: Promise<Peaks> | undefined;
  let current: { key: string; workload: Workload; verify: Verifier; own: Contestant } | undefined;
  const getPeaks = () => (peaks ??= measurePeaks(engine));

  /** Problems come many candidates in a row: each is laid out once. */
  const prepare = async ({ problem, own }: MeasureRequest) => {
    const key = JSON.stringify([problem, own]);
    if (current?.key === key) return current;
    current?.workload.dispose();
    current = undefined;
    const kernel = Object.values(kernels).find(({ name }) => name === problem.kernel);
    if (!kernel) throw new Error(`no kernel ${problem.kernel}`);
    const numbers = completeNumbers(kernel, problem.numbers);
    const check = problemOf(kernel, problem.case, numbers, problem.flags, problem.dtype);
    const naive = tryVariant({ kernel, numbers, flags: new Set(problem.flags), dtype: problem.dtype }, engine.device.traits, "naive");
    if ("reason" in naive) throw new Error(naive.reason);
    const workload = await createWorkload(engine, check, numbers);
    try {
      const verify = createVerifier(check, await workload.outputs(await workload.prepare(naive.blueprint)));
      current = { key, workload, verify, own: await workload.prepare(own) };
      return current;
    } catch (cause) {
      workload.dispose();
      throw cause;
    }
  };

  return {
    async describe() {
      return { fingerprint: engine.device.fingerprint, traits: engine.device.traits, peaks: await getPeaks() };
    },
    async measure(request) {
      try {
        const { flops, bytes, launch } = await getPeaks();
        const { workload, verify, own } = await prepare(request);
        const itself = blueprintKey(request.candidate) === blueprintKey(request.own);
        const contestant = itself ? own : await workload.prepare(request.candidate);
        const wrong = verify(await workload.outputs(contestant));
        if (wrong !== undefined) return { status: "wrong", reason: wrong };
        const roof = Math.max(workload.flops / flops, workload.bytes / bytes, launch);
        let samples = await race(itself ? [own] : [own, contestant], request.minMilliseconds, Math.min(FIRST_ROUNDS, request.rounds));
        const first = samples.at(-1)!.map((time, i) => time / samples[0]![i]!);
        if (request.rounds > FIRST_ROUNDS && Math.min(...first) < HOPELESS) {
          const more = await race(itself ? [own] : [own, contestant], request.minMilliseconds, request.rounds - FIRST_ROUNDS);
          samples = samples.map((list, i) => [...list, ...more[i]!]);
        }
        const milliseconds = percentile(samples.at(-1)!, 0.5);
        return { status: "ok", ...ratioOfRounds(samples[0]!, samples.at(-1)!), milliseconds, share: roof / (milliseconds / 1e3) };
      } catch (cause) {
        engine.device.assertAlive(request.problem.kernel);
        if (cause instanceof UserError) return { status: "refused", reason: cause.message };
        throw cause;
      }
    },
    async dispose() {
      current?.workload.dispose();
      current = undefined;
    },
  };
}
