// Training steps by themselves: what a skipped one leaves behind, and f16 beside f32.
import { describe, expect, test } from "vitest";
import { CONTROL } from "../../src/ops/optim.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { buildTrainingStep, type HostTensor, type TrainingStep } from "../../src/model/training.ts";
import { drawBatch, withoutData } from "../../src/profile/subjects.ts";

/** What a step by itself must do. `training.test.ts` calls it with its engine, so that nothing is compiled twice. */
export function testSteps(engine: () => Engine): void {
  const configOf = (settings: Record<string, unknown>) => withoutData(resolveConfig({ "data.patch": 32, "batch.groups": 4, "batch.groupSize": 2, steps: 10, ...settings }));
  const values = (tensors: ReadonlyMap<string, HostTensor>) => new Map([...tensors].map(([name, { data }]) => [name, data]));
  /** Names of the tensors whose bits differ. */
  const changed = (before: ReadonlyMap<string, HostTensor>, after: ReadonlyMap<string, HostTensor>) =>
    [...before].filter(([name, { data }]) => !Buffer.from(data.buffer).equals(Buffer.from(after.get(name)!.data.buffer))).map(([name]) => name);

  async function using<T>(step: TrainingStep, act: (step: TrainingStep) => Promise<T>): Promise<T> {
    try {
      return await act(step);
    } finally {
      step.dispose();
    }
  }

  test("a skipped step changes no weight, moment or running statistic or average; the next good one changes all", async () => {
    const config = configOf({ preset: "tiny", "ema.decay": 0.9 });
    await using(await buildTrainingStep(engine(), config), async (step) => {
      await step.run(drawBatch(config), 0);
      const good = await step.snapshot();
      // Everything before this weight is finite, the batch's statistics too: only the gradient tells.
      const broken = values(good).set("projection.out.weight", good.get("projection.out.weight")!.data.slice().fill(NaN, 0, 1));
      step.restore(broken);
      const before = await step.snapshot();
      expect(await step.run(drawBatch(config), 1)).toMatchObject({ skipped: true, gradientNorm: 0 });
      // The control state says that it was skipped.
      expect(changed(before, await step.snapshot())).toEqual(["optimizer.control"]);
      step.restore(values(good));
      expect(await step.run(drawBatch(config), 1)).toMatchObject({ skipped: false });
      expect(changed(good, await step.snapshot())).toEqual([...good.keys()]);
    });
  });

  test("an overflow in f16 halves the loss scale and changes nothing else", async (context) => {
    if (!engine().device.traits.features.has("shader-f16")) return context.skip("the adapter has no shader-f16");
    const config = configOf({ preset: "tiny", precision: "f16" });
    await using(await buildTrainingStep(engine(), config), async (step) => {
      const first = await step.snapshot();
      expect(first.get("optimizer.control")!.data[CONTROL.lossScale]).toBe(65536);
      // Gradients of this loss are beyond f16 at any such scale.
      step.restore(scaledBy(values(first), 2 ** 40));
      const before = await step.snapshot();
      expect(await step.run(drawBatch(config), 0)).toMatchObject({ skipped: true });
      const after = await step.snapshot();
      expect(changed(before, after)).toEqual(["optimizer.control"]);
      expect(after.get("optimizer.control")!.data[CONTROL.lossScale]).toBe(2 ** 39);
    });
  });

  test("f16 is f32 where the device has no shader-f16", async () => {
    const { device } = engine();
    const without: Engine = { ...engine(), device: { ...device, traits: { ...device.traits, features: new Set<string>() } } };
    const after = async (on: Engine, precision: string) =>
      using(await buildTrainingStep(on, configOf({ preset: "tiny", precision })), async (step) => {
        await step.run(drawBatch(configOf({})), 0);
        return step.snapshot();
      });
    expect(changed(await after(without, "f16"), await after(engine(), "f32"))).toEqual([]);
  });

  const scaledBy = (tensors: ReadonlyMap<string, Float32Array>, lossScale: number) =>
    new Map(tensors).set("optimizer.control", tensors.get("optimizer.control")!.map((value, i) => (i === CONTROL.lossScale ? lossScale : value)));

  describe.each(["tiny", "vit-tiny"])("%s", (preset) => {
    test("the loss curve in f16 follows that in f32", async (context) => {
      if (!engine().device.traits.features.has("shader-f16")) return context.skip("the adapter has no shader-f16");
      const STEPS = 24;
      const batches = [0, 1, 2, 3].map((seed) => drawBatch(configOf({ seed })));
      /** Losses; weights begin moved by the share `off` of themselves, up or down. */
      const curve = async (precision: "f32" | "f16", off = 0) =>
        using(await buildTrainingStep(engine(), configOf({ preset, precision, steps: STEPS, "optimizer.learningRate": 0.003 })), async (step) => {
          const first = new Map([...values(await step.snapshot())].map(([name, data]) => [name, off && name.includes(".weight") ? data.map((value, i) => value * (1 + ((i * 7919) % 2 ? off : -off))) : data] as const));
          // From a scale at which nothing overflows: steps skipped at first would only compare curves of different steps.
          step.restore(precision === "f16" ? scaledBy(first, 1024) : first);
          const losses: number[] = [];
          for (let t = 0; t < STEPS; t++) losses.push((await step.run(batches[t % batches.length]!, t)).loss);
          return losses;
        });
      const [full, half, moved] = [await curve("f32"), await curve("f16"), await curve("f32", 2 ** -11)];
      // The first step sees the same weights and patches: only the rounding of activations differs, relative 2^-11 through some
      // thirty layers, on logits of at most 1/τ = 10.
      expect(Math.abs(half[0]! - full[0]!)).toBeLessThan(30 * 2 ** -11 * 10);
      // From there training amplifies what rounding began. How much is seen from weights moved once by f16's rounding, 2^-11; f16 rounds anew in
      // each of some sixteen layers, which add up like their root.
      const mean = (distances: readonly number[]) => distances.reduce((sum, value) => sum + value, 0) / STEPS;
      const far = (losses: readonly number[]) => mean(losses.map((loss, t) => Math.abs(loss - full[t]!)));
      expect(far(half)).toBeLessThan(4 * far(moved));
      expect(mean(half)).toBeLessThan(half[0]! - far(half));
    });
  });
}
