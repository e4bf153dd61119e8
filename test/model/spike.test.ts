// Spikes and steps without a finite gradient in a whole run: counted, skipped, gone back from or given up at; resumed to the same bytes; and replayed.
import { beforeAll, describe, expect, test } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import { UserError } from "../../src/errors.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { replayStep } from "../../src/model/replay.ts";
import { train, type TrainResult } from "../../src/model/trainer.ts";
import { spikeLimit } from "../../src/model/watch.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();
const files = createMemoryFiles();
let dataset: Dataset;
/** Above all jumps of a run but its largest. */
let threshold = 0;
beforeAll(async () => {
  dataset = await generateDataset({ seed: 4, brains: 1, sections: 1, truth: false, width: 192, height: 144, pixelSizeUm: 24 }, "data", files);
  await run("calm", { "spike.action": "skip", "spike.threshold": 1e6 });
  const norms = (await linesOf("calm")).map(({ gradientNorm }) => Number(gradientNorm));
  const jumps = norms.slice(WINDOW).map((norm, i) => {
    const [one, two] = [1, 2].map((times) => spikeLimit({ action: "skip", threshold: times, window: WINDOW }, { norms: norms.slice(i, i + WINDOW) })) as [number, number];
    return (norm - (2 * one - two)) / (two - one); // in deviations from the median
  });
  const [largest = 0, second = 0] = jumps.sort((a, b) => b - a);
  threshold = (largest + Math.max(1, second)) / 2;
  expect(largest).toBeGreaterThan(threshold);
});

const WINDOW = 16;
// So slow that norms jump with the batches, not with the weights: alike on all adapters.
const SETTINGS = { preset: "tiny", steps: 40, "data.patch": 32, "batch.groups": 2, "batch.groupSize": 2, "checkpoint.every": 5, "checkpoint.keep": 1, "spike.window": WINDOW, "optimizer.learningRate": 1e-4 };
type Line = Record<string, number | boolean | string>;
async function run(out: string, settings: Record<string, unknown>, stopAfter: readonly number[] = []): Promise<{ result: TrainResult; notes: string[] }> {
  const notes: string[] = [];
  const config = resolveConfig({ ...SETTINGS, "spike.threshold": Math.max(1, threshold), ...settings });
  let steps = 0;
  for (const [i, stop] of [...stopAfter, Infinity].entries()) {
    const controller = new AbortController();
    const result = await train({ engine: engine(), files, dataset, config, out, environment: {}, resume: i > 0, signal: controller.signal, onNote: (line) => notes.push(line), onProgress: () => ++steps === stop && controller.abort() });
    if (stop === Infinity) return { result, notes };
    steps = 0;
  }
  throw new Error("not reached");
}
const linesOf = async (out: string): Promise<Line[]> => Buffer.from(await files.read(`${out}/metrics.jsonl`)).toString().trim().split("\n").map((line) => JSON.parse(line) as Line);
const bytesOf = async (path: string) => Buffer.from(await files.read(path)).toString("base64");
async function failureOf(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof UserError)) throw new Error(`no UserError: ${String(error)}`);
  return error;
}
/** The state before a step that failed, as the message names it. */
const bundleOf = ({ notes }: UserError): string => /^(\S+) holds the state before that step; take it again with: cytonet replay \S+ data$/.exec(notes[0] ?? "")?.[1] ?? "";

describe.each(["skip", "rewind"])("%s", (action) => {
  test("every step once, spikes counted, and the same bytes where the run is stopped and resumed", async () => {
    const { notes } = await run(`${action}-whole`, { "spike.action": action });
    const lines = await linesOf(`${action}-whole`);
    expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    const spikes = notes.filter((line) => line.includes("the gradient's norm jumped to"));
    expect(spikes.length).toBeGreaterThan(0);
    const last = lines.at(-1)!;
    expect(last["spikes"]).toBe(spikes.length);
    expect(last["rewinds"]).toBe(action === "rewind" ? spikes.length : 0);
    expect(lines.filter(({ skipped }) => skipped).length).toBe(action === "rewind" ? 0 : spikes.length);
    const stopped = await run(`${action}-stopped`, { "spike.action": action }, [7, 12, 4]);
    expect(stopped.notes.filter((line) => line.startsWith("resume: continuing")).length).toBe(3);
    for (const file of ["model.safetensors", "metrics.jsonl", "checkpoints/step-0000000040.safetensors"]) expect(await bytesOf(`${action}-stopped/${file}`), file).toBe(await bytesOf(`${action}-whole/${file}`));
  });
});

test("abort ends with 70 and leaves the step, whose norm is the same when it is taken again", async () => {
  const error = await failureOf(run("abort", { "spike.action": "abort" }));
  expect(error.exitCode).toBe(70);
  const failed = (await linesOf("abort")).at(-1)!;
  expect(failed).toMatchObject({ skipped: true, spikes: 1 });
  expect(error.message).toMatch(new RegExp(`^train: step ${failed["step"]}: the gradient's norm jumped to [\\d.]+, beyond [\\d.]+$`));
  const { step, metrics, sections } = await replayStep(engine(), files, dataset, bundleOf(error));
  expect([step, metrics.gradientNorm, metrics.loss, metrics.skipped]).toEqual([failed["step"], failed["gradientNorm"], failed["loss"], false]);
  expect(sections).toEqual([dataset.sections[0]!.id]);
});

test("eight steps in a row without a finite gradient end with 70, and the last is as bad when it is taken again; --force clears what is left", async () => {
  // A rate and a decay so large that weights grow beyond f32.
  const bad = { "data.mean": 0, "data.deviation": 1e-6, "augment.offset": 10, "augment.gain": [10, 10], "optimizer.learningRate": 10, "optimizer.name": "sgd", "optimizer.clip": 1e9, "optimizer.warmup": 0, "optimizer.weightDecay": 10, steps: 60 };
  const error = await failureOf(run("nan", bad));
  expect([error.exitCode, error.message]).toEqual([70, expect.stringMatching(/^train: 8 steps in a row were not finite, the last is step \d+$/)]);
  const lines = await linesOf("nan");
  expect(lines.slice(-8).every(({ skipped }) => skipped)).toBe(true);
  const path = bundleOf(error);
  const { step, metrics } = await replayStep(engine(), files, dataset, path);
  expect([step, metrics.skipped]).toEqual([lines.at(-1)!["step"], true]);
  const other = await generateDataset({ seed: 5, brains: 1, sections: 1, truth: false, width: 96, height: 72, pixelSizeUm: 48 }, "other", files);
  expect((await failureOf(replayStep(engine(), files, other, path))).message).toMatch(/give the dataset of the run, unchanged$/);
  await train({ engine: engine(), files, dataset, config: resolveConfig({ ...SETTINGS, steps: 1 }), out: "nan", environment: {}, force: true });
  expect(await files.size(path)).toBeUndefined();
});
