// The presets: each model as a few lines of configuration.
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import type { Tensor } from "../engine/trace.ts";
import { relu } from "../ops/activation.ts";
import { cast } from "../ops/cast.ts";
import { he, linear, normaliseBatch, type Encoder, type Features, type Mode, type PoolKind } from "./encoder.ts";
import { mobile, type MobileConfig } from "./mobile.ts";
import { within, type Parameters } from "./parameters.ts";
import { resnet, type ResNetConfig, type TrunkConfig } from "./resnet.ts";
import { vit, type ViTConfig } from "./vit.ts";

/** What an encoder is made of, as data: builders, counters, weight maps and exporters all read it. */
export type Architecture = ({ readonly kind: "resnet" } & ResNetConfig) | ({ readonly kind: "vit" } & ViTConfig) | ({ readonly kind: "mobile" } & MobileConfig);

export interface Preset {
  readonly name: string;
  readonly doc: string;
  readonly architecture: Architecture;
  /** Channels of h, of the projection's hidden layer, and of z. */
  readonly width: number;
  readonly hidden: number;
  readonly embedding: number;
  /** Peak rate for AdamW. Those of `tiny` and `vit-tiny` learn fast in some hundred to some thousand steps, measured on phantoms; the others are customary. */
  readonly learningRate: number;
  /** Side of the patches it is meant for, px, and what every side must be a multiple of. */
  readonly patch: number;
  readonly multiple: number;
}

const stage = (blocks: number, planes: number, stride: number) => ({ blocks, planes, stride });
const units = (...list: readonly (readonly [channels: number, stride: number])[]) => list.map(([channels, stride]) => ({ channels, stride }));

/** He et al. 2016: the stem and four stages of ResNet-50. */
const R50: TrunkConfig = {
  stem: { filter: 7, stride: 2, channels: 64, pool: { window: 3, stride: 2 } },
  stages: [stage(3, 64, 1), stage(4, 128, 2), stage(6, 256, 2), stage(3, 512, 2)],
  expansion: 4,
};
/** Dosovitskiy et al. 2021 and Touvron et al. 2021: what ViT-S and ViT-B share. */
const VIT = { patch: 16, depth: 12, expansion: 4, epsilon: 1e-6, registers: 0, grid: null } as const;

const LIST: readonly Preset[] = [
  {
    name: "tiny",
    doc: "narrow residual network: 5×5/4 stem, four stages of one bottleneck",
    architecture: {
      kind: "resnet",
      stem: { filter: 5, stride: 4, channels: 16 },
      stages: [stage(1, 8, 1), stage(1, 16, 2), stage(1, 32, 2), stage(1, 64, 2)],
      expansion: 4,
      pool: "average",
      poolHead: 64,
    },
    width: 256,
    hidden: 256,
    embedding: 32,
    learningRate: 0.02,
    patch: 64,
    multiple: 32,
  },
  {
    name: "vit-tiny",
    doc: "small vision transformer: patches of 8 px, four blocks of width 96 with three heads",
    architecture: { kind: "vit", patch: 8, width: 96, depth: 4, heads: 3, expansion: 4, epsilon: 1e-5, registers: 0, grid: null },
    width: 96,
    hidden: 96,
    embedding: 32,
    learningRate: 0.003,
    patch: 64,
    multiple: 8,
  },
  {
    name: "r50",
    doc: "ResNet-50 with a stem of stride 4, pooled by attention",
    architecture: { kind: "resnet", ...R50, pool: "attention", poolHead: 64 },
    width: 2048,
    hidden: 2048,
    embedding: 128,
    learningRate: 0.001,
    patch: 2048,
    multiple: 32,
  },
  {
    name: "vit-s",
    doc: "ViT-S: patches of 16 px, twelve blocks of width 384 with six heads",
    architecture: { kind: "vit", ...VIT, width: 384, heads: 6 },
    width: 384,
    hidden: 2048,
    embedding: 128,
    learningRate: 0.001,
    patch: 224,
    multiple: 16,
  },
  {
    name: "vit-b",
    doc: "ViT-B: patches of 16 px, twelve blocks of width 768 with twelve heads",
    architecture: { kind: "vit", ...VIT, width: 768, heads: 12 },
    width: 768,
    hidden: 2048,
    embedding: 128,
    learningRate: 0.001,
    patch: 224,
    multiple: 16,
  },
  {
    name: "hybrid",
    doc: "the first three stages of ResNet-50, then ViT-S over their map",
    architecture: { kind: "vit", ...VIT, width: 384, heads: 6, trunk: { ...R50, stages: R50.stages.slice(0, 3) } },
    width: 384,
    hidden: 2048,
    embedding: 128,
    learningRate: 0.001,
    patch: 224,
    multiple: 16,
  },
  {
    name: "rfb",
    doc: "depthwise separable units around a receptive-field block: the backbone of UltraFace RFB-320",
    architecture: {
      kind: "mobile",
      stem: { channels: 16, stride: 2 },
      before: units([32, 1], [32, 2], [32, 1], [64, 2], [64, 1], [64, 1]),
      block: { inner: 8, branches: [{ channels: [16], dilation: 2 }, { channels: [16], dilation: 3 }, { channels: [12, 16], dilation: 5 }] },
      after: units([128, 2], [128, 1], [128, 1], [256, 2], [256, 1]),
      pool: "average",
      poolHead: 64,
    },
    width: 256,
    hidden: 256,
    embedding: 32,
    learningRate: 0.01,
    patch: 320,
    multiple: 32,
  },
];

export const PRESETS: Readonly<Record<string, Preset>> = Object.fromEntries(LIST.map((preset) => [preset.name, preset]));

/** What a configuration may change of a preset's encoder; null leaves it as the preset has it. */
export interface ModelSettings {
  readonly pool: PoolKind | null;
  readonly patch: 16 | 32 | null;
  readonly registers: number | null;
  readonly grid: number | null;
}

/**
 * The preset of a configuration, changed by its `model` settings. Throws a UserError 2 for an unknown preset, and 78 with every setting
 * that its encoder does not have.
 */
export function presetOf({ preset: name, model }: { readonly preset: string; readonly model: ModelSettings }): Preset {
  const preset = findPreset(name);
  const { architecture } = preset;
  const given = Object.entries(model).filter(([, value]) => value !== null);
  const takes: readonly string[] = architecture.kind !== "vit" ? ["pool"] : preset.name === "vit-tiny" ? ["registers", "grid"] : ["patch", "registers", "grid"];
  const wrong = given.flatMap(([key, value]) => (takes.includes(key) ? [] : [`model.${key}: ${JSON.stringify(value)}, expected null: the preset ${name} takes ${takes.map((one) => `model.${one}`).join(", ")}`]));
  if (wrong.length > 0) throw new UserError(EXIT_CODES.config, `config: ${wrong.length === 1 ? wrong[0]! : `${wrong.length} settings are wrong`}`, wrong.length === 1 ? [] : wrong);
  if (given.length === 0) return preset;
  const changed = { ...architecture, ...Object.fromEntries(given) } as Architecture;
  return { ...preset, architecture: changed, multiple: changed.kind === "vit" ? changed.patch : preset.multiple };
}

/** Builds an encoder. */
export function encoderOf(architecture: Architecture): Encoder {
  switch (architecture.kind) {
    case "resnet":
      return resnet(architecture);
    case "vit":
      return vit(architecture);
    case "mobile":
      return mobile(architecture);
  }
}

/** The preset of a name. Throws a UserError 2 that lists what there is. */
export function findPreset(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset) return preset;
  const near = suggest(name, Object.keys(PRESETS));
  throw new UserError(EXIT_CODES.usage, `preset: no ${JSON.stringify(name)}, expected one of ${Object.keys(PRESETS).join(", ")}`, near.length ? [`Did you mean ${near[0]}?`] : []);
}

/** x [b, ih, iw, c] f32 → h [b, width] f32: encoder alone. */
export function encode(preset: Preset, p: Parameters, x: Tensor, mode: Mode): Tensor {
  return encodeWithMaps(preset, p, x, mode).h;
}

/** The same with where the encoder looked, on request. */
export function encodeWithMaps(preset: Preset, p: Parameters, x: Tensor, mode: Mode): Features {
  return within(p, "encoder", (q) => {
    const { h, maps } = encoderOf(preset.architecture)(q, p.dtype === "f32" ? x : cast(x, p.dtype), mode);
    return { h: h.dtype === "f32" ? h : cast(h, "f32"), ...(maps ? { maps } : {}) };
  });
}

/**
 * h [b, width] → z [b, embedding], f32: linear, batch norm, ReLU, linear without bias (Chen et al. 2020). Without the norm, strong
 * augmentation makes all embeddings equal before there is anything to tell them apart by. The heads stay f32, where f16 would cost gradient.
 */
export function project(preset: Preset, p: Parameters, h: Tensor, mode: Mode): Tensor {
  return within(p, "projection", (q) => {
    const exact: Parameters = { ...q, weight: (name, shape, init, options) => q.weight(name, shape, init, { ...options, exact: true }) };
    const hidden = relu(normaliseBatch(exact, "norm", linear(exact, "hidden", h, preset.hidden, { bias: false, init: he(preset.width) }), mode));
    return linear(exact, "out", hidden, preset.embedding, { bias: false, init: { normal: Math.sqrt(1 / preset.hidden) } });
  });
}
