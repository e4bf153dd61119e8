// kill -9 on a real disk, at random moments and mostly while a checkpoint is written: the run ends with the same bytes.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nodeFiles } from "../../src/host/files-node.ts";
import { bundleForNode } from "../support/bundle.ts";
import { trainSmall } from "./small-training.ts";

const training = { steps: 24, size: 200_000, every: 1 };
let top = "";
let program = "";
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-kill-"));
  program = await bundleForNode("test/model/programs/small-training.ts");
}, 60_000);
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
  await rm(program, { force: true });
});

/** Runs the program until it ends or `killMs` after its folder has appeared; true where it ended by itself. */
async function attempt(folder: string, killMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [program, folder, String(training.steps), String(training.size), String(training.every)], { stdio: ["ignore", "ignore", "pipe"] });
  let messages = "";
  child.stderr.on("data", (part) => (messages += String(part)));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  let over = false;
  void ended.then(() => (over = true));
  while (!over && (await stat(folder).catch(() => undefined)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  const timer = setTimeout(() => child.kill("SIGKILL"), killMs);
  const code = await ended;
  clearTimeout(timer);
  if (code !== null && code !== 0) throw new Error(`ended with ${code}: ${messages}`);
  return code === 0;
}

test("weights, metrics, events and the last checkpoint", async () => {
  const whole = join(top, "whole");
  const begin = performance.now();
  await trainSmall(nodeFiles, whole, training);
  const wholeMs = performance.now() - begin;
  const killed = join(top, "killed");
  let seed = 2024;
  let kills = 0;
  const moment = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed / 2 ** 32) * (wholeMs / 6) * (1 + kills / 8); // by this machine's speed, and longer with each kill, so that the end is reached
  };
  while (!(await attempt(killed, moment()))) kills++;
  expect(kills).toBeGreaterThan(2);
  const last = "checkpoints/step-0000000024.safetensors";
  for (const name of ["config.json", "environment.json", "metrics.jsonl", "events.out.tfevents.cytonet", "model.safetensors", last])
    expect((await readFile(join(killed, name))).equals(await readFile(join(whole, name))), name).toBe(true);
  expect((await readdir(join(killed, "checkpoints"))).sort()).toEqual(["latest", "step-0000000023.safetensors", "step-0000000024.safetensors"]);
}, 180_000);

const canMount = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

test.skipIf(!canMount)("a disk of 1 MB is too small for the run: said before the first step, with what it needs", () => {
  const script = `mount -t tmpfs -o size=1m none /mnt && "${process.execPath}" "${program}" /mnt/run 24 50000 1; cd /mnt/run && ls checkpoints && wc -c < model.safetensors`;
  const { stdout, stderr } = spawnSync("unshare", ["-rm", "bash", "-c", script], { encoding: "utf8" });
  // Three checkpoints at once (two kept, one being written) of 50,000 f32 and the header each: 0.2 MB fit, 0.6 MB fit, so 1 MB holds them.
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^latest\n(step-\d{10}\.safetensors\n){2}20\d{4}\n$/); // and final weights of 200,000 bytes and a header
  const larger = spawnSync("unshare", ["-rm", "bash", "-c", script.replace("50000", "100000")], { encoding: "utf8" });
  expect(larger.stderr).toMatch(/no room for 3 checkpoints at once, expected 1\.1 MiB for the run/);
  expect(larger.stderr).toMatch(/exitCode: 74/);
  expect(larger.stdout).toBe("latest\nstep-0000000000.safetensors\n");
}, 60_000);
