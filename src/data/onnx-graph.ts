// Writing ONNX models: operators appended one by one, initialisers kept as they lie in memory.
import { joinPieces, writeBytes, writeFloat, writeInteger, writeText, type Pieces } from "./protobuf.ts";
import { toLittleEndian, type ElementType, type StoredTensor } from "./tensors.ts";

/** Operator set of the models: the first with LayerNormalization. */
const OPSET = 17;
/** The file format's version that goes with it. */
const IR_VERSION = 8;
/** Numbers of TensorProto.DataType. */
const TYPES: Readonly<Partial<Record<ElementType, number>>> = { F32: 1, I64: 7 };

/** Integers are ints, `{ float }` is a float, lists are ints. */
export type GraphAttribute = number | { readonly float: number } | readonly number[];

/** Extents of an input or output: a word stands for one that is not fixed. */
export type Extent = number | string;

/** A graph under construction. Values go by their names. */
export interface OnnxGraph {
  /** Appends an operator and gives the name of its result. */
  apply(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, GraphAttribute>>): string;
  /** Adds an initialiser, once. */
  initialiser(name: string, tensor: StoredTensor): string;
  /** Constant integers, such as the shape of a Reshape. */
  integers(...values: number[]): string;
  /** A constant number. */
  number(value: number): string;
  /** Names of operators that follow begin with `place`. */
  within<T>(place: string, build: () => T): T;
  encode(graph: { readonly inputs: Readonly<Record<string, readonly Extent[]>>; readonly outputs: Readonly<Record<string, { readonly value: string; readonly shape: readonly Extent[] }>>; readonly metadata: ReadonlyMap<string, string>; readonly doc: string; readonly producer: readonly [name: string, version: string] }): Uint8Array<ArrayBuffer>;
}

export function createOnnxGraph(): OnnxGraph {
  const nodes: { readonly op: string; readonly name: string; readonly inputs: readonly string[]; output: string; readonly attributes: Readonly<Record<string, GraphAttribute>> }[] = [];
  const initialisers = new Map<string, StoredTensor>();
  const path: string[] = [];
  const initialiser = (name: string, tensor: StoredTensor): string => {
    if (!initialisers.has(name)) initialisers.set(name, tensor);
    return name;
  };
  return {
    apply(op, inputs, attributes = {}) {
      const output = `v${nodes.length}`;
      nodes.push({ op, name: `/${[...path, `${op}_${nodes.length}`].join("/")}`, inputs, output, attributes });
      return output;
    },
    initialiser,
    integers: (...values) => initialiser(`const_i64_${values.join("_")}`, { dtype: "I64", shape: [values.length], data: toLittleEndian(BigInt64Array.from(values, BigInt)) }),
    number: (value) => initialiser(`const_f32_${value}`, { dtype: "F32", shape: [], data: toLittleEndian(Float32Array.of(value)) }),
    within(place, build) {
      path.push(place);
      try {
        return build();
      } finally {
        path.pop();
      }
    },
    encode({ inputs, outputs, metadata, doc, producer }) {
      const renamed = new Map(Object.entries(outputs).map(([name, { value }]) => [value, name]));
      const named = (value: string): string => renamed.get(value) ?? value;
      const graph: Pieces = [
        ...nodes.flatMap(({ op, name, inputs: from, output, attributes }) =>
          writeBytes(1, ...from.flatMap((value) => writeText(1, named(value))), ...writeText(2, named(output)), ...writeText(3, name), ...writeText(4, op), ...Object.entries(attributes).flatMap(([key, value]) => writeBytes(5, ...writeText(1, key), ...encodeAttribute(value)))),
        ),
        ...writeText(2, "encoder"),
        ...[...initialisers].flatMap(([name, { dtype, shape, data }]) => writeBytes(5, ...shape.flatMap((extent) => writeInteger(1, extent)), ...writeInteger(2, typeOf(dtype)), ...writeText(8, name), ...writeBytes(9, data))),
        ...Object.entries(inputs).flatMap(([name, shape]) => writeBytes(11, ...encodeValue(name, shape))),
        ...Object.entries(outputs).flatMap(([name, { shape }]) => writeBytes(12, ...encodeValue(name, shape))),
      ];
      return joinPieces([
        ...writeInteger(1, IR_VERSION),
        ...writeText(2, producer[0]),
        ...writeText(3, producer[1]),
        ...writeText(6, doc),
        ...writeBytes(7, ...graph),
        ...writeBytes(8, ...writeText(1, ""), ...writeInteger(2, OPSET)),
        ...[...metadata].flatMap(([key, value]) => writeBytes(14, ...writeText(1, key), ...writeText(2, value))),
      ]);
    },
  };
}

function typeOf(dtype: ElementType): number {
  const type = TYPES[dtype];
  if (type === undefined) throw new Error(`onnx: an initialiser of ${dtype}, expected F32 or I64`);
  return type;
}

/** The value and its kind: 1 float, 2 int, 7 ints. */
function encodeAttribute(value: GraphAttribute): Pieces {
  if (typeof value === "number") return [...writeInteger(3, value), ...writeInteger(20, 2)];
  if ("float" in value) return [...writeFloat(2, value.float), ...writeInteger(20, 1)];
  return [...value.flatMap((item) => writeInteger(8, item)), ...writeInteger(20, 7)];
}

/** Name and type of an input or output of floats. */
function encodeValue(name: string, shape: readonly Extent[]): Pieces {
  const dims = shape.flatMap((extent) => writeBytes(1, ...(typeof extent === "number" ? writeInteger(1, extent) : writeText(2, extent))));
  return [...writeText(1, name), ...writeBytes(2, ...writeBytes(1, ...writeInteger(1, 1), ...writeBytes(2, ...dims)))];
}
