// Bench and tuner as people run them: a tuner killed in its work goes on, leaves no process behind, and benches write what compare reads.
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildProgram, runProgram } from "../support/program.ts";

let folder = "";
beforeAll(async () => {
  buildProgram();
  folder = await mkdtemp(join(tmpdir(), "cytonet-tune-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Processes that a process has started; none where the system does not tell. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Whether a process runs: one that ended and was not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("a tuner killed by SIGKILL goes on, its child ends, and its choices hold", async () => {
  const store = join(folder, "tuned.json");
  const journal = () => readFile(`${store}.journal`, "utf8").catch(() => "");
  const args = ["tune", "layer-norm-dx", "--set", "rows=64", "--set", "c=64", "--dtype", "f32", "--rounds", "3", "--store", store, "--format", "json"];
  let killed = false;
  let children: number[] = [];
  const first = await runProgram(args, {
    onStart: (child) => {
      const timer = setInterval(() => {
        void journal().then((text) => {
          if (killed || !text.includes('"end"')) return;
          killed = true;
          children = childrenOf(child.pid ?? 0);
          child.kill("SIGKILL");
        });
      }, 5);
      child.once("close", () => clearInterval(timer));
    },
  });
  expect(killed).toBe(true);
  expect(first.code).toBeNull();
  if (process.platform === "linux") {
    expect(children).toHaveLength(1);
    await expect.poll(() => children.filter(isAlive), { timeout: 30_000 }).toEqual([]);
  }
  const before = (await journal()).split("\n").filter((line) => line.includes('"end"'));
  const { code, stdout } = await runProgram(args);
  expect(code).toBe(0);
  const { rows, complete } = JSON.parse(stdout) as { rows: { kernel: string; failed: number; candidates: number }[]; complete: boolean };
  expect(complete).toBe(true);
  expect(rows).toMatchObject([{ kernel: "layer-norm-dx", failed: 0 }]);
  expect(before.length).toBeLessThan(rows[0]!.candidates);
  const listed = JSON.parse((await runProgram(["tune", "layer-norm-dx", "--list", "--store", store, "--format", "json"])).stdout) as { rows: { from: string; state: string }[] };
  expect(listed.rows.filter(({ from }) => from === "own")).toMatchObject([{ state: "holds" }]);
  expect((await runProgram(["tune", "--clear", "--store", store])).code).toBe(0);
  expect(await readFile(store).catch(() => undefined)).toBeUndefined();
});

test("what a bench writes, compare reads; a kernel slowed a hundredfold ends with 3", async () => {
  const file = join(folder, "a.json");
  const { code, stderr } = await runProgram(["bench", "softmax", "--set", "rows=64", "--set", "n=64", "--dtype", "f32", "--variant", "naive", "--rounds", "5", "--min-milliseconds", "1", "--format", "json", "--output", file]);
  expect(stderr).not.toMatch(/WRONG/);
  expect(code).toBe(0);
  const { code: same, stdout } = await runProgram(["bench", "compare", file, file]);
  expect(same).toBe(0);
  expect(stdout.split("\n").every((line) => line.length <= 80)).toBe(true);
  const report = JSON.parse(await readFile(file, "utf8")) as { rows: { name: string; visits: number[][] }[] };
  const slow = join(folder, "b.json");
  await writeFile(slow, JSON.stringify({ ...report, rows: report.rows.map((row) => (row.name === "softmax" ? { ...row, visits: row.visits.map((rounds) => rounds.map((time) => 100 * time)) } : row)) }));
  expect((await runProgram(["bench", "compare", file, slow, "--fail-on", "5%", "--format", "json"])).code).toBe(3);
});
