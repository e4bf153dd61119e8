// The real trainer as a program, killed at random moments and resumed: the final weights and metrics have the same bytes.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateDataset } from "../../src/data/phantom.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { projectRoot } from "../support/bundle.ts";

const PROGRAM = join(projectRoot, "dist/cli/main.js");
const SEED = Number(process.env["CYTONET_KILL_SEED"] ?? 11);

let folder: string;
beforeAll(async () => {
  await stat(PROGRAM).catch(() => {
    throw new Error("dist/cli/main.js is missing: run `npm run build` first; `npm test` does");
  });
  folder = await mkdtemp(join(tmpdir(), "cytonet-kill-"));
  await generateDataset({ seed: 9, width: 256, height: 192, pixelSizeUm: 20, sampleSpacingMm: 0.15 }, join(folder, "data"), nodeFiles);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(out: string, resume: boolean): { child: ChildProcess; ended: Promise<{ code: number | null; signal: string | null; stderr: string }> } {
  const args = ["train", join(folder, "data"), "--preset", "tiny", "--steps", "40", "--out", join(folder, out), "--set", "data.patch=32", "--set", "batch.groups=4", "--set", "checkpoint.every=3"];
  // On resume the settings come from the run itself.
  const child = spawn(process.execPath, [PROGRAM, ...(resume ? ["train", join(folder, "data"), "--out", join(folder, out), "--resume"] : args)], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, CI: "1" } });
  let stderr = "";
  child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return { child, ended: new Promise((done) => child.on("exit", (code, signal) => done({ code, signal, stderr }))) };
}

const exists = (path: string) => stat(path).then(() => true, () => false);

test(`killed at random moments (seed ${SEED}) and resumed, it ends with the bytes of a run that was left alone`, { timeout: 300_000 }, async () => {
  const whole = await start("whole", false).ended;
  expect(whole.code, whole.stderr).toBe(0);

  const random = randomStream(keyOfSeed(SEED), [0, 0, 0]);
  const metrics = join(folder, "killed", "metrics.jsonl");
  let kills = 0;
  let resume = false;
  for (let attempt = 0; attempt < 12 && !(await exists(join(folder, "killed", "model.safetensors"))); attempt++) {
    const { child, ended } = start("killed", resume);
    // Kill only once this attempt has got somewhere, at a moment that falls anywhere between two writes or within one.
    if (kills < 4) {
      const before = await readFile(metrics, "utf8").catch(() => "");
      const deadline = Date.now() + 60_000;
      while (Date.now() < deadline && child.exitCode === null && (!(await exists(join(folder, "killed", "checkpoints", "latest"))) || (await readFile(metrics, "utf8").catch(() => "")) === before)) await new Promise((r) => setTimeout(r, 2));
      await new Promise((r) => setTimeout(r, 120 * random.uniform()));
      if (child.exitCode === null) {
        child.kill("SIGKILL");
        kills++;
      }
    }
    const { code, signal, stderr } = await ended;
    if (signal === null) expect(code, stderr).toBe(0);
    resume = true;
  }
  expect(kills).toBeGreaterThan(0);
  for (const file of ["model.safetensors", "metrics.jsonl", "config.json"])
    expect((await readFile(join(folder, "killed", file))).equals(await readFile(join(folder, "whole", file))), file).toBe(true);
  expect((await readFile(metrics, "utf8")).trim().split("\n").map((line) => (JSON.parse(line) as { step: number }).step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
});

test("SIGTERM finishes the step, saves, and says how to go on; the resumed run ends with the same bytes", { timeout: 200_000 }, async () => {
  const { child, ended } = start("asked", false);
  const metrics = join(folder, "asked", "metrics.jsonl");
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && child.exitCode === null && !(await exists(metrics))) await new Promise((r) => setTimeout(r, 5));
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  if (code === 0) return expect(await exists(join(folder, "asked", "model.safetensors"))).toBe(true); // it was done before the signal came
  expect(code, stderr).toBe(143);
  expect(stderr).toContain("--resume");
  const resumed = await start("asked", true).ended;
  expect(resumed.code, resumed.stderr).toBe(0);
  expect((await readFile(join(folder, "asked", "model.safetensors"))).equals(await readFile(join(folder, "whole", "model.safetensors")))).toBe(true);
});
