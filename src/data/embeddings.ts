// Embeddings as a file: NumPy array, safetensors or CSV, by the extension of its name.
import { EXIT_CODES, UserError } from "../errors.ts";
import { formatCsvRow } from "./csv.ts";
import { writeNpy } from "./npy.ts";
import { writeSafetensors } from "./safetensors.ts";
import { storeFloat32, toLittleEndian } from "./tensors.ts";
import type { StoredTensor } from "./tensors.ts";

export interface Embeddings {
  /** [count, channels] */
  readonly values: Float32Array;
  readonly count: number;
  readonly channels: number;
  /** [count] each, by name: identifiers, section, coordinates. A .npy file has no place for them. */
  readonly columns?: ReadonlyMap<string, readonly string[] | Float64Array>;
  /** What made them (weights' hash, data set): into the metadata of a .safetensors file. */
  readonly metadata?: ReadonlyMap<string, string>;
}

const FORMATS = ["npy", "safetensors", "csv"] as const;
export type EmbeddingsFormat = (typeof FORMATS)[number];

/** What the metadata of a .safetensors file call it, so that it passes for no weights. */
export const FEATURES = "cytonet-features";

/** The format that a file's name asks for. Call it before any work. @throws UserError 2 for another extension */
export function chooseEmbeddingsFormat(path: string): EmbeddingsFormat {
  const extension = /\.([^./\\]+)$/.exec(path)?.[1]?.toLowerCase();
  const format = FORMATS.find((name) => name === extension);
  if (format === undefined)
    throw new UserError(EXIT_CODES.usage, `--out ${path}: ${extension === undefined ? "no extension" : `extension .${extension}`}, expected one of ${FORMATS.map((name) => `.${name}`).join(", ")}`);
  return format;
}

/**
 * The bytes of a file.
 *
 * - `.npy`: f32 array [count, channels].
 * - `.safetensors`: F32 tensor `embeddings` [count, channels]; a column of numbers is an F64 tensor [count] by its name; a
 *   column of texts is their UTF-8 one after the other, U8, with `NAME.offsets`, I64 [count + 1]: row i is bytes offsets[i] to offsets[i + 1].
 * - `.csv`: the columns, then `e0`, `e1`, …; at most nine digits, which give the same f32 back.
 *
 * @throws UserError 70 for a value that is not finite, naming the row: it would spoil whatever is computed from the file
 */
export function encodeEmbeddings(embeddings: Embeddings, format: EmbeddingsFormat): Uint8Array<ArrayBuffer> {
  check(embeddings);
  const { values, count, channels } = embeddings;
  switch (format) {
    case "npy":
      return writeNpy(storeFloat32(values, [count, channels]));
    case "safetensors":
      return writeSafetensors(listTensors(embeddings), new Map([["format", FEATURES], ...(embeddings.metadata ?? [])]));
    case "csv":
      return encodeTable(embeddings);
  }
}

function check({ values, count, channels, columns }: Embeddings): void {
  const refuse = (what: string): UserError => new UserError(EXIT_CODES.internal, `embeddings: ${what}`);
  if (values.length !== count * channels) throw refuse(`${values.length} values, expected ${count} × ${channels}`);
  for (const [name, column] of columns ?? []) if (column.length !== count) throw refuse(`column ${JSON.stringify(name)} of ${column.length} rows, expected ${count}`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw refuse(`${values[bad]} in row ${Math.floor(bad / channels)}, channel ${bad % channels}, expected finite values`);
}

function listTensors({ values, count, channels, columns }: Embeddings): Map<string, StoredTensor> {
  const tensors = new Map([["embeddings", storeFloat32(values, [count, channels])]]);
  const add = (name: string, tensor: StoredTensor): void => {
    if (tensors.has(name)) throw nameTaken(name);
    tensors.set(name, tensor);
  };
  for (const [name, column] of columns ?? []) {
    if (column instanceof Float64Array) {
      add(name, { dtype: "F64", shape: [count], data: toLittleEndian(column) });
      continue;
    }
    const texts = column.map((text) => new TextEncoder().encode(text));
    const offsets = new BigInt64Array(count + 1);
    let end = 0;
    for (const [i, text] of texts.entries()) offsets[i + 1] = BigInt((end += text.length));
    const data = new Uint8Array(end);
    for (const [i, text] of texts.entries()) data.set(text, Number(offsets[i]));
    add(name, { dtype: "U8", shape: [end], data });
    add(`${name}.offsets`, { dtype: "I64", shape: [count + 1], data: toLittleEndian(offsets) });
  }
  return tensors;
}

function nameTaken(name: string): UserError {
  return new UserError(EXIT_CODES.badData, `embeddings: two columns are called ${JSON.stringify(name)}, expected different names`, ["Rename the column of the data set, or write to a .npy file, which has no columns."]);
}

function encodeTable({ values, count, channels, columns = new Map() }: Embeddings): Uint8Array<ArrayBuffer> {
  const header = [...columns.keys(), ...Array.from({ length: channels }, (_, i) => `e${i}`)];
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined) throw nameTaken(twice);
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  const lines = [formatCsvRow(header)];
  const sides = [...columns.values()];
  for (let row = 0; row < count; row++) {
    const side = sides.map((column) => String(column[row]));
    const main = Array.from(values.subarray(row * channels, (row + 1) * channels), formatFloat32);
    lines.push(formatCsvRow([...side, ...main]));
    // In parts, as a string has a greatest length.
    if (lines.length >= 4096) parts.push(encoder.encode(lines.splice(0).join("")));
  }
  parts.push(encoder.encode(lines.join("")));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** As few of 6 to 9 digits as give the same f32 back; nine always do (IEEE 754, 5.12.2). */
export function formatFloat32(value: number): string {
  if (Object.is(value, -0)) return "-0";
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(Number(value.toPrecision(9)));
}
