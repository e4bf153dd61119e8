// What is held out is held out: with every pixel, position and label of a brain changed, training without it gives the same bytes, and so does all of the story but its test.
import { expect, test } from "vitest";
import { readDataset } from "../../src/data/read-dataset.ts";
import type { Files } from "../../src/files.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { train } from "../../src/model/trainer.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { runStory, type Story } from "../../src/story/story.ts";
import { useEngine } from "../support/engine.ts";
import { spoilBrain } from "../support/spoil.ts";

const engine = useEngine();
const PHANTOM = { seed: 1, brains: 3, sections: 1, truth: false, width: 192, height: 144, pixelSizeUm: 24 } as const;
const SETTINGS = { preset: "tiny", steps: 3, "batch.groups": 3, "batch.groupSize": 2, "data.patch": 32 } as const;

/** What a run leaves: its weights, and its metrics with the loss of every step. */
const outcome = async (files: Files, run: string) => ({ weights: Buffer.from(await files.read(`${run}/model.safetensors`)), metrics: Buffer.from(await files.read(`${run}/metrics.jsonl`)).toString() });

test("neither image, place nor label of a brain held out changes a bit of what is trained, with sections normalised too", async () => {
  const files = createMemoryFiles();
  await generateDataset(PHANTOM, "data", files);
  // The first brain, so that every index behind it moves where some of its samples are missing.
  const run = async (some: Files, holdOut: string, out: string) => {
    const dataset = await readDataset(some, "data");
    const { config } = await train({ engine: engine(), files: some, dataset, config: resolveConfig({ ...SETTINGS, "data.normalise": "section", holdOut: [holdOut] }), out, environment: {} });
    return { config, hash: dataset.hash, count: dataset.samples.count, ...(await outcome(files, out)) };
  };
  const whole = await run(files, "phantom1", "whole");
  const spoilt = await run(spoilBrain(files, "b1"), "phantom1", "spoilt");
  expect(spoilt.hash).not.toBe(whole.hash);
  expect(spoilt.count).toBeLessThan(whole.count);
  expect(spoilt.config).toEqual(whole.config);
  expect(spoilt.metrics).toBe(whole.metrics);
  expect(spoilt.weights.equals(whole.weights)).toBe(true);
  // The same change to a brain that is trained on is seen, so that the test could fail.
  const seen = await run(spoilBrain(files, "b2"), "phantom1", "seen");
  expect(seen.metrics).not.toBe(whole.metrics);
  expect(seen.weights.equals(whole.weights)).toBe(false);
});

test("of the story, the brain held out changes its scores only: weights, losses, what validation chose and every calibrated statistic stay", async () => {
  const tell = async (spoil: (files: Files) => Files): Promise<{ story: Story; weights: Buffer; metrics: string }> => {
    const files = createMemoryFiles();
    await files.makeFolder("demo");
    const story = await runStory(engine(), spoil(files), { phantom: PHANTOM, settings: SETTINGS, folder: "demo", environment: {}, resamples: 100 });
    return { story: story!, ...(await outcome(files, "demo/run")) };
  };
  const whole = await tell((files) => files);
  const spoilt = await tell((files) => spoilBrain(files, "b3"));
  expect(spoilt.weights.equals(whole.weights)).toBe(true);
  expect(spoilt.metrics).toBe(whole.metrics);
  expect(spoilt.story.losses).toEqual(whole.story.losses);
  const chosen = ({ probe }: Story) => ({
    classes: probe.classes,
    train: probe.train,
    validation: probe.validation,
    probe: probe.probe.regularisation,
    neighbours: probe.knn.neighbours,
    intensity: probe.baselines.intensity.regularisation,
    untrained: probe.baselines.untrained.regularisation,
  });
  expect(chosen(spoilt.story)).toEqual(chosen(whole.story));
  expect(spoilt.story.probe.test.samples).toBeLessThan(whole.story.probe.test.samples);
  expect(spoilt.story.probe.probe.confusion).not.toEqual(whole.story.probe.probe.confusion);
});
