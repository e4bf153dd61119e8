// The probe from the command line and as a function: what it reports, what it says of leaks and mistakes, and that nothing of a held-out brain gets into what is fitted.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatReport } from "../../src/cli/verbs/probe.ts";
import { probe, type ProbeReport, type ProbeResult } from "../../src/analysis/probe.ts";
import { openTrained } from "../../src/analysis/trained.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { decodeImage } from "../../src/data/decode.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { encodePng } from "../../src/data/png.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { useEngine } from "../support/engine.ts";
import { buildProgram, runProgram } from "../support/program.ts";

const SETTINGS = ["--preset", "tiny", "--steps", "3", ...["batch.groups=2", "batch.groupSize=2", "data.patch=32"].flatMap((setting) => ["--set", setting])];
const engine = useEngine();

let top = "";
let data = "";
let honest = "";
beforeAll(async () => {
  buildProgram();
  top = await mkdtemp(join(tmpdir(), "cytonet-probe-"));
  [data, honest] = [join(top, "data"), join(top, "honest")];
  await generateDataset({ seed: 1, brains: 3, sections: 1, truth: false, width: 192, height: 144, pixelSizeUm: 24 }, data, nodeFiles);
  const { code, stderr } = await runProgram(["train", data, "--out", honest, ...SETTINGS, "--hold-out", "phantom3"]);
  expect(code, stderr).toBe(0);
});
afterAll(() => rm(top, { recursive: true, force: true }));

const common = ["--label", "layer", "--hold-out", "phantom3", "--resamples", "1000"];

test("JSON holds every method with its intervals, the split and what the encoder saw", async () => {
  const { code, stdout, stderr } = await runProgram(["probe", honest, data, ...common, "--format", "json"]);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as ProbeReport;
  expect(report).toMatchObject({ schema: "cytonet-probe/1", label: "layer", holdOut: ["phantom3"], train: { brains: ["phantom1", "phantom2"], sections: 2 }, test: { brains: ["phantom3"], sections: 1 }, validation: { by: "brain", folds: 2 }, encoder: { preset: "tiny", steps: 3, sawHeldOut: false } });
  const { chance, majority, intensity, untrained } = report.baselines;
  const methods = { probe: report.probe, knn: report.knn, chance, majority, intensity, untrained };
  for (const [name, { macroF1, perClass, confusion, accuracy }] of Object.entries(methods)) {
    const total = confusion.flat().reduce((a, b) => a + b, 0);
    expect(total, name).toBeCloseTo(report.test.samples, 9);
    expect(accuracy.value).toBeCloseTo(confusion.reduce((sum, row, k) => sum + row[k]!, 0) / total, 12);
    const present = perClass.filter(({ support }) => support > 0);
    expect(macroF1.value).toBeCloseTo(present.reduce((sum, { f1 }) => sum + f1, 0) / present.length, 12);
    expect(macroF1.low).toBeLessThanOrEqual(macroF1.high);
  }
  // One class called: its recall is 1, all others have none.
  expect(majority.balancedAccuracy.value).toBeCloseTo(1 / majority.perClass.filter(({ support }) => support > 0).length, 12);
  expect(report.differences.intensity.macroF1.value).toBeCloseTo(report.probe.macroF1.value - intensity.macroF1.value, 12);
  expect(stderr).not.toMatch(/warning/i);
  expect(report.notes.join()).not.toMatch(/is taken to mean/);
  expect(formatReport("csv", report).split("\n").map((line) => line.split(",")[0])).toEqual(["method", "probe", "knn", "untrained", "intensity", "majority", "chance", ""]);
});

test("a run that trained on the held-out brain is told loudly, and the table is for people", async () => {
  const { code, stdout, stderr } = await runProgram(["probe", honest, data, "--label", "layer", "--hold-out", "phantom2"]);
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/WARNING: the encoder was trained on the held-out brain; train again with --hold-out phantom2/);
  expect(stdout).toMatch(/^probe +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]/m);
  expect(stdout).toMatch(/it WAS TRAINED on phantom2/);
});

test.each<[string, () => readonly string[], number, RegExp]>([
  ["no label", () => [honest, data, "--hold-out", "phantom3"], 2, /--label COLUMN is missing/],
  ["an unknown label", () => [honest, data, "--hold-out", "phantom3", "--label", "layr"], 2, /no column "layr" \(did you mean "layer"\?\)/],
  ["no run", () => [join(top, "none"), data, ...common], 66, /none: no such run or file.*correct the path/],
  ["a folder that is no run", () => [data, data, ...common], 66, /data: no config\.json in it, expected a run folder/],
  ["no dataset", () => [honest, join(top, "none"), ...common], 66, /none: no such folder, expected a dataset/],
])("%s: message and exit code", async (_, args, code, message) => {
  const ended = await runProgram(["probe", ...args()]);
  expect(ended.stderr).toMatch(message);
  expect(ended).toMatchObject({ code, stdout: "" });
});

test("neither images nor labels of the held-out brain change a bit of what is fitted", async () => {
  const { weights } = await openTrained(nodeFiles, honest);
  const dataset = await readDataset(nodeFiles, data);
  const files = createMemoryFiles();
  const noisy = createMemoryFiles();
  for (const some of [files, noisy]) await some.makeFolder(join(data, "images"));
  for (const { file, brain } of dataset.sections) {
    const path = join(data, file);
    const bytes = await readFile(path);
    await files.writeAtomic(path, bytes);
    const image = decodeImage(bytes, path);
    await noisy.writeAtomic(path, brain === "phantom3" ? encodePng({ width: image.width, height: image.height, channels: 1, data: Uint8Array.from({ length: image.width * image.height }, (_, i) => (i * 97 + (i >> 7) * 31) % 256) }) : bytes);
  }
  const labels = dataset.samples.labels.get("layer")!;
  const held = (i: number) => dataset.sections[dataset.samples.section[i]!]!.brain === "phantom3";
  const codes = labels.codes.map((code, i) => (held(i) ? labels.codes[(i * 7) % labels.codes.length]! : code));
  const wrong: Dataset = { ...dataset, samples: { ...dataset.samples, labels: new Map([["layer", { ...labels, codes }]]) } };
  const options = { weights, label: "layer", holdOut: ["phantom3"], resamples: 1000 };
  const before = (await probe(engine(), dataset, { ...options, files })) as ProbeResult;
  const after = (await probe(engine(), wrong, { ...options, files: noisy })) as ProbeResult;
  expect(after.fitted).toEqual(before.fitted);
  expect(after.train).toEqual(before.train);
  // Whoever gives weights without saying what they were trained on is told that only the name of the brain speaks for it.
  expect(before.report.encoder.sawHeldOut).toBe(false);
  expect(before.report.notes).toContainEqual(expect.stringMatching(/^the encoder was trained on a dataset that its weights do not name: that it held out phantom3 is taken to mean/));
  expect(after.predicted).not.toEqual(before.predicted);
  expect(await probe(engine(), dataset, { ...options, files, signal: AbortSignal.abort() })).toBeUndefined();
});
