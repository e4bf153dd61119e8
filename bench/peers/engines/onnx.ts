// A small writer of ONNX models: protocol buffers, field by field (the numbers are those of onnx.proto), and graphs as nested calls.
import type { HostTensor } from "../inputs.ts";

/** Operator set of the models: 20 has Gelu, 17 LayerNormalization. */
const OPSET = 20;
/** The file format's version that goes with that operator set. */
const IR_VERSION = 9;

type Attribute = number | { readonly float: number } | string | readonly number[];

/** The name of a value in the graph. */
export type Edge = string;

/** A graph under construction; images are channels-first. */
export function createGraph() {
  const nodes: Uint8Array[] = [];
  const initializers: Uint8Array[] = [];
  const inputs: Uint8Array[] = [];
  let count = 0;
  const fresh = (): Edge => `v${count++}`;
  /** The same integers under one name. */
  const known = new Map<string, Edge>();

  const apply = (op: string, args: readonly Edge[], attributes: Readonly<Record<string, Attribute>> = {}, options: { readonly domain?: string; readonly outputs?: number } = {}): Edge[] => {
    const outputs = Array.from({ length: options.outputs ?? 1 }, fresh);
    const fields = [
      ...args.map((name) => text(1, name)),
      ...outputs.map((name) => text(2, name)),
      text(4, op),
      ...Object.entries(attributes).map(([name, value]) => message(5, [text(1, name), ...encodeAttribute(value)])),
      text(7, options.domain ?? ""),
    ];
    nodes.push(message(1, fields));
    return outputs;
  };
  const one = (...given: Parameters<typeof apply>): Edge => apply(...given)[0]!;
  const store = (type: number, shape: readonly number[], bytes: Uint8Array): Edge => {
    const name = fresh();
    initializers.push(message(5, [...shape.map((extent) => integer(1, extent)), integer(2, type), text(8, name), block(9, bytes)]));
    return name;
  };
  const g = {
    apply,
    one,
    /** Data that is part of the model. */
    constant: ({ shape, data }: HostTensor): Edge => store(1, shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    number: (value: number): Edge => g.constant({ shape: [], data: Float32Array.of(value) }),
    integers(...values: number[]): Edge {
      const key = values.join();
      if (!known.has(key)) known.set(key, store(7, [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer)));
      return known.get(key)!;
    },
    /** Data that each run brings. */
    input(name: string, shape: readonly number[]): Edge {
      const type = [integer(1, 1), message(2, shape.map((extent) => message(1, [integer(1, extent)])))];
      inputs.push(message(11, [text(1, name), message(2, [message(1, type)])]));
      return name;
    },
    reshape: (x: Edge, ...shape: number[]): Edge => one("Reshape", [x, g.integers(...shape)]),
    transpose: (x: Edge, ...perm: number[]): Edge => one("Transpose", [x], { perm }),
    add: (x: Edge, y: Edge): Edge => one("Add", [x, y]),
    multiply: (x: Edge, y: Edge): Edge => one("Mul", [x, y]),
    matmul: (x: Edge, y: Edge): Edge => one("MatMul", [x, y]),
    softmax: (x: Edge): Edge => one("Softmax", [x], { axis: -1 }),
    conv: (x: Edge, w: Edge, s: number, p: number, group = 1, bias?: Edge): Edge => one("Conv", [x, w, ...(bias === undefined ? [] : [bias])], { strides: [s, s], pads: [p, p, p, p], group }),
    /** The first element of `x`, [1]. */
    first: (x: Edge): Edge => one("Slice", [g.reshape(x, -1), g.integers(0), g.integers(1)]),
    /** The bytes of the model with these outputs, whose types ONNX Runtime infers. */
    encode(outputs: readonly Edge[]): Uint8Array {
      const opset = (domain: string, version: number) => message(8, [text(1, domain), integer(2, version)]);
      const graph = message(7, [...nodes, text(2, "graph"), ...initializers, ...inputs, ...outputs.map((name) => message(12, [text(1, name)]))]);
      return join([integer(1, IR_VERSION), opset("", OPSET), opset("com.microsoft", 1), graph]);
    },
  };
  return g;
}

export type Graph = ReturnType<typeof createGraph>;

/** The value and its kind: 1 float, 2 int, 3 string, 7 ints. */
function encodeAttribute(value: Attribute): Uint8Array[] {
  if (typeof value === "number") return [integer(3, value), integer(20, 2)];
  if (typeof value === "string") return [text(4, value), integer(20, 3)];
  if ("float" in value) return [join([tag(2, 5), new Uint8Array(Float32Array.of(value.float).buffer)]), integer(20, 1)];
  return [...value.map((item) => integer(8, item)), integer(20, 7)];
}

const tag = (field: number, wire: number): Uint8Array => varint(BigInt(field * 8 + wire));

const integer = (field: number, value: number): Uint8Array => join([tag(field, 0), varint(BigInt.asUintN(64, BigInt(value)))]);

const text = (field: number, value: string): Uint8Array => block(field, new TextEncoder().encode(value));

const message = (field: number, parts: readonly Uint8Array[]): Uint8Array => block(field, join(parts));

const block = (field: number, body: Uint8Array): Uint8Array => join([tag(field, 2), varint(BigInt(body.length)), body]);

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (; value > 0x7fn; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(value));
}
