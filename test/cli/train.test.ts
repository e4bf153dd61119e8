// The trainer as a program on a device: killed, interrupted and continued, it ends with the same bytes; what it writes is what is promised.
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { buildProgram, runProgram } from "../support/program.ts";

const STEPS = 12;
const SETTINGS = ["--preset", "tiny", "--steps", String(STEPS), ...["batch.groups=2", "batch.groupSize=2", "data.patch=32", "checkpoint.every=1", "checkpoint.keep=2"].flatMap((setting) => ["--set", setting])];
const SAME = ["model.safetensors", "metrics.jsonl", "config.json", `checkpoints/step-${String(STEPS).padStart(10, "0")}.safetensors`];

let top = "";
let dataset = "";
let whole = "";
beforeAll(async () => {
  buildProgram();
  top = await mkdtemp(join(tmpdir(), "cytonet-train-"));
  dataset = join(top, "dataset");
  whole = join(top, "whole");
  await generateDataset({ seed: 1, brains: 2, sections: 1, width: 192, height: 144, pixelSizeUm: 24 }, dataset, nodeFiles);
  const { code, stderr, stdout } = await runProgram(["train", dataset, "--out", whole, ...SETTINGS, "--format", "json"]);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ schema: "cytonet-train/1", rows: [{ run: whole, steps: STEPS, weights: join(whole, "model.safetensors") }] });
});
afterAll(() => rm(top, { recursive: true, force: true }));

async function expectSame(run: string): Promise<void> {
  for (const name of SAME) expect((await readFile(join(run, name))).equals(await readFile(join(whole, name))), name).toBe(true);
}

test("every step is in the metrics once, with finite numbers", async () => {
  const lines = (await readFile(join(whole, "metrics.jsonl"), "utf8")).trim().split("\n").map((line) => JSON.parse(line) as Record<string, number>);
  expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  expect(lines.every(({ loss }) => Number.isFinite(loss))).toBe(true);
});

test("a run says nothing about the machine's names and paths", async () => {
  const environment = await readFile(join(whole, "environment.json"), "utf8");
  expect(environment).toMatch(/SwiftShader|llvmpipe/i);
  for (const name of [top, process.env["HOME"] ?? "/root", process.env["USER"] || "root"]) expect(environment).not.toContain(name);
});

/** How far a run has come: the newest checkpoint's step, or -1. */
async function lastStep(run: string): Promise<number> {
  const names = await readdir(join(run, "checkpoints")).catch(() => []);
  return Math.max(-1, ...names.flatMap((name) => /^step-(\d+)\.safetensors$/.exec(name)?.[1] ?? []).map(Number));
}

/** Waits until a run has made a checkpoint beyond `step`, then `extra` milliseconds. */
async function waitBeyond(run: string, step: number, extra: number, ended: () => boolean): Promise<void> {
  while (!ended() && (await lastStep(run)) <= step) await new Promise((done) => setTimeout(done, 3));
  await new Promise((done) => setTimeout(done, extra));
}

test("kill -9, again and again: the same bytes in the end", async () => {
  const run = join(top, "killed");
  let seed = 7;
  let kills = 0;
  for (let finished = false; !finished; ) {
    const before = await lastStep(run);
    const args = before < 0 ? ["train", dataset, "--out", run, ...SETTINGS, "--force"] : ["train", dataset, "--out", run, "--resume"];
    let over = false;
    const { code, stderr } = await runProgram(args, {
      onStart(child) {
        child.once("exit", () => (over = true));
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        void waitBeyond(run, before + 1, (seed / 2 ** 32) * 150, () => over).then(() => child.kill("SIGKILL"));
      },
    });
    if (code === null) kills++;
    else expect(code, stderr).toBe(0);
    finished = code === 0;
  }
  expect(kills).toBeGreaterThan(2);
  await expectSame(run);
}, 240_000);

test.each([["SIGINT", 130], ["SIGTERM", 143]] as const)("%s: saves, ends with %i, and is continued to the same bytes", async (signal, expected) => {
  const run = join(top, signal);
  let over = false;
  const first = await runProgram(["train", dataset, "--out", run, ...SETTINGS], {
    onStart(child) {
      child.once("exit", () => (over = true));
      void waitBeyond(run, 1, 0, () => over).then(() => child.kill(signal));
    },
  });
  expect(first.code, first.stderr).toBe(expected);
  expect(first.stdout).toBe("");
  const [, step = ""] = /stopped after step (\d+) of 12; continue with: cytonet train .* --resume/.exec(first.stderr) ?? [];
  expect(await lastStep(run)).toBe(Number(step));
  await expect(stat(join(run, "model.safetensors"))).rejects.toThrow("ENOENT");
  const second = await runProgram(["train", dataset, "--out", run, "--resume"]);
  expect(second.code, second.stderr).toBe(0);
  await expectSame(run);
}, 120_000);

test("a brain that is held out is not trained on", async () => {
  const run = join(top, "held-out");
  const { code, stderr } = await runProgram(["train", dataset, "--out", run, ...SETTINGS, "--hold-out", "phantom2"]);
  expect(code, stderr).toBe(0);
  expect((await readFile(join(run, "model.safetensors"))).equals(await readFile(join(whole, "model.safetensors")))).toBe(false);
  expect(JSON.parse(await readFile(join(run, "config.json"), "utf8"))).toMatchObject({ holdOut: ["phantom2"] });
});
