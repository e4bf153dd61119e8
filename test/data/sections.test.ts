// Windows: the right pixels around each sample, ground beyond the edge, the wished pixel size, and a cache that keeps its budget.
import { describe, expect, test } from "vitest";
import { DATASET_SCHEMA, type Dataset } from "../../src/data/dataset.ts";
import { encodePng } from "../../src/data/png.ts";
import { resamplePlane } from "../../src/data/resample.ts";
import { cropWindows, loadSections, windowSize } from "../../src/data/sections.ts";
import { writeDataset } from "../../src/data/write-dataset.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { createMemoryFiles, type MemoryFiles } from "./memory-files.ts";

const [WIDTH, HEIGHT, PIXEL] = [40, 30, 10];
const stream = randomStream(keyOfSeed(8), [0, 0, 0]);
const PIXELS = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => {
  const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
  return x === 0 || y === 0 || x === WIDTH - 1 || y === HEIGHT - 1 ? 201 : stream.below(200);
});

/** Two sections of the same pixels; sample k of `points` lies in section k mod 2. */
async function makeDataset(points: readonly (readonly [number, number])[]): Promise<{ dataset: Dataset; files: MemoryFiles; reads: string[] }> {
  const files = createMemoryFiles();
  const sections = ["s0", "s1"].map((id) => ({ id, brain: "b", file: `${id}.png`, width: WIDTH, height: HEIGHT, pixelSizeUm: PIXEL, space: "s" }));
  const dataset = await writeDataset(files, "d", {
    manifest: { schema: DATASET_SCHEMA, name: "d", brains: [{ id: "b" }], sections },
    rows: points.map(([xUm, yUm], i) => ({ section: `s${i % 2}`, xUm, yUm, position: [0, 0, 0], labels: [] })),
    images: sections.map(({ file }) => ({ file, bytes: () => encodePng({ width: WIDTH, height: HEIGHT, channels: 1, data: PIXELS }) })),
  });
  const reads: string[] = [];
  return { dataset, reads, files: { ...files, read: async (path) => (reads.push(path), files.read(path)) } };
}

describe("windows", () => {
  const points = [[205, 155], [200, 150], [0, 0], [400, 300], [5, 295], [390, 10]] as const;

  test.each([1, 4, 7, 16])("of side %i hold the pixels around the sample, and ground outside", async (size) => {
    const { dataset, files } = await makeDataset(points);
    const windows = await cropWindows(dataset, loadSections(dataset, files), [0, 1, 2, 3, 4, 5], size);
    points.forEach(([x, y], k) => {
      for (let j = 0; j < size; j++) {
        for (let i = 0; i < size; i++) {
          const [px, py] = [Math.round(x / PIXEL - size / 2) + i, Math.round(y / PIXEL - size / 2) + j];
          const inside = px >= 0 && py >= 0 && px < WIDTH && py < HEIGHT;
          expect(windows[(k * size + j) * size + i]).toBe(Math.fround((inside ? PIXELS[py * WIDTH + px]! : 201) / 255));
        }
      }
    });
  });

  test("of sections that differ in stain and lamp are the same once each section's tissue is brought to one mean and contrast", async () => {
    const files = createMemoryFiles();
    // Quarter steps of grey, so that the darker copy loses nothing by rounding: its values are half of the first's, plus 60.
    const pixels = PIXELS.map((value) => 4 * Math.floor(value / 4));
    const stained = [pixels, pixels.map((value) => 60 + value / 2)];
    const sections = ["s0", "s1"].map((id) => ({ id, brain: "b", file: `${id}.png`, width: WIDTH, height: HEIGHT, pixelSizeUm: PIXEL, space: "s" }));
    const dataset = await writeDataset(files, "d", {
      manifest: { schema: DATASET_SCHEMA, name: "d", brains: [{ id: "b" }], sections },
      rows: sections.flatMap(({ id }) => points.map(([xUm, yUm]) => ({ section: id, xUm, yUm, position: [0, 0, 0] as const, labels: [] }))),
      images: sections.map(({ file }, s) => ({ file, bytes: () => encodePng({ width: WIDTH, height: HEIGHT, channels: 1, data: stained[s]! }) })),
    });
    const windows = await cropWindows(dataset, loadSections(dataset, files), [0, 1, 6, 7], 20, { normalise: "section" });
    const [first, second] = [windows.subarray(0, 800), windows.subarray(800)];
    first.forEach((value, i) => expect(Math.abs(value - second[i]!)).toBeLessThan(1e-6));
    expect(new Set(first).size).toBeGreaterThan(20);
    expect(Math.abs(first.reduce((sum, value) => sum + value, 0) / 800 - 0.5)).toBeLessThan(0.05);
    const raw = await cropWindows(dataset, loadSections(dataset, files), [0, 6], 20);
    expect(Math.abs(raw[0]! - raw[400]!)).toBeGreaterThan(0.01);
  });

  test("an odd window around a pixel's middle has that pixel in its middle", async () => {
    const { dataset, files } = await makeDataset([[125, 85]]);
    const window = await cropWindows(dataset, loadSections(dataset, files), [0], 3);
    expect(window[4]).toBe(Math.fround(PIXELS[8 * WIDTH + 12]! / 255));
  });

  test("the order of samples and repeats do not matter", async () => {
    const { dataset, files, reads } = await makeDataset(points);
    const cache = loadSections(dataset, files);
    const all = await cropWindows(dataset, cache, [0, 1, 2, 3], 8);
    const mixed = await cropWindows(dataset, cache, Uint32Array.of(3, 0, 3), 8);
    expect(mixed.slice(0, 64)).toEqual(all.slice(3 * 64));
    expect(mixed.slice(64, 128)).toEqual(all.slice(0, 64));
    expect(mixed.slice(128)).toEqual(all.slice(3 * 64));
    expect(reads.sort()).toEqual(["d/s0.png", "d/s1.png"]);
  });

  test("optical density is dark-is-high", async () => {
    const { dataset, files } = await makeDataset(points);
    const window = await cropWindows(dataset, loadSections(dataset, files), [0], 5, { scale: "density" });
    const grey = await cropWindows(dataset, loadSections(dataset, files), [0], 5);
    window.forEach((value, i) => expect(value).toBeCloseTo(1 - Math.log(Math.round(grey[i]! * 255) + 1) / Math.log(256), 6));
  });

  test("at another pixel size the same place is seen", async () => {
    const { dataset, files } = await makeDataset([[200, 160], [200, 160]]);
    const cache = loadSections(dataset, files);
    const window = await cropWindows(dataset, cache, [0], 4, { pixelSizeUm: 20 });
    for (let j = 0; j < 4; j++) {
      for (let i = 0; i < 4; i++) {
        const [x, y] = [2 * (8 + i), 2 * (6 + j)];
        const mean = (PIXELS[y * WIDTH + x]! + PIXELS[y * WIDTH + x + 1]! + PIXELS[(y + 1) * WIDTH + x]! + PIXELS[(y + 1) * WIDTH + x + 1]!) / 4;
        expect(Math.abs(window[j * 4 + i]! * 255 - mean)).toBeLessThanOrEqual(0.5 + 1e-4);
      }
    }
  });

  test("what is wrong is refused", async () => {
    const { dataset, files } = await makeDataset(points);
    const cache = loadSections(dataset, files);
    await expect(cropWindows(dataset, cache, [99], 4)).rejects.toThrow(/sample 99, expected 0 to 5/);
    await expect(cropWindows(dataset, cache, [0], 0)).rejects.toThrow(/size 0/);
    await expect(cropWindows(dataset, cache, [0], 4, { pixelSizeUm: -1 })).rejects.toThrow(/pixel size -1/);
    await files.writeAtomic("d/s1.png", encodePng({ width: 3, height: 3, channels: 1, data: new Uint8Array(9) }));
    await expect(cropWindows(dataset, cache, [1], 4)).rejects.toThrow(/d\/s1\.png: image of 3 × 3 pixels, expected 40 × 30; it changed/);
  });
});

describe("cache", () => {
  test("keeps to its budget by dropping what was unused longest, and decodes again when needed", async () => {
    const { dataset, files, reads } = await makeDataset([[0, 0], [0, 0]]);
    const cache = loadSections(dataset, files, { budgetBytes: WIDTH * HEIGHT + 10 });
    await cache.get(0);
    await cache.get(0);
    expect(reads).toEqual(["d/s0.png"]);
    await cache.get(1);
    expect(cache.bytes).toBe(WIDTH * HEIGHT);
    await cache.get(1);
    await cache.get(0);
    expect(reads).toEqual(["d/s0.png", "d/s1.png", "d/s0.png"]);
    const tiny = loadSections(dataset, files, { budgetBytes: 1 });
    expect((await tiny.get(0)).data).toEqual(PIXELS);
  });

  test("asked twice at once it decodes once; a failure is not kept", async () => {
    const { dataset, files, reads } = await makeDataset([[0, 0], [0, 0]]);
    const cache = loadSections(dataset, files);
    const [first, second] = await Promise.all([cache.get(0), cache.get(0)]);
    expect(first).toBe(second);
    expect(reads).toEqual(["d/s0.png"]);
    const whole = await files.read("d/s1.png");
    await files.writeAtomic("d/s1.png", whole.subarray(0, 60));
    await expect(cache.get(1)).rejects.toThrow(/truncated/);
    await files.writeAtomic("d/s1.png", whole);
    expect((await cache.get(1)).background).toBe(201);
  });
});

describe("resampling", () => {
  const plane = { width: WIDTH, height: HEIGHT, pixelSizeUm: PIXEL, data: PIXELS, background: 201 };

  test.each([7.3, 10.1, 13, 25, 57, 1000])("to %d µm an even plane stays even and the size follows", (target) => {
    const even = resamplePlane({ ...plane, data: new Uint8Array(WIDTH * HEIGHT).fill(77) }, target);
    expect(even.data.every((value) => value === 77)).toBe(true);
    expect([even.width, even.height]).toEqual([Math.ceil((WIDTH * PIXEL) / target), Math.ceil((HEIGHT * PIXEL) / target)]);
  });

  test("shrinking by a whole number keeps the mean, within rounding", () => {
    const half = resamplePlane(plane, 50);
    const mean = (data: Uint8Array): number => data.reduce((sum, value) => sum + value, 0) / data.length;
    expect(Math.abs(mean(half.data) - mean(PIXELS))).toBeLessThanOrEqual(0.5);
  });

  test("growing by two puts a ramp's values halfway between", () => {
    const ramp = { ...plane, width: 5, height: 1, data: Uint8Array.of(0, 40, 80, 120, 160) };
    expect([...resamplePlane(ramp, 5).data.subarray(0, 10)]).toEqual([0, 10, 30, 50, 70, 90, 110, 130, 150, 160]);
  });

  test("one pixel, and a size beyond the limit", () => {
    const one = { ...plane, width: 1, height: 1, data: Uint8Array.of(9) };
    expect([...resamplePlane(one, 3).data]).toEqual(new Array(16).fill(9));
    expect(() => resamplePlane(plane, 0.001)).toThrow(/choose a larger pixel size/);
  });
});

test("the window holds a turned and enlarged patch", () => {
  expect(windowSize(64)).toBe(136);
  expect(windowSize(64, 1)).toBe(91);
});
