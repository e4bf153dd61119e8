// Embeddings as files: the same values back from every format, and names, rows and extensions that do not fit refused.
import { expect, test } from "vitest";
import { parseCsv } from "../../src/data/csv.ts";
import { chooseEmbeddingsFormat, encodeEmbeddings, formatFloat32 } from "../../src/data/embeddings.ts";
import type { Embeddings } from "../../src/data/embeddings.ts";
import { readNpy } from "../../src/data/npy.ts";
import { readSafetensors } from "../../src/data/safetensors.ts";
import { loadFloat32 } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";

const values = Float32Array.of(0.1, -0, 1e-45, 3.4028235e38, 1 / 3, -123456.79);
const embeddings: Embeddings = {
  values,
  count: 3,
  channels: 2,
  columns: new Map<string, readonly string[] | Float64Array>([["id", ["a", 'with "quotes", and µ', ""]], ["x_um", Float64Array.of(0.1, 1e21, -2)]]),
  metadata: new Map([["weights", "abc"]]),
};

test("npy", () => {
  const array = readNpy(encodeEmbeddings(embeddings, "npy"), "e");
  expect(array.shape).toEqual([3, 2]);
  expect(loadFloat32(array)).toEqual(values);
});

test("safetensors, texts by offsets", () => {
  const { tensors, metadata } = readSafetensors(encodeEmbeddings(embeddings, "safetensors"), "e");
  expect([...metadata]).toEqual([["format", "cytonet-features"], ["weights", "abc"]]);
  const main = tensors.get("embeddings");
  expect(main?.shape).toEqual([3, 2]);
  expect(main && loadFloat32(main)).toEqual(values);
  const x = tensors.get("x_um");
  expect(x && [...new Float64Array(x.data.slice().buffer)]).toEqual([0.1, 1e21, -2]);
  const offsets = [...new BigInt64Array((tensors.get("id.offsets")?.data ?? new Uint8Array()).slice().buffer)].map(Number);
  const texts = offsets.slice(1).map((end, i) => new TextDecoder().decode(tensors.get("id")?.data.subarray(offsets[i], end)));
  expect(texts).toEqual(["a", 'with "quotes", and µ', ""]);
});

test("csv, through the table reader", () => {
  const table = parseCsv(encodeEmbeddings(embeddings, "csv"), "e.csv");
  expect(table.header).toEqual(["id", "x_um", "e0", "e1"]);
  expect(table.rows.map((row) => row[0])).toEqual(["a", 'with "quotes", and µ', ""]);
  expect(table.rows.map((row) => Number(row[1]))).toEqual([0.1, 1e21, -2]);
  expect(Float32Array.from(table.rows.flatMap((row) => row.slice(2).map(Number)))).toEqual(values);
  expect(table.rows[0]?.slice(2)).toEqual(["0.1", "-0"]);
});

test("more rows than one part of the table, and no rows", () => {
  const many = encodeEmbeddings({ values: new Float32Array(10_000).map((_, i) => i), count: 10_000, channels: 1 }, "csv");
  const lines = new TextDecoder().decode(many).split("\n");
  expect([lines.length, lines[0], lines[1], lines[4096], lines[10_000], lines[10_001]]).toEqual([10_002, "e0", "0", "4095", "9999", ""]);
  const none: Embeddings = { values: new Float32Array(0), count: 0, channels: 2 };
  expect(new TextDecoder().decode(encodeEmbeddings(none, "csv"))).toBe("e0,e1\n");
  expect(readNpy(encodeEmbeddings(none, "npy"), "e").shape).toEqual([0, 2]);
});

test("digits give the same f32 back, over all exponents", () => {
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (let pattern = 0; pattern < 2 ** 32; pattern += 64_937) {
    bits[0] = pattern;
    if (Number.isFinite(value[0])) expect(Object.is(Math.fround(Number(formatFloat32(value[0]!))), value[0])).toBe(true);
  }
});

test("what is not finite is refused by its row", () => {
  const spoiled = { ...embeddings, values: Float32Array.of(0, 1, 2, NaN, 4, 5) };
  for (const format of ["npy", "safetensors", "csv"] as const) {
    expect(() => encodeEmbeddings(spoiled, format)).toThrow(/NaN in row 1, channel 1/);
    expect(() => encodeEmbeddings(spoiled, format)).toThrow(UserError);
  }
});

test("lengths and names that do not fit", () => {
  expect(() => encodeEmbeddings({ ...embeddings, count: 4 }, "npy")).toThrow(/6 values, expected 4 × 2/);
  expect(() => encodeEmbeddings({ ...embeddings, columns: new Map([["id", ["a"]]]) }, "csv")).toThrow(/column "id" of 1 rows, expected 3/);
  const named = (name: string): Embeddings => ({ ...embeddings, columns: new Map([[name, new Float64Array(3)]]) });
  expect(() => encodeEmbeddings(named("e1"), "csv")).toThrow(/two columns are called "e1"/);
  expect(() => encodeEmbeddings(named("embeddings"), "safetensors")).toThrow(/two columns are called "embeddings"/);
});

test("the extension chooses the format", () => {
  expect(["a.npy", "x/b.SAFETENSORS", "c.d.csv"].map(chooseEmbeddingsFormat)).toEqual(["npy", "safetensors", "csv"]);
  for (const path of ["a", "a.npz", "run.npy/a", "a."]) {
    let error: unknown;
    try {
      chooseEmbeddingsFormat(path);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringContaining("expected one of .npy, .safetensors, .csv") });
  }
});
