// What is typed: numbers within bounds, slips that are none, and paths in suggested commands.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { joinResume, listOf, numberWithin, positiveNumber, wholeNumber, wholeNumbers } from "../../src/cli/arguments.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { groupsOf } from "../../src/cli/verbs/train.ts";
import { quoteArgument, suggest } from "../../src/errors.ts";

test("numbers that are too large say so", () => {
  expect(() => wholeNumber("--steps", 1)("99999999999999999999")).toThrow('--steps: "99999999999999999999", expected a whole number from 1 to 9007199254740991');
  expect(() => wholeNumber("--steps", 1)("0")).toThrow('--steps: "0", expected a whole number from 1');
  expect(() => positiveNumber("--stride")("1e999")).toThrow(/expected a number above 0/);
  expect(() => numberWithin("--pixel-size", 1e-4, 1e5)("1e30")).toThrow('--pixel-size: "1e30", expected a number from 0.0001 to 100000');
  expect(numberWithin("--pixel-size", 1e-4, 1e5)("0.5")).toBe(0.5);
});

test("lists have at least one word, and none that is empty", () => {
  expect([listOf("--preset")("a, b"), wholeNumbers("--batch")("8,16")]).toEqual([["a", "b"], [8, 16]]);
  for (const text of ["", ",", "a,", ",a", "a,,b", " "]) expect(() => listOf("--preset")(text)).toThrow(expect.objectContaining({ exitCode: 2, message: expect.stringContaining("--preset: ") as string }));
  for (const text of [",", "8,", "0"]) expect(() => wholeNumbers("--batch")(text)).toThrow(/^--batch: /);
});

test("--resume takes its own words and no dataset", () => {
  const joined = (text: string) => joinResume(text.split(" ")).join(" ");
  expect(joined("train brains --out r --resume auto")).toBe("train brains --out r --resume=auto");
  expect(joined("train --resume auto brains --out r")).toBe("train --resume=auto brains --out r");
  expect(joined("train --resume brains --out r")).toBe("train --resume=must brains --out r");
  expect(joined("train brains --out r --resume")).toBe("train brains --out r --resume=must");
  expect(joined("train brains --resume --out r -- --resume auto")).toBe("train brains --resume=must --out r -- --resume auto");
  expect(joined("train --resume=auto ./auto")).toBe("train --resume=auto ./auto");
});

test.each([
  [["bench", "model", "--variant", "naive"], "cytonet bench model: --variant means nothing here"],
  [["bench", "--min-milliseconds", "5", "model"], "cytonet bench model: --min-milliseconds means nothing here"],
  [["bench", "model", "--max-flops", "5"], "cytonet bench model: --max-flops means nothing here"],
  [["bench", "model", "--preset", ","], '--preset: ",", expected one or more words'],
  [["bench", "compare", "a.json", "b.json", "--adapter", "x"], "cytonet bench compare: --adapter means nothing here"],
  [["bench", "compare", "--rounds", "3", "a.json", "b.json"], "cytonet bench compare: --rounds means nothing here"],
] as const)("%j is refused rather than ignored", async (args, message) => {
  await expect(buildProgram().parseAsync([...args], { from: "user" })).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining(message) as string });
});

test("a batch of so many patches is so many groups", () => {
  expect(groupsOf(undefined, {}, {})).toEqual({});
  expect(groupsOf(4096, {}, {})).toEqual({ "batch.groups": 1024 });
  expect(groupsOf(96, {}, { "batch.groupSize": 8, "batch.groups": 3 })).toEqual({ "batch.groups": 12 });
  expect(() => groupsOf(97, {}, { "batch.groupSize": 8 })).toThrow("--batch: 97, expected a multiple of 8, the patches of a neighbourhood group (batch.groupSize)");
  expect(() => groupsOf(96, { "batch.groups": 3 }, { "batch.groups": 3 })).toThrow("--batch and --set batch.groups, expected at most one of them");
  // Told by the configuration, with all other mistakes.
  expect(groupsOf(96, {}, { "batch.groupSize": "8" })).toEqual({});
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
