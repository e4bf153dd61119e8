// The bench without a device: sweeps, intervals, comparisons of reports, and what counts as wrong.
import { expect, test } from "vitest";
import { layerNorm, matmul } from "../../kernels/index.ts";
import { type BenchRow } from "../../src/bench/bench.ts";
import { compareReports, readReport, type ComparedReport } from "../../src/bench/compare.ts";
import { problemOf, race, type Contestant } from "../../src/bench/measure.ts";
import { modeOf, percentile, ratioOfModes, ratioOfRounds, summarise } from "../../src/bench/statistics.ts";
import { listProblems, parseSweep, sortSweeps } from "../../src/bench/sweep.ts";
import { createVerifier, type Outputs } from "../../src/bench/verify.ts";
import { makeInputs, runReference } from "../../src/engine/check.ts";
import { completeNumbers } from "../../src/kernel/define.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";

test("sweeps: lists, factors and steps; what is none says so", () => {
  expect(parseSweep("m=64:4096:*4")).toEqual({ name: "m", values: [64, 256, 1024, 4096] });
  expect(parseSweep("m=1,2,8:16:4")).toEqual({ name: "m", values: [1, 2, 8, 12, 16] });
  for (const text of ["m", "m=", "m=a", "m=8:4", "m=1:8:*1", "m=0:8:*2", "m=1:8:0", "m=1:2:3:4", "m=1:1e9"]) expect(() => parseSweep(text)).toThrow(/--set/);
  expect(sortSweeps([parseSweep("m=1"), parseSweep("ROWS=4,8")], [matmul])).toMatchObject({ sizes: [{ name: "m" }], constants: [{ name: "ROWS" }] });
  expect(() => sortSweeps([parseSweep("mm=1")], [matmul])).toThrow(/no such size or constant/);
  expect(() => listProblems([matmul], "1024", [parseSweep("batch=2")])).toThrow(/follows from/);
  expect(listProblems([layerNorm, matmul], "layerNorm", [parseSweep("c=64,128")]).map(({ numbers }) => numbers["c"])).toEqual([64, 128]);
});

test("medians, percentiles and paired ratios", () => {
  expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(summarise([1, 2, 3, 4, 100])).toMatchObject({ median: 3, mad: 1, p25: 2, p75: 4 });
  // What slows a round slows both: the ratio does not see it.
  const found = ratioOfRounds([1, 5, 2, 9, 3], [2, 10, 4, 18, 6]);
  expect([found.ratio, found.low, found.high]).toEqual([2, 2, 2]);
});

test("modes: what most rounds agree on, whatever tails there are on either side; intervals hold what they promise", () => {
  expect(modeOf([5])).toBe(5);
  expect(modeOf([2, 4])).toBe(3);
  expect(modeOf([1, 2, 10])).toBe(1.5);
  expect(modeOf([0.9, 1.4, 2, 2.01, 2.02, 2.03, 3, 5, 9])).toBeCloseTo(2.015, 1);
  const random = randomStream(keyOfSeed(3), [0, 0, 9]);
  // Half of the rounds lie within a per cent, a quarter is up to half faster, a quarter up to threefold.
  const draw = () => Array.from({ length: 54 }, (_, i) => (i % 4 === 0 ? 1 - 0.5 * random.uniform() : i % 4 === 1 ? 1 + 2 * random.uniform() : 1 + 0.01 * random.uniform()));
  const held = Array.from({ length: 100 }, () => ratioOfModes(draw(), draw())).filter(({ low, high }) => low <= 1 && high >= 1);
  // 95 of 100 within three standard deviations of a binomial count.
  expect(held.length).toBeGreaterThanOrEqual(95 - 3 * Math.sqrt(100 * 0.05 * 0.95));
});

test("a contestant that throws is dropped, however late, and the others go on; without anybody to drop it, it ends the race", async () => {
  const contestant = (failsAt = Infinity): Contestant => {
    let count = 0;
    const time = async (repeats: number) => {
      if (++count >= failsAt) throw new Error(`no memory at ${count}`);
      return 16 / repeats;
    };
    return { blueprint: { kernel: "k", variant: "naive", dtype: "f32", flags: [], constants: {} }, time, run() {} };
  };
  const dropped: string[] = [];
  const samples = await race([contestant(), contestant(1), contestant(5), contestant()], 1, 4, (i, cause) => dropped.push(`${i} ${(cause as Error).message}`));
  expect(samples.map(({ length }) => length)).toEqual([4, 0, 0, 4]);
  expect(dropped).toEqual(["1 no memory at 1", "2 no memory at 5"]);
  await expect(race([contestant(), contestant(5)], 1, 4)).rejects.toThrow("no memory at 5");
});

test("a burst during one visit of six makes no row slower, and hides none that is", () => {
  const burst = (report: ComparedReport, at: number): ComparedReport => ({ ...report, rows: report.rows.map((row) => ({ ...row, visits: row.visits.map((rounds, i) => (i === at ? rounds.map((time) => 3 * time) : rounds)) })) });
  const verdicts = (slow: number) => compareReports(burst(makeReport(1, 1, 0.02), 2), burst(makeReport(4, slow, 0.02), 5), 0.05).rows.filter(({ verdict }) => verdict === "slower").map(({ name }) => name);
  expect(verdicts(1)).toEqual([]);
  expect(verdicts(1.2)).toEqual(["k7"]);
});

test("where visits lie on two levels, a row is not slower because more of them were on the upper one", () => {
  const levels = (report: ComparedReport, upper: number): ComparedReport => ({ ...report, rows: report.rows.map((row) => ({ ...row, visits: row.visits.map((rounds, i) => (i < upper ? rounds.map((time) => 1.1 * time) : rounds)) })) });
  const verdicts = compareReports(levels(makeReport(1, 1, 0.005), 2), levels(makeReport(4, 1, 0.005), 4), 0.05).rows.map(({ verdict }) => verdict);
  expect(new Set(verdicts)).toEqual(new Set(["unsure"]));
});

test("of fewer than four visits only what is more than twice as slow tells anything", () => {
  const first = (report: ComparedReport): ComparedReport => ({ ...report, rows: report.rows.map((row) => ({ ...row, visits: row.visits.slice(0, 1) })) });
  const verdict = (slow: number) => compareReports(first(makeReport(1)), first(makeReport(4, slow)), 0.05).rows[7]!.verdict;
  expect([1, 1.8, 100].map(verdict)).toEqual(["unsure", "unsure", "slower"]);
});

/** A report as two processes on a machine of changing speed would give: `slow` multiplies the time of one kernel, `jitter` is that of rounds. */
function makeReport(seed: number, slow = 1, jitter = 0.05): ComparedReport {
  const random = randomStream(keyOfSeed(seed), [0, 0, 9]);
  const machine = 1 + seed % 3;
  const rows = Array.from({ length: 12 }, (_, kernel) => {
    const pace = Array.from({ length: 6 }, () => Array.from({ length: 9 }, () => machine * (1 + jitter * random.uniform())));
    // Each round's time follows the machine, with as much again of its own.
    const visits = pace.map((rounds) => rounds.map((one) => (kernel + 1) * one * (1 + jitter * (random.uniform() - 0.5)) * (kernel === 7 ? slow : 1)));
    return { name: `k${kernel}`, variant: "naive", dtype: "f32", flags: [], constants: {}, case: "c", numbers: { n: 4 }, verified: true, milliseconds: percentile(visits.flat(), 0.5), visits, pace } as unknown as BenchRow;
  });
  return { date: "", device: { adapter: "a", driver: "d" } as ComparedReport["device"], rows };
}

test("two reports of one build are equal though the machine was twice as slow; one slowed kernel is caught, by name", () => {
  for (const seed of [1, 4]) {
    const same = compareReports(makeReport(seed), makeReport(seed + 1), 0.05);
    expect(same.rows.filter(({ verdict }) => verdict === "slower" || verdict === "faster")).toEqual([]);
    expect(same.pace).toBeGreaterThan(1.1);
    const slower = compareReports(makeReport(seed), makeReport(seed + 1, 1.3), 0.05);
    expect(slower.rows.filter(({ verdict }) => verdict === "slower").map(({ name }) => name)).toEqual(["k7"]);
  }
});

test("reports of other devices, without a common row, or none at all are refused", () => {
  const one = makeReport(1);
  expect(() => compareReports(one, { ...one, device: { ...one.device, driver: "e" } }, 0.05)).toThrow(/expected one device/);
  expect(() => compareReports(one, { ...one, rows: [] }, 0.05)).toThrow(/no row in common/);
  expect(() => readReport("x.json", "{")).toThrow(/no JSON/);
  expect(() => readReport("x.json", "{}")).toThrow(/expected a report/);
  expect(() => readReport("x.json", '{"schema":"cytonet-bench/1","rows":[]}')).toThrow(/another version/);
  expect(readReport("x.json", JSON.stringify({ schema: "cytonet-bench/2", ...one })).rows).toHaveLength(12);
});

/** What f32 arithmetic in plain order gives. */
function computePlain(problem: ReturnType<typeof problemOf>): Map<string, { dtype: "f32"; data: Float32Array }> {
  return new Map([...runReference(problem, makeInputs(problem), true)].map(([name, data]) => [name, { dtype: "f32", data: Float32Array.from(data) }]));
}

test("inputs far from zero: plain order and a better one both pass, a shifted result does not", () => {
  // The second is too large for its reference: it is held against `naive` by a yardstick of fewer rows.
  for (const rows of [200, 3300]) {
    const problem = problemOf(layerNorm, "c", completeNumbers(layerNorm, { rows, c: 384, eps: 1e-6 }), [], "f32");
    const plain = computePlain(problem);
    const exact: Outputs = new Map([...runReference(problem, makeInputs(problem), false)].map(([name, data]) => [name, { dtype: "f32", data: Float32Array.from(data) }]));
    const verify = createVerifier(problem, plain);
    expect(verify(plain)).toBeUndefined();
    expect(verify(exact)).toBeUndefined();
    const shifted = new Map(exact);
    shifted.set("y", { dtype: "f32", data: Float32Array.from(exact.get("y")!.data, (value, i) => (i === 1234 ? value + 1e-3 : value)) });
    expect(verify(shifted)).toMatch(/^y\[1234\]/);
    shifted.delete("mean");
    expect(verify(new Map([["y", exact.get("y")!]]))).toMatch(/is missing/);
  }
});
