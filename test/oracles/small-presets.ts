// One small encoder of each family, with every choice that a preset makes: what ONNX models are written of and run in tests.
import { findPreset, type Architecture, type Preset } from "../../src/model/presets.ts";

const like = (name: string, width: number, architecture: Architecture): Preset => ({ ...findPreset("tiny"), name, width, architecture });
const TRUNK = {
  stem: { filter: 7, stride: 2, channels: 4, pool: { window: 3, stride: 2 } },
  stages: [{ blocks: 2, planes: 4, stride: 1 }, { blocks: 1, planes: 8, stride: 2 }],
  expansion: 4,
} as const;
const VIT = { kind: "vit", width: 24, depth: 2, heads: 3, expansion: 2, epsilon: 1e-6, registers: 0, grid: null } as const;

/** What gradients are compared on: images as small as the strides allow, because with many arguments of ReLU one is always on the kink. */
export const SMALL_GRADIENTS: readonly { readonly preset: Preset; readonly side: number; readonly b: number }[] = [
  { preset: like("small r50, average", 32, { kind: "resnet", ...TRUNK, pool: "average", poolHead: 8 }), side: 16, b: 6 },
  { preset: like("small r50, attention", 32, { kind: "resnet", ...TRUNK, pool: "attention", poolHead: 8 }), side: 24, b: 5 },
  { preset: like("small vit, registers", 24, { ...VIT, patch: 8, registers: 2 }), side: 16, b: 6 },
  { preset: like("small hybrid", 24, { ...VIT, patch: 16, trunk: TRUNK }), side: 32, b: 6 },
];

/** With the side of their images, px. */
export const SMALL_PRESETS: readonly { readonly preset: Preset; readonly side: number }[] = [
  { preset: like("small r50, average", 32, { kind: "resnet", ...TRUNK, pool: "average", poolHead: 8 }), side: 32 },
  { preset: like("small r50, attention", 32, { kind: "resnet", ...TRUNK, pool: "attention", poolHead: 8 }), side: 24 },
  { preset: like("small vit, positions of a larger grid", 24, { ...VIT, patch: 8, grid: 4 }), side: 24 },
  { preset: like("small vit, registers, positions of a smaller grid", 24, { ...VIT, patch: 8, registers: 2, grid: 2 }), side: 24 },
  { preset: like("small hybrid", 24, { ...VIT, patch: 16, trunk: TRUNK }), side: 32 },
  {
    preset: like("small rfb", 12, {
      kind: "mobile",
      stem: { channels: 4, stride: 2 },
      before: [{ channels: 8, stride: 2 }],
      block: { inner: 2, branches: [{ channels: [4], dilation: 2 }, { channels: [3, 4], dilation: 5 }] },
      after: [{ channels: 12, stride: 2 }],
      pool: "average",
      poolHead: 4,
    }),
    side: 40,
  },
];
