// Gradient cases drawn by seed: every op at ragged shapes, with options, that nobody thought of.
import type { Tensor } from "../engine/trace.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { exp, gelu, log, relu, sigmoid, silu, sqrt, square, tanh } from "./activation.ts";
import { add, divide, multiply, subtract } from "./arithmetic.ts";
import { attention, attentionPool } from "./attention.ts";
import { cast } from "./cast.ts";
import { conv2d } from "./conv.ts";
import { dropout } from "./dropout.ts";
import type { GradientCase, GradientInput } from "./gradient-case.ts";
import { crossEntropy, mse } from "./loss.ts";
import { matmul } from "./matmul.ts";
import { batchNorm, layerNorm } from "./norm.ts";
import { avgPool2d, globalAvgPool, maxPool2d } from "./pool.ts";
import { max, mean, sum } from "./reduce.ts";
import { scale } from "./scale.ts";
import { concat, expand, pad, slice, transpose } from "./shape.ts";
import { softmax } from "./softmax.ts";
import { spatialNce, unitRows } from "./spatial-nce.ts";

/** Cases of each op. */
const DRAWS = 24;

/** What a drawing asks for: whole numbers, choices and shapes. */
interface Dice {
  /** A size from 1 to `most`; small ones, multiples of four and their neighbours are likelier. */
  size(most: number): number;
  /** A size from `least`. */
  from(least: number, most: number): number;
  pick<T>(choices: readonly T[]): T;
  chance(share: number): boolean;
  /** A shape of `rank` dimensions. */
  shape(rank: number, most: number): number[];
}

type Drawn = Pick<GradientCase, "inputs" | "build">;
type Build = (x: Readonly<Record<string, Tensor>>) => Tensor;

function throwDice(key: readonly [number, number], name: readonly [number, number, number]): Dice {
  const random = randomStream(key, name);
  const from = (least: number, most: number) => least + random.below(most - least + 1);
  const size = (most: number) => {
    if (random.uniform() < 0.4) return from(1, most);
    const near = 4 * from(0, Math.floor(most / 4)) + from(-1, 1);
    return Math.min(most, Math.max(1, near));
  };
  return { size, from, pick: (choices) => choices[random.below(choices.length)]!, chance: (share) => random.uniform() < share, shape: (rank, most) => Array.from({ length: rank }, () => size(most)) };
}

// A tenth away from kinks and poles, a hundred times the step of the differences.
const offZero = (random: () => number) => (random() < 0.5 ? -1 : 1) * (0.1 + random());
const positive = (random: () => number) => 0.2 + random();
const wide = (random: () => number) => 8 * random() - 4;
/** Values that all differ by more than the steps of the differences, so that no maximum changes place; 7919 is prime. */
const distinct = (count: number) => (_: () => number, i: number) => 0.01 * ((i * 7919) % (count % 7919 === 0 ? count + 1 : count));
const countOf = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);

/** An op of one argument. */
const unary = (op: (x: Tensor) => Tensor, values?: GradientInput["values"]) => (dice: Dice): Drawn => {
  const shape = dice.pick([[dice.size(300)], [dice.size(20), dice.size(40)], dice.shape(3, 9)]);
  return { inputs: { x: { shape, ...(values ? { values } : {}) } }, build: ({ x }) => op(x!) };
};

const scaleBy = (factor: number) => (x: Tensor) => scale(x, factor);

/** An op of two arguments that broadcast: of the result's shape, each has some dimensions and repeats the others. */
const binary = (op: (a: Tensor, b: Tensor) => Tensor) => (dice: Dice): Drawn => {
  const shape = dice.shape(dice.pick([1, 2, 3]), 9);
  const operand = () => {
    const own = shape.map((extent) => (dice.chance(0.3) ? 1 : extent));
    return dice.chance(0.2) ? own.slice(dice.from(0, own.length - 1)) : own;
  };
  return { inputs: { a: { shape: operand() }, b: { shape: operand(), values: (random) => 5 * offZero(random) } }, build: ({ a, b }) => op(a!, b!) };
};

const reduction = (op: (x: Tensor, axes?: readonly number[], keep?: boolean) => Tensor, ordered: boolean) => (dice: Dice): Drawn => {
  const shape = dice.pick([[dice.size(600)], [dice.size(80), dice.size(12)], dice.shape(3, 9), dice.shape(4, 5)]);
  const axes = shape.flatMap((_, i) => (dice.chance(0.5) ? [i] : []));
  const over = axes.length ? axes : [shape.length - 1];
  const keep = dice.chance(0.5);
  return { inputs: { x: { shape, ...(ordered ? { values: distinct(countOf(shape)) } : {}) } }, build: ({ x }) => op(x!, over, keep) };
};

function drawMatmul(dice: Dice): Drawn {
  const [m, n, k, batch] = [dice.size(40), dice.size(40), dice.size(40), dice.size(4)];
  const [ta, tb, bias] = [dice.chance(0.4), dice.chance(0.4), dice.chance(0.4)];
  const lead = () => (dice.chance(0.5) ? [batch] : []);
  const inputs = { a: { shape: [...lead(), ...(ta ? [k, m] : [m, k])] }, b: { shape: [...lead(), ...(tb ? [n, k] : [k, n])] }, ...(bias ? { bias: { shape: [n] } } : {}) };
  return { inputs, build: ({ a, b, bias: c }) => matmul(a!, b!, { ta, tb, ...(c ? { bias: c } : {}) }) };
}

/** Linear layers in f16 behind f32 parameters, as in mixed precision. */
function drawMixed(dice: Dice): Drawn {
  const [m, n, k] = [dice.size(24), dice.size(24), dice.size(24)];
  const half = (x: Tensor) => cast(x, "f16");
  return { inputs: { a: { shape: [m, k] }, b: { shape: [k, n] } }, build: ({ a, b }) => cast(matmul(half(a!), half(b!)), "f32") };
}

function drawConv(dice: Dice): Drawn {
  const groups = dice.pick([1, 1, 2, 3]);
  const [cg, og] = [dice.size(8), dice.size(8)];
  const depthwise = dice.chance(0.3);
  const [ci, co, g] = depthwise ? [4 * groups, 4 * groups, 4 * groups] : [cg * groups, og * groups, groups];
  const filter = [dice.from(1, 4), dice.from(1, 4)] as const;
  const stride = [dice.from(1, 3), dice.from(1, 3)] as const;
  const dilation = [dice.from(1, 2), dice.from(1, 2)] as const;
  const padding = [dice.from(0, 2), dice.from(0, 2), dice.from(0, 2), dice.from(0, 2)] as const;
  const extent = (i: 0 | 1) => dilation[i] * (filter[i] - 1) + dice.from(1, 8);
  const bias = dice.chance(0.3);
  return {
    inputs: { x: { shape: [dice.from(1, 2), extent(0), extent(1), ci] }, w: { shape: [...filter, ci / g, co] }, ...(bias ? { bias: { shape: [co] } } : {}) },
    build: ({ x, w, bias: c }) => conv2d(x!, w!, { stride, dilation, padding, groups: g, ...(c ? { bias: c } : {}) }),
  };
}

const pooling = (op: (x: Tensor, window: readonly [number, number], options: { stride: readonly [number, number]; padding: readonly [number, number, number, number]; countIncludePad?: boolean }) => Tensor, ordered: boolean) => (dice: Dice): Drawn => {
  const window = [dice.from(1, 3), dice.from(1, 3)] as const;
  const stride = [dice.from(1, 3), dice.from(1, 3)] as const;
  const side = (i: 0 | 1) => dice.from(0, window[i] - 1);
  const padding = [side(0), side(0), side(1), side(1)] as const;
  const shape = [dice.from(1, 2), window[0] + dice.from(0, 6), window[1] + dice.from(0, 6), dice.size(9)];
  const countIncludePad = dice.chance(0.5);
  return { inputs: { x: { shape, ...(ordered ? { values: distinct(countOf(shape)) } : {}) } }, build: ({ x }) => op(x!, window, { stride, padding, ...(ordered ? {} : { countIncludePad }) }) };
};

function drawExpand(dice: Dice): Drawn {
  const shape = dice.shape(dice.from(1, 4), 6);
  const own = shape.map((extent) => (dice.chance(0.4) ? 1 : extent)).slice(dice.from(0, shape.length - 1));
  return { inputs: { x: { shape: own } }, build: ({ x }) => expand(x!, shape) };
}

function drawSlice(dice: Dice): Drawn {
  const shape = dice.shape(dice.from(1, 4), 9);
  const start = shape.map((extent) => dice.from(0, extent - 1));
  const size = shape.map((extent, i) => dice.from(1, extent - start[i]!));
  return { inputs: { x: { shape } }, build: ({ x }) => slice(x!, start, size) };
}

function drawTranspose(dice: Dice): Drawn {
  const shape = dice.shape(dice.from(2, 4), 7);
  const left = shape.map((_, i) => i);
  const order = shape.map(() => left.splice(dice.from(0, left.length - 1), 1)[0]!);
  return { inputs: { x: { shape } }, build: ({ x }) => transpose(x!, order) };
}

function drawPad(dice: Dice): Drawn {
  const shape = dice.shape(dice.from(1, 4), 6);
  const sides = () => shape.map(() => (dice.chance(0.5) ? 0 : dice.from(0, 4)));
  const [before, after] = [sides(), sides()];
  return { inputs: { x: { shape } }, build: ({ x }) => pad(x!, before, after) };
}

function drawConcat(dice: Dice): Drawn {
  const shape = dice.shape(dice.from(1, 3), 6);
  const axis = dice.from(0, shape.length - 1);
  const names = Array.from({ length: dice.from(2, 6) }, (_, i) => `x${i}`);
  const inputs = Object.fromEntries(names.map((name) => [name, { shape: shape.map((extent, i) => (i === axis ? dice.size(9) : extent)) }]));
  return { inputs, build: (x) => concat(names.map((name) => x[name]!), axis) };
}

function drawAttention(dice: Dice): Drawn {
  const [b, h, d] = [dice.from(1, 2), dice.from(1, 3), dice.pick([1, 4, 7, 8, 12, 16, 20, 32])];
  const [n, m] = [dice.size(24), dice.size(24)];
  const key = { shape: [b, m, h, d] };
  return { inputs: { q: { shape: [b, n, h, d] }, k: key, v: key }, build: ({ q, k, v }) => attention(q!, k!, v!) };
}

function drawPooledTokens(dice: Dice): Drawn {
  const [b, n, c, r, heads, d] = [dice.from(1, 3), dice.size(12), dice.size(9), dice.from(1, 3), dice.from(1, 2), dice.pick([3, 4, 8])];
  const e = heads * d;
  const inputs = { x: { shape: [b, n, c] }, query: { shape: [r, e] }, wk: { shape: [c, e] }, wv: { shape: [c, e] } };
  return { inputs, build: ({ x, query, wk, wv }) => attentionPool(x!, { query: query!, wk: wk!, wv: wv! }, heads).y };
}

const norm = (build: (x: Tensor, gamma: Tensor, beta: Tensor, eps: number) => Tensor) => (dice: Dice): Drawn => {
  // A row of few values may have next to no variance, and its normalisation no derivative to speak of.
  const shape = [...dice.pick([[dice.from(5, 140)], [dice.from(2, 3), dice.from(4, 9)]]), dice.from(5, 24)];
  const eps = dice.pick([1e-3, 1e-2]);
  const channels = { shape: [shape.at(-1)!] };
  return { inputs: { x: { shape, values: (random) => 3 + 2 * random() }, gamma: channels, beta: channels }, build: ({ x, gamma, beta }) => build(x!, gamma!, beta!, eps) };
};

function drawFixedNorm(dice: Dice): Drawn {
  const c = dice.size(24);
  const fixed = (values?: GradientInput["values"]) => ({ shape: [c], fixed: true, ...(values ? { values } : {}) });
  const inputs = { x: { shape: [dice.size(40), c] }, gamma: { shape: [c] }, beta: { shape: [c] }, mean: fixed(), variance: fixed(positive) };
  return { inputs, build: ({ x, gamma, beta, mean: m, variance }) => batchNorm(x!, gamma!, beta!, { running: { mean: m!, variance: variance! }, training: false }) };
}

function drawCrossEntropy(dice: Dice): Drawn {
  const [rows, classes, smoothing] = [dice.size(40), dice.size(20), dice.pick([0, 0.1, 0.5])];
  const labels = { shape: [rows], dtype: "u32" as const, values: (random: () => number) => Math.floor(random() * classes) };
  return { inputs: { x: { shape: [rows, classes], values: wide }, labels }, build: ({ x, labels: l }) => crossEntropy(x!, l!, { smoothing }) };
}

function drawMse(dice: Dice): Drawn {
  const shape = dice.pick([[dice.size(700)], [dice.size(40), dice.size(20)]]);
  return { inputs: { a: { shape }, b: { shape } }, build: ({ a, b }) => mse(a!, b!) };
}

function drawNce(dice: Dice): Drawn {
  const [n, d] = [dice.from(4, 40), dice.from(2, 16)];
  const z = { shape: [n, d], values: offZero };
  const kind = dice.pick(["radius", "gaussian", "views"] as const);
  const tau = dice.pick([0.3, 0.5, 1]);
  if (kind === "views") return { inputs: { z, view: { shape: [n], dtype: "u32", values: (_, i) => Math.floor(i / 2) } }, build: (x) => spatialNce(x["z"]!, { view: x["view"]! }, { kernel: "views", tau }).loss };
  const options = { tau, ...(dice.chance(0.5) ? { ignoreBand: [4, 6] as const } : {}), ...(dice.chance(0.5) ? { crossSpace: "ignore" as const } : {}) };
  const space = { shape: [n], dtype: "i32" as const, values: (random: () => number) => Math.floor(2 * random()) };
  return {
    inputs: { z, position: { shape: [n, 3], fixed: true, values: (random) => 10 * random() }, space },
    build: (x) => spatialNce(x["z"]!, { position: x["position"]!, space: x["space"]! }, kind === "radius" ? { kernel: "radius", radius: 6, ...options } : { kernel: "gaussian", sigma: 2, ...options }).loss,
  };
}

function drawDropout(dice: Dice): Drawn {
  const rate = dice.pick([0.1, 0.3, 0.5, 0.9]);
  const seed = { shape: [2], dtype: "u32" as const, values: (random: () => number) => Math.floor(random() * 2 ** 32) };
  return { inputs: { x: { shape: [dice.size(300)] }, seed }, build: ({ x, seed: key }) => dropout(x!, rate, key!) };
}

/** A small network, in which rules meet: convolution, norm, activation, pooling, a linear layer and a residual. */
function drawNetwork(dice: Dice): Drawn {
  const c = dice.pick([3, 4, 8]);
  const act = dice.pick([gelu, silu, tanh]);
  const build: Build = ({ x, w, gamma, beta, v }) => {
    const y = act(layerNorm(conv2d(x!, w!, { padding: 1 }), gamma!, beta!, 1e-2));
    return matmul(globalAvgPool(add(y, x!)), v!);
  };
  const channels = { shape: [c] };
  return { inputs: { x: { shape: [2, dice.from(3, 6), dice.from(3, 6), c] }, w: { shape: [3, 3, c, c] }, gamma: channels, beta: channels, v: { shape: [c, dice.size(9)] } }, build };
}

const OPS: Readonly<Record<string, (dice: Dice) => Drawn>> = {
  matmul: drawMatmul,
  "matmul in f16": drawMixed,
  conv2d: drawConv,
  maxPool2d: pooling(maxPool2d, true),
  avgPool2d: pooling(avgPool2d, false),
  globalAvgPool: (dice) => ({ inputs: { x: { shape: dice.shape(4, 7) } }, build: ({ x }) => globalAvgPool(x!) }),
  relu: unary(relu, offZero),
  gelu: unary(gelu, wide),
  silu: unary(silu, wide),
  sigmoid: unary(sigmoid),
  tanh: unary(tanh),
  exp: unary(exp),
  log: unary(log, positive),
  sqrt: unary(sqrt, positive),
  square: unary(square),
  scale: (dice) => unary(scaleBy(dice.pick([0.375, -2, 1e-3])))(dice),
  add: binary(add),
  subtract: binary(subtract),
  multiply: binary(multiply),
  divide: binary(divide),
  sum: reduction(sum, false),
  mean: reduction(mean, false),
  max: reduction(max, true),
  expand: drawExpand,
  slice: drawSlice,
  transpose: drawTranspose,
  pad: drawPad,
  concat: drawConcat,
  softmax: unary(softmax, wide),
  attention: drawAttention,
  attentionPool: drawPooledTokens,
  layerNorm: norm((x, gamma, beta, eps) => layerNorm(x, gamma, beta, eps)),
  batchNorm: norm((x, gamma, beta, eps) => batchNorm(x, gamma, beta, { training: true, eps })),
  "batchNorm with given statistics": drawFixedNorm,
  crossEntropy: drawCrossEntropy,
  mse: drawMse,
  spatialNce: drawNce,
  unitRows: (dice) => ({ inputs: { x: { shape: [dice.size(40), dice.from(2, 20)], values: offZero } }, build: ({ x }) => unitRows(x!) }),
  dropout: drawDropout,
  cast: unary((x) => cast(cast(x, "f16"), "f32")),
  network: drawNetwork,
};

/** Cases of every op at shapes drawn by seed: the same seed, the same cases. */
export function drawGradientCases(seed: number): GradientCase[] {
  return Object.entries(OPS).flatMap(([op, draw], number) =>
    Array.from({ length: DRAWS }, (_, i): GradientCase => ({ name: `${op} drawn ${i + 1}`, op: `${op}, drawn`, ...draw(throwDice(keyOfSeed(seed), [number, i, 5])) })),
  );
}
