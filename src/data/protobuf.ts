// The wire format of protocol buffers: fields out of bytes, strictly, and bytes out of fields.

/** One field as it stands on the wire. */
export interface WireField {
  readonly number: number;
  /** How it lies on the wire: 0 varint, 1 and 5 64 and 32 bits, 2 length and bytes. */
  readonly wire: 0 | 1 | 2 | 5;
  /** Byte in the file where the field begins. */
  readonly at: number;
  /** Of wire types varint, 32 and 64 bit: the bits. */
  readonly bits?: bigint;
  /** Of wire type "length and bytes": a view. */
  readonly bytes?: Uint8Array;
  /** Byte in the file where `bytes` begin. */
  readonly inside: number;
}

/** Makes the error that says what is wrong at a byte of the file. */
export type RefuseAt = (what: string, at: number) => Error;

/** Most fields of a message: a model has no more, and more would take minutes. */
const MAX_FIELDS = 1 << 20;

/** The fields of a message. `base` is the byte of the file at which `bytes` begin. Throws what `refuse` makes for anything cut short or not of the format. */
export function* readFields(bytes: Uint8Array, base: number, refuse: RefuseAt): Generator<WireField> {
  const reader = { bytes, at: 0, base, refuse };
  for (let count = 0; reader.at < bytes.length; count++) {
    const at = base + reader.at;
    if (count === MAX_FIELDS) throw refuse(`more than ${MAX_FIELDS} fields in a message`, at);
    const tag = readVarint(reader);
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (number < 1 || number > 0x1fffffff) throw refuse(`field number ${number}, expected one from 1 to 536870911`, at);
    if (wire === 0) yield { number, wire, at, bits: readVarint(reader), inside: base + reader.at };
    else if (wire === 1 || wire === 5) yield { number, wire, at, bits: readFixed(reader, wire === 1 ? 8 : 4), inside: base + reader.at };
    else if (wire === 2) {
      const length = readVarint(reader);
      const left = bytes.length - reader.at;
      if (length > BigInt(left)) throw refuse(`field ${number} of ${length} bytes, expected at most the ${left} that follow: the file was cut short or is damaged`, at);
      const inside = reader.at;
      reader.at += Number(length);
      yield { number, wire, at, bytes: bytes.subarray(inside, reader.at), inside: base + inside };
    } else throw refuse(`wire type ${wire} of field ${number}, expected 0, 1, 2 or 5`, at);
  }
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly base: number;
  readonly refuse: RefuseAt;
}

function readVarint(reader: Reader): bigint {
  const start = reader.at;
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) throw reader.refuse("a number that the file ends inside", reader.base + start);
    if (shift === 63n && byte > 1) throw reader.refuse("a number of more than 64 bits", reader.base + start);
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

function readFixed(reader: Reader, length: 4 | 8): bigint {
  const { bytes, at } = reader;
  if (at + length > bytes.length) throw reader.refuse(`a number of ${length} bytes that the file ends inside`, reader.base + at);
  reader.at += length;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
  return length === 4 ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true);
}

/**
 * Whole numbers of a packed field, or the one of a field that is not packed, one after the other: a field may hold more than fits into memory as numbers.
 * Throws what `refuse` makes for a field of 32 or 64 bits, which is none of them.
 */
export function* readPackedVarints(field: WireField, refuse: RefuseAt): Generator<bigint> {
  if (field.wire === 1 || field.wire === 5) throw refuse(`wire type ${field.wire} of field ${field.number}, expected whole numbers: 0, or 2 where they are packed`, field.at);
  if (field.bits !== undefined) {
    yield field.bits;
    return;
  }
  const reader = { bytes: field.bytes ?? new Uint8Array(0), at: 0, base: field.inside, refuse };
  while (reader.at < reader.bytes.length) yield readVarint(reader);
}

/** Pieces of a message in order; large ones are kept as they are, and copied once, by `joinPieces`. */
export type Pieces = readonly Uint8Array[];

const lengthOf = (pieces: Pieces): number => pieces.reduce((sum, piece) => sum + piece.length, 0);

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 0x7fn; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value)];
}

/** A whole number, of negative ones the two's complement in 64 bits. */
export function writeInteger(number: number, value: number | bigint): Pieces {
  return [Uint8Array.from([...varint(BigInt(number * 8)), ...varint(BigInt.asUintN(64, BigInt(value)))])];
}

/** A 32-bit float. */
export function writeFloat(number: number, value: number): Pieces {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [Uint8Array.from(varint(BigInt(number * 8 + 5))), bytes];
}

/** Bytes, or a message of its pieces. */
export function writeBytes(number: number, ...pieces: Pieces): Pieces {
  return [Uint8Array.from([...varint(BigInt(number * 8 + 2)), ...varint(BigInt(lengthOf(pieces)))]), ...pieces];
}

export function writeText(number: number, value: string): Pieces {
  return writeBytes(number, new TextEncoder().encode(value));
}

export function joinPieces(pieces: Pieces): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
