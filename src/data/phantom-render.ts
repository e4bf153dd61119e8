// Paints a generated section: light ground, pale tissue, dark cell bodies, uneven stain, noise.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import type { Image } from "./image.ts";
import { makeProfile, type Profile } from "./phantom-profile.ts";
import type { Placement, Shape } from "./phantom-shape.ts";

/** Side, in pixels, of the tiles on whose corners the shape is evaluated; between them depth is interpolated. */
const TILE = 4;
const GROUND = 238;
/** Absorbance of a cell body. */
const CELL_ABSORBANCE = 1.25;
/** Vessels: empty rounds, per mm². */
const VESSELS = 1.6;
/** Beyond this relative depth no blend or wobble of the border brings cortex back. */
const SURELY_WHITE = 1.06;
const STREAM_CELLS = 31;
const STREAM_NOISE = 32;
const STREAM_VESSELS = 33;
const STREAM_STAIN = 34;

export interface RenderSize {
  readonly width: number;
  readonly height: number;
  readonly pixelSizeUm: number;
}

/** Depth relative to the local thickness and depth in mm, on tile corners; the place along the ribbon, per tile corner. */
interface Field {
  readonly columns: number;
  readonly relative: Float64Array;
  readonly depth: Float64Array;
  readonly arc: Float64Array;
}

function evaluate(shape: Shape, profile: Profile, placement: Placement, { width, height, pixelSizeUm }: RenderSize): Field {
  const columns = Math.ceil(width / TILE) + 1;
  const rows = Math.ceil(height / TILE) + 1;
  const field = { columns, relative: new Float64Array(columns * rows), depth: new Float64Array(columns * rows), arc: new Float64Array(columns * rows) };
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const [x, y] = placement.toTemplate((c * TILE * pixelSizeUm) / 1000, (r * TILE * pixelSizeUm) / 1000);
      const { depth, arc, relative } = shape.locate(x, y, profile.thickness);
      const i = r * columns + c;
      field.depth[i] = depth;
      field.arc[i] = arc;
      field.relative[i] = relative;
    }
  }
  return field;
}

/** Bilinear value of a grid with corners TILE pixels apart, at a point in pixels. */
function interpolate(grid: Float64Array, columns: number, x: number, y: number): number {
  const c = Math.floor(x / TILE);
  const r = Math.floor(y / TILE);
  const fx = x / TILE - c;
  const fy = y / TILE - r;
  const i = r * columns + c;
  return (grid[i]! * (1 - fx) + grid[i + 1]! * fx) * (1 - fy) + (grid[i + columns]! * (1 - fx) + grid[i + columns + 1]! * fx) * fy;
}

/** Smooth noise of mean 0 and standard deviation about 0.3: random values on a coarse grid, cosine-interpolated. */
function makeSmoothNoise(key: Words2, name: readonly [number, number, number], width: number, height: number, step: number): (x: number, y: number) => number {
  const columns = Math.ceil(width / step) + 2;
  const stream = randomStream(key, name);
  const values = Float64Array.from({ length: columns * (Math.ceil(height / step) + 2) }, () => stream.uniform() - 0.5);
  const ease = (t: number): number => t * t * (3 - 2 * t);
  return (x, y) => {
    const [c, r] = [Math.floor(x / step), Math.floor(y / step)];
    const [fx, fy] = [ease(x / step - c), ease(y / step - r)];
    const i = r * columns + c;
    return (values[i]! * (1 - fx) + values[i + 1]! * fx) * (1 - fy) + (values[i + columns]! * (1 - fx) + values[i + columns + 1]! * fx) * fy;
  };
}

/** Adds an elongated Gaussian spot of given total absorbance × pixels; (ux, uy) is its long axis. */
function addSpot(image: Float64Array, width: number, height: number, x: number, y: number, mass: number, long: number, wide: number, ux: number, uy: number): void {
  const reach = Math.ceil(2.6 * long);
  const amplitude = mass / (2 * Math.PI * long * wide);
  const [x0, x1] = [Math.max(0, Math.floor(x) - reach), Math.min(width - 1, Math.floor(x) + reach)];
  const [y0, y1] = [Math.max(0, Math.floor(y) - reach), Math.min(height - 1, Math.floor(y) + reach)];
  for (let py = y0; py <= y1; py++) {
    for (let px = x0; px <= x1; px++) {
      const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
      const a = (dx * ux + dy * uy) / long;
      const b = (dx * uy - dy * ux) / wide;
      image[py * width + px]! += amplitude * Math.exp(-0.5 * (a * a + b * b));
    }
  }
}

/** Cells are a Poisson process, thinned to the local density, tile by tile, each tile with its own random stream. */
function addCells(image: Float64Array, key: Words2, number: number, field: Field, profile: Profile, size: RenderSize): void {
  const { width, height, pixelSizeUm } = size;
  const tileArea = ((TILE * pixelSizeUm) / 1000) ** 2;
  const wobble = makeSmoothNoise(key, [number, 1, STREAM_STAIN], width, height, Math.max(8, 400 / pixelSizeUm));
  for (let r = 0; r * TILE < height; r++) {
    for (let c = 0; c * TILE < width; c++) {
      const i = r * field.columns + c;
      const corners = [i, i + 1, i + field.columns, i + field.columns + 1];
      if (corners.every((corner) => field.depth[corner]! < 0)) continue;
      // Well inside the white matter few candidates are needed: its density bounds them.
      const bound = corners.every((corner) => field.relative[corner]! > SURELY_WHITE) ? profile.whiteMatterDensity : profile.maxDensity;
      const none = Math.exp(-bound * tileArea);
      const stream = randomStream(key, [number, i, STREAM_CELLS]);
      let gx = field.depth[i + 1]! - field.depth[i]!;
      let gy = field.depth[i + field.columns]! - field.depth[i]!;
      const norm = Math.hypot(gx, gy) || 1;
      gx /= norm;
      gy /= norm;
      for (let product = stream.uniform(); product > none; product *= stream.uniform()) {
        const x = (c + stream.uniform()) * TILE;
        const y = (r + stream.uniform()) * TILE;
        const chance = stream.uniform();
        if (x >= width || y >= height || interpolate(field.depth, field.columns, x, y) < 0.005) continue;
        const relative = interpolate(field.relative, field.columns, x, y) + 0.045 * wobble(x, y);
        const tissue = profile.tissue(field.arc[i]!, relative);
        if (chance * bound > tissue.density) continue;
        const radius = (tissue.radius * Math.max(0.45, 1 + tissue.scatter * stream.normal())) / pixelSizeUm;
        const [long, wide] = [radius * 0.62 * Math.sqrt(tissue.stretch), (radius * 0.62) / Math.sqrt(tissue.stretch)];
        // A spot narrower than a pixel's own width keeps its mass and spreads to that width.
        addSpot(image, width, height, x, y, CELL_ABSORBANCE * Math.PI * radius * radius, Math.max(0.42, long), Math.max(0.42, wide), gx, gy);
      }
    }
  }
}

/** Blood vessels: pale rounds and ovals, mostly along the cortical depth. */
function listVessels(key: Words2, number: number, { width, height, pixelSizeUm }: RenderSize): { x: number; y: number; a: number; b: number; angle: number }[] {
  const stream = randomStream(key, [number, 0, STREAM_VESSELS]);
  const count = Math.round(VESSELS * width * height * (pixelSizeUm / 1000) ** 2);
  return Array.from({ length: count }, () => {
    const a = (9 + 16 * stream.uniform() ** 3) / pixelSizeUm;
    return { x: stream.uniform() * width, y: stream.uniform() * height, a, b: a * (1 + 3 * stream.uniform() ** 2), angle: stream.uniform() * Math.PI };
  });
}

/** Renders section `number` as an 8-bit grey image. */
export function renderSection(key: Words2, number: number, shape: Shape, placement: Placement, size: RenderSize): Image {
  const { width, height, pixelSizeUm } = size;
  const profile = makeProfile(shape.length);
  const field = evaluate(shape, profile, placement, size);
  const absorbance = new Float64Array(width * height);
  addCells(absorbance, key, number, field, profile, size);

  const pixelMm = pixelSizeUm / 1000;
  const mottle = makeSmoothNoise(key, [number, 2, STREAM_STAIN], width, height, Math.max(3, 90 / pixelSizeUm));
  const stain = makeSmoothNoise(key, [number, 3, STREAM_STAIN], width, height, Math.max(width, height) / 2.5);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const depth = interpolate(field.depth, field.columns, x + 0.5, y + 0.5);
      // The edge of the tissue is one pixel wide: a pixel partly covered is partly stained.
      const cover = Math.min(1, Math.max(0, depth / pixelMm + 0.5));
      const i = y * width + x;
      if (cover === 0) continue;
      const arc = field.arc[Math.floor(y / TILE) * field.columns + Math.floor(x / TILE)]!;
      const relative = interpolate(field.relative, field.columns, x + 0.5, y + 0.5);
      const pia = 0.1 * Math.exp(-((depth / 0.02) ** 2));
      const tone = 0.85 * profile.tissue(arc, relative).tone * (1 + 0.5 * mottle(x, y)) + pia;
      absorbance[i] = (absorbance[i]! + cover * tone) * (1 + 0.35 * stain(x, y));
    }
  }
  for (const { x, y, a, b, angle } of listVessels(key, number, size)) {
    const [ux, uy] = [Math.cos(angle), Math.sin(angle)];
    const reach = Math.ceil(b) + 1;
    for (let py = Math.max(0, Math.floor(y) - reach); py <= Math.min(height - 1, Math.floor(y) + reach); py++) {
      for (let px = Math.max(0, Math.floor(x) - reach); px <= Math.min(width - 1, Math.floor(x) + reach); px++) {
        const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
        const distance = Math.hypot((dx * ux + dy * uy) / b, (dx * uy - dy * ux) / a);
        absorbance[py * width + px]! *= Math.min(1, Math.max(0.08, (distance - 1) * a + 0.5));
      }
    }
  }

  const noise = randomStream(key, [number, 0, STREAM_NOISE]);
  const light = makeSmoothNoise(key, [number, 4, STREAM_STAIN], width, height, Math.max(width, height) / 1.5);
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const value = (GROUND + 10 * light(x, y)) * Math.exp(-absorbance[i]!) + 2.2 * noise.normal();
      data[i] = Math.min(255, Math.max(0, Math.round(value)));
    }
  }
  return { width, height, channels: 1, data };
}
