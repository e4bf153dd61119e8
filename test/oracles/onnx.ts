// ONNX Runtime on the CPU, the oracle for forward passes: a graph as plain data is written as an ONNX model and run.
import type { Tensor as OnnxValue } from "onnxruntime-node";

/** Operator set of the models written here: 20 has Gelu, 17 LayerNormalization. */
const OPSET = 20;
/** The file format's version that goes with that operator set. */
const IR_VERSION = 9;

/** A tensor in f32, or i64 where values are given as bigint (shapes, axes). */
export interface OnnxTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export type OnnxAttribute = number | { readonly float: number } | string | readonly number[];

/** One operator: `{ op: "Conv", inputs: ["x", "w"], outputs: ["y"], attributes: { strides: [2, 2] } }`. */
export interface OnnxNode {
  readonly op: string;
  /** Names of inputs; "" leaves an optional one out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integers are ints (`{ float }` for floats), text is a string, lists are ints. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** "" is ONNX itself; "com.microsoft" has the fused operators. */
  readonly domain?: string;
}

/** Runs a graph on the CPU provider and gives the outputs asked for, f32. */
export async function runOnnx(
  nodes: readonly OnnxNode[],
  inputs: Readonly<Record<string, OnnxTensor>>,
  outputs: readonly string[],
): Promise<Record<string, { dims: readonly number[]; data: Float32Array }>> {
  return runModel(encodeModel(nodes, inputs, outputs), inputs, outputs);
}

/** Runs the bytes of a model on the CPU provider and gives the outputs asked for, f32. */
export async function runModel(
  model: Uint8Array,
  inputs: Readonly<Record<string, OnnxTensor>>,
  outputs: readonly string[],
): Promise<Record<string, { dims: readonly number[]; data: Float32Array }>> {
  // Loaded here, so that files of tests can say that it is missing.
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  const session = await InferenceSession.create(model, { executionProviders: ["cpu"], intraOpNumThreads: 1 });
  try {
    const feeds = Object.entries(inputs).map(([name, { dims, data }]) => [
      name,
      data instanceof Float32Array ? new Tensor("float32", data, [...dims]) : new Tensor("int64", data, [...dims]),
    ]);
    const results = await session.run(Object.fromEntries(feeds) as Record<string, OnnxValue>);
    return Object.fromEntries(
      outputs.map((name) => {
        const result = results[name];
        if (!(result?.data instanceof Float32Array)) throw new Error(`onnx: output "${name}" is ${result?.type ?? "missing"}, expected float32`);
        return [name, { dims: result.dims, data: result.data }];
      }),
    );
  } finally {
    await session.release();
  }
}

/** The bytes of an ONNX model: protocol buffers, written field by field (the numbers are those of onnx.proto). */
export function encodeModel(nodes: readonly OnnxNode[], inputs: Readonly<Record<string, OnnxTensor>>, outputs: readonly string[]): Uint8Array {
  const graph = [
    ...nodes.map((node) => message(1, encodeNode(node))),
    text(2, "graph"),
    ...Object.entries(inputs).map(([name, tensor]) => message(11, encodeInput(name, tensor))),
    // Outputs without a type: ONNX Runtime infers shapes and types by itself.
    ...outputs.map((name) => message(12, [text(1, name)])),
  ];
  const opset = (domain: string, version: number): number[] => message(8, [text(1, domain), integer(2, version)]);
  return Uint8Array.from([integer(1, IR_VERSION), opset("", OPSET), opset("com.microsoft", 1), message(7, graph)].flat());
}

function encodeNode({ op, inputs, outputs, attributes = {}, domain = "" }: OnnxNode): number[][] {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => message(5, [text(1, name), ...encodeAttribute(value)])),
    text(7, domain),
  ];
}

/** The value and its kind: 1 float, 2 int, 3 string, 7 ints. */
function encodeAttribute(value: OnnxAttribute): number[][] {
  if (typeof value === "number") return [integer(3, value), integer(20, 2)];
  if (typeof value === "string") return [text(4, value), integer(20, 3)];
  if ("float" in value) return [tag(2, 5), [...new Uint8Array(Float32Array.of(value.float).buffer)], integer(20, 1)];
  return [...value.map((item) => integer(8, item)), integer(20, 7)];
}

/** Name and type of a graph input: element type 1 is f32, 7 is i64. */
function encodeInput(name: string, { dims, data }: OnnxTensor): number[][] {
  const shape = dims.map((size) => message(1, [integer(1, size)]));
  const tensor = [integer(1, data instanceof Float32Array ? 1 : 7), message(2, shape)];
  return [text(1, name), message(2, [message(1, tensor)])];
}

const tag = (field: number, wire: number): number[] => varint(BigInt(field * 8 + wire));

const integer = (field: number, value: number): number[] => [...tag(field, 0), ...varint(BigInt.asUintN(64, BigInt(value)))];

const text = (field: number, value: string): number[] => message(field, [[...new TextEncoder().encode(value)]]);

function message(field: number, parts: readonly (readonly number[])[]): number[] {
  const body = parts.flat();
  return [...tag(field, 2), ...varint(BigInt(body.length)), ...body];
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 0x7fn; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value)];
}
