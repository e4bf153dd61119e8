// The presets: each model as a few lines of configuration.
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import type { Tensor } from "../engine/trace.ts";
import { relu } from "../ops/activation.ts";
import { cast } from "../ops/cast.ts";
import { he, linear, normaliseBatch, type Encoder, type Mode } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";
import { resnet } from "./resnet.ts";
import { vit } from "./vit.ts";

export interface Preset {
  readonly name: string;
  readonly doc: string;
  readonly encoder: Encoder;
  /** Channels of h, of the projection's hidden layer, and of z. */
  readonly width: number;
  readonly hidden: number;
  readonly embedding: number;
  /** Peak rate with which AdamW learns fast in runs of some hundred to some thousand steps: measured on phantoms, no published value. */
  readonly learningRate: number;
  /** Side of the patches it is meant for, px, and what every side must be a multiple of. */
  readonly patch: number;
  readonly multiple: number;
}

const stage = (blocks: number, planes: number, stride: number) => ({ blocks, planes, stride });

export const PRESETS: Readonly<Record<string, Preset>> = {
  tiny: {
    name: "tiny",
    doc: "narrow residual network: 5×5/4 stem, four stages of one bottleneck",
    encoder: resnet({ stem: { filter: 5, stride: 4, channels: 16 }, stages: [stage(1, 8, 1), stage(1, 16, 2), stage(1, 32, 2), stage(1, 64, 2)], expansion: 4 }),
    width: 256,
    hidden: 256,
    embedding: 32,
    learningRate: 0.02,
    patch: 64,
    multiple: 32,
  },
  "vit-tiny": {
    name: "vit-tiny",
    doc: "small vision transformer: patches of 8 px, four blocks of width 96 with three heads",
    encoder: vit({ patch: 8, width: 96, depth: 4, heads: 3, expansion: 4 }),
    width: 96,
    hidden: 96,
    embedding: 32,
    learningRate: 0.003,
    patch: 64,
    multiple: 8,
  },
};

/** The preset of a name. Throws a UserError 2 that lists what there is. */
export function findPreset(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset) return preset;
  const near = suggest(name, Object.keys(PRESETS));
  throw new UserError(EXIT_CODES.usage, `preset: no ${JSON.stringify(name)}, expected one of ${Object.keys(PRESETS).join(", ")}`, near.length ? [`Did you mean ${near[0]}?`] : []);
}

/** x [b, ih, iw, 1] f32 → h [b, width] f32: encoder alone. */
export function encode(preset: Preset, p: Parameters, x: Tensor, mode: Mode): Tensor {
  return within(p, "encoder", (q) => {
    const { h } = preset.encoder(q, p.dtype === "f32" ? x : cast(x, p.dtype), mode);
    return h.dtype === "f32" ? h : cast(h, "f32");
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
