// The profiler: replays a subject, stamps its commands, and holds each kernel against the measured roofs.
import { copyProbe } from "../../kernels/probe/copy.ts";
import { measurePeaks } from "../bench/peaks.ts";
import type { Fingerprint } from "../engine/device.ts";
import { f32, type Engine } from "../engine/engine.ts";
import type { Span, Timeline } from "../engine/timing.ts";
import { dispatch } from "../engine/trace.ts";
import { account, averageOf, type Accounting } from "./accounting.ts";
import type { Subject } from "./subjects.ts";

/** What the device reached in the probes. */
export interface Roofs {
  /** Arithmetic operations a second. */
  readonly flops: number;
  /** Bytes read and written a second. */
  readonly bytes: number;
  /** Seconds that a dispatch takes which has next to nothing to do. */
  readonly launch: number;
}

export type Bound = "compute" | "memory" | "launch";

/** What is counted together: variants of kernels, blueprints with their flags and constants, or operations of the model. */
export const GROUPINGS = ["kernel", "blueprint", "operation"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface ProfileRow {
  readonly name: string;
  /** Dispatches, and copies, in one run. */
  readonly calls: number;
  readonly microseconds: number;
  /** Of the time of all kernels. */
  readonly share: number;
  readonly gflops: number;
  readonly gbytes: number;
  readonly flops: number;
  readonly bytes: number;
  /** Which roof it would meet first, and how much of it is reached; above 1 where caches give more than memory. */
  readonly bound: Bound;
  readonly ofRoof: number;
}

export interface ProfileReport {
  readonly subject: string;
  readonly date: string;
  readonly device: Fingerprint;
  /** Whose clock: see `Timeline`. */
  readonly clock: Timeline["clock"];
  readonly runs: number;
  readonly roofs: Roofs;
  /** Means over the stamped runs, ms. */
  readonly accounting: Accounting;
  /** The same plan replayed as users do, without stamps: ms from the call to the result, and within the call; medians. */
  readonly replay: { readonly milliseconds: number; readonly call: number; readonly dispatches: number; readonly submits: number; readonly patches: number };
  readonly grouping: Grouping;
  readonly rows: readonly ProfileRow[];
  /** Stamped runs, in order. */
  readonly timelines: readonly Timeline[];
}

export interface ProfileOptions {
  /** Runs of either kind; 10 unless given. */
  readonly runs?: number;
  readonly grouping?: Grouping;
  /** Known roofs; measured unless given. */
  readonly roofs?: Roofs;
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string) => void;
}

/** Profiles a subject. The signal ends it between two runs, by what it is aborted with. */
export async function profile(engine: Engine, subject: Subject, options: ProfileOptions = {}): Promise<ProfileReport> {
  const { runs = 10, grouping = "kernel", signal, onProgress = () => {} } = options;
  const date = new Date().toISOString();
  onProgress("measuring the device's peaks");
  const roofs = options.roofs ?? (await measureRoofs(engine));
  // The first runs compile and fill caches on some drivers.
  for (let i = 0; i < 2; i++) await subject.run();
  await subject.timeline();
  const walls: number[] = [];
  const calls: number[] = [];
  const timelines: Timeline[] = [];
  for (let i = 0; i < runs; i++) {
    signal?.throwIfAborted();
    onProgress(`run ${i + 1} of ${runs}`);
    const began = performance.now();
    const running = subject.run();
    calls.push(performance.now() - began);
    await running;
    walls.push(performance.now() - began);
    timelines.push(await subject.timeline());
  }
  const { dispatches, submits } = subject.statistics;
  return {
    subject: subject.name,
    date,
    device: engine.device.fingerprint,
    clock: timelines[0]!.clock,
    runs,
    roofs,
    accounting: averageOf(timelines.map(({ spans }) => account(spans))),
    replay: { milliseconds: medianOf(walls), call: medianOf(calls), dispatches, submits, patches: subject.patches },
    grouping,
    rows: groupSpans(timelines, grouping, roofs),
    timelines,
  };
}

/** The peaks of arithmetic and of memory by the probes, and the time of a dispatch with one element to copy. */
export async function measureRoofs(engine: Engine): Promise<Roofs> {
  const peaks = await measurePeaks(engine);
  const count = 64;
  const plan = await engine.plan(
    ({ x }) => {
      let y = x;
      // Each reads the one before, so that none is the same as another.
      for (let i = 0; i < count; i++) y = dispatch(copyProbe, { inputs: { x: y }, outputs: { y: [1] }, numbers: { n: 1 } }).y;
      return { y };
    },
    { x: f32(1) },
    { label: "launch probe" },
  );
  try {
    const inputs = { x: Float32Array.of(1) };
    await plan.timeline(inputs);
    const lengths: number[] = [];
    for (let i = 0; i < 3; i++) lengths.push(...(await plan.timeline(inputs)).spans.map(({ begin, end }) => end - begin));
    // A coarse clock gives many zeros and few large steps: the mean of all but the extreme tenths is right for it too.
    const sorted = lengths.sort((x, y) => x - y).slice(Math.floor(lengths.length / 10), Math.ceil(0.9 * lengths.length));
    return { ...peaks, launch: sorted.reduce((sum, length) => sum + length, 0) / sorted.length / 1e3 };
  } finally {
    plan.dispose();
  }
}

/** Rows in order of time. */
export function groupSpans(timelines: readonly Timeline[], grouping: Grouping, roofs: Roofs): ProfileRow[] {
  const groups = new Map<string, { calls: number; milliseconds: number; flops: number; bytes: number }>();
  for (const { spans } of timelines)
    for (const span of spans) {
      const name = nameOf(span, grouping);
      const group = groups.get(name) ?? { calls: 0, milliseconds: 0, flops: 0, bytes: 0 };
      group.calls++;
      group.milliseconds += span.end - span.begin;
      group.flops += span.flops;
      group.bytes += span.bytes;
      groups.set(name, group);
    }
  const runs = Math.max(1, timelines.length);
  const total = [...groups.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return [...groups]
    .map(([name, { calls, milliseconds, flops, bytes }]): ProfileRow => {
      const seconds = milliseconds / 1e3;
      const least: Readonly<Record<Bound, number>> = { compute: flops / roofs.flops, memory: bytes / roofs.bytes, launch: calls * roofs.launch };
      const bound = (Object.keys(least) as Bound[]).reduce((most, one) => (least[one] > least[most] ? one : most));
      const rate = (amount: number) => (seconds > 0 ? amount / seconds : 0);
      return {
        name,
        calls: calls / runs,
        microseconds: (1e3 * milliseconds) / runs,
        share: total > 0 ? milliseconds / total : 0,
        gflops: rate(flops) / 1e9,
        gbytes: rate(bytes) / 1e9,
        flops: flops / runs,
        bytes: bytes / runs,
        bound,
        ofRoof: rate(least[bound]),
      };
    })
    .sort((x, y) => y.microseconds - x.microseconds);
}

/** `matmul.register`, with f16 where it is that; the whole key; or the place in the model. */
function nameOf({ key, path }: Span, grouping: Grouping): string {
  if (grouping === "blueprint") return key;
  if (grouping === "operation") return path;
  const [variant = "", dtype] = key.split(" ");
  return dtype === "f16" ? `${variant} f16` : variant;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted.length === 0 ? 0 : (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
