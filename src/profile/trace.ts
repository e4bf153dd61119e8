// A profile as a trace: the JSON object of the Trace Event Format, which Perfetto and chrome://tracing open.
import type { Span } from "../engine/timing.ts";
import type { ProfileReport } from "./profile.ts";

/** Metadata: names and order of lanes. */
export interface TraceName {
  readonly ph: "M";
  readonly name: "process_name" | "process_sort_index" | "thread_name" | "thread_sort_index";
  readonly pid: number;
  readonly tid: number;
  readonly args: Readonly<Record<string, string | number>>;
}

/** A span; times in µs. */
export interface TraceSpan {
  readonly ph: "X";
  readonly name: string;
  readonly cat: string;
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args: Readonly<Record<string, string | number>>;
}

export interface TraceDocument {
  readonly traceEvents: readonly (TraceName | TraceSpan)[];
  readonly displayTimeUnit: "ms";
  readonly otherData: Readonly<Record<string, string | number>>;
}

const HOST = { pid: 1, tid: 1 } as const;
const GPU = 2;
const MODEL = { pid: GPU, tid: 1 } as const;
/** The first lane of kernels; those that overlap take further ones. */
const KERNELS = 2;

/**
 * Lanes: the host's work, the parts of the model, the kernels. Spans of a lane nest or follow each other, as Perfetto wants.
 * Source: "Trace Event Format" (Chromium project): complete events (X), metadata events (M).
 */
export function toTrace({ subject, date, device, clock, timelines }: ProfileReport): TraceDocument {
  const zero = Math.min(...timelines.flatMap(({ host, origin }) => [origin, ...host.map(({ begin }) => begin)]));
  // In whole nanoseconds, so that what nests in time still does after rounding.
  const nanoseconds = (milliseconds: number) => Math.round(1e6 * milliseconds);
  const micro = (milliseconds: number) => nanoseconds(milliseconds) / 1e3;
  const between = (begin: number, end: number) => ({ ts: micro(begin - zero), dur: (nanoseconds(end - zero) - nanoseconds(begin - zero)) / 1e3 });
  const spans: TraceSpan[] = [];
  let lanes = 1;
  timelines.forEach(({ host, spans: commands, origin, slack }, run) => {
    for (const { name, begin, end } of host) spans.push({ ph: "X", name, cat: "host", ...between(begin, end), ...HOST, args: { run } });
    for (const { name, first, last, depth } of scopesOf(commands))
      spans.push({ ph: "X", name, cat: "model", ...between(origin + commands[first]!.begin, origin + commands[last]!.end), ...MODEL, args: { run, depth } });
    const free: number[] = [];
    for (const { key, path, sizes, begin, end, flops, bytes } of [...commands].sort((x, y) => x.begin - y.begin)) {
      let lane = free.findIndex((until) => until <= begin);
      if (lane < 0) lane = free.length;
      free[lane] = end;
      lanes = Math.max(lanes, lane + 1);
      const rate = (amount: number) => (end > begin ? Number((amount / (end - begin) / 1e6).toPrecision(4)) : 0);
      spans.push({
        ph: "X", name: key, cat: "kernel", ...between(origin + begin, origin + end), pid: GPU, tid: KERNELS + lane,
        args: { operation: path, sizes, flops, bytes, "GFLOP/s": rate(flops), "GB/s": rate(bytes), run, "clock slack µs": micro(slack) },
      });
    }
  });
  const name = (kind: TraceName["name"], pid: number, tid: number, args: TraceName["args"]): TraceName => ({ ph: "M", name: kind, pid, tid, args });
  const lane = (pid: number, tid: number, text: string) => [name("thread_name", pid, tid, { name: text }), name("thread_sort_index", pid, tid, { sort_index: tid })];
  const names = [
    name("process_name", HOST.pid, 0, { name: "host" }),
    name("process_sort_index", HOST.pid, 0, { sort_index: 1 }),
    name("process_name", GPU, 0, { name: `GPU: ${device.adapter}` }),
    name("process_sort_index", GPU, 0, { sort_index: 2 }),
    ...lane(HOST.pid, HOST.tid, "encode and submit"),
    ...lane(MODEL.pid, MODEL.tid, "model"),
    ...Array.from({ length: lanes }, (_, i) => lane(GPU, KERNELS + i, i === 0 ? (clock === "device" ? "kernels" : "kernels, by the host's clock") : `kernels that overlap ${i}`)).flat(),
  ];
  spans.sort((x, y) => x.ts - y.ts || y.dur - x.dur);
  return {
    traceEvents: [...names, ...spans],
    displayTimeUnit: "ms",
    otherData: {
      subject,
      date,
      adapter: device.adapter,
      driver: device.driver,
      clock: clock === "device" ? "kernels by the device's timestamps, placed as early on the host's clock as their submits allow; they may lie later by the slack given with each" : "kernels by the host's clock, each submitted alone and waited for",
    },
  };
}

interface Scope {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly depth: number;
}

/** Parts of the model that commands in a row share: `encoder`, `stage1` within it. The last part of a path is the kernel itself. */
function scopesOf(commands: readonly Span[], from = 0, to = commands.length, depth = 0): Scope[] {
  const partOf = (i: number) => {
    const parts = commands[i]!.path.split("/");
    return parts.length - 1 > depth ? parts[depth]! : undefined;
  };
  const scopes: Scope[] = [];
  for (let first = from; first < to; ) {
    const name = partOf(first);
    let end = first + 1;
    while (end < to && partOf(end) === name) end++;
    if (name !== undefined) scopes.push({ name, first, last: end - 1, depth }, ...scopesOf(commands, first, end, depth + 1));
    first = end;
  }
  return scopes;
}
