// What commands print: formats, whole files or none, and terminals that take no colour.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FORMATS } from "../../src/cli/arguments.ts";
import { formatRows } from "../../src/cli/output.ts";
import { formatSeconds } from "../../src/cli/progress.ts";
import { projectRoot } from "../support/bundle.ts";
import { buildProgram, runProgram } from "../support/program.ts";

let folder = "";
beforeAll(async () => {
  buildProgram();
  folder = await mkdtemp(join(tmpdir(), "cytonet-output-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rows = [
  { name: "a, b", value: 1.23456789, note: null },
  { name: 'say "x"', value: 20, note: "p|q" },
];

test.each([
  ["table", 'name      value  note\na, b     1.2346\nsay "x"      20  p|q\n'],
  ["csv", 'name,value,note\n"a, b",1.2346,\n"say ""x""",20,p|q\n'],
  ["md", '| name | value | note |\n| --- | --- | --- |\n| a, b | 1.2346 |  |\n| say "x" | 20 | p\\|q |\n'],
  ["jsonl", '{"schema":"s/1","name":"a, b","value":1.23456789,"note":null}\n{"schema":"s/1","name":"say \\"x\\"","value":20,"note":"p|q"}\n{"schema":"s/1","head":1,"tail":2}\n'],
] as const)("rows as %s", (format, text) => {
  expect(formatRows(format, "s/1", rows, { head: { head: 1 }, tail: { tail: 2 } })).toBe(text);
});

test("rows as json: schema first, the tail last", () => {
  const text = formatRows("json", "s/1", rows, { head: { head: 1 }, tail: { tail: 2 } });
  expect(Object.keys(JSON.parse(text) as object)).toEqual(["schema", "head", "rows", "tail"]);
  expect(JSON.parse(text)).toMatchObject({ schema: "s/1", rows });
});

test("durations", () => {
  expect([0.4, 59.6, 93, 3599.7, 3725, Infinity].map(formatSeconds)).toEqual(["0 s", "1 min 0 s", "1 min 33 s", "1 h 0 min", "1 h 2 min", "–"]);
});

describe("cytonet check", () => {
  test("gives one JSON document that ends with the summary; every skip has its reason", async () => {
    const { code, stdout, stderr } = await runProgram(["check", "scale", "--format", "json"]);
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout) as { rows: { kind: string; status: string; reason: string | null }[]; skips: Record<string, number>; summary: Record<string, Record<string, number>> };
    expect(Object.keys(report).at(-1)).toBe("summary");
    for (const kind of ["forward", "gradient"]) {
      const of = (status: string) => report.rows.filter((row) => row.kind === kind && row.status === status).length;
      expect(report.summary[kind]).toEqual({ passed: of("passed"), failed: of("failed"), skipped: of("skipped") });
    }
    expect(report.summary["forward"]?.["passed"]).toBeGreaterThan(0);
    expect(report.summary["gradient"]?.["passed"]).toBeGreaterThan(0);
    const skipped = report.rows.filter(({ status }) => status === "skipped");
    expect(skipped.every(({ reason }) => typeof reason === "string" && reason !== "")).toBe(true);
    expect(Object.values(report.skips).reduce((sum, count) => sum + count, 0)).toBe(skipped.length);
  });

  test("runs one case again by its name", async () => {
    const listed = await runProgram(["check", "scale", "--format", "jsonl", "--seed", "5"]);
    const first = JSON.parse(listed.stdout.split("\n")[0] ?? "") as { check: string; error: number };
    const again = await runProgram(["check", "--only", first.check, "--format", "jsonl"]);
    expect(again.stdout.split("\n").filter((line) => line.includes('"check"'))).toEqual([listed.stdout.split("\n")[0]]);
  });
});

describe("cytonet check, stopped or asked for other things", () => {
  test("keeps what it has run when it is stopped, says that it is not all, and ends with the signal's code", async () => {
    const { code, stdout } = await runProgram(["check", "--format", "jsonl"], {
      onStart: (child) => void child.stdout?.once("data", () => child.kill("SIGTERM")),
    });
    expect(code).toBe(143);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as { check?: string; status?: string; complete?: boolean; summary?: { forward: { passed: number } } });
    const last = lines.pop();
    expect(last?.complete).toBe(false);
    expect(lines.length).toBeGreaterThan(0);
    expect(last?.summary?.forward.passed).toBe(lines.filter(({ status }) => status === "passed").length);
  });

  test("says what the device takes, and why not", async () => {
    const { code, stdout } = await runProgram(["check", "softmax", "--mode", "support", "--format", "json"]);
    expect(code).toBe(0);
    const { rows } = JSON.parse(stdout) as { rows: { kernel: string; variant: string; taken: number; cases: number; reason: string | null }[] };
    expect(new Set(rows.map(({ variant }) => variant))).toEqual(new Set(["naive", "workgroup", "subgroup", "lanes"]));
    for (const { taken, cases, reason } of rows) expect(reason === null).toBe(taken === cases);
  });

  test("measures functions over all numbers of f16", async () => {
    const { code, stdout } = await runProgram(["check", "elementary", "--mode", "accuracy", "--format", "json"]);
    expect(code).toBe(0);
    const { rows, complete, features } = JSON.parse(stdout) as { complete: boolean; features: string[]; rows: { kind: string; name: string; count: number; maxUlp: number }[] };
    expect(complete).toBe(true);
    const functions = rows.filter(({ kind }) => kind === "function");
    // Of an f16 computed in f32: at most the other neighbour is taken, and the error of f32 is a 2^-13th of that ulp.
    for (const { name, maxUlp } of functions.filter(({ name: one }) => /\+(square|sqrt)$/.test(one))) expect(maxUlp, name).toBeLessThanOrEqual(1 + 2 ** -10);
    // 4 functions × 2 variants where the device has f16, which SwiftShader has not.
    expect(functions).toHaveLength(features.includes("shader-f16") ? 8 : 0);
    expect(rows.filter(({ kind }) => kind === "kernel").length).toBeGreaterThan(0);
    expect(functions.every(({ count }) => count > 30000)).toBe(true);
  });
});

describe("--output", () => {
  test.each(FORMATS)("%s: the same bytes as stdout would get, and no other file", async (format) => {
    const file = join(folder, `check.${format}`);
    const [toFile, toStdout] = await Promise.all([runProgram(["check", "scale", "--format", format, "--output", file]), runProgram(["check", "scale", "--format", format])]);
    expect([toFile.code, toStdout.code, toFile.stdout]).toEqual([0, 0, ""]);
    // Two runs, at two times.
    const dateless = (text: string) => text.replace(/"date": ?"[^"]+"/, "");
    expect(dateless(await readFile(file, "utf8"))).toBe(dateless(toStdout.stdout));
    expect((await readdir(folder)).filter((name) => name.includes("part"))).toEqual([]);
  });

  test("replaces only with --force, and neither folders nor links ever", async () => {
    const file = join(folder, "mine.json");
    await writeFile(file, "mine");
    await symlink(file, join(folder, "link.json"));
    const attempt = (name: string, ...more: string[]) => runProgram(["check", "scale", "--output", join(folder, name), ...more]);
    for (const [name, message, ...more] of [["mine.json", "exists already"], ["link.json", "no regular file", "--force"], ["", "is a folder", "--force"], ["no/where.json", "there is no folder"]] as const) {
      const { code, stderr } = await attempt(name, ...more);
      expect(code).toBe(73);
      expect(stderr).toContain(message);
    }
    expect(await readFile(file, "utf8")).toBe("mine");
    expect((await attempt("mine.json", "--force")).code).toBe(0);
    expect(await readFile(file, "utf8")).not.toBe("mine");
  });
});

test("off a terminal there is neither colour nor a line that is redrawn", async () => {
  const { code, stdout, stderr } = await runProgram(["doctor"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^PASS {2}kernel /m);
  expect(stdout + stderr).not.toMatch(/[\r\u001b]/);
});

test("doctor names what is missing and ends with 69", async () => {
  const { code, stdout } = await runProgram(["doctor", "--adapter", "voodoo"]);
  expect(code).toBe(69);
  expect(stdout).toMatch(/^FAIL {2}adapter .*"voodoo"/m);
});

describe.skipIf(!existsSync("/dev/full"))("what cannot be printed ends with 74, whoever prints it", () => {
  const run = (line: string) => spawnSync("bash", ["-c", line, "bash", process.execPath, join(projectRoot, "dist/cli/main.js")], { encoding: "utf8", cwd: folder, env: { CYTONET_ADAPTER: "swiftshader", ...process.env } });
  test.each(["--help", "--help settings", "completion bash", "check scale --format json", "check scale --format jsonl"])("%s", (args) => {
    const { status, stderr } = run(`"$@" ${args} > /dev/full`);
    expect(stderr).toMatch(/^error: stdout: cannot write: the disk is full; free some space/m);
    expect(status).toBe(74);
  });
  test("a file that takes only the beginning", () => {
    // Limits are in kB; the system writes what fits, says how much that was, and refuses what comes next.
    const { status, stderr } = run(`ulimit -f 1; "$@" completion bash > cut`);
    expect(stderr).toMatch(/^error: stdout: cannot write: the file would become larger than allowed here/m);
    expect(status).toBe(74);
  });
  test("a reader that has seen enough is no fault", () => {
    expect(run(`"$@" completion bash | head -c 1; exit "\${PIPESTATUS[0]}"`).status).toBe(0);
  });
});
