// The progress line: what is wanted most stands first, and stays where a terminal is narrow.
import { expect, test } from "vitest";
import { fitLine, formatSeconds } from "../../src/cli/progress.ts";
import { describeProgress } from "../../src/cli/verbs/train.ts";
import type { Progress } from "../../src/model/trainer.ts";

const METRICS = { loss: 4.1234, divergence: 1.2346, anchors: 64, gradientNorm: 0.12345, learningRate: 1e-3, skipped: false };
const STATE: Progress = { step: 1234, steps: 10_000, metrics: METRICS, rate: 380.4, eta: 3026, waiting: 0.42, memory: 11.3 * 2 ** 20, skipped: 0, rewinds: 0 };

test("80 columns show step, time left and both losses; whole parts are left out", () => {
  const whole = describeProgress(STATE);
  expect(whole).toMatch(/42 % waiting.*\|g\| 0\.123 {2}11\.3 MiB$/);
  const line = fitLine(whole, 79);
  expect(line.length).toBeLessThanOrEqual(79);
  expect(line).toBe("step 1234/10000  50 min 26 s left  loss 4.1234  above floor 1.2346");
  expect(fitLine(whole, 200)).toBe(whole);
  expect(fitLine("x".repeat(90), 79)).toHaveLength(79);
});

test("before there is a pace, none is shown", () => {
  expect(describeProgress({ ...STATE, rate: Number.NaN, eta: Number.NaN })).not.toMatch(/NaN|left|patches\/s/);
});

test("seconds for people", () => {
  expect([0.4, 59.4, 93, 7384].map(formatSeconds)).toEqual(["0 s", "59 s", "1 min 33 s", "2 h 3 min"]);
});
