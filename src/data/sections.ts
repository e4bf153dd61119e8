// Pixels of sections for training: decoded once, kept as grey planes within a memory budget, cut into windows around samples.
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { decodeImage } from "./decode.ts";
import { badImage, intensityTable, toGrey } from "./image.ts";
import type { PatchSource } from "./patch-workers.ts";
import { resamplePlane } from "./resample.ts";

/** One section in grey: [height, width], rows from the top. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly pixelSizeUm: number;
  readonly data: Uint8Array;
  /** Grey value of the ground: the median of the outermost pixels. It stands in for what lies outside the image. */
  readonly background: number;
}

export interface SectionCache {
  /** The plane of a section at a pixel size (default: its own); decodes and resamples at most once while it is kept. */
  get(section: number, pixelSizeUm?: number): Promise<Plane>;
  /** What the section's tissue is like on a scale, measured once around its samples: their neighbourhoods' mean and standard deviation. */
  tissue(section: number, pixelSizeUm: number | undefined, scale: "grey" | "density"): Promise<Tissue>;
  /** Bytes held now. */
  readonly bytes: number;
}

/** Mean and standard deviation of a section's intensities. */
export interface Tissue {
  readonly mean: number;
  readonly deviation: number;
}

/** A section's tissue is measured in squares of this many pixels around this many of its samples at most. */
const TISSUE_SIDE = 32;
const TISSUE_SAMPLES = 512;
/** Where a section's mean and mean ± one standard deviation come to lie: five deviations to either side stay within 0…1. */
const STANDARD: Tissue = { mean: 0.5, deviation: 0.1 };

export const DEFAULT_CACHE_BYTES = 512 * 2 ** 20;

function medianOfBorder(data: Uint8Array, width: number, height: number): number {
  const counts = new Uint32Array(256);
  let total = 0;
  const add = (value: number): void => {
    counts[value] = counts[value]! + 1;
    total += 1;
  };
  for (let x = 0; x < width; x++) {
    add(data[x]!);
    add(data[(height - 1) * width + x]!);
  }
  for (let y = 1; y < height - 1; y++) {
    add(data[y * width]!);
    add(data[y * width + width - 1]!);
  }
  let seen = 0;
  for (let value = 0; value < 256; value++) {
    seen += counts[value]!;
    if (seen * 2 >= total) return value;
  }
  return 255;
}

/**
 * Serves planes of the dataset's sections. When they outgrow `budgetBytes`, the ones longest unused are dropped;
 * the plane asked for is always kept, even alone above the budget.
 */
export function loadSections(dataset: PatchSource, files: Files, options: { readonly budgetBytes?: number } = {}): SectionCache {
  const budget = options.budgetBytes ?? DEFAULT_CACHE_BYTES;
  // A Map keeps insertion order: the first entry is the one longest unused.
  const kept = new Map<string, Promise<Plane>>();
  const sizes = new Map<string, number>();
  let bytes = 0;

  const load = async (index: number, pixelSizeUm: number | undefined): Promise<Plane> => {
    const section = dataset.sections[index];
    if (section === undefined) throw new RangeError(`loadSections: section ${index}, expected 0 to ${dataset.sections.length - 1}`);
    if (pixelSizeUm !== undefined && pixelSizeUm !== section.pixelSizeUm) return resamplePlane(await get(index), pixelSizeUm);
    const name = joinPath(dataset.path, section.file);
    const image = decodeImage(await files.read(name), name);
    if (image.width !== section.width || image.height !== section.height)
      throw badImage(name, `image of ${image.width} × ${image.height} pixels, expected ${section.width} × ${section.height}`, "it changed since the dataset was opened: restore it");
    const data = toGrey(image);
    return { width: image.width, height: image.height, pixelSizeUm: section.pixelSizeUm, data, background: medianOfBorder(data, image.width, image.height) };
  };

  const get = async (section: number, pixelSizeUm?: number): Promise<Plane> => {
    const own = dataset.sections[section]?.pixelSizeUm;
    const key = `${section} ${pixelSizeUm ?? own}`;
    let plane = kept.get(key);
    if (plane !== undefined) kept.delete(key);
    else plane = load(section, pixelSizeUm);
    kept.set(key, plane);
    let loaded: Plane;
    try {
      loaded = await plane;
    } catch (error) {
      kept.delete(key);
      throw error;
    }
    if (kept.get(key) === plane && !sizes.has(key)) {
      sizes.set(key, loaded.data.length);
      bytes += loaded.data.length;
    }
    for (const other of kept.keys()) {
      if (bytes <= budget) break;
      const size = sizes.get(other);
      if (other === key || size === undefined) continue;
      kept.delete(other);
      sizes.delete(other);
      bytes -= size;
    }
    return loaded;
  };
  const tissues = new Map<string, Promise<Tissue>>();
  return {
    get,
    tissue(section, pixelSizeUm, scale) {
      const key = `${section} ${pixelSizeUm} ${scale}`;
      let tissue = tissues.get(key);
      if (tissue === undefined) {
        tissue = get(section, pixelSizeUm).then((plane) => measureTissue(dataset, section, plane, scale));
        tissues.set(key, tissue);
        tissue.catch(() => tissues.delete(key));
      }
      return tissue;
    },
    get bytes() {
      return bytes;
    },
  };
}

export interface WindowOptions {
  /** µm per pixel of the windows; default: each section's own. */
  readonly pixelSizeUm?: number;
  /** `grey`: 0 is black and 1 white. `density`: optical density, 0 is white and 1 black. */
  readonly scale?: "grey" | "density";
  /**
   * `section`: each section's tissue is brought to the same mean and standard deviation (0.5 and 0.1, clipped to 0…1), so that stain and lamp differ no
   * more. It is measured around the section's own samples, on no other section, and without labels.
   */
  readonly normalise?: "none" | "section";
  /** Aborted: cutting ends before the next window and throws its reason. */
  readonly signal?: AbortSignal;
}

/** Pixels of a window that is dear to cut: after each, whatever else waits has its turn, such as a signal. */
export const DEAR_WINDOW = 2 ** 20;

/** The window side that holds a patch turned and enlarged in any way: patch × largest scale × √2 (shear adds its own factor), rounded up. */
export function windowSize(patch: number, maxScale = 1.5): number {
  return Math.ceil(patch * maxScale * Math.SQRT2);
}

/**
 * Cuts square windows around samples. Returns [b, size, size, 1] in 0…1 (rows from the top) for the samples `indices` of the dataset.
 * The window's middle is the pixel nearest to the sample, at most half a pixel away: pixels are copied, not interpolated, so that the
 * affine crop on the GPU is the only interpolation. Pixels outside the image take the section's ground colour: mirrored tissue would
 * show layers where there are none.
 * Errors: RangeError for sizes and indices that are wrong, UserError 65 for images that changed or are damaged.
 */
export async function cropWindows(dataset: PatchSource, cache: SectionCache, indices: ArrayLike<number>, size: number, options: WindowOptions = {}): Promise<Float32Array<ArrayBuffer>> {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`cropWindows: size ${size}, expected a whole number of pixels from 1`);
  const pixelSize = options.pixelSizeUm;
  if (pixelSize !== undefined && !(pixelSize > 0 && Number.isFinite(pixelSize))) throw new UserError(EXIT_CODES.usage, `cropWindows: pixel size ${pixelSize}, expected a number of µm above 0; correct it`);
  const { samples } = dataset;
  const windows = new Float32Array(indices.length * size * size);
  const table = intensityTable(options.scale ?? "grey");
  // Section by section, so that each is looked up once a batch whatever the order of the samples.
  const bySection = new Map<number, number[]>();
  for (let k = 0; k < indices.length; k++) {
    const sample = indices[k]!;
    const section = samples.section[sample];
    if (section === undefined) throw new RangeError(`cropWindows: sample ${sample}, expected 0 to ${samples.count - 1}`);
    const list = bySection.get(section);
    if (list === undefined) bySection.set(section, [k]);
    else list.push(k);
  }
  for (const [section, places] of bySection) {
    const plane = await cache.get(section, pixelSize);
    const values = options.normalise === "section" ? standardise(table, await cache.tissue(section, pixelSize, options.scale ?? "grey")) : table;
    for (const k of places) {
      if (size * size >= DEAR_WINDOW) await new Promise((resolve) => setTimeout(resolve));
      options.signal?.throwIfAborted();
      const sample = indices[k]!;
      // Pixel i covers [i, i + 1) · pixel size; for even sizes the sample lies on the corner of the four middle pixels.
      const left = Math.round(samples.x[sample]! / plane.pixelSizeUm - size / 2);
      const top = Math.round(samples.y[sample]! / plane.pixelSizeUm - size / 2);
      copyWindow(plane, left, top, size, values, windows.subarray(k * size * size, (k + 1) * size * size));
    }
  }
  return windows;
}

/** Intensities around the section's samples: every one of them where there are few, else evenly over the table. */
function measureTissue(dataset: PatchSource, section: number, plane: Plane, scale: "grey" | "density"): Tissue {
  const { samples } = dataset;
  const members: number[] = [];
  for (let i = 0; i < samples.count; i++) if (samples.section[i] === section) members.push(i);
  const step = Math.max(1, members.length / TISSUE_SAMPLES);
  const counts = new Float64Array(256);
  for (let k = 0; k < members.length; k += step) {
    const sample = members[Math.floor(k)]!;
    const [left, top] = [Math.round(samples.x[sample]! / plane.pixelSizeUm) - TISSUE_SIDE / 2, Math.round(samples.y[sample]! / plane.pixelSizeUm) - TISSUE_SIDE / 2];
    for (let y = Math.max(0, top); y < Math.min(plane.height, top + TISSUE_SIDE); y++)
      for (let x = Math.max(0, left); x < Math.min(plane.width, left + TISSUE_SIDE); x++) counts[plane.data[y * plane.width + x]!]! += 1;
  }
  const table = intensityTable(scale);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let mean = 0;
  let variance = 0;
  counts.forEach((count, v) => (mean += (table[v]! * count) / total));
  counts.forEach((count, v) => (variance += ((table[v]! - mean) ** 2 * count) / total));
  // A blank section has nothing to be brought to a contrast.
  return { mean, deviation: Math.max(Math.sqrt(variance), 1e-3) };
}

function standardise(table: Float32Array, { mean, deviation }: Tissue): Float32Array {
  return table.map((value) => Math.min(1, Math.max(0, STANDARD.mean + (STANDARD.deviation * (value - mean)) / deviation)));
}

function copyWindow(plane: Plane, left: number, top: number, size: number, table: Float32Array, window: Float32Array): void {
  const { width, height, data } = plane;
  window.fill(table[plane.background]!);
  const x0 = Math.max(0, -left);
  const x1 = Math.min(size, width - left);
  for (let y = Math.max(0, -top); y < Math.min(size, height - top); y++) {
    const from = (top + y) * width + left;
    const to = y * size;
    for (let x = x0; x < x1; x++) window[to + x] = table[data[from + x]!]!;
  }
}
