// Fused attention, its gradient, its map, and pooling of tokens by learned queries.
import { attentionDelta } from "../../kernels/attention/attention-delta.ts";
import { attentionDkv } from "../../kernels/attention/attention-dkv.ts";
import { attentionDq } from "../../kernels/attention/attention-dq.ts";
import { attentionMap } from "../../kernels/attention/attention-map.ts";
import { attention as kernel } from "../../kernels/attention/attention.ts";
import { MAX_HEAD } from "../../kernels/attention/variants.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, reshape, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { matmul } from "./matmul.ts";
import { expand } from "./shape.ts";

export interface AttentionOptions {
  /** Factor of the scores; 1/√d unless given. */
  readonly scale?: number;
}

/** What attention gives besides its result. */
export interface Attention {
  /** [b, n, h, d] */
  readonly out: Tensor;
  /** The weights [b, h, n, m], f32, each row adding up to 1: computed anew, only when called. No gradient flows through them. */
  readonly map: () => Tensor;
}

/**
 * softmax(q kᵀ · scale) v for each head: q [b, n, h, d], k and v [b, m, h, d] → [b, n, h, d], without the n × m matrix in memory,
 * forward or backward (Dao et al., FlashAttention, 2022). n, m ≥ 1 and d ≤ 128. Throws ShapeError where sizes do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  return attentionWithMap(q, k, v, options).out;
}

/** The same as `attention`, with the map on request. */
export function attentionWithMap(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Attention {
  const [b, n, h, d] = sizesOf("q", q);
  const [bk, m, hk, dk] = sizesOf("k", k);
  if (b !== bk || h !== hk || d !== dk) throw new ShapeError("attention", `q [${q.shape.join(", ")}] and k [${k.shape.join(", ")}] differ in more than their tokens`);
  if (k.shape.some((extent, i) => extent !== v.shape[i]) || v.shape.length !== 4)
    throw new ShapeError("attention", `k has shape [${k.shape.join(", ")}], v [${v.shape.join(", ")}], expected the same`);
  if (n < 1 || m < 1 || d < 1 || d > MAX_HEAD) throw new ShapeError("attention", `${n} queries, ${m} keys and ${d} columns a head, expected at least 1 of each and at most ${MAX_HEAD} columns`);
  const numbers = { b, h, n, m, d, scale: options.scale ?? 1 / Math.sqrt(d) };
  const { out, lse } = dispatch(kernel, { inputs: { q, k, v }, outputs: { out: q.shape, lse: [b, h, n] }, numbers });
  const y = withGradient(out, "attention", [q, k, v], (dOut) => {
    const delta = once(() => dispatch(attentionDelta, { inputs: { out, dOut }, outputs: { delta: [b, h, n] }, numbers: { b, h, n, d } }).delta);
    const inputs = () => ({ q, k, v, dOut, lse, delta: delta() });
    const dkv = once(() => dispatch(attentionDkv, { inputs: inputs(), outputs: { dk: k.shape, dv: v.shape }, numbers }));
    return [() => dispatch(attentionDq, { inputs: inputs(), outputs: { dq: q.shape }, numbers }).dq, () => dkv().dk, () => dkv().dv];
  });
  return { out: y, map: () => dispatch(attentionMap, { inputs: { q, k, lse }, outputs: { p: [b, h, n, m] }, numbers }).p };
}

/** Weights of attention pooling over tokens of c channels: r learned queries, e channels in `heads` heads. */
export interface PoolWeights {
  /** [r, e] */
  readonly query: Tensor;
  /** [c, e] */
  readonly wk: Tensor;
  /** [c, e] */
  readonly wv: Tensor;
  /** [e] */
  readonly bk?: Tensor;
  /** [e] */
  readonly bv?: Tensor;
}

/** Tokens pooled by attention. */
export interface Pooled {
  /** [b, r, e]: one row for each learned query. */
  readonly y: Tensor;
  /** Where each head of each query looked, [b, heads, r, n]: computed only when called. */
  readonly map: () => Tensor;
}

/**
 * Pools tokens x [b, n, c] by multi-head attention of r learned queries: keys x·wk (+ bk) and values x·wv (+ bv). An output
 * projection is a linear layer behind it. Throws ShapeError where sizes do not fit or `heads` does not divide e.
 */
export function attentionPool(x: Tensor, weights: PoolWeights, heads = 1): Pooled {
  const [b, n] = x.shape;
  const [r, e] = weights.query.shape;
  if (x.shape.length !== 3 || b === undefined || n === undefined) throw new ShapeError("attentionPool", `x has shape [${x.shape.join(", ")}], expected [b, n, c]`);
  if (weights.query.shape.length !== 2 || r === undefined || e === undefined || e % heads !== 0)
    throw new ShapeError("attentionPool", `the query has shape [${weights.query.shape.join(", ")}], expected [r, e] with e a multiple of ${heads} heads`);
  const project = (w: Tensor, bias?: Tensor) => reshape(matmul(x, w, bias ? { bias } : {}), [b, n, heads, e / heads]);
  const q = expand(reshape(weights.query, [1, r, heads, e / heads]), [b, r, heads, e / heads]);
  const { out, map } = attentionWithMap(q, project(weights.wk, weights.bk), project(weights.wv, weights.bv));
  return { y: reshape(out, [b, r, e]), map };
}

function sizesOf(name: string, x: Tensor): readonly [number, number, number, number] {
  const [b, n, h, d] = x.shape;
  if (x.shape.length !== 4 || b === undefined || n === undefined || h === undefined || d === undefined)
    throw new ShapeError("attention", `${name} has shape [${x.shape.join(", ")}], expected [batch, tokens, heads, columns]`);
  return [b, n, h, d];
}

/** The two thunks of keys and values share what one dispatch computes. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const attentionCase = (name: string, [b, n, m, h, d]: readonly [number, number, number, number, number]): GradientCase => ({
  name: `attention ${name}`,
  inputs: { q: { shape: [b, n, h, d] }, k: { shape: [b, m, h, d] }, v: { shape: [b, m, h, d] } },
  build: ({ q, k, v }) => attention(q!, k!, v!),
});

export const gradientCases: readonly GradientCase[] = [
  attentionCase("of heads of one column", [1, 3, 5, 2, 1]),
  attentionCase("ragged", [2, 9, 5, 3, 7]),
  attentionCase("of itself, d 32", [1, 11, 11, 2, 32]),
  attentionCase("of one query, d 64", [2, 1, 9, 2, 64]),
  attentionCase("more queries than keys, d 64", [1, 13, 3, 1, 64]),
  {
    name: "attentionPool",
    inputs: { x: { shape: [2, 7, 6] }, query: { shape: [3, 8] }, wk: { shape: [6, 8] }, wv: { shape: [6, 8] }, bk: { shape: [8] }, bv: { shape: [8] } },
    build: ({ x, query, wk, wv, bk, bv }) => attentionPool(x!, { query: query!, wk: wk!, wv: wv!, bk: bk!, bv: bv! }, 2).y,
  },
];
