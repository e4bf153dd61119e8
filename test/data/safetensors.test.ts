// safetensors: what is written is read back; everything malformed is refused with the file's name and the reason.
import { describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.ts";
import { ELEMENT_BYTES, loadFloat32, storeFloat32, toLittleEndian } from "../../src/data/tensors.ts";
import type { ElementType, StoredTensor } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";

/** A file from a header as text (or bytes) and its data; `length` lies about the header's length. */
function file(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const head = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + head.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(head.length), true);
  bytes.set(head, 8);
  return bytes;
}

function refusal(bytes: Uint8Array): UserError {
  try {
    readSafetensors(bytes, "strange.safetensors");
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

const entry = (shape = "[2]", offsets = "[0,8]", dtype = '"F32"'): string => `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;

describe("round trip", () => {
  test("every element type, empty and scalar tensors, strange names and metadata", () => {
    const tensors = new Map<string, StoredTensor>();
    for (const [i, dtype] of (Object.keys(ELEMENT_BYTES) as ElementType[]).entries())
      tensors.set(`t.${dtype}`, { dtype, shape: [3, 1], data: new Uint8Array(3 * ELEMENT_BYTES[dtype]).map((_, j) => i * 31 + j) });
    tensors.set("scalar", storeFloat32(Float32Array.of(2.5), []));
    tensors.set("empty", { dtype: "I64", shape: [0, 7], data: new Uint8Array(0) });
    for (const name of ["__proto__", "constructor", "../../x", "", 'quote " \\ slash', "层 𝛼"]) tensors.set(name, { dtype: "U8", shape: [1], data: Uint8Array.of(9) });
    const metadata = new Map([["__proto__", "a"], ["config", '{"a":"\\n"}\n'], ["", ""]]);
    const bytes = writeSafetensors(tensors, metadata);
    const back = readSafetensors(bytes, "x");
    expect([...back.metadata]).toEqual([...metadata]);
    expect(new Set(back.tensors.keys())).toEqual(new Set(tensors.keys()));
    for (const [name, tensor] of tensors) expect(back.tensors.get(name), name).toEqual(tensor);
    expect(writeSafetensors(back.tensors, back.metadata)).toEqual(bytes);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  test("the bytes are the ones of the format, and each tensor starts at a multiple of its element size", () => {
    const bytes = writeSafetensors(
      new Map<string, StoredTensor>([["b", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) }], ["a", { dtype: "F32", shape: [1], data: Uint8Array.of(0, 0, 128, 63) }]]),
      new Map([["k", "v"]]),
    );
    const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8, " ");
    expect([...bytes]).toEqual([...[padded.length, 0, 0, 0, 0, 0, 0, 0], ...new TextEncoder().encode(padded), 0, 0, 128, 63, 1, 2, 3]);
  });

  test("a file of another writer: white space, any order of fields and tensors, escapes, unpadded", () => {
    const { tensors, metadata } = readSafetensors(
      file('{ "second" : {"data_offsets":[4,\t12],"shape":[ 2 ],"dtype":"F32"},"f\\u0069rst":{"dtype":"I16","shape":[2,1],"data_offsets":[0,4]},\n"__metadata__":{"format":"pt"}}  ', 12),
      "x",
    );
    expect([...tensors.keys()]).toEqual(["second", "first"]);
    expect(tensors.get("second")?.data.length).toBe(8);
    expect([...metadata]).toEqual([["format", "pt"]]);
  });

  test("the smallest file, and a view at an odd offset", () => {
    expect(readSafetensors(file("{}"), "x").tensors.size).toBe(0);
    const bytes = writeSafetensors(new Map([["a", storeFloat32(Float32Array.of(1, -2), [2])]]));
    const odd = new Uint8Array(bytes.length + 3);
    odd.set(bytes, 3);
    const tensor = readSafetensors(odd.subarray(3), "x").tensors.get("a");
    expect(tensor && [...(loadFloat32(tensor) ?? [])]).toEqual([1, -2]);
  });
});

describe("malformed files", () => {
  const wide = Array.from({ length: 65_537 }, (_, i) => `"${i}":${entry("[0]", "[0,0]")}`).join(",");
  const cases: [name: string, bytes: Uint8Array, message: RegExp][] = [
    ["nothing", new Uint8Array(0), /file of 0 bytes/],
    ["7 bytes", new Uint8Array(7), /file of 7 bytes/],
    ["a header longer than the file", file("{}", 0, 3n), /header length 3 .* at most the 2 bytes/],
    ["a header of 100,000,001 bytes", file("{}", 0, 100_000_001n), /header length 100000001 .* at most 100000000/],
    ["a header of 2^64 - 1 bytes", file("{}", 0, 2n ** 64n - 1n), /header length 18446744073709551615/],
    ["an empty header", file("", 4), /does not start with "\{"/],
    ["a header of one brace", file("{"), /the header's end at a key/],
    ["a byte order mark", file("\ufeff{}"), /does not start with "\{"/],
    ["a leading space", file(" {}"), /does not start with "\{"/],
    ["an array", file("[]"), /does not start with "\{"/],
    ["not UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /not valid UTF-8/],
    ["an overlong encoding", file(Uint8Array.of(0x7b, 0x22, 0xc0, 0xa2, 0x22, 0x7d)), /not valid UTF-8/],
    ["a surrogate in UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d)), /not valid UTF-8/],
    ["text after the end", file(`{"a":${entry()}} x`, 8), /"x" after the header's end/],
    ["a second object", file("{}{}"), /"\{" after the header's end/],
    ["an unclosed object", file(`{"a":${entry()}`, 8), /the header's end at the end of the header/],
    ["an unclosed string", file('{"a'), /the header ends inside a key/],
    ["a trailing comma", file(`{"a":${entry()},}`, 8), /"\}" at a key in the header, expected a string/],
    ["a comma in front", file(`{,"a":${entry()}}`, 8), /"," at a key/],
    ["single quotes", file("{'a':1}"), /"'" at a key/],
    ["a comment", file("{/**/}"), /"\/" at a key/],
    ["NUL padding", file(`{"a":${entry()}}\0`, 8), /after the header's end/],
    ["a duplicate tensor", file(`{"a":${entry()},"a":${entry()}}`, 8), /duplicate key "a"/],
    ["a duplicate tensor by an escape", file(`{"a":${entry()},"\\u0061":${entry()}}`, 8), /duplicate key "a"/],
    ["a duplicate __proto__", file(`{"__proto__":${entry()},"__proto__":${entry()}}`, 8), /duplicate key "__proto__"/],
    ["duplicate metadata", file('{"__metadata__":{},"__metadata__":{}}'), /duplicate key "__metadata__"/],
    ["a duplicate metadata key", file('{"__metadata__":{"a":"1","a":"2"}}'), /duplicate key "a" in __metadata__/],
    ["a duplicate field", file('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8), /duplicate key "dtype" in tensor "a"/],
    ["a duplicate shape", file('{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', 8), /duplicate key "shape"/],
    ["duplicate offsets", file('{"a":{"dtype":"F32","data_offsets":[0,8],"shape":[2],"data_offsets":[0,8]}}', 8), /duplicate key "data_offsets"/],
    ["an unknown field", file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[4]}}', 8), /unknown field "strides" in tensor "a"/],
    ["no dtype", file('{"a":{"shape":[2],"data_offsets":[0,8]}}', 8), /no dtype in tensor "a"/],
    ["no shape", file('{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8), /no shape in tensor "a"/],
    ["no offsets", file('{"a":{"dtype":"F32","shape":[2]}}', 8), /no data_offsets in tensor "a"/],
    ["one offset", file(`{"a":${entry("[2]", "[0]")}}`, 8), /1 of 2 data_offsets/],
    ["three offsets", file(`{"a":${entry("[2]", "[0,8,8]")}}`, 8), /more than 2 numbers/],
    ["an unknown dtype", file(`{"a":${entry("[2]", "[0,8]", '"F31"')}}`, 8), /dtype "F31" of tensor "a", expected one of F64/],
    ["a dtype by prototype", file(`{"a":${entry("[2]", "[0,8]", '"toString"')}}`, 8), /dtype "toString"/],
    ["a dtype in lower case", file(`{"a":${entry("[2]", "[0,8]", '"f32"')}}`, 8), /dtype "f32"/],
    ["a dtype that is a number", file(`{"a":${entry("[2]", "[0,8]", "32")}}`, 8), /expected a string/],
    ["a tensor as an array", file('{"a":["F32",[2],[0,8]]}', 8), /"\[" at tensor "a", expected "\{"/],
    ["a tensor that is null", file('{"a":null}'), /"n" at tensor "a"/],
    ["metadata that is a number", file('{"__metadata__":{"a":1}}'), /"1" at the value of "a" in __metadata__, expected a string/],
    ["metadata that is null", file('{"__metadata__":null}'), /expected "\{"/],
    ["nested metadata", file('{"__metadata__":{"a":{}}}'), /expected a string/],
    ["a float as a size", file(`{"a":${entry("[2.0]")}}`, 8), /"2.0" in shape of tensor "a", expected a non-negative integer/],
    ["a float as an offset", file(`{"a":${entry("[2]", "[0,8.0]")}}`, 8), /"8.0" in data_offsets/],
    ["an exponent", file(`{"a":${entry("[2e0]")}}`, 8), /"2e0"/],
    ["minus one", file(`{"a":${entry("[-1]")}}`, 8), /"-1"/],
    ["minus zero", file(`{"a":${entry("[2]", "[-0,8]")}}`, 8), /"-0"/],
    ["plus", file(`{"a":${entry("[+2]")}}`, 8), /"\+2"/],
    ["leading zeros", file(`{"a":${entry("[02]")}}`, 8), /"02"/],
    ["hexadecimal", file(`{"a":${entry("[0x2]")}}`, 8), /"0x2"/],
    ["NaN", file(`{"a":${entry("[NaN]")}}`, 8), /"NaN"/],
    ["true", file(`{"a":${entry("[true]")}}`, 8), /"true"/],
    ["a size as a string", file(`{"a":${entry('["2"]')}}`, 8), /in shape of tensor/],
    ["a size of 2^53", file(`{"a":${entry("[9007199254740992]")}}`, 8), /below 2\^53/],
    ["a very long number", file(`{"a":${entry(`[${"9".repeat(100_000)}]`)}}`, 8), /below 2\^53/],
    ["an empty element", file(`{"a":${entry("[2,]")}}`, 8), /"\]" in shape/],
    ["a rank of 9", file(`{"a":${entry("[1,1,1,1,1,1,1,1,2]")}}`, 8), /more than 8 numbers in shape/],
    ["a shape that overflows", file(`{"a":${entry("[4294967296,4294967296]")}}`, 8), /overflows/],
    ["a shape that overflows before a zero", file(`{"a":${entry("[4294967296,4294967296,0]", "[0,0]")}}`), /overflows/],
    ["a byte count that overflows", file(`{"a":${entry("[4503599627370496]")}}`, 8), /overflows/],
    ["a span that is too short", file(`{"a":${entry("[2]", "[0,4]")}}`, 4), /span 4 bytes, expected 8/],
    ["a span that is too long", file(`{"a":${entry("[2]", "[0,12]")}}`, 12), /span 12 bytes, expected 8/],
    ["a span that runs backwards", file(`{"a":${entry("[2]", "[8,0]")}}`, 8), /run backwards/],
    ["a hole at the start", file(`{"a":${entry("[2]", "[4,12]")}}`, 12), /a hole of 4 bytes/],
    ["a hole in the middle", file(`{"a":${entry()},"b":${entry("[2]", "[9,17]")}}`, 17), /tensor "b": .* a hole of 1 bytes/],
    ["an overlap", file(`{"a":${entry()},"b":${entry("[2]", "[7,15]")}}`, 15), /tensor "b": .* overlaps/],
    ["twice the same span", file(`{"a":${entry()},"b":${entry()}}`, 8), /overlaps/],
    ["an empty tensor inside another", file(`{"a":${entry()},"b":${entry("[0]", "[4,4]")}}`, 8), /overlaps/],
    ["data cut short", file(`{"a":${entry()}}`, 7), /data ends at 8, expected at most the 7 bytes/],
    ["data that nobody owns", file(`{"a":${entry()}}`, 9), /9 bytes of data follow the header, expected 8/],
    ["data without tensors", file("{}", 1), /1 bytes of data/],
    ["a raw line feed in a name", file(`{"a\n":${entry()}}`, 8), /control character 10/],
    ["an escaped NUL in a name", file(`{"a\\u0000":${entry()}}`, 8), /"a\\u0000" has a control character/],
    ["an escaped DEL in a name", file(`{"a\\u007f":${entry()}}`, 8), /"a\\u007f" has a control character/],
    ["a terminal sequence in a name", file(`{"a\\u009b31m":${entry()}}`, 8), /"a\\u009b31m" has a control character/],
    ["a control character in a metadata key", file('{"__metadata__":{"\\u001b":"x"}}'), /control character/],
    ["a lone surrogate in a name", file(`{"\\ud800":${entry()}}`, 8), /lone surrogate/],
    ["a lone surrogate in metadata", file('{"__metadata__":{"a":"\\udc00x"}}'), /lone surrogate/],
    ["an unknown escape", file('{"\\x41":1}'), /expected an escape that JSON knows/],
    ["a broken \\u escape", file('{"\\u00g0":1}'), /expected four hexadecimal digits/],
    ["65,537 tensors", file(`{${wide}}`), /more than 65536 tensors/],
    ["65,537 metadata entries", file(`{"__metadata__":{${Array.from({ length: 65_537 }, (_, i) => `"${i}":""`).join(",")}}}`), /more than 65536 entries/],
    ["a million open brackets", file(`{"a":${"[".repeat(1_000_000)}`), /expected "\{"/],
    ["a million open objects", file(`{"a":{"shape":${'{"a":'.repeat(200_000)}`), /expected "\["/],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    const error = refusal(bytes);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^strange\.safetensors: /);
    expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(error.message.length).toBeLessThan(500);
    expect(error.exitCode).toBe(65);
    expect(error.notes.length).toBeGreaterThan(0);
  });

  test("65,536 tensors are accepted", () => {
    const most = Array.from({ length: 65_536 }, (_, i) => `"${i}":${entry("[0]", "[0,0]")}`).join(",");
    expect(readSafetensors(file(`{${most}}`), "x").tensors.size).toBe(65_536);
  });
});

test("random damage: nothing but a UserError 65 comes out, and what is accepted covers the data exactly", () => {
  const whole = writeSafetensors(
    new Map<string, StoredTensor>([
      ["encoder.weight", storeFloat32(Float32Array.from({ length: 12 }, (_, i) => i / 3), [3, 4])],
      ["steps", { dtype: "I64", shape: [1], data: new Uint8Array(8) }],
      ["mask", { dtype: "BOOL", shape: [5], data: new Uint8Array(5) }],
    ]),
    new Map([["format", "cytonet"]]),
  );
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const headerEnd = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    let bytes = whole.slice();
    const edits = 1 + random(3);
    for (let i = 0; i < edits; i++) {
      const at = random(headerEnd);
      if (random(2)) bytes[at] = bytes[at]! ^ (1 << random(8));
      else bytes[at] = '{}[]",:0123456789.e-\\u \n'.charCodeAt(random(23));
    }
    if (random(4) === 0) bytes = bytes.subarray(0, random(bytes.length));
    try {
      const { tensors } = readSafetensors(bytes, "fuzzed");
      let total = 0;
      for (const tensor of tensors.values()) total += tensor.data.length;
      expect(total).toBe(whole.length - headerEnd);
    } catch (error) {
      if (!(error instanceof UserError) || error.exitCode !== 65) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(2000);
});

test("every truncation is refused", () => {
  const whole = writeSafetensors(new Map([["a", storeFloat32(Float32Array.of(1, 2, 3), [3])], ["b", storeFloat32(Float32Array.of(4), [])]]));
  for (let length = 0; length < whole.length; length++) expect(refusal(whole.slice(0, length)).exitCode).toBe(65);
});

test("the writer refuses what could not be read back", () => {
  const one = storeFloat32(Float32Array.of(1), [1]);
  const write = (name: string, tensor: StoredTensor, metadata?: Map<string, string>) => () => writeSafetensors(new Map([[name, tensor]]), metadata);
  expect(write("a", { ...one, shape: [2] })).toThrow(/shape \[2\] of F32 and 4 bytes/);
  expect(write("a", { ...one, shape: [1.5] })).toThrow(UserError);
  expect(write("a", { ...one, shape: [-1] })).toThrow(UserError);
  expect(write("a", { ...one, shape: Array.from({ length: 9 }, () => 1) })).toThrow(UserError);
  expect(write("a\n", one)).toThrow(/control character/);
  expect(write("\ud800", one)).toThrow(/lone surrogate/);
  expect(write("__metadata__", one)).toThrow(/kept for metadata/);
  expect(write("a", one, new Map([["k", "\udc00"]]))).toThrow(/lone surrogate/);
});

describe("values as f32", () => {
  test("F16: zeros, subnormals, normals, infinities, NaN, each exact", () => {
    const data = toLittleEndian(Uint16Array.of(0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e00));
    const values = loadFloat32({ dtype: "F16", shape: [11], data });
    expect([...(values ?? [])]).toEqual([0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity, NaN]);
  });
  test("BF16, F64, and integers are none", () => {
    expect([...(loadFloat32({ dtype: "BF16", shape: [3], data: toLittleEndian(Uint16Array.of(0x3f80, 0xc049, 0x7f80)) }) ?? [])]).toEqual([1, -3.140625, Infinity]);
    expect([...(loadFloat32({ dtype: "F64", shape: [1], data: toLittleEndian(Float64Array.of(0.1)) }) ?? [])]).toEqual([Math.fround(0.1)]);
    expect(loadFloat32({ dtype: "I32", shape: [1], data: new Uint8Array(4) })).toBeUndefined();
  });
});
