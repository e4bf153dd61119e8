// Augmentation: drawn from counters, and every patch lies within its window.
import { expect, test } from "vitest";
import { drawViews, plainViews, windowSide } from "../../src/model/augment.ts";
import { resolveConfig } from "../../src/model/config.ts";

const config = resolveConfig({ "data.patch": 64 });

test("is a function of seed, step, row and view", () => {
  const a = drawViews(config, 5, 0, 8);
  expect(drawViews(config, 5, 0, 8)).toEqual(a);
  expect(drawViews(config, 5, 0, 4).matrix).toEqual(a.matrix.subarray(0, 24));
  expect(drawViews(config, 6, 0, 8).matrix).not.toEqual(a.matrix);
  expect(drawViews(config, 5, 1, 8).matrix).not.toEqual(a.matrix);
  expect(drawViews(resolveConfig({ seed: 2 }), 5, 0, 8).matrix).not.toEqual(a.matrix);
});

test.each([{}, { "augment.rotation": 0 }, { "augment.shear": 0 }, { "augment.scale": [0.5, 2] }, { "augment.shear": 45, "augment.scale": [0.25, 4] }])(
  "keeps every pixel of a patch within the window: %j",
  (settings) => {
    const c = resolveConfig(settings);
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
  const c = resolveConfig({ "augment.scale": [2, 2], "augment.shear": 0 });
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

test("plain views change nothing", () => {
  const { matrix, adjust, blur } = plainViews(2);
  expect([...matrix]).toEqual([1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]);
  expect([...adjust]).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
  expect([...blur]).toEqual([0, 0]);
});
