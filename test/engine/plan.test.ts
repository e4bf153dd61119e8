// Plans: the same bits at every replay, what the passes report, cut grids, memory to the byte, and errors that say what is wrong.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cutGrid } from "../../src/engine/cut.ts";
import type { DebugSwitch } from "../../src/engine/debug.ts";
import { createEngine, f32, i32, u32, type Engine } from "../../src/engine/engine.ts";
import { DeviceError, DeviceLost, ShapeError, Unavailable } from "../../src/engine/errors.ts";
import { describeSubmit, type Command } from "../../src/engine/replay.ts";
import { firstNonFinite } from "../../src/engine/scan.ts";
import { constant, dispatch, scope, type Tensor } from "../../src/engine/trace.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { openAdapter } from "../../src/host/node.ts";
import { defineKernel, read, write } from "../../src/kernel/define.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { gelu } from "../../src/ops/activation.ts";
import { multiply } from "../../src/ops/arithmetic.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";

// Adapters are asked for before the tests: asking inside one has crashed workers. The last two are for engines that end badly.
const handles: AdapterHandle[] = [];
let opened: readonly AdapterHandle[] = [];
let engine: Engine;
let scanning: Engine;
beforeAll(async () => {
  for (let i = 0; i < 4; i++) handles.push(await openAdapter({ log: () => {} }));
  opened = [...handles];
  engine = await createEngine(handles[0]!);
  scanning = await createEngine(handles[1]!, { debug: new Set(["nan"]) });
});
afterAll(() => {
  engine?.dispose();
  scanning?.dispose();
  for (const handle of opened) handle.close();
});

function draw(count: number, seed: number): Float32Array {
  const { uniform } = randomStream(keyOfSeed(seed), [0, 0, 0]);
  return Float32Array.from({ length: count }, () => 2 * uniform() - 1);
}

/** y[i] = 2 x[i] + i mod 7 with one invocation a workgroup; `claimed` operations an element make the engine cut its grid. */
const spread = (name: string, claimed: number) =>
  defineKernel({
    name,
    doc: "y = 2 x + i mod 7, one workgroup an element.",
    dims: ["n"],
    args: { x: read("n"), y: write("n") },
    dtypes: ["f32"],
    variants: {
      naive: {
        grid: ({ n }) => [n, 1, 1],
        source: `
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  let i = group.x + u.origin.x;
  y[i] = 2.0 * x[i] + Elem(i % 7u);
}
`,
      },
    },
    flops: ({ n }) => claimed * n,
    reference({ x, y }) {
      x.forEach((value, i) => (y[i] = 2 * value + (i % 7)));
    },
    cases: {},
    gradient: { none: "only for this test" },
  });

const apply = (kernel: ReturnType<typeof spread>, x: Tensor, n: number) => dispatch(kernel, { inputs: { x }, outputs: { y: [n] }, numbers: { n } }).y;

describe("replay", () => {
  test("gives the same bits every time, also when runs overlap", async () => {
    const plan = await engine.plan(({ x, w }) => ({ y: gelu(matmul(x, w)), total: sum(matmul(x, w)) }), { x: f32(37, 20), w: f32(20, 28) });
    const values = [1, 2].map((seed) => ({ x: draw(37 * 20, seed), w: draw(20 * 28, seed + 10) }));
    const alone = [await plan.run(values[0]!), await plan.run(values[1]!)];
    const together = await Promise.all([plan.run(values[0]!), plan.run(values[1]!), plan.run(values[0]!)]);
    expect(together).toEqual([alone[0], alone[1], alone[0]]);
    expect(alone[0]).not.toEqual(alone[1]);
    plan.dispose();
  });

  test("times every dispatch", async () => {
    const plan = await engine.plan(({ x, w }) => ({ y: sum(matmul(x, w)) }), { x: f32(8, 8), w: f32(8, 8) });
    const timings = await plan.time({ x: draw(64, 1), w: draw(64, 2) });
    expect(timings.map(({ path }) => path)).toEqual(plan.program.nodes.map(({ path }) => path));
    for (const { milliseconds } of timings) expect(Number.isFinite(milliseconds) && milliseconds >= 0).toBe(true);
    expect(timings[0]!.flops).toBe(2 * 8 * 8 * 8);
    plan.dispose();
  });
});

describe("passes report", () => {
  test("what nobody reads, what is computed twice and what is fused", async () => {
    const plan = await engine.plan(
      ({ x, w }) => {
        matmul(w, w);
        return { y: gelu(matmul(x, w)), total: sum(matmul(x, w)), again: sum(matmul(x, w)) };
      },
      { x: f32(12, 8), w: f32(8, 8) },
    );
    const report = (name: string) => plan.statistics.reports.find(({ pass }) => pass === name)!;
    expect(report("dead code")).toMatchObject({ savedFlops: 2 * 8 * 8 * 8 });
    expect(report("dead code").changes).toHaveLength(1);
    expect(report("common subexpressions").savedFlops).toBeGreaterThanOrEqual(2 * 2 * 12 * 8 * 8);
    expect(plan.program.nodes.filter((node) => node.kind === "dispatch" && node.kernel.name === "matmul")).toHaveLength(1);
    const fused = await engine.plan(({ x, w }) => ({ y: gelu(matmul(x, w)) }), { x: f32(12, 8), w: f32(8, 8) });
    expect(fused.statistics.reports.find(({ pass }) => pass === "epilogue fusion")).toMatchObject({ before: 2, after: 1 });
    const values = { x: draw(96, 3), w: draw(64, 4) };
    const got = await plan.run(values);
    expect(got["total"]).toEqual(got["again"]);
    plan.dispose();
    fused.dispose();
  });
});

describe("cut grids", () => {
  test.each([
    [[1, 1, 1], 10, 65535, 0.5],
    [[70_000, 1, 1], 0, 65535, 0.5],
    [[7, 5, 3], 4, 65535, 0.5],
    [[3, 200_000, 2], 3, 65535, 0.5],
    [[13, 1, 9], 2, 4, 1],
  ] as const)("%o of %d s: every workgroup once, within the limits", (grid, seconds, maxAxis, maxSeconds) => {
    const pieces = cutGrid(grid, seconds, maxAxis, maxSeconds);
    for (const { size, seconds: share } of pieces) {
      expect(Math.max(...size)).toBeLessThanOrEqual(maxAxis);
      if (Math.max(...size) > 1) expect(share).toBeLessThanOrEqual(maxSeconds);
    }
    expect(pieces.reduce((total, { seconds: share }) => total + share, 0)).toBeCloseTo(seconds, 9);
    const volume = (size: readonly number[]) => size.reduce((product, n) => product * n, 1);
    expect(pieces.reduce((total, { size }) => total + volume(size), 0)).toBe(volume(grid));
    // Boxes of the right volume altogether that lie inside and do not meet cover the grid once.
    pieces.forEach(({ origin, size }, i) => {
      origin.forEach((low, axis) => expect(low + size[axis]!).toBeLessThanOrEqual(grid[axis]!));
      for (const other of pieces.slice(i + 1))
        expect(origin.some((low, axis) => low + size[axis]! <= other.origin[axis]! || other.origin[axis]! + other.size[axis]! <= low)).toBe(true);
    });
  });

  test("an empty grid has no piece", () => expect(cutGrid([4, 0, 2], 1, 65535)).toEqual([]));

  test("give the bits of the uncut one: above 65535 workgroups, and where the work is too long", async () => {
    const n = 70_001;
    const x = Float32Array.from({ length: n }, (_, i) => (i % 1000) / 8);
    const expected = x.map((value, i) => 2 * value + (i % 7));
    const long = await engine.plan((inputs) => ({ y: apply(spread("spread", 1), inputs.x, n) }), { x: f32(n) });
    expect(long.statistics.dispatches).toBe(2);
    expect((await long.run({ x }))["y"]).toEqual(expected);
    // As many claimed operations as take the device 8 s by its own pessimistic reckoning.
    const small = 4096;
    const slow = spread("spread_slow", (8 * engine.device.rates.flops) / small);
    const pieces = await engine.plan((inputs) => ({ y: apply(slow, inputs.x, small) }), { x: f32(small) });
    expect(pieces.statistics.dispatches).toBe(16);
    expect(pieces.statistics.submits).toBe(16);
    expect((await pieces.run({ x: x.slice(0, small) }))["y"]).toEqual(expected.slice(0, small));
    long.dispose();
    pieces.dispose();
  });
});

describe("memory", () => {
  test("is what the plan says it is, and all comes back", async () => {
    const before = engine.device.ledger();
    const plan = await engine.plan(({ x, w }) => ({ y: sum(gelu(matmul(x, w)), [0]) }), { x: f32(40, 16), w: f32(16, 24) });
    expect(engine.device.ledger().total - before.total).toBe(plan.statistics.ownBytes);
    expect(plan.statistics.memory.arenaBytes).toBeLessThanOrEqual(plan.statistics.ownBytes);
    const values = { x: draw(640, 5), w: draw(384, 6) };
    await plan.run(values);
    const once = engine.device.ledger();
    await plan.run(values);
    await plan.run(values);
    expect(engine.device.ledger().total).toBe(once.total);
    plan.dispose();
    expect(engine.device.ledger().total).toBe(before.total);
    expect(engine.device.ledger().buffers).toBe(before.buffers);
    await expect(plan.run(values)).rejects.toThrow(/^plan without a label: it has been disposed/);
  });

  test("that the device has not is an error with a name and a remedy", async () => {
    const limit = engine.device.fingerprint.limits["maxBufferSize"]!;
    expect(() => engine.state("weights", [Math.floor(limit / 4) + 1])).toThrow(Unavailable);
    expect(() => engine.state("weights", [Math.floor(limit / 4) + 1])).toThrow(/state weights: .* in one buffer, the device allows/);
  });
});

test("an input that is larger than a binding may be, and cannot be seen in windows, is an error with a name; a constant can be an output", async () => {
  const before = engine.device.ledger().total;
  const large = engine.plan(({ x }) => ({ y: sum(x) }), { x: f32(64) }, { label: "large", binding: 128 });
  await expect(large).rejects.toThrow(/^plan large: reduce: x \(input x\) takes 256 B, the device binds at most 128 B, and reduce cannot be cut into pieces of that size/);
  expect(engine.device.ledger().total).toBe(before);
  const plan = await engine.plan(() => ({ one: constant(Float32Array.of(1, 2), [2], "f32") }), {});
  expect(Array.from((await plan.run({}))["one"]!)).toEqual([1, 2]);
  plan.dispose();
});

describe("mistakes", () => {
  test("in shapes are named where they are written, for every element type and for state", async () => {
    for (const input of [f32, u32, i32]) expect(input(2, 3).shape).toEqual([2, 3]);
    expect([f32, u32, i32].map((input) => input().dtype)).toEqual(["f32", "u32", "i32"]);
    for (const wrong of [1.5, -1, 0, NaN, Infinity, 2 ** 60]) {
      expect(() => i32(wrong, 4)).toThrow(ShapeError);
      expect(() => engine.state("w", [wrong, 4])).toThrow(/^state w: shape \[.*, 4\], expected whole numbers from 1/);
      await expect(engine.plan(({ x }) => ({ x }), { x: { shape: [4, wrong], dtype: "f32" } })).rejects.toThrow(/^input x: shape \[4, /);
    }
    expect(() => f32(1.5, 4)).toThrow("f32: shape [1.5, 4], expected whole numbers from 1");
  });

  test("in a plan without a label say so", async () => {
    const plan = await engine.plan(({ x }) => ({ y: sum(x) }), { x: f32(4) });
    await expect(plan.run({})).rejects.toThrow(/^plan without a label: input x is missing/);
    plan.dispose();
  });

  test("in the inputs are named", async () => {
    const plan = await engine.plan(({ x, w }) => ({ y: matmul(x, w) }), { x: f32(3, 4), w: f32(4, 4) }, { label: "step" });
    const [x, w] = [draw(12, 7), draw(16, 8)];
    await expect(plan.run({ x, w, z: x })).rejects.toThrow(new ShapeError("plan step", "no input z; there are x, w"));
    await expect(plan.run({ x })).rejects.toThrow(/plan step: input w is missing/);
    await expect(plan.run({ x, w: x })).rejects.toThrow(/plan step: input w f32\[4, 4\] gets a Float32Array of 12, expected a Float32Array of 16/);
    await expect(plan.run({ x: new Uint16Array(12), w })).rejects.toThrow(/input x f32.* gets a Uint16Array of 12, expected a Float32Array of 12/);
    await expect(plan.run({ x: new Uint32Array(12), w })).rejects.toThrow(/gets a Uint32Array of 12, expected a Float32Array of 12/);
    expect(Array.from((await plan.run({ x, w }))["y"]!)).toHaveLength(12);
    plan.dispose();
  });

  test("a number that is not finite is found where it arises", async () => {
    const plan = await scanning.plan(({ x }) => scope("encoder", () => ({ y: sum(scope("square", () => multiply(x, x))) })), { x: f32(10) });
    const x = new Float32Array(10).fill(0.5);
    expect((await plan.run({ x }))["y"]![0]).toBe(2.5);
    x[6] = 1e30;
    const error = await plan.run({ x }).then(() => undefined, (cause: unknown) => cause);
    expect(error).toBeInstanceOf(DeviceError);
    expect((error as DeviceError).message).toMatch(/^encoder\/square\/binary: element 6 of .* is Infinity, expected a finite number$/);
    plan.dispose();
  });

  test("bits of numbers that are not finite, in both float types", () => {
    expect(firstNonFinite("f32", Float32Array.of(1, 3e38, -Infinity, NaN).buffer, 4)).toBe(2);
    expect(firstNonFinite("f32", Float32Array.of(0, NaN).buffer, 2)).toBe(1);
    expect(firstNonFinite("f32", Float32Array.of(0, 1).buffer, 2)).toBe(-1);
    expect(firstNonFinite("f16", Uint16Array.of(0x7bff, 0xfc00).buffer, 2)).toBe(1);
    expect(firstNonFinite("f16", Uint16Array.of(0x7bff, 0xfbff).buffer, 2)).toBe(-1);
  });
});

describe("a device that goes away", () => {
  /** Two products in a row, run on an engine of its own whose device is destroyed at the submit number `at` of the second run. */
  const runAndLose = async (debug: ReadonlySet<DebugSwitch>, at: number): Promise<unknown> => {
    const doomed = await createEngine(handles.pop()!, { debug });
    const build = ({ x, w }: { x: Tensor; w: Tensor }) => ({ y: scope("second", () => matmul(scope("first", () => matmul(x, w)), w)) });
    const plan = await doomed.plan(build, { x: f32(64, 64), w: f32(64, 64) }, { label: "training step" });
    const values = { x: draw(4096, 9), w: draw(4096, 10) };
    await plan.run(values);
    const { queue } = doomed.device.gpu;
    const submit = queue.submit.bind(queue);
    let submits = 0;
    queue.submit = (commands) => {
      submit(commands);
      if (++submits === at) doomed.device.gpu.destroy();
    };
    const error = await plan.run(values).then(() => undefined, (cause: unknown) => cause);
    await expect(plan.run(values)).rejects.toBeInstanceOf(DeviceLost);
    doomed.dispose();
    return error;
  };

  test("ends the run with an error that names the plan and the dispatches under way", async () => {
    const error = await runAndLose(new Set(), 1);
    expect(error).toBeInstanceOf(DeviceLost);
    expect(error).toMatchObject({ exitCode: 74, message: expect.stringMatching(/^plan training step, dispatching second\/first\/matmul to second\/matmul \(2 in one submit, .*\): the device was lost/) });
    expect((error as DeviceLost).notes.join()).toMatch(/CYTONET_DEBUG=dispatch/);
  });

  test("has the one dispatch named where they run one at a time", async () => {
    const error = await runAndLose(new Set(["dispatch"]), 2);
    expect(error).toBeInstanceOf(DeviceLost);
    expect((error as DeviceLost).message).toMatch(/^plan training step, dispatching second\/matmul: the device was lost/);
  });
});

test("a submit is described by its only dispatch, or by the first, the last and the longest", () => {
  const launch = (path: string, seconds: number) => ({ kind: "launch", step: { node: { path } }, seconds }) as unknown as Command;
  expect(describeSubmit([])).toBe("");
  expect(describeSubmit([launch("a", 1), launch("a", 2)])).toBe(", dispatching a");
  expect(describeSubmit([launch("a", 1), launch("b", 3), launch("c", 2)])).toBe(", dispatching a to c (3 in one submit, by prediction the longest is b)");
});
