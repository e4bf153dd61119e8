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

test("stain turns about glass and shifts all of it, and changes no other draw", () => {
  const still = { "augment.gain": [1, 1], "augment.gamma": [1, 1], "augment.offset": 0, "augment.noise": 0, "data.mean": 0.25, "data.deviation": 0.05 };
  const [gain, offset] = drawViews(resolveConfig({ ...still, "augment.stain": [2, 2] }), 0, 0, 1).adjust;
  expect([gain, offset]).toEqual([8, 0]); // of a density in multiples of the mean; glass stays 0
  // With the contrast about the mean after it: 3 · (2 x - mean) + mean.
  const both = drawViews(resolveConfig({ ...still, "augment.gain": [3, 3], "augment.stain": [2, 2] }), 0, 0, 1).adjust;
  expect(both[0]! * 0.1 + both[1]!).toBeCloseTo((3 * (2 * 0.1 - 0.25) + 0.25) / 0.25, 5);
  const shifted = drawViews(resolveConfig({ ...still, "augment.stainShift": 0.1 }), 0, 0, 300).adjust;
  const shifts = Array.from({ length: 300 }, (_, i) => shifted[4 * i + 1]! * 0.25);
  expect(Math.max(...shifts.map(Math.abs))).toBeLessThanOrEqual(0.1 + 1e-6);
  expect([Math.min(...shifts) < -0.08, Math.max(...shifts) > 0.08]).toEqual([true, true]);
  const [plain, stained] = [drawViews(config, 3, 0, 9), drawViews(resolveConfig({ "data.patch": 64, ...measured, "augment.stain": [0.5, 2], "augment.stainShift": 0.05 }), 3, 0, 9)];
  expect(stained.matrix).toEqual(plain.matrix);
  expect(stained.blur).toEqual(plain.blur);
  for (let i = 0; i < 9; i++) expect([stained.adjust[4 * i + 2], stained.adjust[4 * i + 3]]).toEqual([plain.adjust[4 * i + 2], plain.adjust[4 * i + 3]]);
  expect(stained.adjust[0]).not.toBe(plain.adjust[0]);
});

test("stain is refused where intensities are no concentrations", () => {
  for (const data of [{ "data.intensity": "grey" }, { "data.normalise": "section" }])
    for (const stain of [{ "augment.stain": [0.8, 1.2] }, { "augment.stainShift": 0.1 }])
      expect(() => resolveConfig({ ...data, ...stain })).toThrow(/augment\.stain.*expected data\.intensity=density and data\.normalise=none/);
});

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
