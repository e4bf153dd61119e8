// Sizes of the presets: those of the standard architectures, where they are standard.
import { expect, test } from "vitest";
import { countModel } from "../../src/model/count.ts";
import { findPreset, presetOf, type ModelSettings } from "../../src/model/presets.ts";

const NONE: ModelSettings = { pool: null, patch: null, registers: null, grid: null };
const of = (preset: string, model: Partial<ModelSettings> = {}) => presetOf({ preset, model: { ...NONE, ...model } });
/** Of a classifier of 1000 classes behind h. */
const head = (width: number) => 1000 * width + 1000;

test.each([
  // For 1000 classes and three channels at 224 px: parameters as torchvision and timm have them, GMACs as torchvision's weights say (vit-s as its paper, to fewer digits), activations in millions as timm's tables say.
  { preset: of("r50", { pool: "average" }), whole: 25_557_032, gmacs: "4.089", macts: "11.11" },
  { preset: of("vit-s"), whole: 22_050_664, gmacs: "4.6", macts: "11.95" },
  { preset: of("vit-s", { patch: 32 }), whole: 22_878_952, gmacs: "1.1", macts: "2.50" },
  { preset: of("vit-b"), whole: 86_567_656, gmacs: "17.564", macts: "23.90" },
  { preset: of("vit-b", { patch: 32 }), whole: 88_224_232, gmacs: "4.409", macts: "5.01" },
])("$preset.name of $whole parameters", ({ preset, whole, gmacs, macts }) => {
  const { encoder } = countModel(preset, { side: 224, channels: 3 });
  expect(encoder.parameters + head(preset.width)).toBe(whole);
  expect(((encoder.multiplyAdds + 1000 * preset.width) / 1e9).toFixed(gmacs.split(".")[1]!.length)).toBe(gmacs);
  // Its classifier writes 1,000 more.
  expect(((encoder.activations + 1000) / 1e6).toFixed(2)).toBe(macts);
  // Grey images: the first layer's filters have a third of the weights, and all else is the same.
  const first = preset.architecture.kind === "vit" ? preset.architecture.patch ** 2 * preset.width : 7 * 7 * 64;
  expect(countModel(preset, { side: 224 }).encoder.parameters).toBe(whole - head(preset.width) - 2 * first);
});

test("ResNet-50's running statistics, and what attention pooling adds", () => {
  const average = countModel(of("r50", { pool: "average" }), { side: 64 }).encoder;
  const attention = countModel(of("r50"), { side: 64 }).encoder;
  expect(average.statistics).toBe(53_120);
  // A query, keys and values.
  expect(attention.parameters - average.parameters).toBe(2048 + 2 * 2048 * 2048);
});

test("registers, a grid of positions and the hybrid's trunk", () => {
  const plain = countModel(of("vit-s"), { side: 64 }).encoder.parameters;
  expect(countModel(of("vit-s", { registers: 4 }), { side: 64 }).encoder.parameters - plain).toBe(4 * 384 - 384);
  expect(countModel(of("vit-s", { grid: 14 }), { side: 64 }).encoder.parameters - plain).toBe((14 * 14 - 4 * 4) * 384);
  // The grid of the patch's own size is the same as none.
  expect(countModel(of("vit-s", { grid: 4 }), { side: 64 })).toEqual(countModel(of("vit-s"), { side: 64 }));
  const trunk = countModel(of("hybrid"), { side: 64, channels: 3 }).encoder.parameters - plain;
  const stages = 25_557_032 - head(2048) - 14_964_736;
  expect(trunk).toBe(stages + (1024 - 256) * 384);
});

test("UltraFace's backbone has the parameters of the file that it is from", () => {
  expect(countModel(findPreset("rfb"), { side: [240, 320], channels: 3 }).encoder).toMatchObject({ parameters: 186_312, statistics: 4808 });
});

test("settings that an encoder does not have are refused, all at once", () => {
  expect(() => of("r50", { patch: 32, registers: 4 })).toThrow(/2 settings are wrong/);
  expect(() => of("vit-s", { pool: "average" })).toThrow(/model\.pool: "average", expected null: the preset vit-s takes model\.patch/);
});
