// The roofs of a device, measured: arithmetic and memory traffic by probes, the cost of a launch, and the pace of the moment.
import { copyProbe } from "../../kernels/probe/copy.ts";
import { fmaProbe } from "../../kernels/probe/fma.ts";
import { tryVariant } from "../kernel/blueprint.ts";
import { completeNumbers, type Kernel, type Numbers } from "../kernel/define.ts";
import type { Engine } from "../engine/engine.ts";
import { createWorkload, problemOf, race, type Contestant, type Workload } from "./measure.ts";
import { percentile } from "./statistics.ts";

/** What the device reached in the probes. */
export interface Peaks {
  /** Arithmetic operations a second. */
  readonly flops: number;
  /** Bytes read and written a second. */
  readonly bytes: number;
  /** Seconds of a dispatch, one of many in a pass, that has next to nothing to do. */
  readonly launch: number;
}

const ROUNDS = 5;

/** Lays a probe out, times it in every variant and hands the rounds over. */
async function measureProbe<T>(engine: Engine, kernel: Kernel, given: Numbers, minMilliseconds: number, of: (samples: readonly number[][], workload: Workload) => T): Promise<T> {
  const numbers = completeNumbers(kernel, given);
  const workload = await createWorkload(engine, problemOf(kernel, "peak", numbers, [], "f32"), numbers);
  try {
    const contestants: Contestant[] = [];
    for (const variant of Object.keys(kernel.variants)) {
      const tried = tryVariant({ kernel, numbers, flags: new Set(), dtype: "f32" }, engine.device.traits, variant);
      if ("blueprint" in tried) contestants.push(await workload.prepare(tried.blueprint));
    }
    return of(await race(contestants, minMilliseconds, ROUNDS), workload);
  } finally {
    workload.dispose();
  }
}

/** The best that the probes reach: the roof of every row. */
export async function measurePeaks(engine: Engine, minMilliseconds = 20): Promise<Peaks> {
  const cpu = engine.device.traits.barriers === "dear";
  const seconds = (samples: readonly number[][]) => Math.min(...samples.flat()) / 1e3;
  // Enough lanes to fill the device, enough steps to hide the start; then more bytes than caches hold.
  const flops = await measureProbe(engine, fmaProbe, cpu ? { n: 2 ** 14, steps: 256 } : { n: 2 ** 21, steps: 512 }, minMilliseconds, (samples, { flops }) => flops / seconds(samples));
  const bytes = await measureProbe(engine, copyProbe, { n: cpu ? 2 ** 22 : 2 ** 25 - 1024 }, minMilliseconds, (samples, { bytes }) => bytes / seconds(samples));
  const launch = await measureProbe(engine, copyProbe, { n: 1 }, minMilliseconds / 4, (samples) => percentile(samples.flat(), 0.5) / 1e3);
  return { flops, bytes, launch };
}

/** A contestant that is the same in every race: what it takes tells how fast the machine was in that round. */
export interface Pacer {
  readonly contestant: Contestant;
  dispose(): void;
}

/** A run of the arithmetic probe of some milliseconds: one that is over at once would tell of the waking of threads. */
export async function createPacer(engine: Engine): Promise<Pacer> {
  const cpu = engine.device.traits.barriers === "dear";
  const numbers = completeNumbers(fmaProbe, cpu ? { n: 2 ** 14, steps: 256 } : { n: 2 ** 20, steps: 128 });
  const workload = await createWorkload(engine, problemOf(fmaProbe, "pace", numbers, [], "f32"), numbers);
  const tried = tryVariant({ kernel: fmaProbe, numbers, flags: new Set(), dtype: "f32" }, engine.device.traits, "naive");
  if ("reason" in tried) throw new Error(`the naive probe runs everywhere: ${tried.reason}`);
  return { contestant: await workload.prepare(tried.blueprint), dispose: () => workload.dispose() };
}
