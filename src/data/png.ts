// PNG reading and writing on top of fflate: every valid file of the specification, nothing that is damaged.
// The entry without worker threads, which are not used here and cost time at every start.
import { Unzlib, zlibSync } from "fflate/browser";
import { badImage, checkImageSize, type Image, type ImageHeader } from "./image.ts";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] as const;
/** Deflate cannot expand a byte to more than this many: larger claims are refused before memory is taken. */
const MAX_DEFLATE_RATIO = 1032;
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Record<number, readonly number[]> = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
/** Adam7: first column, first row, column step, row step of each pass. */
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]] as const;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC_TABLE[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  // 3800 additions of at most 255 keep b below 2^32.
  for (let start = 0; start < bytes.length; start += 3800) {
    const end = Math.min(start + 3800, bytes.length);
    for (let i = start; i < end; i++) {
      a += bytes[i]!;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((value, i) => bytes[i] === value);
}

interface Structure {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colour: number;
  readonly interlaced: boolean;
  readonly palette: Uint8Array | undefined;
  readonly transparency: Uint8Array | undefined;
  readonly parts: readonly Uint8Array[];
}

/** Walks all chunks: lengths within the file, checksums, order, one header, image data, the end. */
function readStructure(bytes: Uint8Array, name: string, maxPixels: number): Structure {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (what: string): never => {
    throw badImage(name, `PNG ${what}`);
  };
  let header: DataView | undefined;
  let palette: Uint8Array | undefined;
  let transparency: Uint8Array | undefined;
  const parts: Uint8Array[] = [];
  let previous = "";
  let ended = false;
  for (let at = 8; !ended; ) {
    if (at + 12 > bytes.length) fail(`truncated: it ends at byte ${bytes.length} without its end mark (IEND)`);
    const length = view.getUint32(at);
    const type = String.fromCharCode(bytes[at + 4]!, bytes[at + 5]!, bytes[at + 6]!, bytes[at + 7]!);
    if (!/^[A-Za-z]{4}$/.test(type)) fail(`damaged: no chunk name at byte ${at + 4}`);
    if (length > bytes.length - at - 12) fail(`truncated: chunk ${type} at byte ${at} claims ${length} bytes, the file has ${bytes.length - at - 12} left`);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) fail(`damaged: wrong checksum of chunk ${type} at byte ${at}`);
    if (header === undefined && type !== "IHDR") fail(`damaged: first chunk ${type}, expected IHDR`);
    if (type === "IHDR") {
      if (header !== undefined) fail("damaged: two headers (IHDR)");
      if (length !== 13) fail(`damaged: header of ${length} bytes, expected 13`);
      header = new DataView(body.buffer, body.byteOffset, length);
    } else if (type === "PLTE") {
      if (palette !== undefined || parts.length > 0) fail("damaged: misplaced palette (PLTE)");
      if (length === 0 || length % 3 !== 0 || length > 768) fail(`damaged: palette of ${length} bytes, expected 3 to 768 in threes`);
      palette = body;
    } else if (type === "tRNS") {
      if (parts.length > 0) fail("damaged: transparency (tRNS) after the image data");
      transparency = body;
    } else if (type === "IDAT") {
      if (parts.length > 0 && previous !== "IDAT") fail("damaged: image data (IDAT) interrupted by another chunk");
      parts.push(body);
    } else if (type === "IEND") ended = true;
    else if (type.charCodeAt(0) < 97) fail(`has an unknown critical chunk ${type}`);
    previous = type;
    at += 12 + length;
  }
  if (header === undefined) throw badImage(name, "PNG damaged: no header (IHDR)");
  const [width, height] = [header.getUint32(0), header.getUint32(4)];
  const [depth, colour, compression, filter, interlace] = [header.getUint8(8), header.getUint8(9), header.getUint8(10), header.getUint8(11), header.getUint8(12)];
  if (!DEPTHS[colour]?.includes(depth)) fail(`damaged: colour type ${colour} with ${depth} bits is not in the specification`);
  if (compression !== 0 || filter !== 0 || interlace > 1) fail(`uses an unknown method (compression ${compression}, filter ${filter}, interlace ${interlace})`);
  checkImageSize(name, width, height, maxPixels);
  if (parts.length === 0) fail("has no image data (IDAT)");
  if (colour === 3 && palette === undefined) fail("has no palette (PLTE) though its colours are indexed");
  const compressed = parts.reduce((sum, part) => sum + part.length, 0);
  const raw = rawLength({ width, height, depth, colour, interlaced: interlace === 1 });
  if (raw > compressed * MAX_DEFLATE_RATIO) fail(`damaged: ${compressed} bytes of image data cannot hold ${width} × ${height} pixels`);
  return { width, height, depth, colour, interlaced: interlace === 1, palette, transparency, parts };
}

type Layout = Pick<Structure, "width" | "height" | "depth" | "colour" | "interlaced">;

/** The passes with their sizes; one pass where the file is not interlaced; empty passes are absent. */
function listPasses({ width, height, interlaced }: Layout): { x0: number; y0: number; dx: number; dy: number; columns: number; rows: number }[] {
  const all = interlaced ? PASSES : ([[0, 0, 1, 1]] as const);
  return all
    .map(([x0, y0, dx, dy]) => ({ x0, y0, dx, dy, columns: Math.ceil((width - x0) / dx), rows: Math.ceil((height - y0) / dy) }))
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
}

function rowBytes(layout: Layout, columns: number): number {
  return Math.ceil((columns * CHANNELS[layout.colour]! * layout.depth) / 8);
}

function rawLength(layout: Layout): number {
  return listPasses(layout).reduce((sum, { columns, rows }) => sum + rows * (1 + rowBytes(layout, columns)), 0);
}

/** Inflates into exactly the bytes that the header promises: more or fewer are an error. */
function inflate(structure: Structure, name: string): Uint8Array {
  const raw = new Uint8Array(rawLength(structure));
  const damaged = (what: string): never => {
    throw badImage(name, `PNG damaged: ${what}`);
  };
  let filled = 0;
  let excess = false;
  const stream = new Unzlib((chunk) => {
    if (filled + chunk.length > raw.length) excess = true;
    else raw.set(chunk, filled);
    filled += chunk.length;
  });
  try {
    structure.parts.forEach((part, i) => {
      for (let at = 0; at < part.length && !excess; at += 65536) stream.push(part.subarray(at, at + 65536), false);
      if (i === structure.parts.length - 1) stream.push(new Uint8Array(0), true);
    });
  } catch (error) {
    damaged(`its image data does not inflate (${error instanceof Error ? error.message : String(error)})`);
  }
  if (excess) damaged("more image data than its header promises");
  if (filled < raw.length) damaged(`image data of ${filled} bytes, expected ${raw.length}`);
  if (lastWord(structure.parts) !== adler32(raw)) damaged("wrong checksum of the image data");
  return raw;
}

/** The last four bytes of all parts together, big-endian: the checksum of a zlib stream. */
function lastWord(parts: readonly Uint8Array[]): number {
  let word = 0;
  let place = 1;
  for (let p = parts.length - 1; p >= 0 && place < 2 ** 32; p--) {
    const part = parts[p]!;
    for (let i = part.length - 1; i >= 0 && place < 2 ** 32; i--, place *= 256) word += part[i]! * place;
  }
  return word;
}

/** Undoes the row filters in place; `step` is the distance in bytes to the pixel at the left. */
function unfilter(raw: Uint8Array, start: number, rows: number, length: number, step: number, name: string): void {
  for (let y = 0; y < rows; y++) {
    const at = start + y * (length + 1) + 1;
    const up = y === 0 ? -1 : at - length - 1;
    const kind = raw[at - 1]!;
    if (kind > 4) throw badImage(name, `PNG damaged: row filter ${kind}, expected 0 to 4`);
    for (let i = 0; kind !== 0 && i < length; i++) {
      const left = i >= step ? raw[at + i - step]! : 0;
      const above = up < 0 ? 0 : raw[up + i]!;
      let guess: number;
      if (kind === 1) guess = left;
      else if (kind === 2) guess = above;
      else if (kind === 3) guess = (left + above) >> 1;
      else {
        const corner = i >= step && up >= 0 ? raw[up + i - step]! : 0;
        const p = left + above - corner;
        const [pa, pb, pc] = [Math.abs(p - left), Math.abs(p - above), Math.abs(p - corner)];
        guess = pa <= pb && pa <= pc ? left : pb <= pc ? above : corner;
      }
      raw[at + i] = raw[at + i]! + guess;
    }
  }
}

export function inspectPng(bytes: Uint8Array, name: string, maxPixels: number): ImageHeader {
  const { width, height, colour } = readStructure(bytes, name, maxPixels);
  return { format: "png", width, height, channels: colour === 0 || colour === 4 ? 1 : 3 };
}

/** Decodes to 8 bits of grey or RGB. Transparent pixels are laid over white. */
export function decodePng(bytes: Uint8Array, name: string, maxPixels: number): Image {
  const structure = readStructure(bytes, name, maxPixels);
  const { width, height, depth, colour, palette, transparency } = structure;
  const raw = inflate(structure, name);
  const inputs = CHANNELS[colour]!;
  const channels = colour === 0 || colour === 4 ? 1 : 3;
  const data = new Uint8Array(width * height * channels);
  const scale = 255 / (2 ** depth - 1);
  // For grey and RGB, tRNS names one colour, in 16 bits a channel, that is wholly transparent.
  const clear = transparency !== undefined && colour < 3 && transparency.length === inputs * 2
    ? Array.from({ length: inputs }, (_, c) => transparency[2 * c]! * 256 + transparency[2 * c + 1]!)
    : undefined;
  const plain = depth === 8 && (colour === 0 || colour === 2) && clear === undefined && !structure.interlaced;
  const sample = new Uint16Array(4);
  let at = 0;
  for (const { x0, y0, dx, dy, columns, rows } of listPasses(structure)) {
    const length = rowBytes(structure, columns);
    unfilter(raw, at, rows, length, Math.max(1, (inputs * depth) >> 3), name);
    for (let r = 0; r < rows; r++, at += length + 1) {
      const row = at + 1;
      if (plain) {
        data.set(raw.subarray(row, row + length), r * length);
        continue;
      }
      for (let q = 0; q < columns; q++) {
        for (let c = 0; c < inputs; c++) {
          const k = q * inputs + c;
          if (depth === 8) sample[c] = raw[row + k]!;
          else if (depth === 16) sample[c] = raw[row + 2 * k]! * 256 + raw[row + 2 * k + 1]!;
          else sample[c] = (raw[row + ((k * depth) >> 3)]! >> (8 - depth - ((k * depth) & 7))) & (2 ** depth - 1);
        }
        const out = ((y0 + r * dy) * width + x0 + q * dx) * channels;
        if (colour === 3) {
          const entry = sample[0]!;
          if (entry * 3 >= palette!.length) throw badImage(name, `PNG damaged: palette entry ${entry} of ${palette!.length / 3}`);
          const alpha = transparency?.[entry] ?? 255;
          for (let c = 0; c < 3; c++) data[out + c] = overWhite(palette![entry * 3 + c]!, alpha / 255);
        } else {
          const hidden = clear !== undefined && clear.every((value, c) => value === sample[c]);
          const alpha = colour >= 4 ? (sample[inputs - 1]! * scale) / 255 : hidden ? 0 : 1;
          for (let c = 0; c < channels; c++) data[out + c] = overWhite(sample[c]! * scale, alpha);
        }
      }
    }
  }
  return { width, height, channels, data };
}

function overWhite(value: number, alpha: number): number {
  return Math.round(255 + (value - 255) * alpha);
}

/** Encodes as 8-bit grey or RGB, not interlaced; each row takes the filter with the smallest sum of absolute differences. The same image gives the same bytes. */
export function encodePng(image: Image): Uint8Array {
  const { width, height, channels, data } = image;
  if (data.length !== width * height * channels) throw new RangeError(`encodePng: ${data.length} bytes, expected ${width} × ${height} × ${channels}`);
  const length = width * channels;
  const raw = new Uint8Array(height * (length + 1));
  const candidates = [new Uint8Array(length), new Uint8Array(length), new Uint8Array(length)] as const;
  for (let y = 0; y < height; y++) {
    const at = y * length;
    const costs = [0, 0, 0];
    for (let i = 0; i < length; i++) {
      const value = data[at + i]!;
      const left = i >= channels ? data[at + i - channels]! : 0;
      const above = y > 0 ? data[at + i - length]! : 0;
      const guesses = [left, above, (left + above) >> 1];
      for (let f = 0; f < 3; f++) {
        const difference = (value - guesses[f]!) & 255;
        candidates[f]![i] = difference;
        costs[f] = costs[f]! + (difference < 128 ? difference : 256 - difference);
      }
    }
    const best = costs.indexOf(Math.min(...costs));
    raw[y * (length + 1)] = best + 1;
    raw.set(candidates[best]!, y * (length + 1) + 1);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const chunks = [makeChunk("IHDR", header), makeChunk("IDAT", zlibSync(raw, { level: 6 })), makeChunk("IEND", new Uint8Array(0))];
  const file = new Uint8Array(8 + chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  file.set(SIGNATURE, 0);
  let at = 8;
  for (const chunk of chunks) {
    file.set(chunk, at);
    at += chunk.length;
  }
  return file;
}

/** A chunk with its length, name and checksum. */
export function makeChunk(type: string, body: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + body.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) chunk[4 + i] = type.charCodeAt(i);
  chunk.set(body, 8);
  view.setUint32(8 + body.length, crc32(chunk.subarray(4, 8 + body.length)));
  return chunk;
}
