// Learning-rate schedules: where they begin, turn and end, and that every step lies where its formula says.
import { expect, test } from "vitest";
import { resolveConfig } from "../../src/model/config.ts";
import { scheduleAt, type Schedule } from "../../src/model/schedule.ts";

const PLAIN: Schedule = { schedule: "cosine", warmup: 0.1, floor: 0, milestones: [0.5, 0.8], decay: 0.1 };
const all = (change: Partial<Schedule>, steps = 100) => Array.from({ length: steps }, (_, step) => scheduleAt(step, steps, { ...PLAIN, ...change }));

test.each(["cosine", "linear", "step", "constant"] as const)("%s rises to its peak over the warm-up, and never beyond", (schedule) => {
  const rates = all({ schedule });
  expect(rates.slice(0, 11)).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1]);
  for (let step = 11; step < 100; step++) expect(rates[step]).toBeLessThanOrEqual(rates[step - 1]!);
});

test("cosine and linear meet in the middle, and come near their floor", () => {
  for (const floor of [0, 0.2]) {
    const [cosine, linear] = [all({ floor }), all({ schedule: "linear", floor })];
    for (const rates of [cosine, linear]) expect(rates[55]).toBeCloseTo((1 + floor) / 2, 12);
    expect(linear[99]).toBeCloseTo(floor + (1 - floor) / 90, 12);
    expect(cosine[99]! - floor).toBeLessThan(linear[99]! - floor);
    expect(cosine[99]).toBeGreaterThan(floor);
  }
});

test("without a floor, cosine is the formula of old, bit for bit", () => {
  for (let step = 10; step < 100; step++) expect(scheduleAt(step, 100, PLAIN)).toBe(0.5 * (1 + Math.cos((Math.PI * (step - 10)) / 90)));
});

test("step falls at its milestones, constant not at all", () => {
  const rates = all({ schedule: "step" });
  expect([10, 49, 50, 79, 80, 99].map((step) => rates[step])).toEqual([1, 1, 0.1, 0.1, 0.1 ** 2, 0.1 ** 2]);
  expect(new Set(all({ schedule: "constant" }).slice(10))).toEqual(new Set([1]));
});

test("one step, no warm-up and nothing but warm-up are no special cases", () => {
  expect(all({}, 1)).toEqual([1]);
  expect(all({ warmup: 0, schedule: "linear" }, 4)).toEqual([1, 1, 1 - 1 / 3, 1 - 2 / 3]);
  expect(all({ warmup: 1 }, 4)).toEqual([0.25, 0.5, 0.75, 1]);
});

test("settings out of bounds are refused", () => {
  expect(() => resolveConfig({ "optimizer.schedule": "poly" })).toThrow(/expected one of cosine, linear, step, constant/);
  expect(() => resolveConfig({ "optimizer.milestones": [0.8, 0.5] })).toThrow(/expected rising shares/);
  expect(() => resolveConfig({ "optimizer.milestones": "0.5" })).toThrow(/expected rising shares/);
  expect(resolveConfig({ "optimizer.milestones": [] }).optimizer.milestones).toEqual([]);
});
