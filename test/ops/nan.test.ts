// NaN is never swallowed: relu hands it on, and a label that names no class makes one, in every variant.
import { describe, expect, test } from "vitest";
import * as kernels from "../../kernels/index.ts";
import { listChecks, runWith, type CheckCase } from "../../src/engine/check.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

/** The smallest declared case of each variant that the device runs, in f32. */
function casesOf(kernel: CheckCase["kernel"], suits: (check: CheckCase) => boolean): (readonly [string, CheckCase])[] {
  const checks = listChecks(kernel).filter((check) => check.dtype === "f32" && suits(check));
  return checks.map((check) => [`${kernel.name}.${check.variant} ${check.name}`, check] as const);
}

describe("relu of NaN is NaN", () => {
  test.each([...casesOf(kernels.activation, ({ name }) => name === "relu"), ...casesOf(kernels.batchNorm, ({ name }) => name === "relu, c 36")])("%s", async (_, check) => {
    const x = new Float64Array(check.kernel === kernels.activation ? check.numbers["n"]! : check.numbers["rows"]! * check.numbers["c"]!).fill(Number.NaN);
    const done = await runWith(engine(), check, new Map([["x", x]]));
    if ("reason" in done) return;
    expect([...done.outputs.get("y")!].filter((value) => !Number.isNaN(value))).toEqual([]);
    expect([...done.truth.get("y")!].filter((value) => !Number.isNaN(value))).toEqual([]);
  });
});

describe("cross-entropy of a label that names no class is NaN, and so is its row's gradient", () => {
  const suits = ({ name }: CheckCase) => ["ragged", "smoothed vectors"].includes(name);
  test.each([...casesOf(kernels.crossEntropy, suits), ...casesOf(kernels.crossEntropyDx, suits)])("%s", async (_, check) => {
    const { rows = 0, n = 0 } = check.numbers;
    // The first that is none, the largest, and one whose bits would be those of infinity.
    const labels = Float64Array.from({ length: rows }, (_none, row) => [n - 1, n, 0xffffffff, 0, 0x7f800000][row] ?? row % n);
    const done = await runWith(engine(), check, new Map([["labels", labels]]));
    if ("reason" in done) return;
    const wrong = [1, 2, 4];
    const output = check.kernel === kernels.crossEntropy ? "loss" : "dlogits";
    const width = output === "loss" ? 1 : n;
    for (const values of [done.outputs.get(output)!, done.truth.get(output)!])
      expect(Array.from(values, Number.isNaN)).toEqual(Array.from(values, (_none, i) => wrong.includes(Math.floor(i / width))));
    if (output === "loss") expect([...done.outputs.get("lse")!].every(Number.isFinite)).toBe(true);
  });
});
