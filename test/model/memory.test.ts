// Memory of training: what a dry run says is what the engine's ledger counts, a budget is kept to the same bits, and one that is too small is refused with the least.
import { describe, expect, test } from "vitest";
import { createDryEngine } from "../../src/engine/dry.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { UserError } from "../../src/errors.ts";
import { resolveConfig, type TrainConfig } from "../../src/model/config.ts";
import { planTraining, type DryRun } from "../../src/model/dry-run.ts";
import { fitBatch } from "../../src/model/fit.ts";
import { checkMemorySize, parseMemorySize } from "../../src/model/memory-size.ts";
import { buildTrainingStep, type TrainingStep } from "../../src/model/training.ts";
import { drawBatch, withoutData } from "../../src/profile/subjects.ts";
import { useEngine } from "../support/engine.ts";

test.each([
  ["8GiB", 8 * 2 ** 30],
  ["1.5 gib", 1.5 * 2 ** 30],
  ["512MB", 512e6],
  ["64KiB", 65536],
  [1000, 1000],
  ["1000B", 1000],
])("%s is %d bytes", (text, bytes) => expect(parseMemorySize(text)).toBe(bytes));

test.each(["8", "8G", "GiB", "-1GiB", "0MiB", "1e3MiB", "8GiB of it", "99999999TiB", 0, -5, 1.5e300, true])("%s is no amount of memory", (text) => {
  expect(parseMemorySize(text)).toBeUndefined();
  expect(checkMemorySize(text)).toMatch(/8GiB/);
});

describe("on a device", () => {
  const engine = useEngine();

  test("a batch that does not fit is cut where that leaves its gradient what it is, or where that was allowed; else what would fit is told", async () => {
    const settings = { "data.patch": 32, "batch.groups": 16, "batch.groupSize": 2, "augment.noise": 0 };
    const of = (preset: string, more: Record<string, unknown> = {}) => withoutData(resolveConfig({ preset, ...settings, ...more }));
    const { total } = await planTraining(engine(), of("vit-tiny", { "batch.micro": 4 }));
    const { config, note } = await fitBatch(engine(), of("vit-tiny", { memory: total }));
    expect(config.batch.micro).toBeGreaterThanOrEqual(4);
    expect(config.batch.micro).toBeLessThan(32);
    expect(config).toEqual(of("vit-tiny", { memory: total, "batch.micro": config.batch.micro }));
    expect(note).toMatch(new RegExp(`^config: memory: .*: the 32 patches of a batch go through the encoder ${config.batch.micro} at a time .*the gradient is that of the whole batch all the same$`));
    const tight = of("tiny", { memory: "6MiB" });
    const notes = [expect.stringMatching(/^With --micro \d+ it would fit: batch norm .* another training .*batch\.fit=any/), expect.stringMatching(/^With --memory \d+MiB it fits as it is\.$/)];
    await expect(fitBatch(engine(), tight)).rejects.toMatchObject({ exitCode: 78, notes: expect.arrayContaining(notes) as string[] });
    await expect(fitBatch(engine(), tight, true)).rejects.toMatchObject({ exitCode: 78, notes: expect.not.arrayContaining(notes.slice(0, 1)) as string[] });
    await expect(fitBatch(engine(), of("tiny", { "batch.micro": 1 }))).rejects.toMatchObject({ exitCode: 78, message: expect.stringMatching(/^config: batch\.micro: 1 .* expected 2 at least/) as string });
  });

  const configure = (settings: Record<string, unknown>): TrainConfig => withoutData(resolveConfig({ "batch.groups": 3, "batch.groupSize": 4, "augment.noise": 0.2, steps: 4, ...settings }));

  /** Two steps: weights, moments and statistics after them, and what the ledger counted. */
  async function takeSteps(config: TrainConfig, binding?: number) {
    const before = engine().device.ledger().live;
    const narrow: Engine = { ...engine(), plan: (build, inputs, options) => engine().plan(build, inputs, { ...options, ...(binding ? { binding } : {}) }) };
    const step = await buildTrainingStep(narrow, config);
    try {
      for (let i = 0; i < 2; i++) await step.run(drawBatch(config), i);
      const { live } = engine().device.ledger();
      const counted = Object.fromEntries(PURPOSES.map((purpose) => [purpose, (live[purpose] ?? 0) - (before[purpose] ?? 0)]));
      return { kept: await step.snapshot(), counted, again: changesOf(step, "recomputation"), windows: changesOf(step, "windows") };
    } finally {
      step.dispose();
    }
  }
  const changesOf = ({ statistics }: TrainingStep, name: string) => statistics.reports.find(({ pass }) => pass === name)?.changes ?? [];
  const PURPOSES = ["state", "activations", "inputs", "constants", "uniforms", "readback", "check"] as const;
  const asLedger = ({ memory }: DryRun) => ({
    state: memory.weights + memory.gradients + memory.optimizer + memory.features,
    activations: memory.activations,
    inputs: memory.inputs,
    constants: memory.constants,
    uniforms: memory.uniforms,
    readback: memory.staging,
    check: 0,
  });

  // A binding that holds neither the activations of tiny's batch nor all of its parameters.
  const CASES: readonly { preset: string; binding?: number }[] = [{ preset: "tiny", binding: 256 * 1024 }, { preset: "vit-tiny" }];
  test.each(CASES)("$preset: a dry run counts what steps take; budgets and bindings change their memory alone", async ({ preset, binding }) => {
    const config = configure({ preset });
    const before = engine().device.ledger();
    const planned = await planTraining(engine(), config);
    const refused = await planTraining(engine(), { ...config, memory: 1 }).catch((cause: unknown) => cause);
    expect(engine().device.ledger()).toEqual(before);
    expect(refused).toBeInstanceOf(UserError);
    const { exitCode, message } = refused as UserError;
    const [, least = ""] = /^config: memory: 1 B, expected at least (\d+ MiB) for (?:vit-)?tiny with 12 patches of 64 px at once/.exec(message) ?? [];
    expect(exitCode).toBe(78);

    const free = await takeSteps(config);
    expect(free.counted).toEqual(asLedger(planned));
    expect(free.again).toEqual([]);
    const tight = { ...config, memory: least };
    const planTight = await planTraining(engine(), tight);
    expect(planTight.total).toBeLessThanOrEqual(parseMemorySize(least)!);
    expect(planTight.memory.activations).toBeLessThan(planned.memory.activations);
    const kept = await takeSteps(tight);
    expect(kept.counted).toEqual(asLedger(planTight));
    expect(kept.again.length).toBe(planTight.recomputed.length);
    expect(kept.again.length).toBeGreaterThan(0);
    expect(kept.kept).toEqual(free.kept);

    if (binding === undefined) return;
    const narrow = await takeSteps(tight, binding);
    expect(narrow.windows.length).toBeGreaterThan(10);
    expect({ ...narrow.counted, uniforms: 0 }).toEqual({ ...kept.counted, uniforms: 0 });
    expect(narrow.kept).toEqual(free.kept);
  });

  test("a step in micro-batches is counted and kept within a budget alike", async () => {
    const config = configure({ preset: "tiny", "batch.micro": 6 });
    const planned = await planTraining(engine(), config);
    const tight = { ...config, memory: Math.floor(0.9 * planned.total) };
    const planTight = await planTraining(engine(), tight);
    expect(planTight.total).toBeLessThanOrEqual(tight.memory);
    const [free, kept] = [await takeSteps(config), await takeSteps(tight)];
    expect(free.counted).toEqual(asLedger(planned));
    expect(kept.counted).toEqual(asLedger(planTight));
    expect(kept.kept).toEqual(free.kept);
  });

  test("an engine that only plans runs nothing", async () => {
    const dry = createDryEngine(engine());
    const step = await buildTrainingStep(dry, configure({ preset: "tiny" }));
    expect(dry.states.length).toBeGreaterThan(0);
    await expect(step.snapshot()).rejects.toThrow(/only plans/);
    step.dispose();
    expect(dry.device.ledger().total).toBe(0);
  });
});
