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

test("a dry run says what the run takes, and writes nothing; too little memory is refused before there is a run", async () => {
  const out = join(top, "dry");
  const dry = await runProgram(["train", dataset, "--dry-run", "--out", out, ...SETTINGS, "--memory", "1GiB", "--format", "json"]);
  expect(dry.code, dry.stderr).toBe(0);
  const { schema, rows, config, recomputed } = JSON.parse(dry.stdout) as { schema: string; rows: { quantity: string; value: number }[]; config: { memory: string }; recomputed: string[] };
  expect(schema).toBe("cytonet-train-dry-run/1");
  const of = (quantity: string) => rows.find((row) => row.quantity === quantity)?.value;
  const parts = rows.filter(({ quantity }) => quantity.startsWith("memory: ") && !/total|budget/.test(quantity));
  expect(of("memory: total")).toBe(parts.reduce((sum, { value }) => sum + value, 0));
  expect(of("memory: budget")).toBe(2 ** 30);
  expect(of("patches in a step")).toBe(4);
  expect(of("time of a step at least")).toBeGreaterThan(0);
  expect([config.memory, recomputed]).toEqual(["1GiB", []]);
  const refused = await runProgram(["train", dataset, "--out", out, ...SETTINGS, "--memory", "1MiB"]);
  expect(refused.code).toBe(78);
  expect(refused.stderr).toMatch(/memory: 1\.00 MiB, expected at least \d+ MiB/);
  expect(await readdir(top)).not.toContain("dry");
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

/** Waits until something is the case, then `extra` milliseconds. */
async function waitFor(isSo: () => Promise<boolean>, extra: number, ended: () => boolean): Promise<void> {
  while (!ended() && !(await isSo())) await new Promise((done) => setTimeout(done, 3));
  await new Promise((done) => setTimeout(done, extra));
}

/** Waits until a run has made a checkpoint beyond `step`, then `extra` milliseconds. */
function waitBeyond(run: string, step: number, extra: number, ended: () => boolean): Promise<void> {
  return waitFor(async () => (await lastStep(run)) > step, extra, ended);
}

/** Kills while the run is made, which is mostly while its kernels compile. */
const EARLY_KILLS = 3;

test("kill -9, again and again, also before there is a checkpoint: the same command line gives the same bytes in the end", async () => {
  const run = join(top, "killed");
  let seed = 7;
  let kills = 0;
  for (let finished = false; !finished; ) {
    const before = await lastStep(run);
    const args = ["train", "--resume", "auto", dataset, "--out", run, ...SETTINGS];
    const early = kills < EARLY_KILLS;
    let over = false;
    const { code, stderr } = await runProgram(args, {
      onStart(child) {
        child.once("exit", () => (over = true));
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        const extra = (seed / 2 ** 32) * (early ? 300 : 150);
        const moment = early ? waitFor(() => stat(run).then(() => true, () => false), extra, () => over) : waitBeyond(run, before + 1, extra, () => over);
        void moment.then(() => child.kill("SIGKILL"));
      },
    });
    if (code === null) kills++;
    else expect(code, stderr).toBe(0);
    finished = code === 0;
  }
  expect(kills).toBeGreaterThan(EARLY_KILLS);
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
  expect(second.stderr).toContain(`resume: continuing after step ${step} of 12`);
  await expectSame(run);
}, 120_000);

test("two Ctrl-C while the kernels compile: ends by the signal, and is continued to the same bytes", async () => {
  const run = join(top, "twice");
  let signal: string | null = null;
  const first = await runProgram(["train", dataset, "--out", run, ...SETTINGS], {
    onStart(child) {
      let over = false;
      child.once("exit", (_, by) => {
        signal = by;
        over = true;
      });
      child.stderr?.on("data", (part: Buffer) => part.toString().includes("SIGINT") && child.kill("SIGINT"));
      void waitFor(() => stat(join(run, "config.json")).then(() => true, () => false), 50, () => over).then(() => child.kill("SIGINT"));
    },
  });
  expect(first).toMatchObject({ code: null, stdout: "" });
  expect(signal).toBe("SIGINT");
  expect(await lastStep(run)).toBe(-1);
  const second = await runProgram(["train", dataset, "--out", run, "--resume"]);
  expect(second.code, second.stderr).toBe(0);
  expect(second.stderr).toMatch(/^resume: the run was ended before its first checkpoint; it starts at step 0 of 12$/m);
  await expectSame(run);
}, 120_000);

test("a finished run that is resumed says what it came to", async () => {
  const { code, stdout, stderr } = await runProgram(["train", dataset, "--out", whole, "--resume", "--format", "json"]);
  expect(code, stderr).toBe(0);
  const { loss, divergence } = JSON.parse((await readFile(join(whole, "metrics.jsonl"), "utf8")).trim().split("\n").at(-1)!) as Record<string, number>;
  expect(JSON.parse(stdout)).toMatchObject({ rows: [{ steps: STEPS, loss, divergence, patchesPerSecond: null }] });
  expect(stderr).toContain("has all its 12 steps already");
});

test("a brain that is held out is not trained on; workers change no bit", async () => {
  const run = join(top, "held-out");
  const args = ["train", dataset, "--out", run, ...SETTINGS, "--hold-out", "phantom2"];
  const { code, stderr } = await runProgram(args);
  expect(code, stderr).toBe(0);
  const weights = async () => {
    const file = await readFile(join(run, "model.safetensors"));
    return file.subarray(8 + file.readUInt32LE(0)).toString("base64"); // the header has the configuration
  };
  const alone = await weights();
  const worked = await runProgram([...args, "--set", "data.workers=2", "--force"]);
  expect(worked.code, worked.stderr).toBe(0);
  expect(await weights()).toBe(alone);
  expect((await readFile(join(run, "model.safetensors"))).equals(await readFile(join(whole, "model.safetensors")))).toBe(false);
  expect(JSON.parse(await readFile(join(run, "config.json"), "utf8"))).toMatchObject({ holdOut: ["phantom2"] });
});
