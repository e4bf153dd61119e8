// Vision transformers: patches as tokens, pre-norm blocks of attention and MLP, a class token that becomes the feature.
import { constant, reshape, type Tensor } from "../engine/trace.ts";
import { ShapeError } from "../engine/errors.ts";
import { gelu } from "../ops/activation.ts";
import { add } from "../ops/arithmetic.ts";
import { attention } from "../ops/attention.ts";
import { cast } from "../ops/cast.ts";
import { conv2d } from "../ops/conv.ts";
import { concat, slice } from "../ops/shape.ts";
import { linear, normaliseLayer, SMALL, type Encoder } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";

export interface ViTConfig {
  /** Side of a square patch, px; the image's sides are multiples of it. */
  readonly patch: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  /** Inner width of the MLP as a multiple of the width. */
  readonly expansion: number;
}

/** Dosovitskiy et al., "An image is worth 16×16 words", 2021: learned positions, class token, final norm. */
export function vit(config: ViTConfig): Encoder {
  return (p, x) => {
    const [b = 0, ih = 0, iw = 0, ci = 0] = x.shape;
    const { patch, width } = config;
    if (ih % patch || iw % patch) throw new ShapeError("vit", `image ${ih}×${iw}, expected multiples of the patch ${patch}`);
    const n = (ih / patch) * (iw / patch);
    const embed = p.weight("embed.weight", [patch, patch, ci, width], { normal: Math.sqrt(1 / (patch * patch * ci)) });
    const bias = p.weight("embed.bias", [width], { fill: 0 }, { decay: false });
    const patches = reshape(conv2d(x, embed, { stride: patch, bias }), [b, n, width]);
    const token = p.weight("class_token", [1, 1, width], SMALL, { decay: false });
    const positions = p.weight("positions", [1, n + 1, width], SMALL, { decay: false });
    let y = add(concat([repeat(token, b), patches], 1), positions);
    for (let i = 0; i < config.depth; i++) y = within(p, `block${i}`, (q) => block(q, y, config));
    return { h: reshape(slice(normaliseLayer(p, "norm", y), [0, 0, 0], [b, 1, width]), [b, width]) };
  };
}

/** [1, 1, c] → [b, 1, c]; its gradient is the sum over the batch. */
function repeat(token: Tensor, b: number): Tensor {
  const c = token.shape.at(-1) ?? 0;
  const zeros = constant(new Float32Array(b * c), [b, 1, c], "f32");
  return add(token.dtype === "f32" ? zeros : cast(zeros, token.dtype as "f16"), token);
}

function block(p: Parameters, x: Tensor, { width, heads, expansion }: ViTConfig): Tensor {
  const [b = 0, n = 0] = x.shape;
  const normed = normaliseLayer(p, "norm1", x);
  const split = (name: string) => reshape(linear(p, `attention.${name}`, normed, width), [b, n, heads, width / heads]);
  const mixed = attention(split("query"), split("key"), split("value"));
  const attended = add(linear(p, "attention.out", reshape(mixed, [b, n, width]), width), x);
  const inner = gelu(linear(p, "mlp.up", normaliseLayer(p, "norm2", attended), width * expansion));
  return add(linear(p, "mlp.down", inner, width), attended);
}
