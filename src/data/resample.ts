// Changes the pixel size of a grey plane: area averages when it shrinks, linear interpolation when it grows.
import { EXIT_CODES, UserError } from "../errors.ts";
import { MAX_IMAGE_PIXELS } from "./image.ts";
import type { Plane } from "./sections.ts";

/** Weights of the source pixels under each target pixel: `first[i]`, and `weights[i·taps … ]`. */
interface Taps {
  readonly first: Int32Array;
  readonly taps: number;
  readonly weights: Float64Array;
}

/** `ratio` is source pixels per target pixel. */
function makeTaps(source: number, target: number, ratio: number): Taps {
  const taps = ratio > 1 ? Math.ceil(ratio) + 1 : 2;
  const first = new Int32Array(target);
  const weights = new Float64Array(target * taps);
  for (let i = 0; i < target; i++) {
    if (ratio > 1) {
      const from = i * ratio;
      const to = Math.min((i + 1) * ratio, source);
      first[i] = Math.min(Math.floor(from), source - 1);
      let total = 0;
      for (let k = 0; k < taps; k++) {
        const pixel = first[i]! + k;
        const share = Math.max(0, Math.min(to, pixel + 1) - Math.max(from, pixel));
        weights[i * taps + k] = pixel < source ? share : 0;
        total += weights[i * taps + k]!;
      }
      for (let k = 0; k < taps; k++) weights[i * taps + k] = weights[i * taps + k]! / total;
    } else {
      const centre = Math.min(Math.max((i + 0.5) * ratio - 0.5, 0), source - 1);
      first[i] = Math.min(Math.floor(centre), Math.max(0, source - 2));
      const fraction = centre - first[i]!;
      weights[i * 2] = 1 - fraction;
      weights[i * 2 + 1] = fraction;
    }
  }
  return { first, taps, weights };
}

/** The plane at `pixelSizeUm`; its upper left corner stays, its size is rounded up to whole pixels. Errors: UserError 65 where the result would be too large. */
export function resamplePlane(plane: Plane, pixelSizeUm: number): Plane {
  const ratio = pixelSizeUm / plane.pixelSizeUm;
  // The last pixel may be covered partly; less than a thousandth of one is rounding, not tissue.
  const width = Math.max(1, Math.ceil(plane.width / ratio - 1e-3));
  const height = Math.max(1, Math.ceil(plane.height / ratio - 1e-3));
  if (width * height > MAX_IMAGE_PIXELS)
    throw new UserError(EXIT_CODES.badData, `resample: a section at ${pixelSizeUm} µm per pixel is ${width} × ${height} pixels, expected at most ${MAX_IMAGE_PIXELS} in all; choose a larger pixel size`);
  const across = makeTaps(plane.width, width, ratio);
  const down = makeTaps(plane.height, height, ratio);
  const data = new Uint8Array(width * height);
  const sums = new Float64Array(plane.width);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = 0; k < down.taps; k++) {
      const weight = down.weights[y * down.taps + k]!;
      if (weight === 0) continue;
      const row = (down.first[y]! + k) * plane.width;
      for (let x = 0; x < plane.width; x++) sums[x] = sums[x]! + weight * plane.data[row + x]!;
    }
    for (let x = 0; x < width; x++) {
      let value = 0;
      for (let k = 0; k < across.taps; k++) {
        const weight = across.weights[x * across.taps + k]!;
        if (weight > 0) value += weight * sums[across.first[x]! + k]!;
      }
      data[y * width + x] = Math.round(value);
    }
  }
  return { width, height, pixelSizeUm, data, background: plane.background };
}
