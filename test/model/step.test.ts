// One training step by itself: what a skipped one leaves behind.
import { expect, test } from "vitest";
import { resolveConfig } from "../../src/model/config.ts";
import { buildTrainingStep, type HostTensor, type TrainingStep } from "../../src/model/training.ts";
import { drawBatch, withoutData } from "../../src/profile/subjects.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

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

test("a skipped step changes no weight, moment or running statistic; the next good one changes all", async () => {
  const config = configOf({ preset: "tiny" });
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
