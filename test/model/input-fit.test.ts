// Embedding what is unlike the training data is told: another pixel size, several, and sections smaller than a patch.
import { expect, test } from "vitest";
import type { Dataset, Section } from "../../src/data/dataset.ts";
import { loadSections } from "../../src/data/sections.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { describeFit } from "../../src/model/input-fit.ts";
import { resolveScales } from "../../src/model/objective.ts";

const section = (pixelSizeUm: number, side = 400): Section => ({ id: `${pixelSizeUm}`, brain: "b", file: "images/a.png", width: side, height: side, pixelSizeUm, space: "s" });

/** One sample on each section. */
function datasetOf(...sections: Section[]): Dataset {
  const count = sections.length;
  const samples = { count, section: Uint32Array.from(sections, (_, i) => i), x: new Float64Array(count), y: new Float64Array(count), position: new Float32Array(3 * count), space: new Int32Array(count), labels: new Map(), values: new Map(), ids: undefined };
  return { name: "d", path: "d", brains: [{ id: "b" }], sections, spaces: ["s"], samples, hash: "" };
}
const trainedAt = (pixelSizeUm: number | null) => resolveConfig({ "data.patch": 64, "data.pixelSizeUm": pixelSizeUm });

test("sections of the trained size, in whole or but for the last digits, need no word", () => {
  expect(describeFit(datasetOf(section(12), section(12.0005)), trainedAt(12))).toEqual([]);
});

test("another pixel size is told, and that a coarser one lacks detail", () => {
  expect(describeFit(datasetOf(section(2, 300)), trainedAt(12))).toEqual([
    "warning: the section has 2 µm per pixel, the model was trained at 12: images are brought to that size first",
    "warning: the section has less than a patch of 64 px on a side: what lies beyond the image is filled with its ground, and features show that too",
  ]);
  expect(describeFit(datasetOf(section(12), section(20), section(24)), trainedAt(12))).toEqual([expect.stringMatching(/^warning: 2 of 3 sections have 20, 24 µm per pixel, .*coarser ones lack the detail/)]);
  expect(describeFit(datasetOf(section(2)), trainedAt(null))[0]).toMatch(/trained on sections of several pixel sizes, each as it is, and these have 2 µm per pixel/);
});

test("an image smaller than a patch is told", () => {
  expect(describeFit(datasetOf(section(12, 1)), trainedAt(12))).toEqual([expect.stringMatching(/less than a patch of 64 px/)]);
  expect(describeFit(datasetOf(section(12, 64)), trainedAt(12))).toEqual([]);
});

test("a run takes on the pixel size of its training sections, where it is one", async () => {
  const resolve = async (dataset: Dataset, members: number[], settings = {}) => {
    const config = resolveConfig({ "data.mean": 0.5, "data.deviation": 0.1, "loss.sigmaMm": 1, "loss.radiusMm": 1, ...settings });
    return (await resolveScales(config, dataset, loadSections(dataset, createMemoryFiles()), Uint32Array.from(members))).data.pixelSizeUm;
  };
  const mixed = datasetOf(section(12), section(12), section(10));
  expect(await resolve(mixed, [0, 1])).toBe(12); // the third is held out
  expect(await resolve(mixed, [0, 1, 2])).toBeNull();
  expect(await resolve(mixed, [0, 1, 2], { "data.pixelSizeUm": 8 })).toBe(8);
  expect(await resolve(datasetOf(section(5000)), [0])).toBeNull(); // beyond what the setting may be
});
