// Writing ONNX graphs as nested calls: `g.relu(g.conv(x, w, …))`; images and filters are handed over channels-last, as here.
import { runOnnx, type OnnxAttribute, type OnnxNode, type OnnxTensor } from "./onnx.ts";
import type { Value } from "./draw.ts";

/** The name of a value in the graph. */
export type Edge = string;

export interface ConvAttributes {
  readonly stride?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  readonly groups?: number;
  /** [top, bottom, left, right]. */
  readonly padding?: readonly [number, number, number, number];
}

/** A graph under construction. */
export function onnxGraph() {
  const nodes: OnnxNode[] = [];
  const inputs: Record<string, OnnxTensor> = {};
  let count = 0;
  const fresh = () => `v${count++}`;

  const apply = (op: string, args: readonly Edge[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): Edge => {
    const y = fresh();
    nodes.push({ op, inputs: args, outputs: [y], attributes });
    return y;
  };
  const integers = (...values: number[]): Edge => {
    const name = fresh();
    inputs[name] = { dims: [values.length], data: BigInt64Array.from(values, BigInt) };
    return name;
  };
  const g = {
    apply,
    /** Host values as a graph input. */
    input({ shape, data }: Value): Edge {
      if (!(data instanceof Float32Array)) throw new Error("onnx: integers are handed over by `integers`");
      const name = fresh();
      inputs[name] = { dims: shape, data };
      return name;
    },
    integers,
    number: (value: number): Edge => g.input({ shape: [], data: Float32Array.of(value) }),
    transpose: (x: Edge, perm: readonly number[]): Edge => apply("Transpose", [x], { perm }),
    reshape: (x: Edge, ...shape: number[]): Edge => apply("Reshape", [x, integers(...shape)]),
    /** [b, h, w, c] → [b, c, h, w]. */
    toChannelsFirst: (x: Edge): Edge => g.transpose(x, [0, 3, 1, 2]),
    /** [b, c, h, w] → [b, h, w, c]. */
    toChannelsLast: (x: Edge): Edge => g.transpose(x, [0, 2, 3, 1]),
    /** x [b, ci, h, w], w [fh, fw, ci/groups, co]. */
    conv(x: Edge, w: Edge, { stride = [1, 1], dilation = [1, 1], groups = 1, padding = [0, 0, 0, 0] }: ConvAttributes, bias?: Edge): Edge {
      const [top, bottom, left, right] = padding;
      return apply("Conv", [x, g.transpose(w, [3, 2, 0, 1]), ...(bias === undefined ? [] : [bias])], { strides: stride, dilations: dilation, group: groups, pads: [top, left, bottom, right] });
    },
    /** x [b, c, h, w] with running statistics. */
    batchNorm: (x: Edge, gamma: Edge, beta: Edge, mean: Edge, variance: Edge, epsilon: number): Edge => apply("BatchNormalization", [x, gamma, beta, mean, variance], { epsilon: { float: epsilon } }),
    /** Over the last dimension. */
    layerNorm: (x: Edge, gamma: Edge, beta: Edge, epsilon: number): Edge => apply("LayerNormalization", [x, gamma, beta], { axis: -1, epsilon: { float: epsilon } }),
    /** x Φ(x), the exact form. */
    gelu: (x: Edge): Edge => apply("Gelu", [x], { approximate: "none" }),
    relu: (x: Edge): Edge => apply("Relu", [x]),
    add: (x: Edge, y: Edge): Edge => apply("Add", [x, y]),
    multiply: (x: Edge, y: Edge): Edge => apply("Mul", [x, y]),
    matmul: (x: Edge, y: Edge): Edge => apply("MatMul", [x, y]),
    softmax: (x: Edge): Edge => apply("Softmax", [x], { axis: -1 }),
    /** softmax(q kᵀ · scale): q [b, n, h, d], k [b, m, h, d] → [b, h, n, m]. */
    attentionMap: (q: Edge, k: Edge, scale: number): Edge => g.softmax(g.multiply(g.matmul(g.transpose(q, [0, 2, 1, 3]), g.transpose(k, [0, 2, 3, 1])), g.number(scale))),
    /** The map times v [b, m, h, d] → [b, n, h, d]. */
    attention: (q: Edge, k: Edge, v: Edge, scale: number): Edge => g.transpose(g.matmul(g.attentionMap(q, k, scale), g.transpose(v, [0, 2, 1, 3])), [0, 2, 1, 3]),
    /** Runs the graph; gives the values of these edges by the names under which they are asked for. */
    async run<N extends string>(outputs: Readonly<Record<N, Edge>>): Promise<Record<N, Float32Array>> {
      const edges = Object.entries<Edge>(outputs);
      const values = await runOnnx(nodes, inputs, edges.map(([, edge]) => edge));
      return Object.fromEntries(edges.map(([name, edge]) => [name, values[edge]!.data])) as Record<N, Float32Array>;
    },
  };
  return g;
}

export type OnnxGraph = ReturnType<typeof onnxGraph>;
