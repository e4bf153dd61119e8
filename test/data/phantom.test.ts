// Generated cortex: the same bytes for the same seed, truth that the pixels bear out, positions that fit across brains.
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.ts";
import { generateDataset, generateSections } from "../../src/data/phantom.ts";
import { makeProfile, PHANTOM_AREAS, PHANTOM_LAYERS } from "../../src/data/phantom-profile.ts";
import { makeShape } from "../../src/data/phantom-shape.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { cropWindows, loadSections } from "../../src/data/sections.ts";
import { UserError } from "../../src/errors.ts";
import { createMemoryFiles as createHostFiles } from "../../src/host/files-memory.ts";
import { keyOfSeed } from "../../src/kernel/rng.ts";
import { createMemoryFiles } from "./memory-files.ts";

const SMALL = { seed: 4, width: 512, height: 384, pixelSizeUm: 24 } as const;

describe("generated sections", () => {
  test("an ordinary dataset: read back whole, all layers and areas present", async () => {
    const files = createMemoryFiles();
    const dataset = await generateDataset({ ...SMALL, width: 256, height: 192, brains: 2, sectionsPerBrain: 2 }, "p", files);
    expect((await readDataset(files, "p", { verify: "pixels" })).hash).toBe(dataset.hash);
    expect(dataset.sections.map(({ id, brain }) => [id, brain])).toEqual([["b1s1", "phantom1"], ["b1s2", "phantom1"], ["b2s1", "phantom2"], ["b2s2", "phantom2"]]);
    expect(dataset.spaces).toEqual(["phantom"]);
    const { labels } = dataset.samples;
    expect(labels.get("layer")?.names).toEqual(PHANTOM_LAYERS);
    expect(labels.get("area")?.names).toEqual(PHANTOM_AREAS);
    for (const [name, { names, codes }] of labels) expect([...new Set(codes)].sort(), name).toEqual(names.map((_, i) => i));
  });

  test("written through the library's own files in memory", async () => {
    const files = createHostFiles();
    const dataset = await generateDataset({ seed: 1, width: 96, height: 64, pixelSizeUm: 80 }, "deep/er/p", files);
    expect((await readDataset(files, "deep/er/p")).hash).toBe(dataset.hash);
    expect((await files.list("deep/er")).map(({ name }) => name)).toEqual(["p"]);
  });

  test("the same seed gives the same bytes, another seed and another section give others", async () => {
    const bytes = async (seed: number, image = 0): Promise<Uint8Array> => generateSections({ ...SMALL, width: 128, height: 96, seed, sectionsPerBrain: 2 }).images[image]!.bytes();
    const first = await bytes(4);
    expect(await bytes(4)).toEqual(first);
    expect(await bytes(5)).not.toEqual(first);
    expect(await bytes(4, 1)).not.toEqual(first);
    expect(JSON.stringify([...generateSections(SMALL).rows])).toBe(JSON.stringify([...generateSections(SMALL).rows]));
  });

  test("the pixels bear the labels out: layer I and white matter are paler than all cellular layers, the ground is palest", async () => {
    const files = createMemoryFiles();
    const dataset = await generateDataset(SMALL, "p", files);
    const all = Uint32Array.from({ length: dataset.samples.count }, (_, i) => i);
    const windows = await cropWindows(dataset, loadSections(dataset, files), all, 5);
    const { codes, names } = dataset.samples.labels.get("layer")!;
    const sums = names.map(() => ({ total: 0, n: 0 }));
    codes.forEach((code, i) => {
      const window = windows.subarray(i * 25, (i + 1) * 25);
      sums[code]!.total += window.reduce((sum, value) => sum + value, 0) / 25;
      sums[code]!.n += 1;
    });
    const brightness = Object.fromEntries(names.map((name, i) => [name, sums[i]!.total / sums[i]!.n]));
    const cellular = ["L2", "L3", "L4", "L5", "L6"].map((name) => brightness[name]!);
    expect(Math.max(...cellular)).toBeLessThan(Math.min(brightness["L1"]!, brightness["WM"]!));
    const section = decodeImage(files.contents.get("p/images/b1s1.png")!, "x");
    expect(section.data[section.width >> 1]! / 255).toBeGreaterThan(Math.max(brightness["L1"]!, brightness["WM"]!));
  });

  test("brains share a space: the same template place has the same area and nearly the same layer in another brain", () => {
    const rows = [...generateSections({ ...SMALL, brains: 2 }).rows];
    const [one, two] = ["b1s1", "b2s1"].map((id) => rows.filter(({ section }) => section === id));
    let compared = 0;
    let same = 0;
    for (const a of one!) {
      const near = two!.find((b) => Math.hypot(a.position[0] - b.position[0], a.position[1] - b.position[1]) < 0.04);
      if (near === undefined) continue;
      compared += 1;
      if (near.labels[0] === a.labels[0]) same += 1;
    }
    expect(compared).toBeGreaterThan(50);
    // Positions 0.04 mm apart straddle one of the seven borders (0.2 mm apart in the thinnest layers) in at most a fifth of cases.
    expect(same / compared).toBeGreaterThan(0.8);
  });

  test("options that are wrong are named", () => {
    expect(() => generateSections({ seed: 1, width: 0 })).toThrow(UserError);
    expect(() => generateSections({ seed: 1, width: 0 })).toThrow(/width 0, expected/);
    expect(() => generateSections({ seed: 1, pixelSizeUm: Number.NaN })).toThrow(/pixelSizeUm NaN/);
  });
});

describe("shape and profile", () => {
  test("depth grows from the pia inwards and the ground is outside", () => {
    const shape = makeShape(keyOfSeed(1), 12, 9, 0);
    for (let x = 0.1; x < 12; x += 0.37) {
      expect(shape.locate(x, 0.01, () => 1).depth).toBeLessThan(0);
      expect(shape.locate(x, 8.9, () => 1).depth).toBeGreaterThan(shape.thickness);
    }
  });

  test("along the open surface the ribbon's coordinate increases and stays within its length", () => {
    const shape = makeShape(keyOfSeed(2), 12, 9, 0.3);
    let previous = -1;
    for (let x = 0; x <= 12; x += 0.05) {
      const { arc } = shape.locate(x, 0, () => 1);
      expect(arc).toBeGreaterThanOrEqual(previous - 0.4);
      expect(arc).toBeLessThanOrEqual(shape.length);
      previous = Math.max(previous, arc);
    }
  });

  test("neighbouring sections differ little", () => {
    const [a, b] = [makeShape(keyOfSeed(3), 12, 9, 0), makeShape(keyOfSeed(3), 12, 9, 0.02)];
    for (let i = 0; i < 200; i++) {
      const [x, y] = [(i % 20) * 0.6, Math.floor(i / 20) * 0.9];
      expect(Math.abs(a.locate(x, y, () => 1).depth - b.locate(x, y, () => 1).depth)).toBeLessThan(0.05);
    }
  });

  test("the shares of the layers of each area add up: white matter begins at 1", () => {
    const profile = makeProfile(30);
    for (const arc of [5, 15, 25]) {
      expect(profile.tissue(arc, 0.999).layer).toBe(5);
      expect(profile.tissue(arc, 1.001).layer).toBe(6);
      expect(profile.tissue(arc, 0).layer).toBe(0);
      for (let d = 0; d < 1.2; d += 0.01) expect(profile.tissue(arc, d).density).toBeLessThanOrEqual(profile.maxDensity);
    }
    expect([5, 15, 25].map((arc) => profile.area(arc))).toEqual([0, 1, 2]);
  });
});
