// Where an encoder looked, beside its features: the features stay the same to the bit, and every map is shared out whole.
import { expect, test } from "vitest";
import { storeFloat32 } from "../../src/data/tensors.ts";
import type { JsonObject } from "../../src/data/json.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { createEmbedder, describePreset } from "../../src/model/embed.ts";
import { initialValues } from "../../src/model/parameters.ts";
import { presetOf } from "../../src/model/presets.ts";
import { sizeOf } from "../../src/engine/trace.ts";
import type { Weights } from "../../src/model/weights.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

function firstWeights(settings: Record<string, unknown>): Weights {
  const config = resolveConfig({ preset: "tiny", "data.mean": 0.5, "data.deviation": 0.2, ...settings });
  const { parameters, statistics } = describePreset(presetOf(config), config.data.patch);
  const tensors = new Map(parameters.map((spec, i) => [spec.name, storeFloat32(initialValues(spec, 3, i), spec.shape)]));
  for (const { name, shape, fill } of statistics) tensors.set(name, storeFloat32(new Float32Array(sizeOf(shape)).fill(fill), shape));
  return { tensors, config: JSON.parse(JSON.stringify(config)) as JsonObject, step: 0 };
}

test("features with maps and without are the same, batches that are not full too", async () => {
  const weights = firstWeights({ "model.pool": "attention" });
  const patches = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i * 0.37) ** 2);
  const [plain, looking] = [await createEmbedder(engine(), weights, 2), await createEmbedder(engine(), weights, 2, true)];
  try {
    const { heads, grid, run } = looking.attention!;
    expect([heads, grid, plain.attention]).toEqual([4, [2, 2], undefined]);
    const { h, maps } = await run(patches, 3);
    expect(h).toEqual(await plain.run(patches, 3));
    expect(maps.length).toBe(3 * 4 * 4);
    // Four weights of at most 1, each rounded, by an exp that WGSL lets be off by 3 + 2 |x| ulp, with |x| below 1 here.
    for (let row = 0; row < maps.length; row += 4) expect(Math.abs(maps.subarray(row, row + 4).reduce((sum, value) => sum + value, 0) - 1)).toBeLessThan(4 * 8 * 2 ** -23);
  } finally {
    plain.dispose();
    looking.dispose();
  }
});

test("an encoder that does not end in attention says so", async () => {
  await expect(createEmbedder(engine(), firstWeights({}), 2, true)).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(/the encoder tiny has none/) as string });
});
