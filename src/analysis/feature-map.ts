// Feature maps: the samples of a section painted in their colours, beside the section itself.
import type { Dataset } from "../data/dataset.ts";
import type { Image } from "../data/image.ts";
import type { Plane } from "../data/sections.ts";

/** Widest side of one panel, px. */
const PANEL = 800;

/** Median distance from a sample of the section to its nearest neighbour there, µm. */
function spacingOf(xs: readonly number[], ys: readonly number[]): number {
  const nearest = xs.map((x, i) => {
    let best = Infinity;
    for (let j = 0; j < xs.length; j++) if (j !== i) best = Math.min(best, (xs[j]! - x) ** 2 + (ys[j]! - ys[i]!) ** 2);
    return Math.sqrt(best);
  });
  nearest.sort((a, b) => a - b);
  const median = nearest[Math.floor(nearest.length / 2)];
  return median !== undefined && Number.isFinite(median) && median > 0 ? median : 100;
}

/** Left the section in grey, right each sample as a square in its colour [count, 3] over the dimmed section. RGB. */
export function drawFeatureMap(dataset: Dataset, section: number, plane: Plane, colours: Uint8Array): Image {
  const { samples } = dataset;
  const members: number[] = [];
  for (let i = 0; i < samples.count; i++) if (samples.section[i] === section) members.push(i);
  const scale = Math.min(PANEL / plane.width, PANEL / plane.height);
  const width = Math.max(1, Math.round(plane.width * scale));
  const height = Math.max(1, Math.round(plane.height * scale));
  const gap = 8;
  const image = { width: 2 * width + gap, height, channels: 3 as const, data: new Uint8Array((2 * width + gap) * height * 3).fill(255) };
  const put = (x: number, y: number, r: number, g: number, b: number) => image.data.set([r, g, b], 3 * (y * image.width + x));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const grey = plane.data[Math.min(plane.height - 1, Math.floor((y + 0.5) / scale)) * plane.width + Math.min(plane.width - 1, Math.floor((x + 0.5) / scale))]!;
      put(x, y, grey, grey, grey);
      const dim = Math.round(160 + 0.37 * grey);
      put(width + gap + x, y, dim, dim, dim);
    }
  const toPixel = (um: number) => (um / plane.pixelSizeUm) * scale;
  const spacing = spacingOf(members.map((i) => samples.x[i]!), members.map((i) => samples.y[i]!));
  const half = Math.max(1, Math.ceil(toPixel(spacing) / 2));
  for (const i of members) {
    const cx = Math.round(toPixel(samples.x[i]!));
    const cy = Math.round(toPixel(samples.y[i]!));
    for (let y = Math.max(0, cy - half); y <= Math.min(height - 1, cy + half); y++)
      for (let x = Math.max(0, cx - half); x <= Math.min(width - 1, cx + half); x++) put(width + gap + x, y, colours[3 * i]!, colours[3 * i + 1]!, colours[3 * i + 2]!);
  }
  return image;
}
