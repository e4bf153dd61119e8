// Training on the device: it learns, repeats its bits, keeps its memory, and continues a stopped run to the same weights.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { openAdapter } from "../../src/host/node.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { findEventsEnd } from "../../src/data/tfevents.ts";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import type { UserError } from "../../src/errors.ts";
import type { Files } from "../../src/files.ts";
import { openLatest, saveCheckpoint } from "../../src/model/checkpoint.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { eventsEvery, MAX_LOSSES, train, type TrainOptions, type TrainResult } from "../../src/model/trainer.ts";
import { testCaching } from "./cached-step-tests.ts";
import { testSteps } from "./step-tests.ts";

let handle: AdapterHandle;
let engine: Engine;
let files: Files;
let dataset: Dataset;
beforeAll(async () => {
  handle = await openAdapter({ log: () => undefined });
  engine = await createEngine(handle);
  files = createMemoryFiles();
  dataset = await generateDataset({ seed: 4, brains: 2, sections: 1, width: 384, height: 288, pixelSizeUm: 16, sampleSpacingMm: 0.15 }, "data", files);
});
afterAll(() => {
  engine?.dispose();
  handle?.close();
});

const SMALL = { "data.patch": 32, "batch.groups": 6, "batch.groupSize": 3, "checkpoint.every": 4, steps: 10 };
const run = (out: string, settings: Record<string, unknown> = {}, more: Partial<TrainOptions> = {}): Promise<TrainResult> =>
  train({ engine, files, dataset, config: resolveConfig({ ...SMALL, ...settings }), out, environment: { test: true }, ...more });
const bytesOf = async (path: string) => Buffer.from(await files.read(path)).toString("base64");

describe.each(["tiny", "vit-tiny"])("%s", (preset) => {
  test("learns: the loss comes nearer to its floor", async () => {
    const divergences: number[] = [];
    await run(`learn-${preset}`, { preset, steps: 40, "optimizer.learningRate": 3e-3, "batch.groups": 8 }, { onProgress: ({ metrics }) => divergences.push(metrics.divergence) });
    const mean = (part: readonly number[]) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(divergences.every(Number.isFinite)).toBe(true);
    expect(mean(divergences.slice(-10))).toBeLessThan(mean(divergences.slice(0, 5)));
  });

  test("two runs give the same bytes, and one that was stopped and resumed gives them too", async () => {
    await run(`whole-${preset}`, { preset });
    await run(`again-${preset}`, { preset });
    const controller = new AbortController();
    const stopped = await run(`stopped-${preset}`, { preset }, { signal: controller.signal, onProgress: ({ step }) => step === 6 && controller.abort() });
    expect(stopped.finished).toBe(false);
    expect(stopped.step).toBe(6);
    expect(await files.size(`stopped-${preset}/model.safetensors`)).toBeUndefined();
    const resumed = await run(`stopped-${preset}`, { preset }, { resume: true });
    expect(resumed.finished).toBe(true);
    for (const file of ["model.safetensors", "metrics.jsonl", "config.json"]) {
      const whole = await bytesOf(`whole-${preset}/${file}`);
      expect(await bytesOf(`again-${preset}/${file}`), file).toBe(whole);
      expect(await bytesOf(`stopped-${preset}/${file}`), file).toBe(whole);
    }
    const listed = async (out: string) => (await files.list(`${out}-${preset}/checkpoints`)).map(({ name }) => name).sort();
    expect(await listed("stopped")).toEqual(await listed("whole"));
    // Of the events only the wall times differ: every step has one record, in a run that was stopped too.
    for (const name of ["whole", "stopped"]) {
      const events = await files.read(`${name}-${preset}/events.out.tfevents.cytonet`);
      const ends = Array.from({ length: 11 }, (_, step) => findEventsEnd(events, step));
      expect(ends.slice(1).every((end, step) => end > ends[step]!), name).toBe(true);
      expect(ends[10], name).toBe(events.length);
    }
  });
});

test("by gradient caching, in f16 where there is f16, by LARS, with averages: stopped and resumed gives the same bytes", async () => {
  const settings = { precision: engine.device.traits.features.has("shader-f16") ? "f16" : "f32", "batch.micro": 6, "optimizer.name": "lars", "optimizer.learningRate": 1, "ema.decay": 0.9, steps: 6, "checkpoint.every": 2 };
  await run("cached", settings);
  const controller = new AbortController();
  await run("cached-stopped", settings, { signal: controller.signal, onProgress: ({ step }) => step === 3 && controller.abort() });
  expect((await run("cached-stopped", settings, { resume: true })).finished).toBe(true);
  for (const file of ["model.safetensors", "ema.safetensors", "metrics.jsonl"]) expect(await bytesOf(`cached-stopped/${file}`), file).toBe(await bytesOf(`cached/${file}`));
});

test("stopped within steps, between micro-batches, submits and batches of a validation: the same bytes", async () => {
  const settings = { "batch.micro": 6, "validate.every": 2, "validate.samples": 40, steps: 3, holdOut: ["phantom2"] };
  await run("unstopped", settings);
  const owed: boolean[] = [];
  let looks = 3;
  for (let finished = false; !finished; looks += 11) {
    const controller = new AbortController();
    const { signal } = controller;
    let left = looks;
    signal.throwIfAborted = () => {
      if (--left === 0) controller.abort();
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    ({ finished } = await run("stopped-within", settings, { signal, resume: "auto" }));
    if (!finished) owed.push((await openLatest(files, "stopped-within/checkpoints")).state.owed !== undefined);
  }
  // It was stopped within steps and within validations.
  expect(new Set(owed)).toEqual(new Set([false, true]));
  for (const file of ["model.safetensors", "metrics.jsonl", "checkpoints/step-0000000003.safetensors"]) expect(await bytesOf(`stopped-within/${file}`), file).toBe(await bytesOf(`unstopped/${file}`));
});

describe("a device that is lost within a run", () => {
  const opened: { handle: AdapterHandle; engine: Engine }[] = [];
  const open = async (): Promise<Engine> => {
    const own = await openAdapter({ log: () => undefined });
    opened.push({ handle: own, engine: await createEngine(own) });
    return opened.at(-1)!.engine;
  };
  // Their adapters stay open: Dawn aborts where it goes while a compilation for a device that was lost is still under way.
  afterAll(() => opened.forEach((one) => one.engine.dispose()));
  const lose = (): void => opened.at(-1)!.engine.device.gpu.destroy();

  test("is opened anew, and the run ends with the same bytes", async () => {
    const notes: string[] = [];
    let progress = 0;
    // Between two steps; and, of the second device, while the checkpoint of step 8 is read from it.
    const onProgress = (): void => {
      progress++;
      if (progress === 3) lose();
      if (progress !== 11) return;
      const { queue } = opened.at(-1)!.engine.device.gpu;
      const submit = queue.submit.bind(queue);
      queue.submit = (commands) => {
        submit(commands);
        lose();
      };
    };
    const result = await run("lost", { preset: "tiny" }, { engine: await open(), reopen: open, onProgress, onNote: (line) => notes.push(line) });
    expect(result).toMatchObject({ finished: true, step: 10 });
    expect(notes.map((line) => / and the run goes on after step (\d+), to the same bits$/.exec(line)?.[1])).toEqual(["0", "4"]);
    for (const file of ["model.safetensors", "metrics.jsonl", "config.json", "checkpoints/step-0000000010.safetensors"]) expect(await bytesOf(`lost/${file}`), file).toBe(await bytesOf(`whole-tiny/${file}`));
  });

  test("ends the run where it is lost again and again, and where nothing opens it anew; the run is kept", async () => {
    let losses = 0;
    const openLost = async (): Promise<Engine> => {
      const lost = await open();
      lose();
      await lost.device.gpu.lost;
      losses++;
      return lost;
    };
    const failure = await run("lost-again", {}, { engine: await openLost(), reopen: openLost }).then(() => undefined, (error: unknown) => error as UserError);
    expect(losses).toBe(MAX_LOSSES);
    expect(failure).toMatchObject({ exitCode: 74, message: expect.stringContaining("the device was lost") as string });
    expect(failure!.notes[0]).toMatch(/lost 3 times in a row without a checkpoint in between/);
    const kept = "The run is kept as it began, without a finished step: continue it with --resume.";
    expect(failure!.notes.at(-1)).toBe(kept);
    await expect(run("lost-once", {}, { engine: await openLost() })).rejects.toMatchObject({ exitCode: 74, notes: expect.arrayContaining([kept]) as string[] });
  });
});

test("a step too large for the device says so and leaves nothing on it", async () => {
  const before = engine.device.ledger().total;
  await expect(run("large", { "data.patch": 512, "batch.groups": 512 })).rejects.toThrow(/takes .*, the device (binds|makes buffers of) at most|memory: .* GiB, expected at least/);
  expect(engine.device.ledger().total).toBe(before);
  // Nor is there a folder, or an old run the less.
  expect(await files.size("large/config.json")).toBeUndefined();
  await run("kept", { steps: 1 });
  const small: Engine = { ...engine, device: { ...engine.device, memory: 2 ** 20 } };
  await expect(run("kept", { steps: 2 }, { engine: small, force: true })).rejects.toMatchObject({ exitCode: 78 });
  expect(await files.size("kept/model.safetensors")).toBeDefined();
});

test("TensorBoard gets every step of a short run, and about two hundred or more of a long one", () => {
  expect([1, 200, 201, 1000, 4000, 1e6].map(eventsEvery)).toEqual([1, 1, 2, 5, 20, 20]);
});

test("a batch larger than the dataset is told", async () => {
  const few = await generateDataset({ seed: 4, brains: 1, sections: 1, width: 96, height: 72, pixelSizeUm: 48, sampleSpacingMm: 1 }, "few", files);
  const notes: string[] = [];
  await run("few-run", { steps: 1, "batch.groups": 32 }, { dataset: few, onNote: (line) => notes.push(line) });
  expect(few.samples.count).toBeLessThan(96);
  expect(notes).toEqual([expect.stringContaining(`${few.samples.count} places to train on are fewer than the 96 of a batch`)]);
});

test("another seed gives other weights", async () => {
  await run("seed2", { seed: 2, steps: 2 });
  await run("seed3", { seed: 3, steps: 2 });
  expect(await bytesOf("seed2/model.safetensors")).not.toBe(await bytesOf("seed3/model.safetensors"));
});

const MEMORY = { "batch.groups": 16, "batch.groupSize": 4, "data.patch": 64, steps: 3 };
test("peak activation memory is at most 60 % of the sum of all tensors, and the ledger agrees with the plan", async () => {
  const before = engine.device.ledger();
  let during = before;
  const { statistics } = await run("memory", MEMORY, { onProgress: () => (during = engine.device.ledger()) });
  const { arenaBytes, tensorBytes } = statistics.memory;
  expect(arenaBytes).toBeLessThanOrEqual(0.6 * tensorBytes);
  const counted = (during.live.activations ?? 0) - (before.live.activations ?? 0);
  expect(Math.abs(counted - arenaBytes)).toBeLessThanOrEqual(0.1 * arenaBytes);
  // Beyond the plan's own buffers there is its readback, and the model's state.
  const own = during.total - before.total - ((during.live.state ?? 0) - (before.live.state ?? 0)) - ((during.live.readback ?? 0) - (before.live.readback ?? 0));
  expect(own).toBe(statistics.ownBytes);
  for (const pass of ["dead code", "common subexpressions", "epilogue fusion", "placement"]) expect(statistics.reports.map((r) => r.pass)).toContain(pass);
  expect(statistics.reports.find(({ pass }) => pass === "epilogue fusion")!.savedBytes).toBeGreaterThan(0);
  expect(statistics.reports.find(({ pass }) => pass === "placement")!.savedBytes).toBeGreaterThan(0);
});

test("where the device turns out to have too little memory, the step is planned again within less, to the same bytes", async () => {
  const own = await openAdapter({ log: () => undefined });
  const tight = await createEngine(own);
  const { gpu } = tight.device;
  const make = gpu.createBuffer.bind(gpu);
  let largest = 0;
  gpu.createBuffer = (wanted) => {
    if (largest === 0 && wanted.label?.includes(": arena ")) largest = wanted.size;
    // All but the largest arena, which comes first.
    if (wanted.size === largest) throw new RangeError("there is none");
    return make(wanted);
  };
  const notes: string[] = [];
  try {
    await run("tight", MEMORY, { engine: tight, onNote: (line) => notes.push(line) });
  } finally {
    tight.dispose();
    own.close();
  }
  expect(notes[0]).toMatch(/^plan train tiny: arena 0 \(.*\): the device has no memory for .* more; .* are in use; planned again within .*, to the same bits$/);
  for (const file of ["model.safetensors", "checkpoints/step-0000000003.safetensors"]) expect(await bytesOf(`tight/${file}`), file).toBe(await bytesOf(`memory/${file}`));
});

test("memory is flat over a run and given back at its end", async () => {
  const before = engine.device.ledger();
  const seen: number[] = [];
  await run("flat", { steps: 24 }, { onProgress: () => seen.push(engine.device.ledger().total) });
  // The first checkpoint may add one staging buffer for reading back; after that nothing may grow.
  expect(new Set(seen.slice(8)).size).toBe(1);
  const after = engine.device.ledger();
  expect(after.live.activations ?? 0).toBe(before.live.activations ?? 0);
  expect(after.live.state ?? 0).toBe(before.live.state ?? 0);
  expect(after.live.inputs ?? 0).toBe(before.live.inputs ?? 0);
});

test("steps that are skipped are counted across a resume", async () => {
  const settings = { "checkpoint.every": 1 };
  const controller = new AbortController();
  await run("skipped", settings, { signal: controller.signal, onProgress: ({ step }) => step === 2 && controller.abort() });
  const { state } = await openLatest(files, "skipped/checkpoints");
  expect(state.skippedInARow).toBe(0);
  // As six skipped steps would have left it, with a weight that skips all that follow.
  const [name, { shape, dtype, data }] = [...state.tensors].find(([, tensor]) => tensor.dtype === "F32" && tensor.shape.length > 1)!;
  const tensors = new Map(state.tensors).set(name, { shape, dtype, data: new Uint8Array(new Float32Array(data.length / 4).fill(NaN).buffer) });
  await saveCheckpoint(files, "skipped/checkpoints", { ...state, tensors, skippedInARow: 6 });
  await expect(run("skipped", settings, { resume: true })).rejects.toThrow("8 steps in a row were not finite, the last is step 4");
  expect((await openLatest(files, "skipped/checkpoints")).state).toMatchObject({ step: 3, skippedInARow: 7 });
});

test("refuses to continue with other settings, naming them", async () => {
  await run("settings", { steps: 4, "checkpoint.resume": "auto" });
  expect((await run("settings", { steps: 4, "checkpoint.resume": "auto" })).taken).toBe(0);
  await expect(run("settings", { steps: 4, "loss.tau": 0.3 }, { resume: true })).rejects.toMatchObject({ exitCode: 65, message: expect.stringContaining("loss.tau") as string });
});

test("a held-out brain is never drawn, and its sections are never read", async () => {
  const read: string[] = [];
  const watching: Files = { ...files, read: (path) => (read.push(path), files.read(path)) };
  await train({ engine, files: watching, dataset, config: resolveConfig({ ...SMALL, steps: 3, holdOut: [dataset.brains[1]!.id] }), out: "held", environment: {} });
  const held = dataset.sections.filter(({ brain }) => brain === dataset.brains[1]!.id).map(({ file }) => file);
  expect(held.length).toBeGreaterThan(0);
  for (const file of held) expect(read.some((path) => path.endsWith(file))).toBe(false);
});

testSteps(() => engine);
testCaching(() => engine);
