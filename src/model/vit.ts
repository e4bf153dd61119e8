// Vision transformers: patches as tokens, pre-norm blocks of attention and MLP, a class token that becomes the feature.
import { constant, reshape, type Tensor } from "../engine/trace.ts";
import { ShapeError } from "../engine/errors.ts";
import { gelu } from "../ops/activation.ts";
import { add } from "../ops/arithmetic.ts";
import { attention, attentionWithMap } from "../ops/attention.ts";
import { cast } from "../ops/cast.ts";
import { conv2d } from "../ops/conv.ts";
import { matmul } from "../ops/matmul.ts";
import { concat, expand, slice } from "../ops/shape.ts";
import { linear, normaliseLayer, SMALL, type AttentionMaps, type Encoder } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";
import { bicubicGrid } from "./positions.ts";
import { strideOf, trunk, type TrunkConfig } from "./resnet.ts";

export interface ViTConfig {
  /** Side of a square patch, px; the image's sides are multiples of it. */
  readonly patch: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  /** Inner width of the MLP as a multiple of the width. */
  readonly expansion: number;
  /** Added to variances by the layer norms. */
  readonly epsilon: number;
  /** Learned tokens besides the class token, which take up what belongs to no place (Darcet et al. 2024). */
  readonly registers: number;
  /** Positions are learned on a grid of this side and interpolated to the image's; null: one for each patch of the image. */
  readonly grid: number | null;
  /** Convolutional stages between pixels and tokens: a hybrid. Their stride divides `patch`. */
  readonly trunk?: TrunkConfig;
}

/**
 * Dosovitskiy et al., "An image is worth 16×16 words", 2021: learned positions, class token, final norm. Tokens stand in the order class,
 * registers, patches. Without registers the class token has a position of its own; with them only patches have one (both as in timm).
 */
export function vit(config: ViTConfig): Encoder {
  return (p, x, mode) => {
    const [b = 0, ih = 0, iw = 0] = x.shape;
    const { patch, width, depth, registers } = config;
    if (ih % patch || iw % patch) throw new ShapeError("vit", `image ${ih}×${iw}, expected multiples of the patch ${patch}`);
    const grid = [ih / patch, iw / patch] as const;
    const map = config.trunk ? within(p, "trunk", (q) => trunk(config.trunk!, q, x, mode)) : x;
    const side = patch / (config.trunk ? strideOf(config.trunk) : 1);
    const ci = map.shape.at(-1) ?? 0;
    const embed = p.weight("embed.weight", [side, side, ci, width], { normal: Math.sqrt(1 / (side * side * ci)) });
    const bias = p.weight("embed.bias", [width], { fill: 0 }, { decay: false });
    const patches = reshape(conv2d(map, embed, { stride: side, bias }), [b, grid[0] * grid[1], width]);
    const token = expand(p.weight("class_token", [1, 1, width], SMALL, { decay: false }), [b, 1, width]);
    const positions = placePositions(p, config, grid);
    let y: Tensor;
    if (registers > 0) {
      const extra = expand(p.weight("registers", [1, registers, width], SMALL, { decay: false }), [b, registers, width]);
      y = concat([token, extra, add(patches, positions)], 1);
    } else y = add(concat([token, patches], 1), positions);
    let maps: (() => AttentionMaps) | undefined;
    for (let i = 0; i < depth; i++) {
      const from = y;
      y = within(p, `block${i}`, (q) => block(q, y, config));
      if (i === depth - 1) maps = () => within(p, `block${i}`, (q) => ({ weights: classMap(q, from, config), grid }));
    }
    const h = reshape(slice(normaliseLayer(p, "norm", y, config.epsilon), [0, 0, 0], [b, 1, width]), [b, width]);
    return { h, ...(maps ? { maps } : {}) };
  };
}

/** The class token's attention over patches in the last block, [b, heads, patches]: what tokens that are no patches took is left out. */
function classMap(p: Parameters, tokens: Tensor, { width, heads, registers, epsilon }: ViTConfig): Tensor {
  const [b = 0, n = 0] = tokens.shape;
  const normed = normaliseLayer(p, "norm1", tokens, epsilon);
  const split = (name: string, from: Tensor, count: number) => reshape(linear(p, `attention.${name}`, from, width), [b, count, heads, width / heads]);
  const key = split("key", normed, n);
  const weights = reshape(attentionWithMap(split("query", slice(normed, [0, 0, 0], [b, 1, width]), 1), key, key).map(), [b, heads, n]);
  return slice(weights, [0, 0, 1 + registers], [b, heads, n - 1 - registers]);
}

/** Positions of the tokens that have one, [1, n, width] or, with the class token's in front, [1, n + 1, width]. */
function placePositions(p: Parameters, { grid, registers, width }: ViTConfig, [gh, gw]: readonly [number, number]): Tensor {
  const prefix = registers > 0 ? 0 : 1;
  const own = grid === null || (grid === gh && grid === gw);
  const rows = prefix + (own ? gh * gw : grid * grid);
  const learned = p.weight("positions", [1, rows, width], SMALL, { decay: false, exact: !own });
  if (own) return learned;
  const placed = matmul(constant(bicubicGrid([grid, grid], [gh, gw]), [gh * gw, grid * grid], "f32"), reshape(slice(learned, [0, prefix, 0], [1, grid * grid, width]), [grid * grid, width]));
  const spread = reshape(placed, [1, gh * gw, width]);
  const all = prefix ? concat([slice(learned, [0, 0, 0], [1, 1, width]), spread], 1) : spread;
  return p.dtype === "f32" ? all : cast(all, p.dtype);
}

function block(p: Parameters, x: Tensor, { width, heads, expansion, epsilon }: ViTConfig): Tensor {
  const [b = 0, n = 0] = x.shape;
  const normed = normaliseLayer(p, "norm1", x, epsilon);
  const split = (name: string) => reshape(linear(p, `attention.${name}`, normed, width), [b, n, heads, width / heads]);
  const mixed = attention(split("query"), split("key"), split("value"));
  const attended = add(linear(p, "attention.out", reshape(mixed, [b, n, width]), width), x);
  const inner = gelu(linear(p, "mlp.up", normaliseLayer(p, "norm2", attended, epsilon), width * expansion));
  return add(linear(p, "mlp.down", inner, width), attended);
}
