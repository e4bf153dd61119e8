// One image as a dataset: a centred grid inside the image.
import { expect, test } from "vitest";
import { openImage } from "../../src/data/image-dataset.ts";
import { encodePng } from "../../src/data/png.ts";
import { cropWindows, loadSections } from "../../src/data/sections.ts";
import { createMemoryFiles } from "./memory-files.ts";

const png = encodePng({ width: 40, height: 20, channels: 1, data: Uint8Array.from({ length: 800 }, (_, i) => i % 40) });
const files = createMemoryFiles({ "f/a.png": png, "b.png": png, "f/cut.png": png.subarray(0, 60) });

test("positions in rows from the top, centred", async () => {
  const { samples, sections, path } = await openImage(files, "f/a.png", { pixelSizeUm: 2, strideUm: 15 });
  expect(path).toBe("f");
  expect(sections[0]).toMatchObject({ width: 40, height: 20, pixelSizeUm: 2 });
  expect([...samples.x]).toEqual([10, 25, 40, 55, 70, 10, 25, 40, 55, 70]);
  expect([...samples.y]).toEqual([12.5, 12.5, 12.5, 12.5, 12.5, 27.5, 27.5, 27.5, 27.5, 27.5]);
  expect([...samples.position.subarray(3, 6)]).toEqual([0.025, 0.0125, 0].map(Math.fround));
});

test("a stride beyond the image leaves its middle, and windows can be cut, also from the current folder", async () => {
  const dataset = await openImage(files, "b.png", { pixelSizeUm: 1, strideUm: 1000 });
  expect([dataset.samples.x[0], dataset.samples.y[0], dataset.samples.count]).toEqual([20, 10, 1]);
  const window = await cropWindows(dataset, loadSections(dataset, files), [0], 2);
  expect([...window]).toEqual([19, 20, 19, 20].map((v) => Math.fround(v / 255)));
});

test("what is wrong is named", async () => {
  await expect(openImage(files, "f/a.png", { pixelSizeUm: 0, strideUm: 1 })).rejects.toThrow(/f\/a\.png: pixel size 0, expected/);
  await expect(openImage(files, "f/a.png", { pixelSizeUm: 1, strideUm: 1e-4 })).rejects.toThrow(/choose a larger stride/);
  await expect(openImage(files, "f/none.png", { pixelSizeUm: 1, strideUm: 1 })).rejects.toThrow(expect.objectContaining({ exitCode: 66 }) as Error);
  await expect(openImage(files, "f/cut.png", { pixelSizeUm: 1, strideUm: 1 })).rejects.toThrow(/truncated/);
});
