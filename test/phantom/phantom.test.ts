// Phantoms: the same bytes for the same seed, truth that pixels, masks and cells bear out, places that fit across brains.
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.ts";
import { readNpy } from "../../src/data/npy.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { loadFloat32 } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { AREA_PROFILES, PHANTOM_AREAS, PHANTOM_LAYERS } from "../../src/phantom/areas.ts";
import { fromLaminar, toLaminar } from "../../src/phantom/field.ts";
import { planPhantom, type PhantomOptions } from "../../src/phantom/options.ts";
import { generateDataset, generateSections, listFlaws } from "../../src/phantom/phantom.ts";
import { PHANTOM_VALUES } from "../../src/phantom/samples.ts";
import { makePhantom, makeSection } from "../../src/phantom/section.ts";

/** Whole anatomy at coarse pixels: cheap, since cells are what costs. */
const COARSE: PhantomOptions = { seed: 4, brains: 2, sections: 1, width: 220, height: 140, pixelSizeUm: 100, sampleSpacingMm: 0.3 };

describe("a phantom as a dataset", () => {
  test("is read back whole, with every area and layer, values for every sample, and its truth beside it", async () => {
    const files = createMemoryFiles();
    const dataset = await generateDataset(COARSE, "deep/er/p", files);
    expect((await readDataset(files, "deep/er/p", { verify: "pixels" })).hash).toBe(dataset.hash);
    expect(dataset.sections.map(({ id, brain }) => [id, brain])).toEqual([["b1s1", "phantom1"], ["b2s1", "phantom2"]]);
    expect(dataset.spaces).toEqual(["phantom"]);
    const { labels, values, count } = dataset.samples;
    expect(labels.get("layer")?.names).toEqual(PHANTOM_LAYERS);
    expect(labels.get("area")?.names).toEqual(PHANTOM_AREAS);
    expect([...new Set(labels.get("layer")!.codes)].sort()).toEqual(PHANTOM_LAYERS.map((_, i) => i));
    expect([...values.keys()]).toEqual(PHANTOM_VALUES.map(({ column }) => column));
    for (const [column, { numbers }] of values) expect([column, numbers.length, numbers.every(Number.isFinite)]).toEqual([column, count, true]);

    const mask = async (what: string) => decodeImage(await files.read(`deep/er/p/truth/b1s1-${what}.png`), what);
    const [layers, areas] = [await mask("layers"), await mask("areas")];
    const cells = loadFloat32(readNpy(await files.read("deep/er/p/truth/b1s1-cells.npy"), "cells"))!;
    // Samples, masks and cells tell the same story: where a sample lies beside a border its own pixel may be of the other side, but one that touches it is of its own.
    // A cell on the circle that is counted in may fall to either side, as positions in the table are rounded.
    const number = (column: string, i: number): number => values.get(column)!.numbers[i]!;
    const faults: string[] = [];
    let compared = 0;
    for (let i = 0; i < count; i++) {
      if (dataset.samples.section[i] !== 0) continue;
      compared += 1;
      const [x, y] = [dataset.samples.x[i]!, dataset.samples.y[i]!];
      const around = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => (Math.floor(y / 100) + dy) * 220 + Math.floor(x / 100) + dx));
      if (!around.some((pixel) => layers.data[pixel] === labels.get("layer")!.codes[i]! + 1)) faults.push(`sample ${i}: layer`);
      if (!around.some((pixel) => areas.data[pixel] === labels.get("area")!.codes[i]! + 1)) faults.push(`sample ${i}: area`);
      const counted = 0.12 * 2200;
      let [near, sum] = [0, 0];
      for (let k = 0; k < cells.length; k += 6) {
        if ((cells[k]! - x) ** 2 + (cells[k + 1]! - y) ** 2 > counted * counted) continue;
        near += 1;
        sum += cells[k + 2]!;
      }
      const told = number("cells_per_mm2", i) * Math.PI * (counted / 1000) ** 2;
      if (Math.abs(told - near) > 1.001) faults.push(`sample ${i}: ${told} cells, in the list ${near}`);
      else if (Math.abs(told - near) < 0.5 && Math.abs(number("cell_radius_um", i) - sum / near) > 1e-3) faults.push(`sample ${i}: radius`);
    }
    expect(compared).toBeGreaterThan(50);
    expect(faults).toEqual([]);
    const perLayer = PHANTOM_LAYERS.map(() => 0);
    for (let k = 0; k < cells.length; k += 6) perLayer[cells[k + 5]!]! += 1;
    const pixels = PHANTOM_LAYERS.map((_, layer) => layers.data.reduce((sum, value) => sum + (value === layer + 1 ? 1 : 0), 0));
    const density = perLayer.map((n, layer) => n / (pixels[layer]! * 0.01));
    // Layer I holds 330 and white matter 520 cells per mm² by plan; layers II to VI together are denser than both.
    expect(density[0]).toBeGreaterThan(250);
    expect(density[0]).toBeLessThan(600);
    expect(density[6]).toBeGreaterThan(470);
    expect(density[6]).toBeLessThan(570);
    for (const layer of [1, 2, 3, 4, 5]) expect(density[layer]).toBeGreaterThan(density[0]!);
  });

  test("the same seed gives the same bytes, in any order of asking; another seed, brain or section gives others", async () => {
    const block: PhantomOptions = { seed: 4, brains: 2, sections: 2, width: 160, height: 100, pixelSizeUm: 40 };
    const parts = generateSections(block);
    const bytes = async (of: typeof parts, file: string): Promise<Uint8Array> => of.images.find((image) => image.file === file)!.bytes();
    const first = await bytes(parts, "images/b1s1.png");
    const again = generateSections(block);
    expect(JSON.stringify([...again.rows])).toBe(JSON.stringify([...parts.rows]));
    expect(await bytes(again, "images/b1s1.png")).toEqual(first);
    expect(await bytes(parts, "images/b1s2.png")).not.toEqual(first);
    expect(await bytes(parts, "images/b2s1.png")).not.toEqual(first);
    expect(await bytes(generateSections({ ...block, seed: 5 }), "images/b1s1.png")).not.toEqual(first);
  });

  test("every area is in every brain, so that each can be held out", () => {
    const counts = new Map<string, number[]>();
    for (const { section, labels } of generateSections({ seed: 202, brains: 3, sections: 2 }).rows) {
      const own = counts.get(section.slice(0, 2)) ?? PHANTOM_AREAS.map(() => 0);
      if (labels[0] !== "") own[PHANTOM_AREAS.findIndex((name) => name === labels[0])]! += 1;
      counts.set(section.slice(0, 2), own);
    }
    expect([...counts.keys()]).toEqual(["b1", "b2", "b3"]);
    // A seventh would be an even share; a third of that is still some hundred samples of size medium.
    for (const own of counts.values()) expect(Math.min(...own) / own.reduce((sum, n) => sum + n, 0)).toBeGreaterThan(1 / 21);
  });

  test("what befell a section is told: in the second of brain 3 of seed 1, which is blurred, and in no other of that brain", () => {
    const flaws = listFlaws({ seed: 1, brains: 3 });
    expect(flaws).toHaveLength(18);
    expect(flaws.slice(12).map((some) => some.includes("out of focus"))).toEqual([false, true, false, false, false, false]);
  });

  test("options that are wrong are named, all at once", () => {
    expect(() => generateSections({ seed: 1, width: 0 })).toThrow(UserError);
    expect(() => generateSections({ seed: 1, width: 0 })).toThrow(/width 0, expected/);
    const message = (() => {
      try {
        planPhantom({ seed: -1, pixelSizeUm: Number.NaN, brains: 1e9, sections: 1001, width: 2 ** 15, height: 2 ** 14 });
        return "";
      } catch (error) {
        return error instanceof UserError ? [error.message, ...error.notes].join("\n") : "";
      }
    })();
    expect(message).toMatch(/seed -1/);
    expect(message).toMatch(/pixelSizeUm NaN/);
    expect(message).toMatch(/brains 1000000000, expected a whole number from 1 to 1000/);
    expect(message).toMatch(/sections 1001, expected/);
    expect(message).toMatch(/32768 × 16384 pixels, expected at most 268435456/);
  });
});

describe("anatomy", () => {
  const phantom = makePhantom(planPhantom({ seed: 3, sections: 12 }));

  test("the laminar coordinate keeps pia and white matter and is undone by its inverse", () => {
    for (const curvature of [-2, -0.2, 0, 0.1, 3]) {
      expect(toLaminar(0, curvature, 2)).toBe(0);
      expect(toLaminar(1, curvature, 2)).toBe(1);
      for (let share = 0.05; share < 1; share += 0.1) expect(fromLaminar(toLaminar(share, curvature, 2), curvature, 2)).toBeCloseTo(share, 9);
    }
    // Where cortex fans out, the upper half of the depth holds less than half of the volume.
    expect(toLaminar(0.5, 0.5, 2)).toBeLessThan(0.5);
    expect(toLaminar(0.5, -0.3, 2)).toBeGreaterThan(0.5);
  });

  test("neighbouring sections resemble each other, distant ones and other brains do not", () => {
    const distance = (a: [number, number], b: [number, number]): number => {
      const [one, two] = [a, b].map(([brain, z]) => phantom.foldings[brain]!(z));
      // From 200 points of one line to the nearest of the other.
      let sum = 0;
      for (let k = 0; k < 200; k++) {
        const v = Math.floor((k / 200) * one!.count);
        let least = Infinity;
        for (let w = 0; w < two!.count; w += 2) least = Math.min(least, Math.hypot(one!.x[v]! - two!.x[w]!, one!.y[v]! - two!.y[w]!));
        sum += least / 200;
      }
      return sum;
    };
    const near = distance([0, 5], [0, 5.1]);
    const far = distance([0, 1], [0, 10]);
    const other = distance([0, 5], [1, 5]);
    // Sulci move by some hundredths of their swing in 0.1 mm of z.
    expect(near).toBeLessThan(0.06);
    expect(far).toBeGreaterThan(3 * near);
    expect(other).toBeGreaterThan(5 * near);
  });

  test("all areas have the same bands in another order, so that only the arrangement tells them apart", () => {
    const multiset = (area: number): string => AREA_PROFILES[area]!.bands.map(({ density }) => density).sort((a, b) => a - b).join(" ");
    expect(new Set(PHANTOM_AREAS.map((_, area) => multiset(area))).size).toBe(1);
    expect(new Set(AREA_PROFILES.map(({ bands }) => bands.map(({ density }) => density).join(" "))).size).toBe(PHANTOM_AREAS.length);
    for (const { borders } of AREA_PROFILES) expect(borders).toEqual([...borders].sort((a, b) => a - b));
    expect(AREA_PROFILES.map(({ borders }) => borders.at(-1))).toEqual(PHANTOM_AREAS.map(() => 1));
  });

  test("every area covers a fair part of the sheet, and some borders are sharp, some gradual", () => {
    const { sheet } = phantom;
    const seen = PHANTOM_AREAS.map(() => 0);
    let mixed = 0;
    const places = 4000;
    for (let k = 0; k < places; k++) {
      const mix = sheet.areaAt(sheet.length * (0.06 + (0.88 * k) / places), sheet.zLength * ((k * 0.618) % 1));
      seen[mix.area]! += 1 / places;
      if (mix.share > 0.02) mixed += 1 / places;
    }
    for (const share of seen) expect(share).toBeGreaterThan(0.05);
    expect(mixed).toBeGreaterThan(0.01);
    expect(mixed).toBeLessThan(0.25);
  });

  test("cells stand clear of the pia and where the tissue says", () => {
    const small = makePhantom(planPhantom({ seed: 3, brains: 1, sections: 1, width: 100, height: 60, pixelSizeUm: 40 }));
    const { cells, field } = makeSection(small, 0, 0);
    expect(cells.count).toBeGreaterThan(1000);
    for (let k = 0; k < cells.count; k += 7) {
      const [x, y] = [cells.table[6 * k]! / 1000 / field.cell, cells.table[6 * k + 1]! / 1000 / field.cell];
      const node = Math.round(y) * field.columns + Math.round(x);
      // The nearest node is at most 0.71 of a cell away, and depth changes by at most that.
      expect(field.depth[node]).toBeGreaterThan(-0.71 * field.cell);
    }
  });
});
