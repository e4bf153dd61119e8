// Intensity statistics of patches: what a probe gets without any encoder, from the very pixels that the encoder sees.
import type { Dataset } from "../data/dataset.ts";
import { cropWindows, type SectionCache, type WindowOptions } from "../data/sections.ts";

/** Bins of the histogram. */
const BINS = 64;
/** Numbers of a patch: its histogram, mean, standard deviation, skewness. */
export const INTENSITY_CHANNELS = BINS + 3;
/** Fine bins that the histogram's range is found with; intensities lie in 0…1. */
const FINE = 4096;
/** The histogram spans the training pixels but for this share at either end, so that its bins are spent where tissue is. */
const TAIL = 0.001;
const CHUNK = 64;

export interface IntensityRange {
  readonly low: number;
  readonly high: number;
}

export interface PatchOptions extends WindowOptions {
  /** Side of a patch, px. */
  readonly patch: number;
  /** Called between chunks; may throw to stop. */
  readonly onChunk?: (done: number, total: number) => Promise<void>;
}

async function eachChunk(dataset: Dataset, cache: SectionCache, samples: Uint32Array, options: PatchOptions, visit: (windows: Float32Array, from: number, rows: number) => void): Promise<void> {
  for (let from = 0; from < samples.length; from += CHUNK) {
    const some = samples.subarray(from, from + CHUNK);
    visit(await cropWindows(dataset, cache, some, options.patch, options), from, some.length);
    await options.onChunk?.(from + some.length, samples.length);
  }
}

/** The range that the histogram's bins divide, from these samples only. */
export async function measureRange(dataset: Dataset, cache: SectionCache, samples: Uint32Array, options: PatchOptions): Promise<IntensityRange> {
  const counts = new Float64Array(FINE);
  let total = 0;
  await eachChunk(dataset, cache, samples, options, (windows) => {
    total += windows.length;
    for (const value of windows) counts[Math.min(FINE - 1, Math.max(0, Math.floor(value * FINE)))]! += 1;
  });
  let [first, last] = [0, FINE - 1];
  for (let seen = counts[first]!; seen <= TAIL * total && first < FINE - 1; seen += counts[first]!) first++;
  for (let seen = counts[last]!; seen <= TAIL * total && last > first; seen += counts[last]!) last--;
  return { low: first / FINE, high: (last + 1) / FINE };
}

/**
 * [samples, INTENSITY_CHANNELS]: shares of the pixels in 64 equal bins of the range (what lies outside falls in the first or last), mean, standard
 * deviation, skewness (0 for a flat patch).
 */
export async function describeIntensity(dataset: Dataset, cache: SectionCache, samples: Uint32Array, range: IntensityRange, options: PatchOptions): Promise<Float32Array> {
  const out = new Float32Array(samples.length * INTENSITY_CHANNELS);
  const size = options.patch ** 2;
  await eachChunk(dataset, cache, samples, options, (windows, from, rows) => {
    for (let row = 0; row < rows; row++) out.set(statistics(windows.subarray(row * size, (row + 1) * size), range), (from + row) * INTENSITY_CHANNELS);
  });
  return out;
}

function statistics(pixels: Float32Array, { low, high }: IntensityRange): Float64Array {
  const out = new Float64Array(INTENSITY_CHANNELS);
  const factor = BINS / (high - low);
  let mean = 0;
  for (const value of pixels) {
    mean += value;
    out[Math.min(BINS - 1, Math.max(0, Math.floor((value - low) * factor)))]! += 1 / pixels.length;
  }
  mean /= pixels.length;
  let [square, cube] = [0, 0];
  for (const value of pixels) {
    const d = value - mean;
    square += d * d;
    cube += d * d * d;
  }
  const deviation = Math.sqrt(square / pixels.length);
  out[BINS] = mean;
  out[BINS + 1] = deviation;
  // A patch of one grey deviates by rounding only, and the quotient would be noise.
  out[BINS + 2] = deviation > 1e-9 ? cube / pixels.length / deviation ** 3 : 0;
  return out;
}
