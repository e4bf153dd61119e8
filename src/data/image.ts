// Images in memory: one type, its limits, and the reduction of colour to one grey channel.
import { EXIT_CODES, UserError } from "../errors.ts";

/** Eight-bit pixels in rows from the top, `data[(y * width + x) * channels + c]`; one channel is grey, three are RGB. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** What an image file says about itself before its pixels are decoded. */
export interface ImageHeader {
  readonly format: "png" | "jpeg";
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

/** Images with more pixels are refused before memory is taken: 2^28 pixels are 256 MiB of grey. */
export const MAX_IMAGE_PIXELS = 2 ** 28;

export function badImage(name: string, what: string, remedy = "replace the file by an intact one"): UserError {
  return new UserError(EXIT_CODES.badData, `${name}: ${what}; ${remedy}`);
}

/** Refuses sizes that are zero or beyond the limit. */
export function checkImageSize(name: string, width: number, height: number, maxPixels: number): void {
  if (width < 1 || height < 1) throw badImage(name, `image of ${width} × ${height} pixels, expected at least 1 × 1`);
  if (width * height > maxPixels)
    throw badImage(name, `image of ${width} × ${height} pixels, expected at most ${maxPixels} pixels in all`, "cut it into smaller sections or reduce it");
}

/** One grey channel, [height, width]: the image itself, or the luminance of Rec. 601 (0.299 R + 0.587 G + 0.114 B). */
export function toGrey(image: Image): Uint8Array {
  if (image.channels === 1) return image.data;
  const { data } = image;
  const grey = new Uint8Array(image.width * image.height);
  for (let i = 0, j = 0; i < grey.length; i++, j += 3) {
    // Weights in 1/65536 that add up to 65536: white stays 255.
    grey[i] = (data[j]! * 19595 + data[j + 1]! * 38470 + data[j + 2]! * 7471 + 32768) >>> 16;
  }
  return grey;
}

/** Grey value → 0…1 by one of two scales: `grey` is v/255; `density` is optical density, -log10((v + 1)/256) / log10(256), dark being 1. */
export function intensityTable(scale: "grey" | "density"): Float32Array {
  return Float32Array.from({ length: 256 }, (_, v) => (scale === "grey" ? v / 255 : 1 - Math.log(v + 1) / Math.log(256)));
}
