// The demo as a new user runs it, in few steps and sections: two at once, once more, interrupted, and beside files of others.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { inspectImage } from "../../src/data/decode.ts";
import { readSafetensors } from "../../src/data/safetensors.ts";
import { buildProgram, runProgram, type RunOptions } from "../support/program.ts";

let top = "";
let home = "";
beforeAll(async () => {
  buildProgram();
  top = await mkdtemp(join(tmpdir(), "cytonet-demo-"));
});
afterAll(() => rm(top, { recursive: true, force: true }));
beforeEach(async () => {
  home = await mkdtemp(join(top, "home-"));
});

const demo = (args: readonly string[] = [], options: RunOptions = {}) => runProgram(["demo", "--steps", "2", "--sections", "1", ...args], { cwd: home, ...options });

interface Score {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

interface Summary {
  readonly probe: { readonly macroF1: Score };
  readonly baselines: Readonly<Record<string, { readonly macroF1: Score }>>;
  readonly encoder: { readonly holdOut: readonly string[]; readonly sawHeldOut: boolean };
  readonly steps: number;
}

test("two first runs at once; then one again: data, weights, features, maps, summary and report, and the same numbers each time", async () => {
  const [one, two] = await Promise.all([demo(["--format", "json"]), demo(["--format", "json"])]);
  expect([one.code, two.code], one.stderr + two.stderr).toEqual([0, 0]);
  expect((await readdir(join(home, "runs"))).sort()).toEqual(["demo", "demo-2"]);
  const row = [one, two].map(({ stdout }) => (JSON.parse(stdout) as { rows: [Record<string, string | number>] }).rows[0]).find(({ weights }) => weights === "runs/demo/run/model.safetensors");
  expect(row).toMatchObject({ steps: 2, embeddings: "runs/demo/embeddings.safetensors", report: "runs/demo/report.html", summary: "runs/demo/summary.json" });
  const { tensors } = readSafetensors(await readFile(join(home, "runs/demo/embeddings.safetensors")), "embeddings");
  expect(tensors.get("embeddings")?.shape).toEqual([row?.["samples"], 256]);
  const maps = await readdir(join(home, "runs/demo/maps"));
  expect(maps).toHaveLength(3);
  expect(inspectImage(await readFile(join(home, "runs/demo/maps", maps[0]!)), "map")).toMatchObject({ channels: 3 });
  const read = (folder: string) => readFile(join(home, "runs", folder, "run/model.safetensors"));
  const weights = await read("demo");
  expect((await read("demo-2")).equals(weights)).toBe(true);

  const summary = JSON.parse(await readFile(join(home, "runs/demo/summary.json"), "utf8")) as Summary;
  for (const { value, low, high } of [summary.probe.macroF1, ...["chance", "majority", "intensity", "untrained"].map((name) => summary.baselines[name]!.macroF1)]) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(low).toBeLessThanOrEqual(high);
    expect(high).toBeLessThanOrEqual(1);
  }
  expect(summary).toMatchObject({ steps: 2, encoder: { holdOut: ["phantom3"], sawHeldOut: false } });
  const report = await readFile(join(home, "runs/demo/report.html"), "utf8");
  expect(report).toContain(summary.probe.macroF1.value.toFixed(2));
  expect(report).not.toContain(home);

  await writeFile(join(home, "runs/demo/mine.txt"), "mine");
  const again = await demo();
  expect(again.code, again.stderr).toBe(0);
  for (const word of ["adapter", "loss", "areas read off", "speed", "report", "weights", "features", "maps", "next:"]) expect(again.stdout).toMatch(new RegExp(`^${word}`, "m"));
  expect((await read("demo")).equals(weights)).toBe(true);
  expect((JSON.parse(await readFile(join(home, "runs/demo/summary.json"), "utf8")) as Summary).probe).toEqual(summary.probe);
  expect(await readFile(join(home, "runs/demo/mine.txt"), "utf8")).toBe("mine");
}, 600_000);

test("Ctrl-C ends it with 130, without a summary, a report or final weights", async () => {
  const { code, stdout } = await runProgram(["demo", "--steps", "100000", "--sections", "1"], {
    cwd: home,
    onStart(child) {
      const timer = setInterval(() => {
        void readdir(join(home, "runs/demo/run/checkpoints")).then(() => {
          clearInterval(timer);
          child.kill("SIGINT");
        }, () => undefined);
      }, 50);
      child.once("exit", () => clearInterval(timer));
    },
  });
  expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  const left = await readdir(join(home, "runs/demo"), { recursive: true });
  expect(left.filter((name) => /model\.safetensors|embeddings|summary|report/.test(name))).toEqual([]);
}, 600_000);

test("leaves files of others alone", async () => {
  await mkdir(join(home, "mine/data"), { recursive: true });
  await writeFile(join(home, "mine/data/a.txt"), "mine");
  const { code, stderr } = await demo(["--out", "mine"]);
  expect(code).toBe(73);
  expect(stderr).toMatch(/^error: mine: holds data that no demo made/m);
  expect(await readdir(join(home, "mine"), { recursive: true })).toEqual(["data", join("data", "a.txt")]);
});
