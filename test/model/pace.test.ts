// The pace of a progress line: what the first piece took does not count, and neither does what was long ago.
import { expect, test } from "vitest";
import { createPace } from "../../src/model/pace.ts";

test("compilation in the first piece is left out, and nothing is said before the second", () => {
  const pace = createPace();
  expect(pace.rate()).toBeNaN();
  pace.note(64, 15_000, 15_000);
  expect(pace.rate()).toBeNaN();
  expect(pace.waiting()).toBe(0);
  pace.note(128, 15_200, 15_050);
  expect(pace.rate()).toBe(320);
  expect(pace.waiting()).toBe(0.25);
});

test("a change of speed is followed once it has lasted ten seconds", () => {
  const pace = createPace();
  for (let i = 0; i <= 100; i++) pace.note(10 * i, 100 * i);
  expect(pace.rate()).toBe(100);
  for (let i = 1; i <= 20; i++) pace.note(1000 + 10 * i, 10_000 + 1000 * i);
  expect(pace.rate()).toBe(10);
});

test("pieces that take longer than the window give the pace of the latest", () => {
  const pace = createPace();
  [0, 1, 2].forEach((done) => pace.note(done, 20_000 * done));
  pace.note(3, 100_000);
  expect(pace.rate()).toBe(1 / 60);
});
