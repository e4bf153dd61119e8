// TensorBoard's event files: scalars as protocol buffers in TFRecord frames, and where to cut a file when a run is continued.
import { EXIT_CODES, UserError } from "../errors.ts";

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), one table entry per byte. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C of `bytes` (RFC 3720, appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord stores checksums rotated and shifted, so that a checksum of bytes that hold checksums stays useful. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const FRAME_HEAD = 12;
const FRAME_TAIL = 4;

/** TFRecord: length (u64), its checksum, data, their checksum; little-endian. */
function frame(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAME_HEAD + data.length + FRAME_TAIL);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, FRAME_HEAD);
  view.setUint32(FRAME_HEAD + data.length, maskedCrc32c(data), true);
  return bytes;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

/** A field of a message: number, and the bytes of a nested message or a string. */
function nested(field: number, content: readonly number[]): number[] {
  return [(field << 3) | 2, ...varint(content.length), ...content];
}

function float(value: number): number[] {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [...bytes];
}

// Field numbers: tensorflow/core/util/event.proto (Event: wall_time 1, step 2, file_version 3, summary 5) and
// tensorflow/core/framework/summary.proto (Summary: value 1; Value: tag 1, simple_value 2).

/** wall_time as double and step as varint: every event starts with these, which is how `findEventsEnd` reads it back. */
function eventStart(wallTime: number, step: number): number[] {
  if (!Number.isSafeInteger(step) || step < 0) throw new UserError(EXIT_CODES.internal, `TensorBoard event: step ${step}, expected a non-negative integer`);
  const time = new Uint8Array(8);
  new DataView(time.buffer).setFloat64(0, wallTime, true);
  return [(1 << 3) | 1, ...time, 2 << 3, ...varint(step)];
}

/** The first record of a file. `wallTime` in seconds since 1970. */
export function encodeEventsHeader(wallTime: number): Uint8Array<ArrayBuffer> {
  return frame(Uint8Array.from([...eventStart(wallTime, 0), ...nested(3, [...new TextEncoder().encode("brain.Event:2")])]));
}

/** One event with all scalars of a step, in their order; non-finite ones are shown by TensorBoard as such. */
export function encodeScalars(step: number, wallTime: number, scalars: ReadonlyMap<string, number>): Uint8Array<ArrayBuffer> {
  const values = [...scalars].flatMap(([tag, value]) => nested(1, [...nested(1, [...new TextEncoder().encode(tag)]), (2 << 3) | 5, ...float(value)]));
  return frame(Uint8Array.from([...eventStart(wallTime, step), ...nested(5, values)]));
}

/**
 * Where to cut an event file so that it holds nothing after `step`: the end of the last whole record before the first
 * one that is later or damaged, as the process that wrote it may have died in the middle of one.
 */
export function findEventsEnd(bytes: Uint8Array, step: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + FRAME_HEAD + FRAME_TAIL <= bytes.length) {
    const length = view.getBigUint64(at, true);
    if (view.getUint32(at + 8, true) !== maskedCrc32c(bytes.subarray(at, at + 8))) break;
    if (length > BigInt(bytes.length - at - FRAME_HEAD - FRAME_TAIL)) break;
    const end = at + FRAME_HEAD + Number(length);
    const data = bytes.subarray(at + FRAME_HEAD, end);
    if (view.getUint32(end, true) !== maskedCrc32c(data)) break;
    const found = readStep(data);
    if (found === undefined || found > step) break;
    at = end + FRAME_TAIL;
  }
  return at;
}

function readStep(event: Uint8Array): number | undefined {
  if (event[0] !== 9 || event[9] !== 16) return undefined;
  let step = 0;
  for (let i = 0; i < 8; i++) {
    const byte = event[10 + i];
    if (byte === undefined) return undefined;
    step += (byte & 127) * 128 ** i;
    if (byte < 128) return step;
  }
  return undefined;
}
