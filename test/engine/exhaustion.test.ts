// Real lack of memory: a process that may take little runs out on the embedded adapter, says of what, and goes on.
import { spawnSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleForNode } from "../support/bundle.ts";

/**
 * Address space of the process, KiB; Node alone takes below two of these GiB. Where pieces leave next to nothing of it, Node itself dies before the
 * device can be asked: another limit leaves another remainder. lavapipe would not do: it hands out memory that is not there.
 */
const LIMITS_KIB = [5_000_000, 5_170_000, 5_340_000];

let program = "";
beforeAll(async () => {
  program = await bundleForNode("test/engine/programs/exhaust.ts");
}, 60_000);
afterAll(() => rm(program, { force: true }));

test.each([
  ["state", /^state weights \d+: the device has no memory for 256 MiB more; [\d.]+ [MG]iB are in use$/],
  ["plans", /^plan step \d+: (arena 0|input x): the device has no memory for 512 MiB more; [\d.]+ [MG]iB are in use$/],
])("in %s is an error that names the buffer, and what was there before still works", (what, message) => {
  const run = (limit: number) =>
    spawnSync("bash", ["-c", `ulimit -v ${limit}; exec "$@"`, "bash", process.execPath, "--max-old-space-size=300", program, what], { encoding: "utf8" });
  let ended = run(LIMITS_KIB[0]!);
  for (const limit of LIMITS_KIB.slice(1)) if (ended.signal !== null) ended = run(limit);
  const { status, stdout, stderr } = ended;
  expect(status, stderr).toBe(0);
  const report = JSON.parse(stdout) as { name: string; message: string; exitCode: number; made: number; total: number; after: number[] };
  expect(report).toMatchObject({ name: "OutOfMemory", exitCode: 69, after: [1, 2, 3, 4] });
  expect(report.message).toMatch(message);
  expect(report.made).toBeGreaterThan(0);
  // The buffer that could not be had is not counted, nor anything of the plan that failed.
  expect(report.total % (256 << 20)).toBeLessThan(1 << 20);
}, 60_000);
