// NumPy's array files (.npy): read strictly, written as numpy.save does.
import { EXIT_CODES, UserError } from "../errors.ts";
import { countElements, ELEMENT_BYTES } from "./tensors.ts";
import type { ElementType, StoredTensor } from "./tensors.ts";

const DESCRIPTIONS: ReadonlyMap<string, ElementType> = new Map([
  ["<f8", "F64"], ["<f4", "F32"], ["<f2", "F16"],
  ["<i8", "I64"], ["<i4", "I32"], ["<i2", "I16"], ["|i1", "I8"],
  ["<u8", "U64"], ["<u4", "U32"], ["<u2", "U16"], ["|u1", "U8"],
  ["|b1", "BOOL"],
]);

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59); // \x93NUMPY
/** A plain array's header takes less than 200 bytes; more is a table of columns, which this reader does not take, or an attack. */
const MAX_HEADER_BYTES = 65_535;
const MAX_RANK = 32;

/**
 * Reads a whole file (format 1.0 to 3.0). The data are a view into `bytes`: nothing is allocated, whatever the header claims.
 *
 * @param name how messages call the file
 * @throws UserError 65: not a plain little-endian array in C order, or not exactly as long as its header says
 */
export function readNpy(bytes: Uint8Array, name: string): StoredTensor {
  const refuse = (what: string, remedy = "The file is damaged or is no .npy file: write it again with numpy.save."): UserError => new UserError(EXIT_CODES.badData, `${name}: ${what}`, [remedy]);
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) throw refuse("no .npy signature at byte 0");
  const major = bytes[6] ?? 0;
  if (major < 1 || major > 3 || bytes[7] !== 0) throw refuse(`format version ${major}.${bytes[7]}, expected 1.0, 2.0 or 3.0`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerStart = major === 1 ? 10 : 12;
  if (bytes.length < headerStart) throw refuse(`${bytes.length} bytes, expected at least ${headerStart}`);
  const headerLength = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataStart = headerStart + headerLength;
  if (headerLength > MAX_HEADER_BYTES) throw refuse(`header of ${headerLength} bytes, expected at most ${MAX_HEADER_BYTES}`);
  if (dataStart > bytes.length) throw refuse(`header of ${headerLength} bytes, expected at most the ${bytes.length - headerStart} that follow`);
  let text: string;
  try {
    // Latin-1 by the format before 3.0; all that is accepted below is ASCII, which is the same in both.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(headerStart, dataStart));
  } catch {
    throw refuse("characters in the header that are not ASCII, expected a plain array");
  }
  const { descr, fortran, shape } = parseHeader(text, refuse);
  const dtype = DESCRIPTIONS.get(descr);
  if (dtype === undefined) {
    const remedy = descr.startsWith(">") ? "It is big-endian: save it with array.astype(array.dtype.newbyteorder('<'))." : "Save it as one of these types: array.astype('<f4').";
    throw refuse(`element type ${JSON.stringify(descr.slice(0, 40))}, expected one of ${[...DESCRIPTIONS.keys()].join(", ")}`, remedy);
  }
  const count = countElements(shape);
  const length = count === undefined ? undefined : count * ELEMENT_BYTES[dtype];
  const found = bytes.length - dataStart;
  if (length !== found)
    throw refuse(`${found} bytes of data, expected ${length === undefined || !Number.isSafeInteger(length) ? "2^53 or more" : length} for shape (${shape.join(", ")}) of ${descr}`);
  if (fortran && shape.filter((size) => size > 1).length > 1) throw refuse("fortran_order True, expected False", "Save it in C order: numpy.ascontiguousarray(array).");
  return { dtype, shape, data: bytes.subarray(dataStart) };
}

/** The header is a Python dict with exactly three keys; `refuse` gets what is wrong with it. */
function parseHeader(text: string, refuse: (what: string) => UserError): { descr: string; fortran: boolean; shape: number[] } {
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    const sticky = new RegExp(`[ \\t]*(${pattern.source})`, "y");
    sticky.lastIndex = at;
    const match = sticky.exec(text);
    if (match === null) return undefined;
    at = sticky.lastIndex;
    return match[1];
  };
  const need = (pattern: RegExp, what: string): string => {
    const found = take(pattern);
    if (found === undefined) throw refuse(`header, character ${at}: ${JSON.stringify(text.slice(at, at + 20))}, expected ${what}`);
    return found;
  };
  let descr: string | undefined;
  let fortran: boolean | undefined;
  let shape: number[] | undefined;
  need(/\{/, '"{"');
  while (take(/\}/) === undefined) {
    const key = need(/'[a-z_]*'|"[a-z_]*"/, "a key").slice(1, -1);
    const once = (before: unknown): void => {
      if (before !== undefined) throw refuse(`header: key ${key} twice`);
    };
    need(/:/, '":"');
    if (key === "descr") {
      once(descr);
      descr = need(/'[^'"\\]*'|"[^'"\\]*"/, "the element type of a plain array").slice(1, -1);
    } else if (key === "fortran_order") {
      once(fortran);
      fortran = need(/True|False/, "True or False") === "True";
    } else if (key === "shape") {
      once(shape);
      shape = [];
      need(/\(/, '"("');
      while (take(/\)/) === undefined) {
        if (shape.length === MAX_RANK) throw refuse(`header: more than ${MAX_RANK} dimensions`);
        const digits = need(/0|[1-9][0-9]*/, "a non-negative integer");
        const size = Number(digits);
        if (!Number.isSafeInteger(size)) throw refuse(`header: size ${digits.slice(0, 40)}, expected one below 2^53`);
        shape.push(size);
        // Python's tuple of one has a comma, (3,); one without is a number in brackets.
        if (take(/,/) === undefined) {
          need(/\)/, '"," or ")"');
          if (shape.length === 1) throw refuse("header: shape is a number in brackets, expected a tuple");
          break;
        }
      }
    } else throw refuse(`header: key ${key}, expected descr, fortran_order and shape`);
    if (take(/,/) === undefined) {
      need(/\}/, '"," or "}"');
      break;
    }
  }
  if (/[^ \n\t]/.test(text.slice(at))) throw refuse(`header, character ${at}: ${JSON.stringify(text.slice(at, at + 20))} after the end`);
  if (descr === undefined || fortran === undefined || shape === undefined) throw refuse("header without descr, fortran_order or shape, expected all three");
  return { descr, fortran, shape };
}

/**
 * The bytes that numpy.save writes: format 1.0, C order, data at a multiple of 64 bytes.
 *
 * @throws UserError 70 for BF16, which NumPy does not have, and where shape and data disagree
 */
export function writeNpy(tensor: StoredTensor): Uint8Array<ArrayBuffer> {
  const { dtype, shape, data } = tensor;
  const descr = [...DESCRIPTIONS].find(([, type]) => type === dtype)?.[0];
  if (descr === undefined) throw new UserError(EXIT_CODES.internal, `writeNpy: element type ${dtype}, which NumPy does not have`);
  const count = shape.length <= MAX_RANK && shape.every((size) => Number.isSafeInteger(size) && size >= 0) ? countElements(shape) : undefined;
  if (count === undefined || count * ELEMENT_BYTES[dtype] !== data.length)
    throw new UserError(EXIT_CODES.internal, `writeNpy: shape (${shape.join(", ")}) of ${dtype} and ${data.length} bytes, expected them to agree`);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // As NumPy: room for the first size to grow to 21 digits, then 1 to 64 spaces up to the alignment, and a line feed.
  const grown = dict + " ".repeat(shape.length > 0 ? 21 - String(shape[0]).length : 0);
  const total = Math.floor((10 + grown.length + 1) / 64 + 1) * 64;
  const bytes = new Uint8Array(total + data.length).fill(0x20, 10, total);
  bytes.set(MAGIC);
  bytes[6] = 1;
  new DataView(bytes.buffer).setUint16(8, total - 10, true);
  bytes.set(new TextEncoder().encode(dict), 10);
  bytes[total - 1] = 0x0a;
  bytes.set(data, total);
  return bytes;
}
