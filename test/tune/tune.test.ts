// The tuner without a device: what it keeps, what it never keeps, how it goes on after a kill, and which entries plans take.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as catalogue from "../../kernels/index.ts";
import { layerNorm } from "../../kernels/index.ts";
import { findTuned } from "../../src/engine/plan.ts";
import { identifyDevice } from "../../src/engine/device.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { createStorageFiles } from "../../src/host/files-storage.ts";
import { createChild } from "../../src/host/node-tune-child.ts";
import type { Problem } from "../../src/kernel/blueprint.ts";
import { createTuningTable, hashSource, tuningKey, type TunedEntry } from "../../src/kernel/tuning.ts";
import { parseStore, readStore } from "../../src/tune/store.ts";
import { tune } from "../../src/tune/tune.ts";
import { bundleForNode, projectRoot } from "../support/bundle.ts";
import { DEVICE, PROBLEM, createFakeMeasurer } from "./fake-measurer.ts";

const problem: Problem = { kernel: layerNorm, numbers: PROBLEM.numbers, flags: new Set(), dtype: "f32" };
const run = (behaviour: Parameters<typeof createFakeMeasurer>[0], files = createMemoryFiles()) =>
  tune({ kernels: catalogue, problems: [PROBLEM], measurer: createFakeMeasurer(behaviour), files, store: "tuned.json" });

test("the fastest that is faster for sure is kept; wrong, crashing and hanging candidates never, however fast", async () => {
  const files = createMemoryFiles();
  const report = await run(
    {
      "lane": { status: "wrong", reason: "y[0] is 1, expected 2" },
      "naive": { status: "crashed", reason: "SIGSEGV" },
      "workgroup WIDTH=32": { status: "hung", reason: "60 s" },
      "workgroup WIDTH=64": { status: "ok", ratio: 0.5, low: 0.4, high: 1.1, milliseconds: 1, share: 0.5 },
      "workgroup WIDTH=256": { status: "ok", ratio: 0.8, low: 0.7, high: 0.9, milliseconds: 1.6, share: 0.3 },
    },
    files,
  );
  expect(report.entries).toHaveLength(1);
  expect(report.entries[0]).toMatchObject({ kernel: "layer-norm", choice: { variant: "workgroup", params: { WIDTH: 256 } }, ratio: 0.8, failed: 3 });
  expect(report.failures.map(({ outcome }) => outcome.status).sort()).toEqual(["crashed", "hung", "wrong"]);
  expect(await readStore(files, "tuned.json")).toEqual(report.entries);
  expect(await files.size("tuned.json.journal")).toBeUndefined();
  // A second run has nothing to do.
  expect(await run({}, files)).toMatchObject({ entries: [], known: 1, left: 0 });
});

test("what was only lucky in the race is not kept", async () => {
  const report = await run({ "workgroup WIDTH=64": (rounds) => ({ status: "ok", ratio: 0.9, low: 0.8, high: rounds > 9 ? 1.05 : 0.95, milliseconds: 1, share: 0.5 }) });
  expect(report.entries[0]).toMatchObject({ ratio: 1 });
});

describe("with a disk", () => {
  let folder = "";
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "cytonet-tune-"))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("killed in the middle of a candidate it goes on with that one, and measures no other twice", async () => {
    const script = await bundleForNode("test/tune/killed-tuner.ts");
    const measured = async () => (await readFile(join(folder, "measured.txt"), "utf8").catch(() => "")).split("\n").filter(Boolean);
    const start = (stopAt: number) =>
      new Promise<string | null>((resolve) => {
        const child = spawn(process.execPath, [script, folder, String(stopAt)], { cwd: projectRoot, stdio: ["ignore", "ignore", "inherit"] });
        child.once("close", (_, signal) => resolve(signal));
      });
    // It kills itself with SIGKILL, which nothing can handle, while it measures the third candidate.
    expect(await start(3)).toBe("SIGKILL");
    expect(await measured()).toHaveLength(3);
    expect(await start(0)).toBeNull();
    const all = await measured();
    const counts = new Map<string, number>();
    for (const name of all) counts.set(name, (counts.get(name) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > 1)).toEqual([[all[2], 2]]);
    const [entry] = parseStore("tuned.json", await readFile(join(folder, "tuned.json"), "utf8"));
    expect(entry).toMatchObject({ choice: { variant: "workgroup", params: { WIDTH: 64 } }, ratio: 0.5 });
  });

  test("a child that crashes, hangs or fails is told apart, and the next request gets a new one", async () => {
    const script = await bundleForNode("test/tune/crashing-child.ts");
    const command = [process.execPath, script] as const;
    // A busy machine may take seconds to start a process, or to end one that aborts: only what hangs has a short limit.
    const [child, hasty] = [createChild({ command, timeoutMs: 60_000 }), createChild({ command, timeoutMs: 1500 })];
    try {
      expect(await child.ask("measure", "crash")).toMatchObject({ status: "crashed", reason: expect.stringContaining("SIGABRT") });
      for (const answer of [await hasty.ask("measure", "hang"), await hasty.ask("measure", "hang")]) expect(answer).toMatchObject({ status: "hung" });
      expect(await child.ask("measure", "leave")).toMatchObject({ status: "crashed", reason: "its process ended with exit code 70: the device is gone" });
      expect(await child.ask("measure", "work")).toEqual({ status: "answered", value: "work" });
    } finally {
      child.dispose();
      hasty.dispose();
    }
  });
});

test("a candidate that ended the tuner twice counts as crashed", async () => {
  const files = createMemoryFiles();
  const dying = createFakeMeasurer({ "workgroup WIDTH=64": () => Promise.reject(new Error("gone")) });
  for (let i = 0; i < 2; i++) await expect(tune({ kernels: catalogue, problems: [PROBLEM], measurer: dying, files, store: "tuned.json" })).rejects.toThrow("gone");
  const report = await run({}, files);
  expect(report.failures).toMatchObject([{ name: expect.stringContaining("WIDTH=64"), outcome: { status: "crashed" } }]);
});

describe("plans", () => {
  const device = { fingerprint: DEVICE.fingerprint, traits: DEVICE.traits } as Parameters<typeof findTuned>[1];
  const entry = (change: Partial<TunedEntry>): TunedEntry => ({
    ...tuningKey(problem, identifyDevice(DEVICE.fingerprint)),
    choice: { variant: "workgroup", params: { WIDTH: 64 } },
    numbers: PROBLEM.numbers, ratio: 0.5, low: 0.4, high: 0.6, milliseconds: 1, share: 0.5, adapter: "", driver: "", date: "", candidates: 1, failed: 0,
    ...change,
  });
  const find = (change: Partial<TunedEntry>, own: Problem = problem) => findTuned(createTuningTable([entry(change)]), device, own);

  test("take an entry with the same key", () => {
    expect(find({})).toEqual({ kernel: "layer-norm", variant: "workgroup", dtype: "f32", flags: [], constants: { WIDTH: 64 } });
    expect(find({}, { ...problem, numbers: { ...PROBLEM.numbers, rows: 300 } })).toBeDefined();
  });

  test.each<[string, Partial<TunedEntry>]>([
    ["of an older template", { source: "0" }],
    ["of another device", { device: identifyDevice({ ...DEVICE.fingerprint, driver: "2.0" }) }],
    ["of another type", { dtype: "f16" }],
    ["of other flags", { flags: ["bias"] }],
    ["of other sizes", { bucket: "rows=9 c=7" }],
    ["of a variant that is gone", { choice: { variant: "gone" } }],
    ["of a constant that may not be", { choice: { variant: "workgroup", params: { WIDTH: 48 } } }],
    ["of no constant at all", { choice: { variant: "workgroup", params: { STEP: 4 } } }],
    ["that found nothing faster", { ratio: 1 }],
  ])("never take an entry %s", (_, change) => expect(find(change)).toBeUndefined());

  test("never take an entry that the device cannot run", () => {
    expect(find({ choice: { variant: "lane" } })).toBeDefined();
    const odd: Problem = { ...problem, numbers: { ...PROBLEM.numbers, c: 130 } };
    expect(findTuned(createTuningTable([{ ...entry({ choice: { variant: "lane" } }), ...tuningKey(odd, identifyDevice(DEVICE.fingerprint)) }]), device, odd)).toBeUndefined();
  });

  test("see a changed template or library, and nothing else", () => {
    const { workgroup, ...others } = layerNorm.variants;
    const changed = { ...layerNorm, variants: { ...others, workgroup: { ...workgroup!, source: `${workgroup!.source}\n` } } };
    expect(hashSource(changed as typeof layerNorm)).not.toBe(hashSource(layerNorm));
    expect(hashSource({ ...layerNorm })).toBe(hashSource(layerNorm));
  });
});

test("in a browser's storage choices outlive the page", async () => {
  const kept = new Map<string, string>();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key), key: (i: number) => [...kept.keys()][i] ?? null, get length() { return kept.size; } };
  const first = await createStorageFiles("cytonet", storage);
  const report = await tune({ kernels: catalogue, problems: [PROBLEM], measurer: createFakeMeasurer({}), files: first, store: "cytonet/tuned.json" });
  expect(await readStore(await createStorageFiles("cytonet", storage), "cytonet/tuned.json")).toEqual(report.entries);
  expect([...kept.keys()]).toEqual(["cytonet/tuned.json"]);
});
