// The ONNX reader: every way values can lie in a file, every refusal with its place, and nothing but a UserError 65 for damage.
import { describe, expect, test } from "vitest";
import { createOnnxGraph } from "../../src/data/onnx-graph.ts";
import { looksLikeOnnx, readOnnx } from "../../src/data/onnx.ts";
import { joinPieces, writeBytes, writeFloat, writeInteger, writeText, type Pieces } from "../../src/data/protobuf.ts";
import { storeFloat32 } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";

const model = (...graph: Pieces[]): Uint8Array => joinPieces([...writeInteger(1, 8), ...writeBytes(7, ...graph.flat()), ...writeBytes(8, ...writeInteger(2, 17))]);
const initialiser = (...fields: Pieces[]): Pieces => writeBytes(5, ...fields.flat());
const head = (type: number, ...shape: (number | bigint)[]): Pieces => [...shape.flatMap((extent) => writeInteger(1, extent)), ...writeInteger(2, type), ...writeText(8, "w")];
const raw = (...bytes: number[]): Pieces => writeBytes(9, Uint8Array.from(bytes));
const fixed = (number: number, value: number): Pieces => writeFloat(number, value);
const refusal = (bytes: Uint8Array): UserError => {
  try {
    readOnnx(bytes, "strange.onnx");
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("accepted");
};
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe("values", () => {
  test.each<[string, Pieces, string, readonly number[]]>([
    ["raw f32", [...head(1, 1), ...writeBytes(9, floats(1.5))], "F32", [0, 0, 192, 63]],
    ["packed f32", [...head(1, 1), ...writeBytes(4, floats(1.5))], "F32", [0, 0, 192, 63]],
    ["f32 one by one", [...head(1, 2), ...writeFloat(4, 1.5), ...writeFloat(4, 0)], "F32", [0, 0, 192, 63, 0, 0, 0, 0]],
    ["f16 as bits in int32", [...head(10, 2), ...writeInteger(5, 0x3c00), ...writeInteger(5, 0xc000)], "F16", [0, 0x3c, 0, 0xc0]],
    ["bf16 raw", [...head(16, 1), ...raw(0x80, 0x3f)], "BF16", [0x80, 0x3f]],
    ["f64 packed", [...head(11, 1), ...writeBytes(10, new Uint8Array(Float64Array.of(-2).buffer))], "F64", [0, 0, 0, 0, 0, 0, 0, 192]],
    ["i64 packed, negative", [...head(7, 2), ...writeBytes(7, Uint8Array.of(5, ...new Array<number>(9).fill(255), 1))], "I64", [5, 0, 0, 0, 0, 0, 0, 0, ...new Array<number>(8).fill(255)]],
    ["i8 below zero", [...head(3, 1), ...writeInteger(5, -2)], "I8", [254]],
    ["a scalar", [...head(1), ...raw(0, 0, 128, 63)], "F32", [0, 0, 128, 63]],
    ["no values", [...head(1, 0), ...raw()], "F32", []],
    ["a dimension packed", [...writeBytes(1, Uint8Array.of(2, 1)), ...head(2), ...raw(7, 8)], "U8", [7, 8]],
  ])("%s", (_, tensor, dtype, bytes) => {
    const read = readOnnx(model(initialiser(tensor)), "x").tensors.get("w");
    expect([read?.dtype, [...(read?.data ?? [])]]).toEqual([dtype, bytes]);
  });

  test("text of an attribute that is no UTF-8 is passed over, and the rest is read", () => {
    const node = writeBytes(1, ...writeText(4, "Custom"), ...writeBytes(5, ...writeText(1, "blob"), ...writeBytes(4, Uint8Array.of(0xff, 0xfe))), ...writeBytes(5, ...writeText(1, "mode"), ...writeText(4, "linear")));
    expect([...readOnnx(model(node), "x").nodes[0]!.attributes]).toEqual([["mode", "linear"]]);
  });

  test("a graph that was written: operators, attributes, inputs without initialisers, metadata", () => {
    const g = createOnnxGraph();
    const y = g.within("a", () => g.apply("Conv", ["x", g.initialiser("w", storeFloat32(Float32Array.of(1, 2), [2, 1, 1, 1]))], { strides: [2, -1], group: 1, epsilon: { float: 0.5 } }));
    const read = readOnnx(g.encode({ inputs: { x: ["batch", 1, 4, 4] }, outputs: { y: { value: y, shape: ["batch", 2] } }, metadata: new Map([["key", "värde"]]), doc: "", producer: ["p", "1"] }), "x");
    expect(read.nodes).toEqual([{ op: "Conv", name: "/a/Conv_0", inputs: ["x", "w"], outputs: ["y"], attributes: new Map<string, unknown>([["strides", [2, -1]], ["group", 1], ["epsilon", 0.5]]) }]);
    expect([read.inputs, read.outputs, [...read.metadata], read.producer, [...read.tensors.keys()]]).toEqual([["x"], ["y"], [["key", "värde"]], "p 1", ["w"]]);
  });
});

describe("refusals", () => {
  const one = initialiser([...head(1, 1), ...raw(0, 0, 0, 0)]);
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /byte 0: no graph/],
    ["text", new TextEncoder().encode("not a model at all"), /byte \d+: /],
    ["no operator set", joinPieces([...writeInteger(1, 8), ...writeBytes(7)]), /no operator set/],
    ["two graphs", joinPieces([model(one), ...writeBytes(7)]), /a second graph/],
    ["two versions of the format", joinPieces([model(one), ...writeInteger(1, 8)]), /a second version of the format/],
    ["a field cut short", model(one).subarray(0, 9), /cut short/],
    ["a group", Uint8Array.of(0x08, 8, 0x1b), /wire type 3 of field 3/],
    ["field 0", Uint8Array.of(0x08, 8, 0x00, 0), /field number 0/],
    ["an endless number", Uint8Array.of(0x08, ...new Array<number>(11).fill(0xff)), /more than 64 bits/],
    ["a length of 2^63", Uint8Array.of(0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), /of 9223372036854775808 bytes/],
    ["a graph that is a number", joinPieces([...writeInteger(1, 8), ...writeInteger(7, 3), ...writeBytes(8, ...writeInteger(2, 17))]), /graph is a number/],
    ["a duplicate name", model(one, one), /a second initialiser "w"/],
    ["two names", model(initialiser([...head(1, 1), ...writeText(8, "v"), ...raw(0, 0, 0, 0)])), /a second name/],
    ["no name", model(initialiser([...writeInteger(2, 1), ...raw(0, 0, 0, 0)])), /without a name/],
    ["values in another file", model(initialiser([...head(1, 1), ...writeBytes(13, ...writeText(1, "location"), ...writeText(2, "../w.bin")), ...writeInteger(14, 1)])), /"w" keeps its values in another file/],
    ["strings", model(initialiser([...head(8, 1), ...writeBytes(6, Uint8Array.of(65))])), /data type 8 \(string\)/],
    ["an unknown type", model(initialiser([...head(99, 1), ...raw(0)])), /data type 99,/],
    ["complex numbers", model(initialiser([...head(14, 1), ...raw(0)])), /complex64/],
    ["too few values", model(initialiser([...head(1, 2), ...raw(0, 0, 0, 0)])), /4 bytes of values, expected 8 for shape \[2\]/],
    ["too many", model(initialiser([...head(1, 1), ...writeBytes(4, floats(1, 2))])), /8 bytes of values, expected 4/],
    ["none", model(initialiser([...head(1, 1)])), /0 bytes of values/],
    ["raw and typed", model(initialiser([...head(1, 1), ...raw(0, 0, 0, 0), ...writeFloat(4, 1)])), /both raw and typed/],
    ["in the wrong field", model(initialiser([...head(1, 1), ...writeInteger(7, 1)])), /values in field 7/],
    ["half a float", model(initialiser([...head(1, 1), ...writeBytes(4, Uint8Array.of(1, 2))])), /2 bytes of F32/],
    ["an i8 of 300", model(initialiser([...head(3, 1), ...writeInteger(5, 300)])), /300 among values of I8/],
    ["a dimension of -1", model(initialiser([...head(1, -1), ...raw()])), /a dimension of -1/],
    ["a shape that overflows", model(initialiser([...head(1, 2 ** 40, 2 ** 40), ...raw()])), /overflows/],
    ["nine dimensions", model(initialiser([...head(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), ...raw(0, 0, 0, 0)])), /more than 8 dimensions/],
    ["a dimension of 32 bits", model(initialiser([...fixed(1, 1), ...head(1), ...raw(0, 0, 0, 0)])), /wire type 5 of field 1/],
    ["a data type of 32 bits", model(initialiser([...fixed(2, 1), ...writeText(8, "w"), ...raw(0, 0, 0, 0)])), /data_type has wire type 5/],
    ["int64 values of 32 bits", model(initialiser([...head(7, 1), ...fixed(7, 1)])), /wire type 5 of field 7/],
    ["a float as a whole number", model(initialiser([...head(1, 1), ...writeInteger(4, 1)])), /wire type 0 of values of F32/],
    ["a double of 32 bits", model(initialiser([...head(11, 1), ...fixed(10, 1)])), /wire type 5 of values of F64/],
    ["an attribute's float as a whole number", model(writeBytes(1, ...writeBytes(5, ...writeText(1, "epsilon"), ...writeInteger(2, 1)))), /attribute's float has wire type 0/],
    ["an attribute's integers of 32 bits", model(writeBytes(1, ...writeBytes(5, ...writeText(1, "pads"), ...fixed(8, 1)))), /wire type 5 of field 8/],
    ["metadata twice", joinPieces([model(one), ...writeBytes(14, ...writeText(1, "k")), ...writeBytes(14, ...writeText(1, "k"))]), /metadata "k" a second time/],
    ["a sparse initialiser", model(writeBytes(15)), /sparse/],
    ["a name that is no UTF-8", model(initialiser([...writeInteger(2, 1), ...writeBytes(8, Uint8Array.of(0xff))])), /not valid UTF-8/],
    ["a control character in a name", model(initialiser([...writeInteger(2, 1), ...writeText(8, "a\u001b")])), /control character/],
  ])("%s", (_, bytes, message) => {
    const error = refusal(bytes);
    expect([error.exitCode, error.message]).toEqual([65, expect.stringMatching(message)]);
    expect(error.message).toMatch(/^strange\.onnx: byte \d+: /);
    expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});

test("random damage and every truncation: a model or a UserError 65, and values that cover their shapes", () => {
  const whole = model(initialiser([...head(1, 2, 3), ...writeBytes(9, floats(1, 2, 3, 4, 5, 6))]), initialiser([...writeInteger(1, 3), ...writeInteger(2, 7), ...writeText(8, "shape"), ...writeInteger(7, 1), ...writeInteger(7, -1), ...writeInteger(7, 9)]), writeBytes(1, ...writeText(1, "w"), ...writeText(2, "y"), ...writeText(4, "Relu")));
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let refused = 0;
  const attempt = (bytes: Uint8Array): void => {
    try {
      for (const { shape, data } of readOnnx(bytes, "fuzzed").tensors.values()) if (data.length < shape.reduce((product, extent) => product * extent, 1)) throw new Error("values are missing");
    } catch (error) {
      if (!(error instanceof UserError) || error.exitCode !== 65) throw error;
      refused++;
    }
  };
  for (let length = 0; length < whole.length; length++) attempt(whole.subarray(0, length));
  expect(refused).toBe(whole.length);
  for (let round = 0; round < 4000; round++) {
    const bytes = whole.slice();
    for (let i = random(3); i >= 0; i--) bytes[random(bytes.length)] = random(2) ? random(256) : bytes[random(bytes.length)]!;
    attempt(bytes);
  }
  expect(refused).toBeGreaterThan(1500);
  expect(looksLikeOnnx(whole)).toBe(true);
});
