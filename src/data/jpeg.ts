// JPEG reading: a walk over the whole file that finds truncation and hostile sizes, then jpeg-js for the pixels.
import { decode } from "jpeg-js";
import { badImage, checkImageSize, type Image, type ImageHeader } from "./image.ts";

/** A block of 64 pixels takes at least two bits (baseline) or a fraction of one (progressive): files that claim more pixels a byte are hostile. */
const MAX_PIXELS_PER_BYTE = 2048;

export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/** Sampling factors, and for each coefficient the lowest bit that scans have brought so far (127: none). */
interface Channel {
  readonly h: number;
  readonly v: number;
  readonly remaining: Int8Array;
}

/** Units (blocks, or interleaved groups of them) in a scan (ITU-T T.81, A.2). */
function countUnits(frame: { width: number; height: number; channels: ReadonlyMap<number, Channel> }, scanned: readonly Channel[]): number {
  const all = [...frame.channels.values()];
  const hMax = Math.max(...all.map(({ h }) => h));
  const vMax = Math.max(...all.map(({ v }) => v));
  const [only] = scanned;
  if (scanned.length === 1 && only !== undefined) return Math.ceil(Math.ceil((frame.width * only.h) / hMax) / 8) * Math.ceil(Math.ceil((frame.height * only.v) / vMax) / 8);
  return Math.ceil(frame.width / (8 * hMax)) * Math.ceil(frame.height / (8 * vMax));
}

/** Walks all segments and scans. Returns the header; throws on anything that jpeg-js would guess about. */
export function inspectJpeg(bytes: Uint8Array, name: string, maxPixels: number): ImageHeader {
  const fail = (what: string, remedy?: string): never => {
    throw badImage(name, `JPEG ${what}`, remedy);
  };
  const u16 = (at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
  let frame: { width: number; height: number; progressive: boolean; channels: Map<number, Channel> } | undefined;
  let restartInterval = 0;
  let at = 2;
  for (;;) {
    if (at + 2 > bytes.length) fail(`truncated: it ends at byte ${bytes.length} without its end mark (EOI)`);
    if (bytes[at] !== 0xff) fail(`damaged: no marker at byte ${at}`);
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    at += 2;
    if (marker === 0xd9) break;
    if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) fail(`damaged: stray marker ff${marker.toString(16).padStart(2, "0")} at byte ${at - 2}`);
    if (at + 2 > bytes.length) fail(`truncated: it ends at byte ${bytes.length} without its end mark (EOI)`);
    const length = u16(at);
    if (length < 2) fail(`damaged: segment of ${length} bytes at byte ${at}`);
    if (at + length > bytes.length) fail(`truncated: a segment at byte ${at} claims ${length} bytes, the file has ${bytes.length - at} left`);
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (marker > 0xc2) fail("is lossless, hierarchical or arithmetic-coded", "save it again as baseline or progressive JPEG, or as PNG");
      if (frame !== undefined) fail("damaged: more than one frame");
      const count = bytes[at + 7]!;
      if (length < 8 || length !== 8 + 3 * count) fail("damaged: frame header of a wrong length");
      if (bytes[at + 2] !== 8) fail(`has ${bytes[at + 2]} bits a channel, expected 8`, "save it as PNG");
      if (count !== 1 && count !== 3) fail(`has ${count} channels, expected 1 (grey) or 3 (colour)`, "save it as grey or RGB");
      const ids = Array.from({ length: count }, (_, c) => bytes[at + 8 + 3 * c]!);
      if (new Set(ids).size !== count) fail("damaged: two channels of one name");
      const factors = Array.from({ length: count }, (_, c) => ({ h: bytes[at + 9 + 3 * c]! >> 4, v: bytes[at + 9 + 3 * c]! & 15 }));
      if (factors.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4)) fail("damaged: sampling factor outside 1 to 4");
      const channels = new Map(ids.map((id, c) => [id, { ...factors[c]!, remaining: new Int8Array(64).fill(127) }]));
      frame = { width: u16(at + 5), height: u16(at + 3), progressive: marker === 0xc2, channels };
      checkImageSize(name, frame.width, frame.height, maxPixels);
      if (frame.width * frame.height > bytes.length * MAX_PIXELS_PER_BYTE) fail(`damaged: ${bytes.length} bytes cannot hold ${frame.width} × ${frame.height} pixels`);
    }
    if (marker === 0xdd) {
      if (length !== 4) fail("damaged: restart interval of a wrong length");
      restartInterval = u16(at + 2);
    }
    if (marker === 0xda) {
      if (frame === undefined) throw badImage(name, "JPEG damaged: a scan before the frame header");
      const count = bytes[at + 2]!;
      if (length !== 6 + 2 * count) fail("damaged: scan header of a wrong length");
      const tail = at + 3 + 2 * count;
      const [first, last, low] = frame.progressive ? [bytes[tail]!, bytes[tail + 1]!, bytes[tail + 2]! & 15] : [0, 63, 0];
      if (first > last || last > 63) fail(`damaged: scan of coefficients ${first} to ${last}`);
      const scanned = Array.from({ length: count }, (_, c) => {
        const channel = frame?.channels.get(bytes[at + 3 + 2 * c]!);
        if (channel === undefined) throw badImage(name, "JPEG damaged: a scan of an unknown channel");
        channel.remaining.fill(low, first, last + 1);
        return channel;
      });
      at += length;
      // Entropy-coded bytes run to the next marker; ff00 is a stuffed byte, ffd0…ffd7 restart the decoder.
      let restarts = 0;
      for (; at + 1 < bytes.length; at++) {
        if (bytes[at] !== 0xff || bytes[at + 1] === 0) continue;
        if (bytes[at + 1]! < 0xd0 || bytes[at + 1]! > 0xd7) break;
        restarts += 1;
      }
      // jpeg-js takes a scan that stops at a restart for a whole one.
      const intervals = restartInterval === 0 ? 1 : Math.ceil(countUnits(frame, scanned) / restartInterval);
      if (restarts < intervals - 1) fail(`truncated: a scan has ${restarts + 1} restart intervals, expected ${intervals}`);
      continue;
    }
    at += length;
  }
  if (frame === undefined) throw badImage(name, "JPEG damaged: no frame header");
  for (const { remaining } of frame.channels.values()) {
    if (remaining.some((low) => low !== 0)) fail("truncated: scans are missing");
  }
  return { format: "jpeg", width: frame.width, height: frame.height, channels: frame.channels.size === 1 ? 1 : 3 };
}

export function decodeJpeg(bytes: Uint8Array, name: string, maxPixels: number): Image {
  const { width, height, channels } = inspectJpeg(bytes, name, maxPixels);
  let rgb: Uint8Array;
  try {
    // Limits follow from the checked size: jpeg-js holds coefficients as 32-bit words, up to 16 channels' worth with padding by sampling factors.
    // Its tolerance only skips blocks beyond the image, which the last restart interval of a grey file rightly has; data that ends early throws either way.
    const megapixels = (width * height) / 1e6;
    const decoded = decode(bytes, { useTArray: true, formatAsRGBA: false, tolerantDecoding: true, maxResolutionInMP: megapixels + 1, maxMemoryUsageInMB: 64 + 64 * megapixels });
    rgb = decoded.data;
  } catch (error) {
    throw badImage(name, `JPEG damaged: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (rgb.length !== width * height * 3) throw badImage(name, `JPEG damaged: ${rgb.length} bytes of pixels, expected ${width * height * 3}`);
  if (channels === 3) return { width, height, channels, data: rgb };
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = rgb[3 * i]!;
  return { width, height, channels, data: grey };
}
