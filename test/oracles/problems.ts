// Random problems that the tests of several oracles share.
import type { Draw, Value } from "./draw.ts";
import type { ConvAttributes } from "./onnx-graph.ts";

export interface ConvProblem {
  readonly x: Value<Float32Array>;
  readonly w: Value<Float32Array>;
  readonly bias: Value<Float32Array>;
  /** Shape of the result. */
  readonly shape: readonly number[];
  readonly attributes: Required<ConvAttributes>;
}

type Four = readonly [number, number, number, number];

/** Every way in which a convolution can be special; "of every kind" is special in all at once. */
export const CONV_KINDS = ["plain", "pointwise", "on grey", "strided", "padded unevenly", "dilated", "grouped", "depthwise", "depthwise with a multiplier", "of every kind"] as const;

export function drawConv(d: Draw, kind: (typeof CONV_KINDS)[number]): ConvProblem {
  const all = kind === "of every kind";
  const pair = (least: number, most: number): readonly [number, number] => [d.int(least, most), d.int(least, most)];
  const depthwise = kind.startsWith("depthwise");
  const groups = depthwise ? d.int(2, 9) : kind === "grouped" || all ? d.int(2, 4) : 1;
  // Multiples of four take the fast kernels, other numbers the general ones.
  const channels = () => (d.int(0, 1) === 0 ? 4 * d.int(1, 5) : d.int(1, 11));
  const cg = depthwise || kind === "on grey" ? 1 : channels();
  const og = kind === "depthwise" ? 1 : kind === "depthwise with a multiplier" ? d.int(2, 4) : channels();
  const [fh, fw] = kind === "pointwise" ? [1, 1] : pair(1, 5);
  const stride = kind === "strided" || kind === "on grey" || all ? pair(1, 4) : ([1, 1] as const);
  const dilation = kind === "dilated" || all ? pair(1, 3) : ([1, 1] as const);
  const even = d.int(0, 2);
  const padding: Four = kind === "padded unevenly" || all ? [d.int(0, 5), d.int(0, 5), d.int(0, 5), d.int(0, 5)] : [even, even, even, even];
  const reach = [dilation[0] * (fh - 1) + 1, dilation[1] * (fw - 1) + 1] as const;
  const [b, ih, iw] = [d.int(1, 3), reach[0] + d.int(0, 9), reach[1] + d.int(0, 9)];
  const extent = (size: number, before: number, after: number, axis: 0 | 1) => Math.floor((size + before + after - reach[axis]) / stride[axis]) + 1;
  return {
    x: d.uniform([b, ih, iw, groups * cg]),
    w: d.uniform([fh, fw, cg, groups * og]),
    bias: d.uniform([groups * og]),
    shape: [b, extent(ih, padding[0], padding[1], 0), extent(iw, padding[2], padding[3], 1), groups * og],
    attributes: { stride, dilation, groups, padding },
  };
}

export interface PoolProblem {
  readonly x: Value<Float32Array>;
  readonly window: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Four;
  readonly shape: readonly number[];
}

/** Windows that overlap, touch or leave gaps; less padding than window, as ONNX demands. */
export function drawPool(d: Draw): PoolProblem {
  const window = [d.int(1, 4), d.int(1, 4)] as const;
  const stride = [d.int(1, 3), d.int(1, 3)] as const;
  const side = (size: number) => d.int(0, Math.floor(size / 2));
  const padding: Four = [side(window[0]), side(window[0]), side(window[1]), side(window[1])];
  const [b, ih, iw, c] = [d.int(1, 3), window[0] + d.int(0, 9), window[1] + d.int(0, 9), d.int(1, 13)];
  const oh = Math.floor((ih + padding[0] + padding[1] - window[0]) / stride[0]) + 1;
  const ow = Math.floor((iw + padding[2] + padding[3] - window[1]) / stride[1]) + 1;
  return { x: d.uniform([b, ih, iw, c]), window, stride, padding, shape: [b, oh, ow, c] };
}

export interface AttentionProblem {
  readonly q: Value<Float32Array>;
  readonly k: Value<Float32Array>;
  readonly v: Value<Float32Array>;
  readonly scale: number;
}

/** Many more keys than queries, or the other way round, or as many; narrow and wide heads. Scores reach about ±6. */
export function drawAttention(d: Draw, kind: "of itself" | "few queries" | "few keys"): AttentionProblem {
  const [b, h] = [d.int(1, 2), d.int(1, 3)];
  const width = d.int(0, 1) === 0 ? 4 * d.int(1, 32) : d.int(1, 40);
  const n = kind === "few queries" ? d.int(1, 4) : d.int(20, 90);
  const m = kind === "few keys" ? d.int(1, 4) : kind === "of itself" ? n : d.int(20, 150);
  return { q: d.normal([b, n, h, width], 1.5), k: d.normal([b, m, h, width]), v: d.uniform([b, m, h, width]), scale: 1 / Math.sqrt(width) };
}

/** Tokens and the weights of pooling by attention; e channels in `heads` heads. */
export function drawAttentionPool(d: Draw) {
  const [b, n, c, r, heads] = [d.int(1, 3), d.int(5, 60), d.int(3, 30), d.int(1, 4), d.int(1, 4)];
  const e = heads * 4 * d.int(1, 4);
  return {
    heads,
    queries: r,
    tensors: { x: d.uniform([b, n, c]), query: d.normal([r, e]), wk: d.normal([c, e], Math.sqrt(2 / c)), wv: d.normal([c, e], Math.sqrt(2 / c)), bk: d.uniform([e]), bv: d.uniform([e]) },
  };
}
