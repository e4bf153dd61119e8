// The networks that are measured, written once over any engine's operations.
import type { Distribution } from "./inputs.ts";

/** What networks are written in. Images and tokens are in the engine's own layout; linear weights [in, out], filters as `draw` gives them ([f, f, ci, co]) and the engine keeps them. */
export interface Algebra<T> {
  conv(x: T, w: T, bias: T | undefined, stride: number, padding: number): T;
  /** Of images, by running statistics: (x − mean) / √(variance + ε) · gamma + beta in each channel. */
  batchNorm(x: T, gamma: T, beta: T, mean: T, variance: T): T;
  /** 3 × 3, stride 2, one pixel of padding that never wins. */
  maxPool(x: T): T;
  /** Over all places: [b, c]. */
  meanOverPlaces(x: T): T;
  relu(x: T): T;
  gelu(x: T): T;
  add(x: T, y: T): T;
  /** Rows of any number of leading dimensions times [in, out], plus bias. */
  linear(x: T, w: T, bias: T): T;
  layerNorm(x: T, gamma: T, beta: T): T;
  /** Self-attention of tokens [b, n, c] in heads: of queries, keys and values [b, n, c]. */
  attention(q: T, k: T, v: T, sizes: { readonly b: number; readonly n: number; readonly heads: number; readonly d: number }): T;
  /** An image's pixels as tokens [b, n, c]. */
  tokens(x: T, b: number, n: number, c: number): T;
  /** `token` [1, 1, c] before the tokens of every image. */
  prepend(token: T, x: T, b: number, c: number): T;
  /** [b, n, c] → [b, c], the first token. */
  first(x: T, b: number, c: number): T;
}

/** A parameter by name: drawn when it is first asked for. */
export type Find<T> = (name: string, shape: readonly number[], how: Distribution & { readonly kind?: "filter" }) => T;

const BIAS = { deviation: 0.1 };

function convolution<T>(a: Algebra<T>, p: Find<T>, name: string, x: T, ci: number, co: number, f: number, s: number): T {
  const w = p(`${name}.weight`, [f, f, ci, co], { deviation: Math.sqrt(2 / (f * f * ci)), kind: "filter" });
  return a.conv(x, w, p(`${name}.bias`, [co], BIAS), s, Math.floor(f / 2));
}

function linear<T>(a: Algebra<T>, p: Find<T>, name: string, x: T, ci: number, co: number): T {
  return a.linear(x, p(`${name}.weight`, [ci, co], { deviation: Math.sqrt(1 / ci) }), p(`${name}.bias`, [co], BIAS));
}

/** He et al. 2016, 18 layers; norms are part of the convolutions, as in every deployed copy. Images of three channels to 1,000 logits. */
export function resnet18<T>(a: Algebra<T>, p: Find<T>, x: T): T {
  let y = a.maxPool(a.relu(convolution(a, p, "stem", x, 3, 64, 7, 2)));
  let ci = 64;
  for (const [stage, co] of [64, 128, 256, 512].entries())
    for (const block of [0, 1]) {
      const name = `stage${stage}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = a.relu(convolution(a, p, `${name}.conv1`, y, ci, co, 3, stride));
      const outer = convolution(a, p, `${name}.conv2`, inner, co, co, 3, 1);
      const shortcut = ci === co ? y : convolution(a, p, `${name}.shortcut`, y, ci, co, 1, stride);
      y = a.relu(a.add(outer, shortcut));
      ci = co;
    }
  return linear(a, p, "head", a.meanOverPlaces(y), 512, 1000);
}

/**
 * ResNet-50's stages of so many bottlenecks each, behind its pooled stem, with norms of their own as the presets have them: grey images to the last stage's map.
 * The last norm of a bottleneck is small, as training leaves it.
 */
function bottlenecks<T>(a: Algebra<T>, p: Find<T>, x: T, blocks: readonly number[]): { readonly map: T; readonly channels: number } {
  const convNorm = (name: string, from: T, ci: number, co: number, f: number, s: number, size = 1): T => {
    const w = p(`${name}.weight`, [f, f, ci, co], { deviation: Math.sqrt(2 / (f * f * ci)), kind: "filter" });
    const [gamma, beta, mean, variance] = [{ mean: size, deviation: size / 10 }, BIAS, BIAS, { mean: 1, deviation: 0.2 }].map((how, i) => p(`${name}.norm${i}`, [co], how));
    return a.batchNorm(a.conv(from, w, undefined, s, Math.floor(f / 2)), gamma!, beta!, mean!, variance!);
  };
  let [map, channels] = [a.maxPool(a.relu(convNorm("stem", x, 1, 64, 7, 2))), 64];
  for (const [stage, count] of blocks.entries())
    for (let i = 0; i < count; i++) {
      const name = `stage${stage}.${i}`;
      const planes = 64 * 2 ** stage;
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const shortcut = i === 0 ? convNorm(`${name}.shortcut`, map, channels, 4 * planes, 1, stride) : map;
      const inner = a.relu(convNorm(`${name}.conv2`, a.relu(convNorm(`${name}.conv1`, map, channels, planes, 1, 1)), planes, planes, 3, stride));
      map = a.relu(a.add(convNorm(`${name}.conv3`, inner, planes, 4 * planes, 1, 1, 0.2), shortcut));
      channels = 4 * planes;
    }
  return { map, channels };
}

export interface VitSizes {
  readonly b: number;
  readonly side: number;
  readonly patch: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  /** Of the head; without one the normalised class token comes out. */
  readonly out?: number;
  /** Channels of the images; a hybrid's are grey. */
  readonly channels: number;
  /** Of a hybrid: bottlenecks of the stages in front. */
  readonly trunk?: readonly number[];
}

/** Dosovitskiy et al. 2021: class token, learned positions, pre-norm blocks with an MLP of four times the width. */
export function vit<T>(a: Algebra<T>, p: Find<T>, image: T, { b, side, patch, width, depth, heads, out, channels, trunk }: VitSizes): T {
  const n = (side / patch) ** 2;
  const { map: x, channels: ci } = trunk ? bottlenecks(a, p, image, trunk) : { map: image, channels };
  // Each stage behind the first halves the map, and the stem quarters it.
  const f = trunk ? patch / (2 * 2 ** trunk.length) : patch;
  const embedded = a.conv(x, p("embed.weight", [f, f, ci, width], { deviation: Math.sqrt(1 / (f * f * ci)), kind: "filter" }), p("embed.bias", [width], BIAS), f, 0);
  const norm = (name: string, y: T): T => a.layerNorm(y, p(`${name}.weight`, [width], { mean: 1, deviation: 0.1 }), p(`${name}.bias`, [width], BIAS));
  let y = a.add(a.prepend(p("token", [1, 1, width], { deviation: 0.5 }), a.tokens(embedded, b, n, width), b, width), p("positions", [1, n + 1, width], { deviation: 0.5 }));
  for (let i = 0; i < depth; i++) {
    const name = `block${i}`;
    const normed = norm(`${name}.norm1`, y);
    const project = (part: string): T => linear(a, p, `${name}.${part}`, normed, width, width);
    const mixed = a.attention(project("query"), project("key"), project("value"), { b, n: n + 1, heads, d: width / heads });
    y = a.add(linear(a, p, `${name}.out`, mixed, width, width), y);
    const inner = a.gelu(linear(a, p, `${name}.up`, norm(`${name}.norm2`, y), width, 4 * width));
    y = a.add(linear(a, p, `${name}.down`, inner, 4 * width, width), y);
  }
  const h = a.first(norm("norm", y), b, width);
  return out === undefined ? h : linear(a, p, "head", h, width, out);
}

/** Three convolutions, the last two of stride 2, mean, and a linear layer: embeddings [b, 64]. */
function convNet<T>(a: Algebra<T>, p: Find<T>, x: T): T {
  const y1 = a.relu(convolution(a, p, "conv1", x, 3, 32, 3, 1));
  const y2 = a.relu(convolution(a, p, "conv2", y1, 32, 64, 3, 2));
  const y3 = a.relu(convolution(a, p, "conv3", y2, 64, 128, 3, 2));
  return linear(a, p, "head", a.meanOverPlaces(y3), 128, EMBEDDING);
}

/** Channels of the embeddings that are trained. */
export const EMBEDDING = 64;

/** The network of a case: logits, or embeddings where it is trained. */
export function networkOf<T>(kind: string, numbers: Readonly<Record<string, number>>): ((a: Algebra<T>, p: Find<T>, x: T) => T) | undefined {
  const { b = 1, side = 0 } = numbers;
  switch (kind) {
    case "resnet18":
      return resnet18;
    case "vit-s":
      return (a, p, x) => vit(a, p, x, { b, side, patch: 16, width: 384, depth: 12, heads: 6, out: 1000, channels: 3 });
    case "train-conv":
      return convNet;
    case "train-vit":
      return (a, p, x) => vit(a, p, x, { b, side, patch: 8, width: 192, depth: 4, heads: 3, out: EMBEDDING, channels: 3 });
    case "model-r50":
      return (a, p, x) => a.meanOverPlaces(bottlenecks(a, p, x, [3, 4, 6, 3]).map);
    case "model-vit-s":
    case "model-vit-b":
    case "model-hybrid": {
      const heads = kind === "model-vit-b" ? 12 : 6;
      return (a, p, x) => vit(a, p, x, { b, side, patch: 16, width: 64 * heads, depth: 12, heads, channels: 1, ...(kind === "model-hybrid" ? { trunk: [3, 4, 6] } : {}) });
    }
    default:
      return undefined;
  }
}

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly how: Distribution & { readonly kind?: "filter" };
}

/** What a network asks for, in order. */
export function parametersOf(kind: string, numbers: Readonly<Record<string, number>>): ParameterSpec[] {
  const found: ParameterSpec[] = [];
  // Every operation gives nothing: a network looks at no tensor.
  const nothing = (): undefined => undefined;
  const silent: Algebra<undefined> = { conv: nothing, batchNorm: nothing, maxPool: nothing, meanOverPlaces: nothing, relu: nothing, gelu: nothing, add: nothing, linear: nothing, layerNorm: nothing, attention: nothing, tokens: nothing, prepend: nothing, first: nothing };
  networkOf<undefined>(kind, numbers)?.(silent, (name, shape, how) => void found.push({ name, shape, how }), undefined);
  return found;
}

/** Adam (Kingma and Ba 2015), the same for all. */
export const ADAM = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
