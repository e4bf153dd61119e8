// .npy: the bytes of numpy.save, and everything else refused before anything is allocated.
import { describe, expect, test } from "vitest";
import { readNpy, writeNpy } from "../../src/data/npy.ts";
import { ELEMENT_BYTES, storeFloat32 } from "../../src/data/tensors.ts";
import type { ElementType } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";

function file(header: string, data = 0, version: readonly [number, number] = [1, 0], length?: number): Uint8Array {
  const head = new TextEncoder().encode(header);
  const start = version[0] === 1 ? 10 : 12;
  const bytes = new Uint8Array(start + head.length + data);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, ...version]);
  const view = new DataView(bytes.buffer);
  if (start === 10) view.setUint16(8, length ?? head.length, true);
  else view.setUint32(8, length ?? head.length, true);
  bytes.set(head, start);
  return bytes;
}

const dict = (descr = "'<f4'", order = "False", shape = "(2, 3)"): string => `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`;

test.each([
  // Whole files as NumPy 2.4 writes them: numpy.save of float32 [[1, 2]], int64 [], float64 1.5.
  [[1, 2], `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }`, "F32", [0, 0, 128, 63, 0, 0, 0, 64]],
  [[0], `{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }`, "I64", []],
  [[], `{'descr': '<f8', 'fortran_order': False, 'shape': (), }`, "F64", [0, 0, 0, 0, 0, 0, 248, 63]],
] as [number[], string, ElementType, number[]][])("shape %j as NumPy", (shape, header, dtype, data) => {
  const bytes = writeNpy({ dtype, shape, data: Uint8Array.from(data) });
  const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, 0x76, 0];
  expect([...bytes]).toEqual([...start, ...new TextEncoder().encode(`${header.padEnd(117)}\n`), ...data]);
});

test("every element type that NumPy has comes back; BF16 is refused", () => {
  for (const dtype of Object.keys(ELEMENT_BYTES) as ElementType[]) {
    const tensor = { dtype, shape: [3, 5], data: new Uint8Array(15 * ELEMENT_BYTES[dtype]).map((_, i) => i) };
    if (dtype === "BF16") expect(() => writeNpy(tensor)).toThrow(/BF16/);
    else expect(readNpy(writeNpy(tensor), "x")).toEqual(tensor);
  }
});

test("the data start at a multiple of 64 for any shape, and large shapes fit", () => {
  for (let rank = 0; rank <= 32; rank++) {
    const shape = Array.from({ length: rank }, (_, i) => (i === 0 ? 12_345 : 0));
    if (rank === 1) shape[0] = 0;
    const data = new Uint8Array(rank === 0 ? 4 : 0);
    const bytes = writeNpy({ dtype: "F32", shape, data });
    expect((bytes.length - data.length) % 64).toBe(0);
    expect(readNpy(bytes, "x").shape).toEqual(shape);
  }
});

test("other writers: versions 2.0 and 3.0, any order, double quotes, no padding, vectors in Fortran order", () => {
  expect(readNpy(file(dict(), 24, [2, 0]), "x").shape).toEqual([2, 3]);
  expect(readNpy(file(dict(), 24, [3, 0]), "x").shape).toEqual([2, 3]);
  expect(readNpy(file(`{"shape":(6,),"descr":"|u1","fortran_order":False}`, 6), "x").dtype).toBe("U8");
  expect(readNpy(file(dict("'<f4'", "True", "(1, 6, 1)"), 24), "x").shape).toEqual([1, 6, 1]);
});

describe("malformed files", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /no \.npy signature/],
    ["another signature", new TextEncoder().encode("PK\u0003\u0004 and more bytes"), /no \.npy signature/],
    ["version 4", file(dict(), 24, [4, 0]), /version 4\.0/],
    ["version 1.1", file(dict(), 24, [1, 1]), /version 1\.1/],
    ["version 2 of 10 bytes", file(dict(), 24, [2, 0]).slice(0, 10), /10 bytes, expected at least 12/],
    ["a header that runs past the end", file(dict(), 0, [1, 0], 60_000), /header of 60000 bytes, expected at most the/],
    ["a header of 4 GiB", file(dict(), 24, [2, 0], 0xffffffff), /header of 4294967295 bytes, expected at most 65535/],
    ["an 80-byte file that claims 32 GiB", file(dict("'<f8'", "False", "(65536, 65536)").padEnd(70)), /0 bytes of data, expected 34359738368/],
    ["a shape that overflows", file(dict("'<f8'", "False", "(4294967296, 4294967296)")), /expected 2\^53 or more/],
    ["a shape that overflows before a zero", file(dict("'<f8'", "False", "(4294967296, 4294967296, 0)")), /expected 2\^53 or more/],
    ["a size of 2^53", file(dict("'<f8'", "False", "(9007199254740992,)")), /expected one below 2\^53/],
    ["data cut short", file(dict(), 23), /23 bytes of data, expected 24/],
    ["data too long", file(dict(), 25), /25 bytes of data, expected 24/],
    ["big-endian", file(dict("'>f4'"), 24), /element type ">f4"/],
    ["objects", file(dict("'|O'"), 24), /element type "\|O"/],
    ["texts", file(dict("'<U3'"), 24), /element type "<U3"/],
    ["complex numbers", file(dict("'<c8'"), 48), /element type "<c8"/],
    ["a type by prototype", file(dict("'constructor'"), 24), /element type "constructor"/],
    ["a table of columns", file(dict("[('a', '<f4')]"), 24), /expected the element type of a plain array/],
    ["Fortran order", file(dict("'<f4'", "True"), 24), /fortran_order True, expected False/],
    ["a number for order", file(dict("'<f4'", "0"), 24), /expected True or False/],
    ["a float as a size", file(dict("'<f4'", "False", "(2.0, 3)"), 24), /expected "," or "\)"/],
    ["minus one", file(dict("'<f4'", "False", "(-1, 3)"), 24), /expected a non-negative integer/],
    ["leading zeros", file(dict("'<f4'", "False", "(02, 3)"), 24), /expected "," or "\)"/],
    ["a number in brackets", file(dict("'<f4'", "False", "(6)"), 24), /expected a tuple/],
    ["only a comma", file(dict("'<f4'", "False", "(,)"), 24), /expected a non-negative integer/],
    ["33 dimensions", file(dict("'<f4'", "False", `(${"1, ".repeat(33)})`), 4), /more than 32 dimensions/],
    ["a key twice", file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4), /key descr twice/],
    ["a shape twice", file("{'shape': (), 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4), /key shape twice/],
    ["an unknown key", file("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", 4), /key x, expected/],
    ["a missing key", file("{'descr': '<f4', 'shape': ()}", 4), /without descr, fortran_order or shape/],
    ["an empty dict", file("{}", 4), /without descr/],
    ["no dict", file("('<f4', False, ())", 4), /expected "\{"/],
    ["code after the dict", file(`${dict().trim()} + x`, 24), /after the end/],
    ["an escape", file(dict("'\\x3cf4'"), 24), /expected the element type/],
    ["a letter outside ASCII", file(dict("'µ'"), 24), /element type "µ"/],
    ["not UTF-8", file(dict("'~'"), 24).map((byte) => (byte === 0x7e ? 0xff : byte)), /not ASCII/],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    let error: unknown;
    try {
      readNpy(bytes, "a.npy");
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof UserError)) throw new Error(`expected a UserError, got ${String(error)}`);
    expect(error.exitCode).toBe(65);
    expect(error.message).toMatch(/^a\.npy: /);
    expect(error.message).toMatch(message);
  });
});

test("random damage to the header: nothing but a UserError 65 comes out, and what is accepted has its data", () => {
  const whole = writeNpy(storeFloat32(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]));
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    const bytes = whole.slice(0, random(5) === 0 ? random(whole.length) : whole.length);
    for (let i = 0; i < 1 + random(3); i++) {
      const at = random(Math.min(80, bytes.length));
      if (random(2)) bytes[at] = "{}()',:0123456789<>fiTrue \n".charCodeAt(random(27));
      else bytes[at] = random(256);
    }
    try {
      const { dtype, shape, data } = readNpy(bytes, "x");
      expect(shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype])).toBe(data.length);
    } catch (error) {
      if (!(error instanceof UserError) || error.exitCode !== 65) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(3000);
});
