// The safetensors format: named tensors and string metadata in one file, read strictly and written with the same bytes every time.
import { EXIT_CODES, UserError } from "../errors.ts";
import { countElements, ELEMENT_BYTES, isElementType } from "./tensors.ts";
import type { ElementType, StoredTensor } from "./tensors.ts";

/** Names are kept in maps: `__proto__` and `../../x` are legal names, and no file name is ever made of one. */
export interface Safetensors {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Map<string, string>;
}

/** Most bytes of a header, as in the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;
/** Stricter than the reference, on purpose: a model has no more tensors or dimensions, a hostile file may. */
const MAX_NAMES = 65_536;
const MAX_RANK = 8;
const METADATA_NAME = "__metadata__";
const LONE_SURROGATE = /\p{Surrogate}/u;

interface HeaderTensor {
  dtype: ElementType;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Reads a whole file. The tensors are views into `bytes`, in the order of the header.
 *
 * Refused beyond the format's own rules: duplicate keys anywhere, unknown fields, integers written as `16.0` or `1e3`,
 * tensors written as arrays, metadata that is not strings, control characters in names, lone surrogates, a byte order
 * mark, more than 65,536 tensors, a rank above 8.
 *
 * @param name how messages call the file
 * @throws UserError 65 that names the file, what is wrong and where
 */
export function readSafetensors(bytes: Uint8Array, name: string): Safetensors {
  const refuse = (what: string): UserError =>
    new UserError(EXIT_CODES.badData, `${name}: ${what}`, ["The file is damaged or is no safetensors file: get it again from where it came, or write it again."]);
  if (bytes.length < 8) throw refuse(`file of ${bytes.length} bytes, expected at least the 8 bytes of the header length`);
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (headerLength > BigInt(MAX_HEADER_BYTES)) throw refuse(`header length ${headerLength} at byte 0, expected at most ${MAX_HEADER_BYTES}`);
  const dataStart = 8 + Number(headerLength);
  if (dataStart > bytes.length) throw refuse(`header length ${headerLength} at byte 0, expected at most the ${bytes.length - 8} bytes that follow`);
  if (bytes[8] !== 0x7b) throw refuse(`header at byte 8 does not start with "{"`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, dataStart));
  } catch (error) {
    // A wrong byte is refused here; a header too long for a string of this platform too.
    throw refuse(`header (bytes 8 to ${dataStart}) is not valid UTF-8 (${error instanceof Error ? error.message : String(error)})`);
  }
  const header = new HeaderReader(text, (what, at) => refuse(`header, character ${at}: ${what}`)).read();

  const dataLength = bytes.length - dataStart;
  const spans = [...header.tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const [tensorName, { dtype, shape, begin, end }] of spans) {
    const at = `tensor ${quote(tensorName)}`;
    const count = countElements(shape);
    const length = count === undefined ? undefined : count * ELEMENT_BYTES[dtype];
    if (length === undefined || !Number.isSafeInteger(length)) throw refuse(`${at}: shape [${shape.join(", ")}] of ${dtype} overflows, expected a size below 2^53 bytes`);
    if (end < begin) throw refuse(`${at}: data_offsets [${begin}, ${end}] run backwards`);
    if (end - begin !== length) throw refuse(`${at}: data_offsets [${begin}, ${end}] span ${end - begin} bytes, expected ${length} for shape [${shape.join(", ")}] of ${dtype}`);
    if (begin > position) throw refuse(`${at}: data begins at ${begin}, expected ${position}: a hole of ${begin - position} bytes before it`);
    if (begin < position) throw refuse(`${at}: data begins at ${begin}, expected ${position}: it overlaps the tensor before it`);
    position = end;
    if (position > dataLength) throw refuse(`${at}: data ends at ${position}, expected at most the ${dataLength} bytes of data in the file: it was cut short`);
  }
  if (position !== dataLength) throw refuse(`${dataLength} bytes of data follow the header, expected ${position}, where the last tensor ends`);

  const tensors = new Map<string, StoredTensor>();
  for (const [tensorName, { dtype, shape, begin, end }] of header.tensors)
    tensors.set(tensorName, { dtype, shape, data: bytes.subarray(dataStart + begin, dataStart + end) });
  return { tensors, metadata: header.metadata };
}

/**
 * The bytes of a file: the same for the same entries in the same order.
 * Tensors lie in the order of the map, those with wider elements first, so that each starts at a multiple of its element
 * size; the header is padded with spaces to a multiple of 8 bytes. Metadata comes first, in the order of its map.
 *
 * @throws UserError 70 for what could not be read back: a shape that does not fit its data, a name with control characters
 */
export function writeSafetensors(tensors: ReadonlyMap<string, StoredTensor>, metadata: ReadonlyMap<string, string> = new Map()): Uint8Array<ArrayBuffer> {
  const refuse = (what: string): UserError => new UserError(EXIT_CODES.internal, `writeSafetensors: ${what}`);
  if (tensors.size > MAX_NAMES) throw refuse(`${tensors.size} tensors, expected at most ${MAX_NAMES}`);
  if (metadata.size > MAX_NAMES) throw refuse(`${metadata.size} metadata entries, expected at most ${MAX_NAMES}`);
  const fields: string[] = [];
  if (metadata.size > 0) {
    for (const [key, value] of metadata) {
      const fault = nameFault(key) ?? (LONE_SURROGATE.test(value) ? "a value with a lone surrogate" : undefined);
      if (fault !== undefined) throw refuse(`metadata ${quote(key)} has ${fault}`);
    }
    fields.push(`"${METADATA_NAME}":{${[...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`);
  }
  const ordered = [...tensors].sort(([, a], [, b]) => ELEMENT_BYTES[b.dtype] - ELEMENT_BYTES[a.dtype]);
  let position = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    const fault = name === METADATA_NAME ? "the name kept for metadata" : nameFault(name);
    if (fault !== undefined) throw refuse(`tensor ${quote(name)} has ${fault}`);
    const fits = shape.length <= MAX_RANK && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    const count = fits ? countElements(shape) : undefined;
    if (count === undefined || count * ELEMENT_BYTES[dtype] !== data.length)
      throw refuse(`tensor ${quote(name)} has shape [${shape.join(", ")}] of ${dtype} and ${data.length} bytes, expected them to agree`);
    fields.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${position},${position + data.length}]}`);
    position += data.length;
  }
  const header = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerLength = Math.ceil(header.length / 8) * 8;
  if (headerLength > MAX_HEADER_BYTES) throw refuse(`header of ${headerLength} bytes, expected at most ${MAX_HEADER_BYTES}`);
  const bytes = new Uint8Array(8 + headerLength + position);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(header, 8);
  bytes.fill(0x20, 8 + header.length, 8 + headerLength);
  let at = 8 + headerLength;
  for (const [, { data }] of ordered) {
    bytes.set(data, at);
    at += data.length;
  }
  return bytes;
}

/** A name as messages show it: escaped, and cut where it is long. */
function quote(name: string): string {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  return JSON.stringify(shown).replace(/[\u007f-\u009f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function nameFault(name: string): string | undefined {
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "a control character in its name";
  return LONE_SURROGATE.test(name) ? "a lone surrogate in its name" : undefined;
}

/**
 * Reads the header's JSON by the schema. JSON.parse hides duplicate keys and takes `16.0` for 16; and as nothing but
 * the schema is followed, a deeply nested header meets no recursion.
 */
class HeaderReader {
  readonly #text: string;
  readonly #refuse: (what: string, at: number) => UserError;
  #at = 0;

  constructor(text: string, refuse: (what: string, at: number) => UserError) {
    this.#text = text;
    this.#refuse = refuse;
  }

  read(): { tensors: Map<string, HeaderTensor>; metadata: Map<string, string> } {
    const tensors = new Map<string, HeaderTensor>();
    let metadata: Map<string, string> | undefined;
    this.#object("the header", (name, at) => {
      if (name === METADATA_NAME) {
        if (metadata !== undefined) throw this.#refuse(`duplicate key ${quote(name)}`, at);
        metadata = this.#metadata();
        return;
      }
      if (tensors.has(name)) throw this.#refuse(`duplicate key ${quote(name)}`, at);
      if (tensors.size === MAX_NAMES) throw this.#refuse(`more than ${MAX_NAMES} tensors`, at);
      tensors.set(name, this.#tensor(name, at));
    });
    this.#space();
    if (this.#at < this.#text.length) throw this.#refuse(`${this.#found()} after the header's end, expected only spaces`, this.#at);
    return { tensors, metadata: metadata ?? new Map() };
  }

  #metadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    this.#object(METADATA_NAME, (key, at) => {
      if (metadata.has(key)) throw this.#refuse(`duplicate key ${quote(key)} in ${METADATA_NAME}`, at);
      if (metadata.size === MAX_NAMES) throw this.#refuse(`more than ${MAX_NAMES} entries in ${METADATA_NAME}`, at);
      metadata.set(key, this.#string(`the value of ${quote(key)} in ${METADATA_NAME}`));
    });
    return metadata;
  }

  #tensor(name: string, start: number): HeaderTensor {
    let dtype: ElementType | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    const tensor = `tensor ${quote(name)}`;
    this.#object(tensor, (field, at) => {
      const once = (before: unknown): void => {
        if (before !== undefined) throw this.#refuse(`duplicate key ${quote(field)} in ${tensor}`, at);
      };
      if (field === "dtype") {
        once(dtype);
        const found = this.#string(`dtype of ${tensor}`);
        if (!isElementType(found)) throw this.#refuse(`dtype ${quote(found)} of ${tensor}, expected one of ${Object.keys(ELEMENT_BYTES).join(", ")}`, at);
        dtype = found;
      } else if (field === "shape") {
        once(shape);
        shape = this.#integers(`shape of ${tensor}`, MAX_RANK);
      } else if (field === "data_offsets") {
        once(offsets);
        offsets = this.#integers(`data_offsets of ${tensor}`, 2);
      } else throw this.#refuse(`unknown field ${quote(field)} in ${tensor}, expected dtype, shape and data_offsets`, at);
    });
    const [begin, end] = offsets ?? [];
    if (dtype === undefined || shape === undefined || begin === undefined || end === undefined) {
      const missing = dtype === undefined ? "no dtype" : shape === undefined ? "no shape" : offsets === undefined ? "no data_offsets" : `${offsets.length} of 2 data_offsets`;
      throw this.#refuse(`${missing} in ${tensor}, expected dtype, shape and data_offsets`, start);
    }
    return { dtype, shape, begin, end };
  }

  /** Reads `{…}` and calls `field` at each value. */
  #object(what: string, field: (key: string, at: number) => void): void {
    this.#expect("{", what);
    if (this.#take("}")) return;
    do {
      this.#space();
      const at = this.#at;
      const key = this.#string(`a key in ${what}`);
      const fault = nameFault(key);
      if (fault !== undefined) throw this.#refuse(`${quote(key)} has ${fault}`, at);
      this.#expect(":", `the value of ${quote(key)}`);
      field(key, at);
    } while (this.#take(","));
    this.#expect("}", `the end of ${what}`);
  }

  #integers(what: string, most: number): number[] {
    const values: number[] = [];
    this.#expect("[", what);
    if (this.#take("]")) return values;
    do {
      if (values.length === most) throw this.#refuse(`more than ${most} numbers in ${what}`, this.#at);
      values.push(this.#integer(what));
    } while (this.#take(","));
    this.#expect("]", `the end of ${what}`);
    return values;
  }

  #integer(what: string): number {
    this.#space();
    const number = /[-+.0-9A-Za-z]*/y;
    number.lastIndex = this.#at;
    const token = number.exec(this.#text)?.[0] ?? "";
    const value = Number(token);
    if (!/^(0|[1-9][0-9]{0,15})$/.test(token) || !Number.isSafeInteger(value))
      throw this.#refuse(`${token === "" ? this.#found() : quote(token)} in ${what}, expected a non-negative integer in plain digits below 2^53`, this.#at);
    this.#at += token.length;
    return value;
  }

  #string(what: string): string {
    this.#expect('"', what, "a string");
    const start = this.#at;
    let escaped = false;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at); // NaN at the end
      if (Number.isNaN(code)) throw this.#refuse(`the header ends inside ${what}`, start);
      if (code < 0x20) throw this.#refuse(`control character ${code} inside ${what}`, this.#at);
      this.#at++;
      if (code === 0x22) break;
      if (code === 0x5c) {
        this.#escape(what);
        escaped = true;
      }
    }
    // All that is left to do is to put characters in place of escapes, which takes less memory where it is done at once.
    const value = escaped ? (JSON.parse(this.#text.slice(start - 1, this.#at)) as string) : this.#text.slice(start, this.#at - 1);
    if (LONE_SURROGATE.test(value)) throw this.#refuse(`a lone surrogate in ${what}`, start);
    return value;
  }

  /** Passes over what stands behind a backslash. */
  #escape(what: string): void {
    const letter = this.#text[this.#at++] ?? "";
    if (letter === "u") {
      const digits = this.#text.slice(this.#at, this.#at + 4);
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) throw this.#refuse(`"\\u${digits}" in ${what}, expected four hexadecimal digits`, this.#at);
      this.#at += 4;
    } else if (!ESCAPES.has(letter)) throw this.#refuse(`${quote(`\\${letter}`)} in ${what}, expected an escape that JSON knows`, this.#at);
  }

  #space(): void {
    const white = /[ \t\n\r]*/y;
    white.lastIndex = this.#at;
    white.exec(this.#text);
    this.#at = white.lastIndex;
  }

  #take(token: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #expect(token: string, what: string, wanted = quote(token)): void {
    if (!this.#take(token)) throw this.#refuse(`${this.#found()} at ${what}, expected ${wanted}`, this.#at);
  }

  #found(): string {
    return this.#at < this.#text.length ? quote(String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0)) : "the header's end";
  }
}

/** What may stand behind a backslash, but for `u`. */
const ESCAPES: ReadonlySet<string> = new Set(['"', "\\", "/", "b", "f", "n", "r", "t"]);
