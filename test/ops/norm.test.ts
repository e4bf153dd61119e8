// Batch statistics that outlive a step, and what fuses with normalisation; attention's map against its result.
import { expect, test } from "vitest";
import { f32, type Engine } from "../../src/engine/engine.ts";
import { constant } from "../../src/engine/trace.ts";
import { relu } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { attentionPool, attentionWithMap } from "../../src/ops/attention.ts";
import { batchNorm, layerNorm } from "../../src/ops/norm.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

const random = randomStream(keyOfSeed(7), [0, 0, 0]).uniform;
const values = (count: number, offset = 0) => Float32Array.from({ length: count }, () => offset + 2 * random() - 1);
const ROWS = 70;
const C = 4;
const ones = () => constant(new Float32Array(C).fill(1), [C], "f32");
const zeros = () => constant(new Float32Array(C), [C], "f32");

/** Mean and unbiased variance of each column, in f64. */
function columnStatistics(x: Float32Array): { mean: number[]; variance: number[] } {
  const columns = Array.from({ length: C }, (_, j) => x.filter((_v, e) => e % C === j));
  const mean = columns.map((column) => column.reduce((sum, v) => sum + v, 0) / ROWS);
  return { mean, variance: columns.map((column, j) => column.reduce((sum, v) => sum + (v - mean[j]!) ** 2, 0) / (ROWS - 1)) };
}

/** Few roundings of numbers of this size: each is off by at most half an ulp of f32, sums of 70 by as many. */
const near = (size: number) => ROWS * 2 ** -24 * size;

test("training moves the running statistics by the momentum, with the unbiased variance", async () => {
  const mean = engine().state("running mean", [C], "f32", new Float32Array(C));
  const variance = engine().state("running variance", [C], "f32", new Float32Array(C).fill(1));
  const plan = await engine().plan(({ x }) => ({ y: batchNorm(x, ones(), zeros(), { running: { mean, variance }, momentum: 0.25, training: true }) }), { x: f32(ROWS, C) });
  const expected = { mean: Array<number>(C).fill(0), variance: Array<number>(C).fill(1) };
  for (let step = 0; step < 2; step++) {
    const x = values(ROWS * C, 3);
    const batch = columnStatistics(x);
    await plan.run({ x });
    for (const name of ["mean", "variance"] as const) expected[name] = expected[name].map((old, j) => old + 0.25 * (batch[name][j]! - old));
  }
  (await engine().read(mean)).forEach((v, j) => expect(Math.abs(v - expected.mean[j]!)).toBeLessThan(near(4)));
  (await engine().read(variance)).forEach((v, j) => expect(Math.abs(v - expected.variance[j]!)).toBeLessThan(near(4)));
  plan.dispose();
  engine().free(mean);
  engine().free(variance);
});

test("a batch that is not finite leaves the running statistics of its channel alone", async () => {
  const mean = engine().state("running mean", [C], "f32", new Float32Array(C).fill(2));
  const variance = engine().state("running variance", [C], "f32", new Float32Array(C).fill(3));
  const plan = await engine().plan(({ x }) => ({ y: batchNorm(x, ones(), zeros(), { running: { mean, variance }, training: true }) }), { x: f32(ROWS, C) });
  const x = values(ROWS * C);
  x[C + 1] = NaN;
  x[5 * C + 2] = Infinity;
  await plan.run({ x });
  for (const [state, before] of [[mean, 2], [variance, 3]] as const) {
    const after = [...(await engine().read(state))];
    expect(after.map((value) => value === before)).toEqual([false, true, true, false]);
    engine().free(state);
  }
  plan.dispose();
});

test("running statistics stay as they are in inference, and in training with update off", async () => {
  const mean = engine().state("running mean", [C], "f32", Float32Array.of(1, 2, 3, 4));
  const variance = engine().state("running variance", [C], "f32", Float32Array.of(0.25, 1, 4, 16));
  const running = { mean, variance };
  const plan = await engine().plan(
    ({ x }) => ({
      fixed: batchNorm(x, ones(), zeros(), { running, training: false, eps: 0 }),
      again: batchNorm(x, ones(), zeros(), { running, training: true, update: false }),
    }),
    { x: f32(2, C) },
  );
  const { fixed, again } = await plan.run({ x: Float32Array.of(1.5, 3, 5, 0, 0.5, 1, 1, 8) });
  // Exact but for √ and 1/√, which may be off by some ulps.
  [1, 1, 1, -1, -1, -1, -1, 1].forEach((v, e) => expect(Math.abs(fixed![e]! - v)).toBeLessThan(8 * 2 ** -23));
  [1, 1, 1, -1, -1, -1, -1, 1].forEach((v, e) => expect(Math.sign(again![e]!)).toBe(v));
  expect([...(await engine().read(mean))]).toEqual([1, 2, 3, 4]);
  expect([...(await engine().read(variance))]).toEqual([0.25, 1, 4, 16]);
  plan.dispose();
  engine().free(mean);
  engine().free(variance);
});

test("the addition and the ReLU of a residual block are done by the normalisation before them", async () => {
  const plan = await engine().plan(
    ({ x, around }) => ({ y: relu(add(batchNorm(x, ones(), zeros(), { training: true }), around)) }),
    { x: f32(ROWS, C), around: f32(ROWS, C) },
  );
  expect(plan.program.nodes.map((node) => (node.kind === "dispatch" ? [node.kernel.name, ...node.flags].join(" ") : "copy"))).toEqual(["moments", "moments-merge", "batch-norm residual relu"]);
  plan.dispose();
});

test("shapes that do not fit are refused with what was expected", async () => {
  const trial = (build: Parameters<Engine["plan"]>[0]) => engine().plan(build, { x: f32(1, C), q: f32(1, 3, 2, 5), k: f32(1, 4, 2, 6) });
  await expect(trial(({ x }) => ({ y: batchNorm(x!, ones(), zeros(), { training: true }) }))).rejects.toThrow("expected at least two");
  await expect(trial(({ x }) => ({ y: batchNorm(x!, ones(), zeros(), { training: false }) }))).rejects.toThrow("no running statistics");
  await expect(trial(({ q }) => ({ y: layerNorm(q!, ones(), zeros()) }))).rejects.toThrow("expected [5]");
  await expect(trial(({ q, k }) => ({ y: attentionWithMap(q!, k!, k!).out }))).rejects.toThrow("differ in more than their tokens");
});

test("the attention map weighs the values as attention does, and its rows add up to 1", async () => {
  const [n, m, h, d] = [3, 11, 2, 8];
  const plan = await engine().plan(
    ({ q, k, v }) => {
      const { out, map } = attentionWithMap(q, k, v);
      return { out, map: map() };
    },
    { q: f32(1, n, h, d), k: f32(1, m, h, d), v: f32(1, m, h, d) },
  );
  const v = values(m * h * d);
  const { out, map } = await plan.run({ q: values(n * h * d), k: values(m * h * d), v });
  for (let y = 0; y < h; y++)
    for (let i = 0; i < n; i++) {
      const row = Array.from({ length: m }, (_, j) => map![(y * n + i) * m + j]!);
      // m weights, each with the error of an exponential of an argument below 8: (3 + 16) ulp.
      const allowed = m * 19 * 2 ** -23;
      expect(Math.abs(row.reduce((sum, p) => sum + p, 0) - 1)).toBeLessThan(allowed);
      for (let c = 0; c < d; c++) {
        const expected = row.reduce((sum, p, j) => sum + p * v[(j * h + y) * d + c]!, 0);
        expect(Math.abs(out![(i * h + y) * d + c]! - expected)).toBeLessThan(allowed);
      }
    }
  plan.dispose();
});

test("attention pooling gives a map for each head of each learned query", async () => {
  const plan = await engine().plan(
    ({ x, query, wk, wv }) => {
      const { y, map } = attentionPool(x, { query, wk, wv }, 2);
      return { y, map: map() };
    },
    { x: f32(2, 9, 6), query: f32(3, 8), wk: f32(6, 8), wv: f32(6, 8) },
  );
  const { y, map } = await plan.run({ x: values(108), query: values(24), wk: values(48), wv: values(48) });
  expect(y!.length).toBe(2 * 3 * 8);
  expect(map!.length).toBe(2 * 2 * 3 * 9);
  for (let row = 0; row < 12; row++) expect(Math.abs(Array.from({ length: 9 }, (_, j) => map![9 * row + j]!).reduce((sum, p) => sum + p, 0) - 1)).toBeLessThan(9 * 19 * 2 ** -23);
  plan.dispose();
});
