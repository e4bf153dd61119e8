// The pial surface of one brain in one section: a line from left to right over gyri and down into sulci, changing smoothly from section to section.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import { boundedNormal, makeWave, STREAMS } from "./noise.ts";

/** Tissue lies on the right hand of the line's direction (below it where it runs to the right). Lengths in mm of the section. */
export interface PialLine {
  readonly count: number;
  /** [count] */
  readonly x: Float64Array;
  readonly y: Float64Array;
  /** Inward normal. */
  readonly nx: Float64Array;
  readonly ny: Float64Array;
  /** Curvature, 1/mm: positive where cortex fans out beneath (floors of sulci), negative on crowns of gyri. */
  readonly curvature: Float64Array;
  /** Way along the middle of the cortex from the left end, as a share of the whole. */
  readonly way: Float64Array;
  /** The whole way, mm. */
  readonly length: number;
}

/** All that the shape of a brain needs to know of sections, mm. */
export interface BlockSize {
  readonly width: number;
  readonly height: number;
  /** Cortical thickness of the template. */
  readonly thickness: number;
}

interface Sulcus {
  readonly centre: (z: number) => number;
  readonly depth: (z: number) => number;
  readonly bend: (z: number) => number;
  readonly sway: number;
  readonly rounding: number;
}

export type Folding = (z: number) => PialLine;

/** The line goes on beyond the section's edges by this many thicknesses. */
const OVERHANG = 0.3;
/** Distance of gyral crowns from the section's upper edge, in thicknesses. */
const TOP = 0.6;
/** Mouths of sulci keep this far from the sides of the section, in thicknesses: an area that lies in a sulcus would be missing in a brain whose block is cut there. */
const CLEAR_OF_SIDES = 1.35;
/** Half width of the cleft between two banks, in thicknesses. */
const GAP = 0.035;
/** Distance between points of the line, in thicknesses. */
const PITCH = 0.02;

/** Curvature is the mean over this much of the line on either side, twice, in thicknesses: cortex does not follow every dent. */
const CURVATURE_REACH = 0.22;

/** Draws how a brain folds; `period` is the length, mm of z, over which its folds come and go. */
export function makeFolding(key: Words2, brain: number, block: BlockSize, period: number): Folding {
  const stream = randomStream(key, [brain, 0, STREAMS.folding]);
  const { width, height, thickness: unit } = block;
  const spacing = (3.1 + 0.5 * stream.uniform()) * unit;
  const count = Math.max(1, Math.round((width + 2 * OVERHANG * unit) / spacing));
  const deepest = height - (TOP + 1.9) * unit;
  const offset = 0.5 + 0.35 * (stream.uniform() - 0.5);
  let dimpled = false;
  const mouths: number[] = [];
  const sulci = Array.from({ length: count }, (_, i): Sulcus => {
    const pitch = (width + 2 * OVERHANG * unit) / count;
    const drift = makeWave(stream, 0.13 * pitch, period);
    // No two dimples side by side: deep clefts lie between them.
    const shallow = stream.uniform() < 0.35 && !dimpled;
    dimpled = shallow;
    const mean = Math.max(0.6 * unit, Math.min(deepest, shallow ? (0.9 + 0.6 * stream.uniform()) * unit : (0.7 + 0.3 * stream.uniform()) * deepest));
    const change = makeWave(stream, 0.3, period);
    const bend = (stream.uniform() - 0.5) * 0.9 * unit;
    const lean = makeWave(stream, 0.35 * unit, period);
    mouths.push(-OVERHANG * unit + (i + offset + 0.16 * boundedNormal(stream) * 0.5) * pitch);
    return {
      centre: (z) => mouths[i]! + drift(z),
      depth: (z) => Math.min(deepest, mean * (1 + change(z))),
      bend: (z) => bend + lean(z),
      sway: 1.2 + 0.9 * stream.uniform(),
      rounding: Math.min(0.95 * unit, 0.34 * pitch),
    };
  });
  keepWithin(mouths, CLEAR_OF_SIDES * unit, width - CLEAR_OF_SIDES * unit);
  const hills = Array.from({ length: 3 }, (_, i) => ({ wave: makeWave(stream, (0.16 * unit) / (i + 1), (width * 1.2) / (i + 1)), drift: makeWave(stream, 0.05 * width, 2 * period) }));
  const ripple = Array.from({ length: 2 }, (_, i) => makeWave(stream, (0.022 * unit) / (i + 1) ** 2, (2.3 * unit) / (i + 1)));

  return (z) => {
    const top = (x: number): number => hills.reduce((sum, { wave, drift }) => sum + wave(x + drift(z)), TOP * unit);
    const points: [number, number][] = [];
    const step = PITCH * unit;
    const crown = (to: number): void => {
      const from = points.length === 0 ? -OVERHANG * unit - 0.5 * unit : points[points.length - 1]![0];
      for (let x = from + step; x < to; x += step) points.push([x, top(x)]);
    };
    for (const sulcus of sulci) {
      const [centre, depth, bend] = [sulcus.centre(z), sulcus.depth(z), sulcus.bend(z)];
      const rounding = Math.min(sulcus.rounding, 0.8 * depth);
      const axis = (t: number): number => centre + bend * Math.sin((sulcus.sway * t * Math.PI) / (2 * depth)) * Math.min(1, t / depth + 0.2);
      const half = (t: number): number => GAP * unit * (1 + 1.6 * (t / depth) ** 3) + rounding * (1 - Math.sqrt(1 - (1 - Math.min(1, t / rounding)) ** 2));
      crown(axis(0) - half(0));
      const wall = (t: number, side: number): [number, number] => {
        const x = axis(t) + side * half(t);
        return [x, top(x) * (1 - t / depth) + top(centre) * (t / depth) + t];
      };
      // Even steps of the angle at the shoulder, where the wall is nearly level; even steps of depth below it.
      const ts: number[] = [];
      for (let a = 0; a < 1; a += 0.02) ts.push(rounding * (1 - Math.cos((a * Math.PI) / 2)));
      for (let t = rounding; t < depth; t += step) ts.push(t);
      for (const t of ts) points.push(wall(t, -1));
      const radius = half(depth);
      for (let a = 0; a <= Math.PI; a += 0.15) points.push([axis(depth) - radius * Math.cos(a), top(centre) + depth + radius * Math.sin(a)]);
      for (const t of ts.reverse()) points.push(wall(t, 1));
    }
    crown(width + (OVERHANG + 0.5) * unit);
    return finishLine(points, block, (way) => ripple.reduce((sum, wave, i) => sum + wave(way + 0.4 * z * (i + 1)), 0));
  };
}

/** Shifts ascending places into a range, and draws them together only where they are wider than it. */
function keepWithin(places: number[], low: number, high: number): void {
  const [first, last] = [places[0]!, places[places.length - 1]!];
  const scale = Math.min(1, Math.max(0, high - low) / Math.max(last - first, Number.MIN_VALUE));
  const length = scale * (last - first);
  const start = Math.max(Math.min(low, high), Math.min(first, Math.max(low, high) - length));
  places.forEach((place, i) => (places[i] = start + scale * (place - first)));
}

/** Resamples evenly, smooths corners away, lets the surface ripple a little, and measures normals, curvature and the way along mid-cortex. */
function finishLine(points: readonly (readonly [number, number])[], { thickness: unit }: BlockSize, ripple: (way: number) => number): PialLine {
  const step = PITCH * unit;
  const even = resample(points, step);
  const smooth = smoothLine(even, 4);
  const [px, py] = [smooth.map(([x]) => x), smooth.map(([, y]) => y)];
  const count = smooth.length;
  const direction = (i: number, x: ArrayLike<number>, y: ArrayLike<number>): [number, number] => {
    const [a, b] = [Math.max(0, i - 1), Math.min(count - 1, i + 1)];
    const [dx, dy] = [x[b]! - x[a]!, y[b]! - y[a]!];
    const norm = Math.hypot(dx, dy) || 1;
    return [dx / norm, dy / norm];
  };
  const [x, y, nx, ny] = [new Float64Array(count), new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  for (let i = 0; i < count; i++) {
    const [dx, dy] = direction(i, px, py);
    const swell = ripple(i * step);
    x[i] = px[i]! - swell * -dy;
    y[i] = py[i]! - swell * dx;
  }
  const turn = new Float64Array(count);
  let before = 0;
  for (let i = 0; i < count; i++) {
    const [dx, dy] = direction(i, x, y);
    nx[i] = -dy;
    ny[i] = dx;
    const angle = Math.atan2(dy, dx);
    let change = i === 0 ? 0 : angle - before;
    if (change > Math.PI) change -= 2 * Math.PI;
    if (change < -Math.PI) change += 2 * Math.PI;
    turn[i] = change;
    before = angle;
  }
  const reach = Math.round(CURVATURE_REACH / PITCH);
  const curvature = movingMean(movingMean(turn.map((change) => -change / step), reach), reach);
  const way = new Float64Array(count);
  for (let i = 1; i < count; i++) way[i] = way[i - 1]! + Math.hypot(x[i]! - x[i - 1]!, y[i]! - y[i - 1]!) * Math.max(0.3, 1 + curvature[i]! * unit * 0.5);
  const length = way[count - 1]!;
  return { count, x, y, nx, ny, curvature, way: way.map((value) => value / length), length };
}

function resample(points: readonly (readonly [number, number])[], step: number): [number, number][] {
  const even: [number, number][] = [];
  let rest = 0;
  for (let i = 1; i < points.length; i++) {
    const [[ax, ay], [bx, by]] = [points[i - 1]!, points[i]!];
    const length = Math.hypot(bx - ax, by - ay);
    let at = rest;
    for (; at < length; at += step) even.push([ax + ((bx - ax) * at) / length, ay + ((by - ay) * at) / length]);
    rest = at - length;
  }
  return even;
}

function smoothLine(points: readonly [number, number][], reach: number): [number, number][] {
  const [x, y] = [movingMean(Float64Array.from(points, ([value]) => value), reach), movingMean(Float64Array.from(points, ([, value]) => value), reach)];
  return points.map((_, i) => [x[i]!, y[i]!]);
}

/** Mean over `reach` neighbours on either side; at the ends over those that there are. */
function movingMean(values: Float64Array, reach: number): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, i) => (sums[i + 1] = sums[i]! + value));
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - reach), Math.min(values.length, i + reach + 1)];
    return (sums[to]! - sums[from]!) / (to - from);
  });
}
