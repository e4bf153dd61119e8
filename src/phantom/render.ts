// Paints a section of anatomy as a photograph: absorbance of tissue and cells, blurred, stained, lit, with noise; strip by strip, so that memory stays small.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import type { Image } from "../data/image.ts";
import { WHITE_MATTER } from "./areas.ts";
import { bilinear } from "./cells.ts";
import { CELL_ABSORBANCE, depthStep } from "./cortex.ts";
import { STREAMS, toNearlyNormal } from "./noise.ts";
import { makeOptics, withinBand, type Optics } from "./optics.ts";
import type { PhantomPlan } from "./options.ts";
import { columnOf, type SectionAnatomy } from "./section.ts";

/** Pixels of a strip. */
const STRIP_PIXELS = 4_000_000;
/** Absorbance at which the stain's curve changes nothing. */
const CURVE_UNIT = 0.35;
/** Vessels per mm² of section: empty rounds and ovals. */
const VESSELS = 1.3;
/** Standard deviation of a cell's soft outline, µm. */
const SOFT_UM = 1.5;
/** Cells take up stain unequally, by up to this share; which, hangs on the angle's last digits, so that it needs no column in the list. */
const UPTAKE = 0.55;
/** Radii, in pixels, up to which a cell is a point and up to which a spot: only beyond can a shape be seen. */
const POINT_PIXELS = 0.7;
const SPOT_PIXELS = 1.5;

/** Renders as 8-bit grey. */
export function renderSection(section: SectionAnatomy, key: Words2, plan: PhantomPlan): Image {
  const { width, height } = plan;
  const optics = makeOptics(key, section.brain, section.number, plan);
  const data = new Uint8Array(width * height);
  const kernel = gaussian(optics.blur);
  const halo = kernel.length - 1;
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP_PIXELS / width)));
  const vessels = listVessels(section, key, plan);
  for (let top = 0; top < height; top += rows) {
    const [from, to] = [Math.max(0, top - halo), Math.min(height, top + rows + halo)];
    const strip: Strip = { width, from, to, pixelMm: plan.pixelSizeUm / 1000, absorbance: new Float32Array((to - from) * width) };
    paintTissue(strip, section, optics);
    paintCells(strip, section);
    paintVessels(strip, vessels);
    paintBands(strip, optics);
    blur(strip, kernel);
    develop(strip, section, optics, key, data, top, Math.min(height, top + rows));
  }
  return { width, height, channels: 1, data };
}

interface Strip {
  readonly width: number;
  /** First row, and the row after the last. */
  readonly from: number;
  readonly to: number;
  readonly pixelMm: number;
  readonly absorbance: Float32Array;
}

/** Calls back for each pixel of a row with its place in the field. */
function eachInRow({ field }: Pick<SectionAnatomy, "field">, width: number, y: number, pixelMm: number, visit: (x: number, i: number, fx: number, fy: number) => void): void {
  const { columns, rows, cell } = field;
  const v = ((y + 0.5) * pixelMm) / cell;
  const r = Math.min(rows - 2, Math.floor(v));
  for (let x = 0; x < width; x++) {
    const u = ((x + 0.5) * pixelMm) / cell;
    const c = Math.min(columns - 2, Math.floor(u));
    visit(x, r * columns + c, u - c, v - r);
  }
}

/** The tissue between the cells, and the pia's darker rim. */
function paintTissue({ width, from, to, pixelMm, absorbance }: Strip, section: SectionAnatomy, optics: Optics): void {
  const { field, cutDistance } = section;
  for (let y = from; y < to; y++) {
    eachInRow(section, width, y, pixelMm, (x, i, fx, fy) => {
      const depth = bilinear(field.depth, i, field.columns, fx, fy);
      if (depth < -pixelMm) return;
      const [px, py] = [(x + 0.5) * pixelMm, (y + 0.5) * pixelMm];
      // A pixel on the edge is covered in part.
      const cover = Math.min(1, Math.max(0, Math.min(depth, cutDistance(px, py)) / pixelMm + 0.5));
      if (cover === 0) return;
      const column = columnOf(section, field.nearest[i]!);
      const tone = column.tone[depthStep(bilinear(field.relative, i, field.columns, fx, fy))]!;
      const rim = depth < 0.08 ? 0.12 * Math.exp(-((depth / 0.025) ** 2)) : 0;
      absorbance[(y - from) * width + x] = cover * (tone * (1 + 0.18 * optics.mottle(px, py)) + rim);
    });
  }
}

/** Cells as soft ellipses of the right area; elongated ones taper towards the surface like pyramids do when pixels are fine enough to show it. */
function paintCells(strip: Strip, section: SectionAnatomy): void {
  const { width, from, to, pixelMm, absorbance } = strip;
  const { table, rowStarts } = section.cells;
  const { cell, rows } = section.field;
  const pixelUm = 1000 * pixelMm;
  // Cells of the rows of the field that touch the strip, with room for the largest cell.
  const reachMm = 0.08 + 2 * pixelMm;
  const [first, last] = [Math.max(0, Math.floor((from * pixelMm - reachMm) / cell)), Math.min(rows, Math.ceil((to * pixelMm + reachMm) / cell))];
  for (let k = rowStarts[first]!; k < rowStarts[last]!; k++) {
    const x = table[6 * k]! / pixelUm;
    const y = table[6 * k + 1]! / pixelUm - from;
    const radius = table[6 * k + 2]! / pixelUm;
    const mass = CELL_ABSORBANCE * Math.PI * radius * radius;
    if (radius < POINT_PIXELS) {
      addPoint(absorbance, width, to - from, x, y, mass);
      continue;
    }
    const stretch = Math.sqrt(table[6 * k + 3]!);
    const angle = table[6 * k + 4]!;
    if (radius < SPOT_PIXELS) addSpot(absorbance, width, to - from, x, y, mass, 0.5 * radius * stretch, (0.5 * radius) / stretch, angle);
    else addBody(absorbance, width, to - from, x, y, radius, stretch, angle, SOFT_UM / pixelUm, CELL_ABSORBANCE * (1 + UPTAKE * (2 * ((Math.abs(angle) * 1000) % 1) - 1)));
  }
}

/** Shares absorbance × pixels out among the four pixels around a point. */
function addPoint(image: Float32Array, width: number, height: number, x: number, y: number, mass: number): void {
  const [px, py] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
  const [fx, fy] = [x - 0.5 - px, y - 0.5 - py];
  for (let k = 0; k < 4; k++) {
    const [dx, dy] = [k & 1, k >> 1];
    if (px + dx >= 0 && px + dx < width && py + dy >= 0 && py + dy < height) image[(py + dy) * width + px + dx]! += mass * (dx === 1 ? fx : 1 - fx) * (dy === 1 ? fy : 1 - fy);
  }
}

/** Adds an elongated Gaussian spot of given absorbance × pixels. */
function addSpot(image: Float32Array, width: number, height: number, x: number, y: number, mass: number, long: number, wide: number, angle: number): void {
  const reach = Math.ceil(2.6 * long);
  const [x0, x1] = [Math.max(0, Math.floor(x) - reach), Math.min(width - 1, Math.floor(x) + reach)];
  const [y0, y1] = [Math.max(0, Math.floor(y) - reach), Math.min(height - 1, Math.floor(y) + reach)];
  if (x0 > x1 || y0 > y1) return;
  const amplitude = mass / (2 * Math.PI * long * wide);
  const [ux, uy] = [Math.cos(angle), Math.sin(angle)];
  for (let py = y0; py <= y1; py++) {
    for (let px = x0; px <= x1; px++) {
      const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
      const a = (dx * ux + dy * uy) / long;
      const b = (dx * uy - dy * ux) / wide;
      image[py * width + px]! += amplitude * Math.exp(-0.5 * (a * a + b * b));
    }
  }
}

/** Adds a cell body with a soft outline: an ellipse, drawn out to a point towards the pia the more it is elongated. */
function addBody(image: Float32Array, width: number, height: number, x: number, y: number, radius: number, stretch: number, angle: number, soft: number, strength: number): void {
  const [long, wide] = [radius * stretch, radius / stretch];
  const taper = Math.min(0.75, 1.6 * (stretch - 1));
  const reach = Math.ceil(1.5 * long + 2 * soft);
  const [x0, x1] = [Math.max(0, Math.floor(x) - reach), Math.min(width - 1, Math.floor(x) + reach)];
  const [y0, y1] = [Math.max(0, Math.floor(y) - reach), Math.min(height - 1, Math.floor(y) + reach)];
  const [ux, uy] = [Math.cos(angle), Math.sin(angle)];
  for (let py = y0; py <= y1; py++) {
    for (let px = x0; px <= x1; px++) {
      const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
      // The angle points away from the pia.
      const a = (dx * ux + dy * uy) / long;
      const narrow = 1 + taper * Math.max(-1.2, Math.min(1, a));
      const b = (dx * uy - dy * ux) / (wide * Math.max(0.15, narrow));
      const inside = Math.min(1, Math.max(0, ((1 - Math.sqrt(a * a + b * b)) * wide) / (2 * soft) + 0.5));
      if (inside > 0) image[py * width + px]! += strength * inside * inside * (3 - 2 * inside);
    }
  }
}

interface Vessel {
  readonly x: number;
  readonly y: number;
  readonly a: number;
  readonly b: number;
  readonly angle: number;
}

/** Blood vessels, in mm. */
function listVessels({ brain, number }: SectionAnatomy, key: Words2, { widthMm, heightMm }: PhantomPlan): Vessel[] {
  const stream = randomStream(key, [brain, number, STREAMS.vessels]);
  return Array.from({ length: Math.round(VESSELS * widthMm * heightMm) }, () => {
    const a = 0.007 + 0.016 * stream.uniform() ** 3;
    return { x: stream.uniform() * widthMm, y: stream.uniform() * heightMm, a, b: a * (1 + 4 * stream.uniform() ** 2), angle: stream.uniform() * Math.PI };
  });
}

function paintVessels({ width, from, to, pixelMm, absorbance }: Strip, vessels: readonly Vessel[]): void {
  for (const vessel of vessels) {
    const [x, y, a, b] = [vessel.x / pixelMm, vessel.y / pixelMm - from, vessel.a / pixelMm, vessel.b / pixelMm];
    const [ux, uy] = [Math.cos(vessel.angle), Math.sin(vessel.angle)];
    const reach = Math.ceil(b) + 1;
    for (let py = Math.max(0, Math.floor(y) - reach); py <= Math.min(to - from - 1, Math.floor(y) + reach); py++) {
      for (let px = Math.max(0, Math.floor(x) - reach); px <= Math.min(width - 1, Math.floor(x) + reach); px++) {
        const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
        const distance = Math.hypot((dx * ux + dy * uy) / b, (dx * uy - dy * ux) / a);
        absorbance[py * width + px]! *= Math.min(1, Math.max(0.1, (distance - 1) * a + 0.5));
      }
    }
  }
}

/** Tears take the tissue away, folds double it. */
function paintBands({ width, from, to, pixelMm, absorbance }: Strip, { bands }: Optics): void {
  for (const band of bands) {
    const reach = band.halfLength + band.sway + band.halfWidth;
    const [x0, x1] = [Math.max(0, Math.floor((band.x - reach) / pixelMm)), Math.min(width - 1, Math.ceil((band.x + reach) / pixelMm))];
    const [y0, y1] = [Math.max(from, Math.floor((band.y - reach) / pixelMm)), Math.min(to - 1, Math.ceil((band.y + reach) / pixelMm))];
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        const share = Math.min(1, Math.max(0, withinBand(band, (x + 0.5) * pixelMm, (y + 0.5) * pixelMm) * 3 + 0.3));
        if (share > 0) absorbance[(y - from) * width + x]! *= band.kind === "tear" ? 1 - share : 1 + 0.9 * share;
      }
    }
  }
}

/** Half of a Gaussian, its middle first, that sums to 1 as a whole. */
function gaussian(sigma: number): Float64Array {
  const reach = Math.max(1, Math.ceil(3 * sigma));
  const half = Float64Array.from({ length: reach + 1 }, (_, i) => Math.exp(-0.5 * (i / sigma) ** 2));
  const total = half.reduce((sum, value, i) => sum + (i === 0 ? value : 2 * value), 0);
  return half.map((value) => value / total);
}

/** Blurs in place, first along rows, then along columns; beyond the strip the outermost pixel goes on. */
function blur({ width, from, to, absorbance }: Strip, kernel: Float64Array): void {
  const height = to - from;
  const along = (count: number, start: number, step: number, line: Float32Array): void => {
    for (let i = 0; i < count; i++) line[i] = absorbance[start + i * step]!;
    for (let i = 0; i < count; i++) {
      let sum = kernel[0]! * line[i]!;
      for (let k = 1; k < kernel.length; k++) sum += kernel[k]! * (line[Math.max(0, i - k)]! + line[Math.min(count - 1, i + k)]!);
      absorbance[start + i * step] = sum;
    }
  };
  const line = new Float32Array(Math.max(width, height));
  for (let y = 0; y < height; y++) along(width, y * width, 1, line);
  for (let x = 0; x < width; x++) along(height, x, width, line);
}

/** Absorbance → grey, rows `top` to `bottom`. */
function develop({ width, from, pixelMm, absorbance }: Strip, section: SectionAnatomy, optics: Optics, key: Words2, data: Uint8Array, top: number, bottom: number): void {
  const { field } = section;
  const { columns, rows, cell } = field;
  // Stain and light change slowly: their values on two rows of the field's nodes are interpolated.
  const [stain, light] = [new Float32Array(2 * columns), new Float32Array(2 * columns)];
  let filled = -1;
  const scale = optics.gain * CURVE_UNIT ** (1 - optics.gamma);
  for (let y = top; y < bottom; y++) {
    const r = Math.min(rows - 2, Math.floor(((y + 0.5) * pixelMm) / cell));
    if (r !== filled) {
      for (let k = 0; k < 2; k++) {
        for (let c = 0; c < columns; c++) {
          stain[k * columns + c] = optics.stain(c * cell, (r + k) * cell);
          light[k * columns + c] = optics.ground * optics.light(c * cell, (r + k) * cell);
        }
      }
      filled = r;
    }
    const grain = randomStream(key, [section.brain * 65536 + section.number, y, STREAMS.grain]);
    eachInRow(section, width, y, pixelMm, (x, i, fx, fy) => {
      const c = i - r * columns;
      const value = absorbance[(y - from) * width + x]!;
      const stained = value <= 0 ? 0 : bilinear(stain, c, columns, fx, fy) * (scale * value ** optics.gamma + optics.unspecific * Math.min(1, 10 * value));
      const noise = toNearlyNormal(grain.word());
      data[y * width + x] = Math.min(255, Math.max(0, Math.round(bilinear(light, c, columns, fx, fy) * Math.exp(-stained) + optics.noise * noise)));
    });
  }
}

/** The truth as masks: index of the layer, or of the area (cortex only), plus 1; 0 where there is none. */
export function renderMask(section: SectionAnatomy, plan: PhantomPlan, what: "layers" | "areas"): Image {
  const { width, height, pixelSizeUm } = plan;
  const { field, cutDistance } = section;
  const pixelMm = pixelSizeUm / 1000;
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    eachInRow(section, width, y, pixelMm, (x, i, fx, fy) => {
      if (bilinear(field.depth, i, field.columns, fx, fy) < 0 || cutDistance((x + 0.5) * pixelMm, (y + 0.5) * pixelMm) < 0) return;
      const column = columnOf(section, field.nearest[i]!);
      const layer = column.layer[depthStep(bilinear(field.relative, i, field.columns, fx, fy))]!;
      data[y * width + x] = what === "layers" ? layer + 1 : layer === WHITE_MATTER ? 0 : column.area + 1;
    });
  }
  return { width, height, channels: 1, data };
}
