// Profiles: kernels and gaps account for the span, traces obey their schema, pages are complete in themselves.
import { describe, expect, test } from "vitest";
import { f32 } from "../../src/engine/engine.ts";
import type { Span, Timeline } from "../../src/engine/timing.ts";
import { scope, tensorOf, trace } from "../../src/engine/trace.ts";
import { gelu } from "../../src/ops/activation.ts";
import { fill } from "../../src/ops/cast.ts";
import { gradients } from "../../src/ops/grad.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { account } from "../../src/profile/accounting.ts";
import { renderProfile } from "../../src/profile/page.ts";
import { printProfile } from "../../src/profile/print.ts";
import { benchModels, columnsOf } from "../../src/profile/model-bench.ts";
import { groupSpans, profile, type ProfileReport } from "../../src/profile/profile.ts";
import { toTrace, type TraceSpan } from "../../src/profile/trace.ts";
import { useEngine } from "../support/engine.ts";

const ROOFS = { flops: 1e9, bytes: 1e9, launch: 1e-6 };

function span(path: string, begin: number, end: number, more: Partial<Span> = {}): Span {
  return { step: 0, path, key: `${path.split("/").at(-1)!}.naive f32`, sizes: "n=4", begin, end, flops: 0, bytes: 0, ...more };
}

describe("accounting", () => {
  test("kernels and gaps add up to the span", () => {
    const found = account([span("a", 2, 5), span("b", 6, 8), span("c", 8, 9)]);
    expect(found).toEqual({ span: 7, kernels: 6, gaps: 1, overlap: 0, longestGap: { milliseconds: 1, after: "a" } });
  });
  test("what runs at once is counted once", () => {
    // b within a, c over a's end.
    const found = account([span("a", 0, 10), span("b", 2, 4), span("c", 9, 12), span("d", 15, 16)]);
    expect(found).toMatchObject({ span: 16, kernels: 16, gaps: 3, overlap: 3 });
    expect(found.kernels + found.gaps - found.overlap).toBe(found.span);
  });
  test("of nothing is nothing", () => {
    expect(account([])).toMatchObject({ span: 0, kernels: 0, gaps: 0, overlap: 0 });
  });
});

test("rows: means over runs, and the roof that would be met first", () => {
  const timeline = (spans: Span[]): Timeline => ({ clock: "device", spans, host: [], origin: 0, slack: 0 });
  const one = (scale: number) => timeline([
    span("x/compute", 0, 2 * scale, { flops: 1e6, bytes: 1e3 }),
    span("y/memory", 2, 2 + scale, { flops: 1e3, bytes: 5e5 }),
    span("z/tiny", 3, 3.01, { flops: 1, bytes: 8 }),
    span("z/tiny", 4, 4.01, { flops: 1, bytes: 8 }),
  ]);
  const rows = groupSpans([one(0.5), one(1.5)], "kernel", ROOFS);
  expect(rows.map(({ name, calls, bound }) => [name, calls, bound])).toEqual([["compute.naive", 1, "compute"], ["memory.naive", 1, "memory"], ["tiny.naive", 2, "launch"]]);
  expect(rows[0]).toMatchObject({ microseconds: 2000, gflops: 0.5, flops: 1e6 });
  expect(rows[0]!.ofRoof).toBeCloseTo(0.5, 10);
  expect(rows[1]!.ofRoof).toBeCloseTo(0.5, 10);
  expect(rows.reduce((total, { share }) => total + share, 0)).toBeCloseTo(1, 10);
  expect(groupSpans([one(1)], "operation", ROOFS).map(({ name }) => name)).toEqual(["x/compute", "y/memory", "z/tiny"]);
});

test("gradients are called after the place of what they are gradients of", () => {
  const input = (name: string) => tensorOf({ kind: "input", name, dtype: "f32", count: 16 }, [4, 4]);
  const { nodes } = trace(() => {
    const [x, w] = [input("x"), input("w")];
    const y = scope("model", () => sum(scope("head", () => matmul(x, w))));
    return scope("optimizer", () => gradients(y, [w], fill([], 1)));
  });
  const paths = nodes.map(({ path }) => path);
  expect(paths.slice(0, 2)).toEqual(["model/head/matmul", "model/reduce"]);
  expect(paths.filter((path) => path.startsWith("backward/"))).toContain("backward/model/head/matmul");
  expect(paths.filter((path) => path.startsWith("optimizer/"))).toEqual(["optimizer/fill"]);
});

/** Spans of each lane follow each other or nest: what Perfetto asks of complete events. */
function expectNesting(spans: readonly TraceSpan[]): void {
  const lanes = new Map<string, TraceSpan[]>();
  for (const one of spans) lanes.set(`${one.pid}/${one.tid}`, [...(lanes.get(`${one.pid}/${one.tid}`) ?? []), one]);
  const nanoseconds = (microseconds: number) => Math.round(1e3 * microseconds);
  for (const lane of lanes.values()) {
    const open: number[] = [];
    for (const { ts, dur } of lane) {
      const [begin, end] = [nanoseconds(ts), nanoseconds(ts) + nanoseconds(dur)];
      while (open.length > 0 && open.at(-1)! <= begin) open.pop();
      if (open.length > 0) expect(end).toBeLessThanOrEqual(open.at(-1)!);
      open.push(end);
    }
  }
}

describe("a plan on a device", () => {
  const engine = useEngine();
  let report: ProfileReport;

  test("is accounted for", async () => {
    const plan = await engine().plan(
      ({ x, w }) => scope("model", () => ({ y: sum(scope("head", () => gelu(matmul(gelu(matmul(x, w)), w)))) })),
      { x: f32(64, 64), w: f32(64, 64) },
      { label: "small" },
    );
    const values = { x: new Float32Array(64 * 64).fill(0.1), w: new Float32Array(64 * 64).fill(0.1) };
    const subject = { name: "<small & plain>", patches: 64, statistics: plan.statistics, run: () => plan.run(values), timeline: () => plan.timeline(values), dispose: () => plan.dispose() };
    report = await profile(engine(), subject, { runs: 2, roofs: ROOFS });
    plan.dispose();
    expect(report.clock).toBe(engine().device.traits.features.has("timestamp-query") ? "device" : "host");
    expect(report.timelines).toHaveLength(2);
    for (const { spans, host, slack } of report.timelines) {
      expect(spans.map(({ path }) => path)).toEqual(plan.program.nodes.map(({ path }) => path));
      const { span: whole, kernels, gaps, overlap } = account(spans);
      expect(whole).toBeGreaterThan(0);
      // The identity holds to rounding, and overlap is no more than the 5 % that kernels and gaps may be off.
      expect(kernels + gaps - overlap).toBeCloseTo(whole, 6);
      expect(Math.abs(kernels + gaps - whole)).toBeLessThanOrEqual(0.05 * whole);
      expect(host[0]?.name).toBe("upload");
      expect(host.at(-1)?.name).toBe("wait");
      host.forEach(({ begin, end }, i) => expect(begin <= end && begin >= (host[i - 1]?.end ?? 0)).toBe(true));
      expect(slack).toBeGreaterThanOrEqual(0);
    }
    expect(report.rows.reduce((total, { calls }) => total + calls, 0)).toBe(plan.program.nodes.length);
    expect(report.rows.reduce((total, { flops }) => total + flops, 0)).toBeCloseTo(plan.statistics.flops, 3);
  });

  test("as a trace obeys the schema", () => {
    const trace = JSON.parse(JSON.stringify(toTrace(report))) as ReturnType<typeof toTrace>;
    const lanes = new Set<string>();
    let last = 0;
    for (const event of trace.traceEvents) {
      expect(typeof event.name).toBe("string");
      expect(Number.isInteger(event.pid) && Number.isInteger(event.tid)).toBe(true);
      if (event.ph === "M") {
        if (event.name === "thread_name") lanes.add(`${event.pid}/${event.tid}`);
        continue;
      }
      expect(event.ph).toBe("X");
      expect(event.ts >= 0 && event.dur >= 0 && Number.isFinite(event.ts + event.dur)).toBe(true);
      expect(lanes).toContain(`${event.pid}/${event.tid}`);
      expect(event.ts).toBeGreaterThanOrEqual(last);
      last = event.ts;
    }
    const spans = trace.traceEvents.filter((event): event is TraceSpan => event.ph === "X");
    expectNesting(spans);
    expect(spans.filter(({ cat }) => cat === "kernel")).toHaveLength(report.timelines.flatMap(({ spans: all }) => all).length);
    expect(spans.filter(({ cat, args }) => cat === "model" && args["run"] === 0).map(({ name }) => name)).toEqual(["model", "head"]);
    // The device cannot have begun before it was told to.
    for (const run of [0, 1]) {
      const first = (cat: string, name: RegExp) => spans.find((one) => one.cat === cat && one.args["run"] === run && name.test(one.name))!;
      expect(first("kernel", /./).ts).toBeGreaterThanOrEqual(first("host", /submit/).ts);
    }
  });

  test("as a page loads nothing and escapes what it is given", () => {
    const page = renderProfile(report, "cytonet profile <x>", "0");
    expect(page).toContain("&lt;small &amp; plain&gt;");
    expect(page).not.toMatch(/<script|<link(?! rel="icon" href="data:,")|\b(?:src|href)="(?!data:|#)|url\(|@import/);
    expect(page.match(/<circle /g)).toHaveLength(2 * report.rows.filter(({ microseconds, bytes }) => microseconds > 0 && bytes > 0).length);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  test("as a table fits into 80 columns", () => {
    const lines = printProfile(report).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const { name } of report.rows) expect(lines.some((line) => line.endsWith(` ${name}`))).toBe(true);
  });

  test("and models are benched: patches a second in timm's columns; a batch that is none is refused by itself", async () => {
    const sizes = { presets: ["tiny"], sizes: [32], precisions: ["f32"], settings: { "batch.groupSize": 4 }, runs: 2 } as const;
    const { rows, left } = await benchModels(engine(), { ...sizes, batches: [4, 6], modes: ["infer", "train"] });
    // What the memory is too small for at any batch is a row, too.
    const refused = await benchModels(engine(), { ...sizes, settings: { ...sizes.settings, memory: 2 ** 20 }, batches: [8], modes: ["train"] });
    expect(refused.rows.map((row) => row.refused.train)).toEqual([expect.stringMatching(/memory: 1.00 MiB, expected at least/)]);
    expect(left).toEqual([]);
    expect(rows.map(({ modes }) => [modes.infer?.batch, modes.train?.batch])).toEqual([[4, 4], [6, undefined]]);
    expect(rows[1]!.refused.train).toMatch(/a batch of 6 patches, expected a multiple of 4/);
    const { infer, train } = rows[0]!.modes;
    for (const one of [infer!, train!]) {
      expect(one.patchesPerSecond).toBeCloseTo(4e3 / one.milliseconds, 6);
      expect(one.p25 <= one.milliseconds && one.milliseconds <= one.p75 && one.ofRoof > 0 && one.idle >= 0 && one.idle < 1).toBe(true);
    }
    // A step keeps gradients, moments and activations, an inference only what the next layer needs.
    expect(train!.bytes).toBeGreaterThan(infer!.bytes);
    const cells = columnsOf(rows[0]!);
    expect(Object.keys(cells)).toEqual(expect.arrayContaining(["model", "infer_samples_per_sec", "infer_step_time", "infer_batch_size", "infer_img_size", "infer_gmacs", "infer_macts", "train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size", "param_count"]));
    expect(cells).toMatchObject({ model: "tiny", infer_batch_size: 4, infer_img_size: 32, param_count: Number((rows[0]!.parameters / 1e6).toPrecision(4)) });
  });
});
