// Decoding of image files: PNG or JPEG, told apart by their first bytes, never by their names.
import { badImage, MAX_IMAGE_PIXELS, type Image, type ImageHeader } from "./image.ts";
import { decodeJpeg, inspectJpeg, isJpeg } from "./jpeg.ts";
import { decodePng, inspectPng, isPng } from "./png.ts";

function refuseFormat(bytes: Uint8Array, name: string): never {
  if (bytes.length === 0) throw badImage(name, "the file is empty, expected a PNG or JPEG image");
  const tiff = (bytes[0] === 0x49 && bytes[1] === 0x49) || (bytes[0] === 0x4d && bytes[1] === 0x4d);
  throw badImage(name, `${tiff ? "a TIFF file" : "an unknown format"}, expected a PNG or JPEG image`, "convert it to PNG");
}

/**
 * Reads the header and walks the whole structure (chunk checksums, markers, the end) without decoding pixels:
 * truncated files are found, cheaply. Errors: UserError 65.
 */
export function inspectImage(bytes: Uint8Array, name: string, maxPixels = MAX_IMAGE_PIXELS): ImageHeader {
  if (isPng(bytes)) return inspectPng(bytes, name, maxPixels);
  if (isJpeg(bytes)) return inspectJpeg(bytes, name, maxPixels);
  return refuseFormat(bytes, name);
}

/**
 * Decodes a PNG (all standard colour types and depths, interlaced or not; transparency laid over white; 16 bits rounded to 8)
 * or a JPEG (baseline and progressive, grey and colour). An orientation tag is not applied. Errors: UserError 65 with `name`.
 */
export function decodeImage(bytes: Uint8Array, name: string, maxPixels = MAX_IMAGE_PIXELS): Image {
  if (isPng(bytes)) return decodePng(bytes, name, maxPixels);
  if (isJpeg(bytes)) return decodeJpeg(bytes, name, maxPixels);
  return refuseFormat(bytes, name);
}
