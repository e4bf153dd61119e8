// Phantoms are hard on purpose: grey levels and their statistics do not give areas away, the true laminar profiles do.
import { beforeAll, expect, test } from "vitest";
import { PHANTOM_AREAS } from "../../src/phantom/areas.ts";
import { measureHardness, type Hardness } from "./measure.ts";

let hardness: Hardness;
beforeAll(async () => {
  hardness = await measureHardness({ seed: 21, size: "small", sections: 3 });
}, 120_000);

test("areas are alike in their mean: they differ from each other by less than patches of one area do", () => {
  expect(hardness.means).toHaveLength(PHANTOM_AREAS.length);
  expect(hardness.scatter).toBeGreaterThan(0);
  for (const mean of hardness.means) expect(Math.abs(mean - 1)).toBeLessThan(hardness.scatter);
});

test("histogram, mean, deviation and skewness of patches stay under 0.5 macro-F1 on a held-out brain", () => {
  expect(hardness.intensity).toBeLessThan(0.5);
});

test("true laminar profiles reach at least 0.9 macro-F1 on a held-out brain: the information is there", () => {
  expect(hardness.profile).toBeGreaterThanOrEqual(0.9);
});
