// What is typed: numbers within bounds, slips that are none, and paths in suggested commands.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { numberWithin, positiveNumber, wholeNumber } from "../../src/cli/arguments.ts";
import { quoteArgument, suggest } from "../../src/errors.ts";

test("numbers that are too large say so", () => {
  expect(() => wholeNumber("--steps", 1)("99999999999999999999")).toThrow('--steps: "99999999999999999999", expected a whole number from 1 to 9007199254740991');
  expect(() => wholeNumber("--steps", 1)("0")).toThrow('--steps: "0", expected a whole number from 1');
  expect(() => positiveNumber("--stride")("1e999")).toThrow(/expected a number above 0/);
  expect(() => numberWithin("--pixel-size", 1e-4, 1e5)("1e30")).toThrow('--pixel-size: "1e30", expected a number from 0.0001 to 100000');
  expect(numberWithin("--pixel-size", 1e-4, 1e5)("0.5")).toBe(0.5);
});

test("one letter is no slip of another", () => {
  expect(suggest("y", ["s", "x", "Y"])).toEqual(["Y"]);
  expect(suggest("um", ["px", "ym"])).toEqual(["ym"]);
  expect(suggest("lyer", ["layer", "slide"])).toEqual(["layer"]);
});

test.skipIf(process.platform === "win32")("a shell reads a quoted path as it is", () => {
  for (const path of ["runs/a", "out dir é", "it's", "$HOME `id`", "a\"b\\c", "*", ""]) expect(execFileSync("sh", ["-c", `printf %s ${quoteArgument(path)}`], { encoding: "utf8" })).toBe(path);
  expect(quoteArgument("runs/first-1.x")).toBe("runs/first-1.x");
});
