// Feature maps: the samples of a section painted in their colours, beside the section itself.
import type { Dataset } from "../data/dataset.ts";
import type { Image } from "../data/image.ts";
import type { Plane } from "../data/sections.ts";

/** Sides of all panels together, px. */
const PANELS = 1600;
const GAP = 8;

/** One way to colour the samples. */
export interface Overlay {
  /** [count, 3] */
  readonly colours: Uint8Array;
  /** Whether a sample is painted; all are by default. */
  readonly shows?: (sample: number) => boolean;
}

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

/** Left the section in grey, right of it a panel an overlay: each sample as a square in its colour over the dimmed section. RGB. */
export function drawFeatureMap(dataset: Dataset, section: number, plane: Plane, overlays: readonly Overlay[]): Image {
  const { samples } = dataset;
  const members: number[] = [];
  for (let i = 0; i < samples.count; i++) if (samples.section[i] === section) members.push(i);
  const side = PANELS / (1 + overlays.length);
  const scale = Math.min(side / plane.width, side / plane.height);
  const width = Math.max(1, Math.round(plane.width * scale));
  const height = Math.max(1, Math.round(plane.height * scale));
  const whole = width + overlays.length * (width + GAP);
  const image = { width: whole, height, channels: 3 as const, data: new Uint8Array(whole * height * 3).fill(255) };
  const put = (x: number, y: number, r: number, g: number, b: number) => {
    const at = 3 * (y * whole + x);
    image.data[at] = r;
    image.data[at + 1] = g;
    image.data[at + 2] = b;
  };
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const grey = plane.data[Math.min(plane.height - 1, Math.floor((y + 0.5) / scale)) * plane.width + Math.min(plane.width - 1, Math.floor((x + 0.5) / scale))]!;
      put(x, y, grey, grey, grey);
      const dim = Math.round(160 + 0.37 * grey);
      for (let n = 1; n <= overlays.length; n++) put(n * (width + GAP) + x, y, dim, dim, dim);
    }
  const toPixel = (um: number) => (um / plane.pixelSizeUm) * scale;
  const spacing = spacingOf(members.map((i) => samples.x[i]!), members.map((i) => samples.y[i]!));
  const half = Math.max(1, Math.ceil(toPixel(spacing) / 2));
  overlays.forEach(({ colours, shows }, n) => {
    const left = (n + 1) * (width + GAP);
    for (const i of members) {
      if (shows && !shows(i)) continue;
      const cx = Math.round(toPixel(samples.x[i]!));
      const cy = Math.round(toPixel(samples.y[i]!));
      for (let y = Math.max(0, cy - half); y <= Math.min(height - 1, cy + half); y++)
        for (let x = Math.max(0, cx - half); x <= Math.min(width - 1, cx + half); x++) put(left + x, y, colours[3 * i]!, colours[3 * i + 1]!, colours[3 * i + 2]!);
    }
  });
  return image;
}
