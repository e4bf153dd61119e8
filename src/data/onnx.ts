// Reading ONNX models, strictly: initialisers with their values, and enough of the graph to know what each of them is for.
import { EXIT_CODES, UserError } from "../errors.ts";
import { readFields, readPackedVarints, type RefuseAt, type WireField } from "./protobuf.ts";
import { countElements, ELEMENT_BYTES, storeFloat32, toLittleEndian, type ElementType, type StoredTensor } from "./tensors.ts";

export type OnnxAttribute = number | string | StoredTensor | readonly number[];

export interface OnnxNode {
  /** Operators that are not ONNX's own have their domain in front: `com.microsoft::FusedConv`. */
  readonly op: string;
  readonly name: string;
  /** "" where an optional input is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

export interface OnnxModel {
  /** Values of the graph's initialisers and of its Constant nodes, by the name that nodes read them under. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly nodes: readonly OnnxNode[];
  /** Which of them are values of Constant nodes: parts of formulas rather than weights. */
  readonly constants: ReadonlySet<string>;
  /** Names of inputs that are no initialisers, and of outputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly irVersion: number;
  /** Version of ONNX's own operators. */
  readonly opset: number;
  /** Name and version of what wrote the file. */
  readonly producer: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** By the numbers of TensorProto.DataType: element type, and the field that holds it where it is not raw: 4 float, 5 int32, 7 int64, 10 double, 11 uint64. */
const DATA_TYPES: Readonly<Record<number, readonly [ElementType, number]>> = {
  1: ["F32", 4], 2: ["U8", 5], 3: ["I8", 5], 4: ["U16", 5], 5: ["I16", 5], 6: ["I32", 5], 7: ["I64", 7], 9: ["BOOL", 5], 10: ["F16", 5], 11: ["F64", 10], 12: ["U32", 11], 13: ["U64", 11], 16: ["BF16", 5],
};
const TYPE_NAMES: Readonly<Record<number, string>> = { 0: "undefined", 8: "string", 14: "complex64", 15: "complex128", 17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4" };
const MAX_TENSORS = 65_536;
const MAX_NODES = 1 << 17;
const MAX_RANK = 8;
/** Most names, attributes or numbers of one list, and values that stand one by one instead of packed: more are no model, but take more memory than the file has bytes. */
const MAX_ITEMS = 65_536;
/** Most whole numbers of a tensor that are not raw: a byte of the file may become eight. */
const MAX_TYPED = 1 << 24;
/** By the field of an attribute's value: its kind, as the numbers of AttributeProto.AttributeType. */
const ATTRIBUTE_KINDS: Readonly<Record<number, number>> = { 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 22: 11, 23: 12, 14: 13, 15: 14 };
/** What an attribute is whose writer leaves out zeros. */
const ZEROS: Readonly<Record<number, OnnxAttribute>> = { 1: 0, 2: 0, 3: "", 6: [], 7: [] };

/** Whether bytes could be of an ONNX model: they begin with the version of the format, as every writer begins. */
export function looksLikeOnnx(bytes: Uint8Array): boolean {
  return bytes[0] === 0x08 && (bytes[1] ?? 0) >= 1 && (bytes[1] ?? 0) < 0x80 && bytes.length > 2;
}

/**
 * Reads a whole model. The values are views into `bytes` where they lie there raw. Refused: two graphs, initialisers of one name or
 * without one, values kept in other files, of other types than numbers, sparse or in segments, as many as their shape does not say,
 * both raw and typed, attributes of one name or of two kinds, names that two make or nobody before them, operators of ONNX's own that the file
 * says anew, and whatever is not of the wire format. Graphs inside of nodes, as of If and Loop, are not looked at.
 *
 * @param name how messages call the file
 * @throws UserError 65 that names the file, what is wrong and the byte where
 */
export function readOnnx(bytes: Uint8Array, name: string): OnnxModel {
  const refuse: RefuseAt = (what, at) => new UserError(EXIT_CODES.badData, `${name}: byte ${at}: ${what}`, ["The file is damaged or is no ONNX model that holds its own weights: get it again from where it came, or export it again."]);
  let graph: WireField | undefined;
  let irVersion: number | undefined;
  const opsets = new Map<string, number>();
  let producer = "";
  const metadata = new Map<string, string>();
  for (const field of readFields(bytes, 0, refuse)) {
    if (field.number === 1) {
      if (irVersion !== undefined) throw refuse("a second version of the format", field.at);
      irVersion = smallInteger(field, "ir_version", refuse);
    } else if (field.number === 2 || field.number === 3) producer = `${producer} ${text(field, "producer", refuse)}`.trim();
    else if (field.number === 7) {
      if (graph) throw refuse("a second graph, expected one", field.at);
      graph = field;
    } else if (field.number === 8) {
      const { domain, version } = readOpset(field, refuse);
      if (opsets.has(domain)) throw refuse(`the operator set ${quote(domain)} a second time`, field.at);
      opsets.set(domain, version);
    } else if (field.number === 25) refuseOwnFunction(field, refuse);
    else if (field.number === 14) {
      const [key, value] = readPair(field, refuse);
      if (metadata.has(key)) throw refuse(`metadata ${quote(key)} a second time`, field.at);
      if (metadata.size === MAX_ITEMS) throw refuse(`more than ${MAX_ITEMS} entries of metadata`, field.at);
      metadata.set(key, value);
    }
  }
  const opset = opsets.get("");
  if (irVersion === undefined || irVersion < 1 || opset === undefined || !graph) throw refuse(`no ${!graph ? "graph" : opset === undefined ? "operator set" : "version of the format"}, expected an ONNX model`, 0);
  return { ...readGraph(graph, refuse), irVersion, opset, producer, metadata };
}

function readGraph(graph: WireField, refuse: RefuseAt): Pick<OnnxModel, "tensors" | "constants" | "nodes" | "inputs" | "outputs"> {
  const tensors = new Map<string, StoredTensor>();
  const constants = new Set<string>();
  const nodes: OnnxNode[] = [];
  const places: number[] = [];
  const [inputs, outputs]: [string[], string[]] = [[], []];
  const add = (name: string, tensor: StoredTensor, at: number): void => {
    if (name === "") throw refuse("an initialiser without a name", at);
    if (tensors.has(name)) throw refuse(`a second initialiser ${quote(name)}`, at);
    if (tensors.size === MAX_TENSORS) throw refuse(`more than ${MAX_TENSORS} initialisers`, at);
    tensors.set(name, tensor);
  };
  for (const field of readFields(message(graph, "graph", refuse), graph.inside, refuse)) {
    if (field.number === 1) {
      if (nodes.length === MAX_NODES) throw refuse(`more than ${MAX_NODES} nodes`, field.at);
      nodes.push(readNode(field, refuse));
      places.push(field.at);
    } else if (field.number === 5) {
      const { name, tensor } = readTensor(field, refuse);
      add(name, tensor, field.at);
    } else if (field.number === 11 || field.number === 12) {
      const names = field.number === 11 ? inputs : outputs;
      if (names.length === MAX_ITEMS) throw refuse(`more than ${MAX_ITEMS} inputs or outputs`, field.at);
      names.push(readValueName(field, refuse));
    } else if (field.number === 15) throw refuse("a sparse initialiser, expected dense ones only", field.at);
  }
  checkWiring(nodes, new Set([...inputs, ...tensors.keys()]), outputs, (what, index) => refuse(what, index === undefined ? graph.at : places[index]!));
  nodes.forEach((node, i) => {
    const value = node.op === "Constant" ? constantOf(node.attributes) : undefined;
    if (!value) return;
    const name = node.outputs[0] ?? "";
    add(name, value, places[i]!);
    constants.add(name);
  });
  return { tensors, constants, nodes, inputs: inputs.filter((name) => !tensors.has(name)), outputs };
}

/** Every value is made once, and before it is read, as the format demands: so there are no circles, and no name means two things. */
function checkWiring(nodes: readonly OnnxNode[], known: Set<string>, outputs: readonly string[], refuse: (what: string, index?: number) => Error): void {
  nodes.forEach(({ op, inputs, outputs: made }, i) => {
    for (const name of inputs) if (name !== "" && !known.has(name)) throw refuse(`${quote(op)} reads ${quote(name)}, which nothing before it makes`, i);
    for (const name of made) {
      if (name !== "" && known.has(name)) throw refuse(`${quote(op)} makes ${quote(name)}, which is made already`, i);
      known.add(name);
    }
  });
  for (const name of outputs) if (!known.has(name)) throw refuse(`the output ${quote(name)} is made by nothing`);
}

/** What a Constant node holds, where it is numbers. */
function constantOf(attributes: OnnxNode["attributes"]): StoredTensor | undefined {
  const list = (value: OnnxAttribute | undefined): readonly number[] | undefined => (Array.isArray(value) ? (value as readonly number[]) : undefined);
  const [value, one, whole] = ["value", "value_float", "value_int"].map((name) => attributes.get(name));
  const [floats, integers] = [list(attributes.get("value_floats")), list(attributes.get("value_ints"))];
  if (typeof value === "object" && "dtype" in value) return value;
  if (typeof one === "number") return storeFloat32(Float32Array.of(one), []);
  if (floats) return storeFloat32(Float32Array.from(floats), [floats.length]);
  const numbers = typeof whole === "number" ? [whole] : integers;
  return numbers && { dtype: "I64", shape: integers ? [numbers.length] : [], data: toLittleEndian(BigInt64Array.from(numbers, BigInt)) };
}

function readNode(node: WireField, refuse: RefuseAt): OnnxNode {
  const [inputs, outputs]: [string[], string[]] = [[], []];
  const attributes = new Map<string, OnnxAttribute>();
  const seen = new Set<string>();
  const single = new Map<number, string>();
  for (const field of readFields(message(node, "node", refuse), node.inside, refuse)) {
    if (field.number === 1 || field.number === 2) {
      const names = field.number === 1 ? inputs : outputs;
      if (names.length === MAX_ITEMS) throw refuse(`a node of more than ${MAX_ITEMS} inputs or outputs`, field.at);
      names.push(plain(field, "the name of an input or output", refuse));
    } else if (field.number === 3 || field.number === 4 || field.number === 7) {
      const what = field.number === 3 ? "name" : field.number === 4 ? "operator" : "domain";
      if (single.has(field.number)) throw refuse(`a second ${what} of a node`, field.at);
      single.set(field.number, plain(field, `a node's ${what}`, refuse));
    } else if (field.number === 5) {
      const [key, value] = readAttribute(field, refuse);
      if (seen.has(key)) throw refuse(`a second attribute ${quote(key)} of a node`, field.at);
      if (seen.size === MAX_ITEMS) throw refuse(`a node of more than ${MAX_ITEMS} attributes`, field.at);
      seen.add(key);
      if (value !== undefined) attributes.set(key, value);
    }
  }
  const [op, domain] = [single.get(4) ?? "", customary(single.get(7) ?? "")];
  if (op === "") throw refuse("a node without an operator", node.at);
  return { op: domain === "" ? op : `${domain}::${op}`, name: single.get(3) ?? "", inputs, outputs, attributes };
}

/** ONNX's own operators have two names for their domain. */
const customary = (domain: string): string => (domain === "ai.onnx" ? "" : domain);

/** Attributes of other kinds than float, integer, text, tensor, floats and integers are passed over, and so is text that is no UTF-8: its bytes may be anything. */
function readAttribute(attribute: WireField, refuse: RefuseAt): [string, OnnxAttribute | undefined] {
  let [name, value, found, said]: [string | undefined, OnnxAttribute | undefined, number | undefined, number | undefined] = [undefined, undefined, undefined, undefined];
  const list: number[] = [];
  const push = (item: number, at: number): void => {
    if (list.length === MAX_ITEMS) throw refuse(`an attribute of more than ${MAX_ITEMS} numbers`, at);
    list.push(item);
  };
  for (const field of readFields(message(attribute, "attribute", refuse), attribute.inside, refuse)) {
    const kind = ATTRIBUTE_KINDS[field.number];
    if (kind !== undefined) {
      const again = found === kind && kind < 6;
      if (again || (found !== undefined && found !== kind)) throw refuse(`${again ? "a second value" : "values of two kinds"} of an attribute ${quote(name ?? "")}`, field.at);
      found = kind;
    }
    if (field.number === 1) {
      if (name !== undefined) throw refuse("a second name of an attribute", field.at);
      name = plain(field, "an attribute's name", refuse);
    } else if (field.number === 2) value = asFloat(field, refuse);
    else if (field.number === 3) value = Number(BigInt.asIntN(64, varint(field, "an attribute's integer", refuse)));
    else if (field.number === 4) value = decode(message(field, "an attribute's text", refuse));
    else if (field.number === 5) ({ tensor: value } = readTensor(field, refuse));
    else if (field.number === 7) {
      if (field.wire === 5) push(asFloat(field, refuse), field.at);
      else {
        const bytes = message(field, "an attribute's floats", refuse);
        if (bytes.length % 4) throw refuse(`${bytes.length} bytes of an attribute's floats, expected a multiple of 4`, field.at);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        for (let i = 0; i < bytes.length; i += 4) push(view.getFloat32(i, true), field.at);
      }
    } else if (field.number === 8) for (const item of readPackedVarints(field, refuse)) push(Number(BigInt.asIntN(64, item)), field.at);
    else if (field.number === 20) said = smallInteger(field, "an attribute's kind", refuse);
  }
  if (name === undefined || name === "") throw refuse("an attribute without a name", attribute.at);
  if (said !== undefined && said !== 0 && found !== undefined && said !== found) throw refuse(`the attribute ${quote(name)} has a value of kind ${found}, expected ${said}, as it says`, attribute.at);
  if (found === 6 || found === 7) return [name, list];
  return [name, found === undefined ? ZEROS[said ?? 0] : value];
}

function readTensor(tensor: WireField, refuse: RefuseAt): { name: string; tensor: StoredTensor } {
  const shape: number[] = [];
  const typed: WireField[] = [];
  let raw: WireField | undefined;
  let name: string | undefined;
  let type: number | undefined;
  let external = false;
  const once = (field: WireField, what: string, before: unknown): void => {
    if (before !== undefined) throw refuse(`a second ${what} in an initialiser`, field.at);
  };
  for (const field of readFields(message(tensor, "initialiser", refuse), tensor.inside, refuse)) {
    if (field.number === 1) {
      for (const extent of readPackedVarints(field, refuse)) {
        if (shape.length === MAX_RANK) throw refuse(`an initialiser of more than ${MAX_RANK} dimensions`, field.at);
        if (extent > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`a dimension of ${BigInt.asIntN(64, extent)}, expected one from 0 below 2^53`, field.at);
        shape.push(Number(extent));
      }
    } else if (field.number === 2) {
      once(field, "data type", type);
      type = smallInteger(field, "data_type", refuse);
    } else if (field.number === 8) {
      once(field, "name", name);
      name = plain(field, "an initialiser's name", refuse);
    } else if (field.number === 9) {
      once(field, "block of raw data", raw);
      raw = field;
    } else if (field.number === 13 || (field.number === 14 && varint(field, "data_location", refuse) !== 0n)) external = true;
    else if (field.number === 3) throw refuse("an initialiser in segments, expected whole ones", field.at);
    else if ([4, 5, 6, 7, 10, 11].includes(field.number)) {
      if (typed.length === MAX_ITEMS) throw refuse(`more than ${MAX_ITEMS} values one by one, expected them packed or raw`, field.at);
      typed.push(field);
    }
  }
  const what = `initialiser ${quote(name ?? "")}`;
  if (external) throw refuse(`${what} keeps its values in another file, expected them in this one: export the model as one file`, tensor.at);
  const known = type === undefined ? undefined : DATA_TYPES[type];
  if (!known) throw refuse(`${what} is of data type ${type ?? "none"}${TYPE_NAMES[type ?? 0] ? ` (${TYPE_NAMES[type ?? 0]})` : ""}, expected numbers of 8 to 64 bits`, tensor.at);
  const [dtype, place] = known;
  const count = countElements(shape);
  if (count === undefined || !Number.isSafeInteger(count * ELEMENT_BYTES[dtype])) throw refuse(`${what}: shape [${shape.join(", ")}] of ${dtype} overflows, expected a size below 2^53 bytes`, tensor.at);
  const stray = typed.find((field) => field.number !== place);
  if (stray) throw refuse(`${what} of ${dtype} has values in field ${stray.number}, expected them raw or in field ${place}`, stray.at);
  if (raw && typed.length > 0) throw refuse(`${what} has its values both raw and typed`, tensor.at);
  const wrong = (found: number): Error => refuse(`${what} has ${found} bytes of values, expected ${count * ELEMENT_BYTES[dtype]} for shape [${shape.join(", ")}] of ${dtype}`, tensor.at);
  const data = raw ? message(raw, "raw data", refuse) : packValues(typed, dtype, place, count, wrong, refuse);
  if (data.length !== count * ELEMENT_BYTES[dtype]) throw wrong(data.length);
  return { name: name ?? "", tensor: { dtype, shape, data } };
}

/** Typed values as little-endian bytes; int32_data holds the bits of 16-bit floats and small integers. `wrong` makes the error of other bytes than `count` values have. */
function packValues(fields: readonly WireField[], dtype: ElementType, place: number, count: number, wrong: (bytes: number) => Error, refuse: RefuseAt): Uint8Array {
  const width = ELEMENT_BYTES[dtype];
  if (place === 4 || place === 10) {
    const parts = fields.map((field) => {
      if (field.wire !== 2 && field.wire !== (width === 4 ? 5 : 1)) throw refuse(`wire type ${field.wire} of values of ${dtype}, expected ${8 * width} bits each, or packed`, field.at);
      const bytes = field.bytes ?? fixedBytes(field, width);
      if (bytes.length % width) throw refuse(`${bytes.length} bytes of ${dtype}, expected a multiple of ${width}`, field.at);
      return bytes;
    });
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
    return whole;
  }
  // Each number takes a byte at least: no more room is made than the file has bytes for.
  const most = fields.reduce((sum, { bytes }) => sum + (bytes?.length ?? 1), 0);
  if (count > most) throw wrong(most * width);
  if (count > MAX_TYPED) throw refuse(`${count} whole numbers of ${dtype} one by one, expected at most ${MAX_TYPED}, or raw values`, fields[0]!.at);
  const whole = new Uint8Array(count * width);
  let i = 0;
  for (const field of fields) {
    for (const value of readPackedVarints(field, refuse)) {
      if (i === count) throw wrong((count + 1) * width);
      const low = BigInt.asUintN(8 * width, value);
      // A number that its type does not hold would be read as another one.
      const fits = dtype.startsWith("I") ? BigInt.asIntN(8 * width, value) === BigInt.asIntN(64, value) : low === value;
      if (!fits || (dtype === "BOOL" && value > 1n)) throw refuse(`${BigInt.asIntN(64, value)} among values of ${dtype}`, field.at);
      for (let k = 0; k < width; k++) whole[i * width + k] = Number((low >> BigInt(8 * k)) & 255n);
      i++;
    }
  }
  if (i < count) throw wrong(i * width);
  return whole;
}

function fixedBytes({ bits: value = 0n }: WireField, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, k) => Number((value >> BigInt(8 * k)) & 255n));
}

function readOpset(set: WireField, refuse: RefuseAt): { domain: string; version: number } {
  let [domain, version] = ["", 0];
  for (const field of readFields(message(set, "operator set", refuse), set.inside, refuse)) {
    if (field.number === 1) domain = text(field, "an operator set's domain", refuse);
    else if (field.number === 2) version = smallInteger(field, "an operator set's version", refuse);
  }
  return { domain: customary(domain), version };
}

/** Functions of other domains make operators that nobody knows; one of ONNX's own domain would change what a known one computes. */
function refuseOwnFunction(definition: WireField, refuse: RefuseAt): void {
  let [name, domain] = ["", ""];
  for (const field of readFields(message(definition, "function", refuse), definition.inside, refuse)) {
    if (field.number === 1) name = text(field, "a function's name", refuse);
    else if (field.number === 10) domain = text(field, "a function's domain", refuse);
  }
  if (customary(domain) === "") throw refuse(`a function ${quote(name)} among ONNX's own operators, expected it under a domain of its own`, definition.at);
}

function readPair(pair: WireField, refuse: RefuseAt): [string, string] {
  const both: [string, string] = ["", ""];
  for (const field of readFields(message(pair, "metadata", refuse), pair.inside, refuse)) if (field.number === 1 || field.number === 2) both[field.number - 1] = text(field, "metadata", refuse);
  return both;
}

function readValueName(info: WireField, refuse: RefuseAt): string {
  for (const field of readFields(message(info, "an input or output", refuse), info.inside, refuse)) if (field.number === 1) return plain(field, "a name", refuse);
  return "";
}

function message(field: WireField, what: string, refuse: RefuseAt): Uint8Array {
  if (!field.bytes) throw refuse(`${what} is a number, expected bytes`, field.at);
  return field.bytes;
}

function varint(field: WireField, what: string, refuse: RefuseAt): bigint {
  if (field.wire !== 0 || field.bits === undefined) throw refuse(`${what} has wire type ${field.wire}, expected a whole number`, field.at);
  return field.bits;
}

function smallInteger(field: WireField, what: string, refuse: RefuseAt): number {
  const value = varint(field, what, refuse);
  if (value > 1_000_000n) throw refuse(`${what} ${BigInt.asIntN(64, value)}, expected a small number`, field.at);
  return Number(value);
}

function asFloat(field: WireField, refuse: RefuseAt): number {
  if (field.wire !== 5 || field.bits === undefined) throw refuse(`an attribute's float has wire type ${field.wire}, expected 32 bits`, field.at);
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number(field.bits), true);
  return view.getFloat32(0, true);
}

function text(field: WireField, what: string, refuse: RefuseAt): string {
  const found = decode(message(field, what, refuse));
  if (found === undefined) throw refuse(`${what} is not valid UTF-8`, field.at);
  return found;
}

/** A name that may stand in a message: terminals obey control characters. */
function plain(field: WireField, what: string, refuse: RefuseAt): string {
  const found = text(field, what, refuse);
  if (/[\u0000-\u001f\u007f-\u009f]/.test(found)) throw refuse(`${quote(found)} has a control character in its name`, field.at);
  return found;
}

/** Undefined where the bytes are no UTF-8. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name).replace(/[\u007f-\u009f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
