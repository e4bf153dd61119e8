// Validation while training: what is looked at, recall against all pairs counted by hand, and that no bit of training hangs on it.
import { describe, expect, test } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { train } from "../../src/model/trainer.ts";
import { choosePlaces, holdOutSections, measureRecall } from "../../src/model/validation.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { selectMembers } from "../../src/data/sampler.ts";
import { useEngine } from "../support/engine.ts";
import { spoilBrain } from "../support/spoil.ts";

const engine = useEngine();
const PHANTOM = { seed: 1, brains: 2, sections: 3, truth: false, width: 192, height: 144, pixelSizeUm: 24 } as const;
const LENGTHS = { "loss.sigmaMm": 0.5, "loss.radiusMm": 1, "batch.radiusMm": 1 };

describe("recall", () => {
  // Places on a line, 1 mm apart; the last lies at the first's place, in another space.
  const position = [0, 0, 0, 1, 0, 0, 2, 0, 0, 9, 0, 0, 0, 0, 0];
  const space = [0, 0, 0, 0, 1];
  test("counts by the nearest feature, within the space and the reach, and asks only places that have a neighbour", () => {
    // By angle: 0 is nearest to 4 (another space), then 1; 1 to 2; 2 to 1; 3 and 4 have no neighbour and ask nothing.
    const angle = [0, 0.3, 0.5, 0.1, 0.05];
    const values = Float32Array.from(angle.flatMap((a) => [Math.cos(a), Math.sin(a)]));
    const recall = measureRecall(values, 2, position, space, 1, [1, 2, 3]);
    expect(recall.queries).toBe(3);
    expect(recall.at[0]).toBeCloseTo(2 / 3, 12);
    expect(recall.at[1]).toBeCloseTo(2 / 3, 12); // 3 comes before 1
    expect(recall.at[2]).toBe(1);
    expect(recall.chance).toBeCloseTo((1 + 2 + 1) / 4 / 3, 12);
  });
  test("is that of chance where all features are alike or not finite, and 0 where nothing is near", () => {
    expect(measureRecall(new Float32Array(10).fill(1), 2, position, space, 1, [1]).at[0]).toBeCloseTo(2 / 3, 12); // the first of equals: 1 for 0, 0 for 1, 0 for 2
    expect(measureRecall(new Float32Array(10).fill(Number.NaN), 2, position, space, 1, [4]).at[0]).toBe(1); // all four others
    expect(measureRecall(new Float32Array(10).fill(1), 2, position, space, 0.5, [1])).toEqual({ at: [0], chance: 0, queries: 0 });
  });
});

describe("what is looked at", () => {
  const files = createMemoryFiles();
  let made: Promise<Dataset> | undefined;
  const open = (): Promise<Dataset> => (made ??= generateDataset(PHANTOM, "data", files));
  test("is of brains held out, or of whole sections that training does not see", async () => {
    const dataset = await open();
    const brain = resolveConfig({ ...LENGTHS, "validate.every": 5, holdOut: ["phantom2"], "validate.samples": 20 });
    expect(holdOutSections(dataset, brain).size).toBe(0);
    const held = choosePlaces(dataset, brain, selectMembers(dataset, ["phantom2"])).places;
    expect(held.length).toBe(20);
    expect(new Set(Array.from(held, (i) => dataset.sections[dataset.samples.section[i]!]!.brain))).toEqual(new Set(["phantom2"]));
    const share = resolveConfig({ ...LENGTHS, "validate.every": 5, "validate.share": 0.3 });
    const sections = holdOutSections(dataset, share);
    expect(sections.size).toBe(2);
    expect(holdOutSections(dataset, share)).toEqual(sections);
    const members = selectMembers(dataset, [], sections);
    expect([...members].some((i) => sections.has(dataset.samples.section[i]!))).toBe(false);
    const { places } = choosePlaces(dataset, share, members);
    expect(new Set(Array.from(places, (i) => dataset.samples.section[i]!))).toEqual(sections);
    expect(holdOutSections(dataset, resolveConfig({})).size).toBe(0);
  });
  test("mistakes are told before anything is trained", async () => {
    const dataset = await open();
    const members = selectMembers(dataset, ["phantom2"]);
    const choose = (settings: Record<string, unknown>) => choosePlaces(dataset, resolveConfig({ ...LENGTHS, "validate.every": 5, holdOut: ["phantom2"], ...settings }), members);
    expect(() => choose({ "validate.label": "arae" })).toThrow(/no column "arae"; did you mean "?area"?|no column "arae".*area/);
    expect(() => choosePlaces(dataset, resolveConfig({ ...LENGTHS, "validate.every": 5 }), selectMembers(dataset, []))).toThrow(/0 places held out/);
    const one = await generateDataset({ ...PHANTOM, brains: 1, sections: 1 }, "one", files);
    expect(() => holdOutSections(one, resolveConfig({ "validate.every": 5 }))).toThrow(/one section, expected two at least/);
  });
});

test("a run that validates has the weights of one that does not, the same bytes when it is stopped and resumed, and no pixel of what is held out in them", async () => {
  const files = createMemoryFiles();
  await generateDataset(PHANTOM, "data", files);
  const settings = { preset: "tiny", steps: 5, "batch.groups": 3, "batch.groupSize": 2, "data.patch": 32, holdOut: ["phantom1"] };
  const notes: string[] = [];
  const run = async (out: string, more: Record<string, unknown>, some = files, stopAt?: number): Promise<{ weights: Buffer; lines: Record<string, number>[]; metrics: string }> => {
    const dataset = await readDataset(some, "data");
    const config = resolveConfig({ ...settings, ...more });
    const controller = new AbortController();
    const options = { engine: engine(), files: some, dataset, config, out, environment: {} };
    await train({ ...options, signal: controller.signal, onNote: (line) => notes.push(line), onProgress: ({ step }) => step === stopAt && controller.abort() });
    if (stopAt !== undefined) await train({ ...options, resume: true });
    const metrics = Buffer.from(await some.read(`${out}/metrics.jsonl`)).toString();
    // The header has the configuration, which differs.
    const file = Buffer.from(await some.read(`${out}/model.safetensors`));
    return { weights: file.subarray(8 + file.readUInt32LE(0)), lines: metrics.trim().split("\n").map((line) => JSON.parse(line) as Record<string, number>), metrics };
  };
  const validating = { "validate.every": 2, "validate.label": "area", "validate.samples": 40 };
  const plain = await run("plain", {});
  const watched = await run("watched", validating);
  const stopped = await run("stopped", validating, files, 3);
  const spoilt = await run("spoilt", validating, spoilBrain(files, "b1"));
  for (const other of [watched, stopped, spoilt]) expect(other.weights.equals(plain.weights)).toBe(true);
  expect(stopped.metrics).toBe(watched.metrics);
  expect(notes[0]).toMatch(/^step 2: nearest features lie near by: recall@1 0\.\d{3} \(chance 0\.\d{3}\), recall@5 [01]\.\d{3}; 20 nearest neighbours: accuracy [01]\.\d{3}, macro-F1 [01]\.\d{3}$/);
  const names = ["validation/recallAt1", "validation/recallAt5", "validation/chanceAt1", "validation/knnAccuracy", "validation/knnMacroF1"];
  for (const line of watched.lines) {
    const told = names.filter((name) => name in line);
    expect(told).toEqual([2, 4, 5].includes(line["step"]!) ? names : []);
    for (const name of told) expect(line[name]! >= 0 && line[name]! <= 1, name).toBe(true);
  }
  const rest = (lines: Record<string, number>[]) => lines.map((line) => Object.fromEntries(Object.entries(line).filter(([name]) => !names.includes(name))));
  expect(rest(watched.lines)).toEqual(plain.lines);
  expect(rest(spoilt.lines)).toEqual(plain.lines);
  expect(spoilt.metrics).not.toBe(watched.metrics);
});
