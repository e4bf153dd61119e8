// Augmentation: drawn from counters, and every patch lies within its window.
import { expect, test } from "vitest";
import { adjustedScale, drawViews, windowSide } from "../../src/model/augment.ts";
import { resolveConfig } from "../../src/model/config.ts";

const measured = { "data.mean": 0.3, "data.deviation": 0.1 };
const config = resolveConfig({ "data.patch": 64, ...measured });

test("is a function of seed, step, row and view", () => {
  const a = drawViews(config, 5, 0, 8);
  expect(drawViews(config, 5, 0, 8)).toEqual(a);
  expect(drawViews(config, 5, 0, 4).matrix).toEqual(a.matrix.subarray(0, 24));
  expect(drawViews(config, 6, 0, 8).matrix).not.toEqual(a.matrix);
  expect(drawViews(config, 5, 1, 8).matrix).not.toEqual(a.matrix);
  expect(drawViews(resolveConfig({ seed: 2, ...measured }), 5, 0, 8).matrix).not.toEqual(a.matrix);
});

test.each([{}, { "augment.rotation": 0 }, { "augment.shear": 0 }, { "augment.scale": [0.5, 2] }, { "augment.shear": 45, "augment.scale": [0.25, 4] }])(
  "keeps every pixel of a patch within the window: %j",
  (settings) => {
    const c = resolveConfig({ ...settings, ...measured });
    const half = (windowSide(c) - 1) / 2;
    const reach = (c.data.patch - 1) / 2;
    const { matrix } = drawViews(c, 0, 0, 500);
    for (let i = 0; i < 500; i++)
      for (const [px, py] of [[-reach, -reach], [-reach, reach], [reach, -reach], [reach, reach]] as const) {
        const [a, b, tx, d, e, ty] = matrix.subarray(6 * i, 6 * i + 6) as unknown as [number, number, number, number, number, number];
        expect(Math.abs(a * px + b * py + tx)).toBeLessThanOrEqual(half);
        expect(Math.abs(d * px + e * py + ty)).toBeLessThanOrEqual(half);
      }
  },
);

test("turns, mirrors and scales as drawn", () => {
  const c = resolveConfig({ "augment.scale": [2, 2], "augment.shear": 0, ...measured });
  const { matrix } = drawViews(c, 0, 0, 200);
  let mirrored = 0;
  for (let i = 0; i < 200; i++) {
    const [a, b, , d, e] = matrix.subarray(6 * i, 6 * i + 6) as unknown as number[];
    const determinant = a! * e! - b! * d!;
    // Enlarged twice: the patch covers a quarter of its area in the window.
    expect(Math.abs(determinant)).toBeCloseTo(0.25, 6);
    if (determinant < 0) mirrored++;
  }
  expect(mirrored).toBeGreaterThan(60);
  expect(mirrored).toBeLessThan(140);
});

test("without intensity changes, a patch comes out as multiples of the data's mean, and scales follow the data's deviation", () => {
  const still = { "augment.gain": [1, 1], "augment.gamma": [1, 1], "augment.offset": 0, "augment.noise": 0, "data.mean": 0.25, "data.deviation": 0.05 };
  expect([...drawViews(resolveConfig(still), 0, 0, 1).adjust]).toEqual([4, 0, 1, 0]);
  expect(adjustedScale(resolveConfig(still))).toEqual({ unit: 0.25, mean: 1, deviation: 0.2 });
  // Contrast about the mean: the mean itself stays 1 whatever the gain.
  const [gain, offset] = drawViews(resolveConfig({ ...still, "augment.gain": [2, 2] }), 0, 0, 1).adjust;
  expect(gain! * 0.25 + offset!).toBeCloseTo(1, 6);
  const noisy = drawViews(resolveConfig({ ...still, "augment.noise": 1, "augment.offset": 1 }), 0, 0, 400).adjust;
  for (let i = 0; i < 400; i++) {
    expect(Math.abs(noisy[4 * i + 1]!)).toBeLessThanOrEqual(0.2 + 1e-6);
    expect(noisy[4 * i + 3]!).toBeLessThanOrEqual(0.2 + 1e-6);
  }
});
