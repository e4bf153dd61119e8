// Where the points of a section lie in the cortex: depth, relative depth and way along the ribbon, on a grid that the renderer interpolates.
import type { PialLine } from "./folding.ts";

/** A grid of `columns` × `rows` nodes, `cell` mm apart, the first on the section's upper left corner. */
export interface DepthField {
  readonly columns: number;
  readonly rows: number;
  readonly cell: number;
  /** mm to the pia, negative outside the tissue. */
  readonly depth: Float32Array;
  /** Laminar coordinate: 0 at the pia, 1 at the white matter, between them by equal volumes, see `toLaminar`. */
  readonly relative: Float32Array;
  /** Nearest point of the pia, as an index into the line. */
  readonly nearest: Int32Array;
}

/** Curvature times thickness stays within these bounds: beyond them neighbouring columns would cross. */
function fanning(curvature: number, thickness: number): number {
  return Math.max(-0.7, Math.min(1.6, curvature * thickness));
}

/**
 * Depth as a share of the thickness → the share of the column's volume above it (Bok's principle: layers keep their volume where the
 * cortex bends, so that deep layers are thick in gyral crowns and thin in the floors of sulci). Beyond the cortex they are the same.
 */
export function toLaminar(share: number, curvature: number, thickness: number): number {
  if (share <= 0 || share >= 1) return share;
  const bend = fanning(curvature, thickness) / 2;
  return (share + bend * share * share) / (1 + bend);
}

/** The inverse of `toLaminar`. */
export function fromLaminar(laminar: number, curvature: number, thickness: number): number {
  if (laminar <= 0 || laminar >= 1) return laminar;
  const bend = fanning(curvature, thickness) / 2;
  return Math.abs(bend) < 1e-6 ? laminar : (Math.sqrt(1 + 4 * bend * laminar * (1 + bend)) - 1) / (2 * bend);
}

/** Evaluates a section of `width` × `height` mm; `thickness` is that under each point of the line, mm, and `unit` the template's. */
export function makeDepthField(line: PialLine, thickness: Float64Array, width: number, height: number, cell: number, unit: number): DepthField {
  const columns = Math.ceil(width / cell) + 2;
  const rows = Math.ceil(height / cell) + 2;
  const nearest = findNearest(line, columns, rows, cell);
  const inside = markInside(line, columns, rows, cell);
  const depth = new Float32Array(columns * rows);
  const relative = new Float32Array(columns * rows);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const i = r * columns + c;
      const v = nearest[i]!;
      const distance = distanceToLine(line, v, c * cell, r * cell);
      depth[i] = inside[i] ? distance : -distance;
      const local = thickness[v]!;
      relative[i] = inside[i] ? toLaminar(distance / local, line.curvature[v]!, local) : -distance / local;
    }
  }
  smoothDeep(relative, depth, columns, rows, cell, unit);
  return { columns, rows, cell, depth, relative, nearest };
}

/** Depths, in thicknesses, between which smoothing sets in, and its reach (three boxes of this half width). */
const SMOOTHED = [0.12, 0.5] as const;
const SMOOTHING_REACH = 0.1;

/**
 * Rounds the corners that the relative depth has where two stretches of the surface are equally near: layers bend there, they do not break.
 * Near the surface nothing changes, and nowhere where the depth grows evenly.
 */
function smoothDeep(relative: Float32Array, depth: Float32Array, columns: number, rows: number, cell: number, unit: number): void {
  const reach = Math.max(1, Math.round((SMOOTHING_REACH * unit) / cell));
  let smooth = Float32Array.from(relative);
  for (let pass = 0; pass < 3; pass++) smooth = boxBlur(boxBlur(smooth, rows, columns, columns, 1, reach), columns, rows, 1, columns, reach);
  for (let i = 0; i < relative.length; i++) {
    const t = Math.min(1, Math.max(0, (depth[i]! / unit - SMOOTHED[0]) / (SMOOTHED[1] - SMOOTHED[0])));
    relative[i] = relative[i]! + t * t * (3 - 2 * t) * (smooth[i]! - relative[i]!);
  }
}

/** Mean over `reach` neighbours on either side along lines: `lines` of them, `lineStep` apart, of `count` values `step` apart. At the ends over those that there are. */
function boxBlur(values: Float32Array<ArrayBuffer>, lines: number, count: number, lineStep: number, step: number, reach: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  const sums = new Float64Array(count + 1);
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    for (let i = 0; i < count; i++) sums[i + 1] = sums[i]! + values[start + i * step]!;
    for (let i = 0; i < count; i++) {
      const from = Math.max(0, i - reach);
      const to = Math.min(count, i + reach + 1);
      out[start + i * step] = (sums[to]! - sums[from]!) / (to - from);
    }
  }
  return out;
}

function distanceToLine({ x, y, count }: PialLine, v: number, px: number, py: number): number {
  let least = Infinity;
  for (let i = Math.max(0, v - 2); i < Math.min(count - 1, v + 2); i++) {
    const [ux, uy] = [x[i + 1]! - x[i]!, y[i + 1]! - y[i]!];
    const t = Math.max(0, Math.min(1, ((px - x[i]!) * ux + (py - y[i]!) * uy) / (ux * ux + uy * uy)));
    least = Math.min(least, (px - x[i]! - t * ux) ** 2 + (py - y[i]! - t * uy) ** 2);
  }
  return Math.sqrt(least);
}

/** The nearest point of the line for every node: points hand themselves on to neighbours in sweeps (Danielsson 1980, with eight neighbours). */
function findNearest({ x, y, count }: PialLine, columns: number, rows: number, cell: number): Int32Array {
  const nearest = new Int32Array(columns * rows).fill(-1);
  const best = new Float64Array(columns * rows).fill(Infinity);
  const offer = (c: number, r: number, v: number): void => {
    const i = r * columns + c;
    const distance = (c * cell - x[v]!) ** 2 + (r * cell - y[v]!) ** 2;
    if (distance < best[i]!) {
      best[i] = distance;
      nearest[i] = v;
    }
  };
  for (let v = 0; v < count; v++) {
    // Points beyond the section still count for the nodes at its edge.
    const c = Math.max(0, Math.min(columns - 2, Math.floor(x[v]! / cell)));
    const r = Math.max(0, Math.min(rows - 2, Math.floor(y[v]! / cell)));
    for (let k = 0; k < 4; k++) offer(c + (k & 1), r + (k >> 1), v);
  }
  const take = (c: number, r: number, dc: number, dr: number): void => {
    if (c + dc < 0 || c + dc >= columns || r + dr < 0 || r + dr >= rows) return;
    const v = nearest[(r + dr) * columns + c + dc]!;
    if (v >= 0) offer(c, r, v);
  };
  const sweepRow = (r: number, from: number): void => {
    for (let c = 0; c < columns; c++) {
      take(c, r, -1, 0);
      take(c, r, -1, from);
      take(c, r, 0, from);
      take(c, r, 1, from);
    }
    for (let c = columns - 1; c >= 0; c--) take(c, r, 1, 0);
  };
  for (let sweep = 0; sweep < 2; sweep++) {
    for (let r = 0; r < rows; r++) sweepRow(r, -1);
    for (let r = rows - 1; r >= 0; r--) sweepRow(r, 1);
  }
  return nearest;
}

/** Which nodes lie beneath the line: row by row, by the crossings to the left of them. */
function markInside({ x, y, count }: PialLine, columns: number, rows: number, cell: number): Uint8Array {
  const inside = new Uint8Array(columns * rows);
  const crossings: number[][] = Array.from({ length: rows }, () => []);
  const add = (ax: number, ay: number, bx: number, by: number): void => {
    const [low, high] = [Math.min(ay, by), Math.max(ay, by)];
    for (let r = Math.max(0, Math.ceil(low / cell)); r < rows && r * cell < high; r++) {
      crossings[r]!.push(ax + ((bx - ax) * (r * cell - ay)) / (by - ay));
    }
  };
  for (let v = 0; v + 1 < count; v++) add(x[v]!, y[v]!, x[v + 1]!, y[v + 1]!);
  // Closed far below, so that every row enters and leaves.
  const floor = rows * cell + Math.max(Math.abs(y[0]!), Math.abs(y[count - 1]!)) + 1;
  add(x[count - 1]!, y[count - 1]!, x[count - 1]!, floor);
  add(x[0]!, y[0]!, x[0]!, floor);
  crossings.forEach((row, r) => {
    row.sort((a, b) => a - b);
    for (let k = 0; k + 1 < row.length; k += 2) {
      for (let c = Math.max(0, Math.ceil(row[k]! / cell)); c < columns && c * cell < row[k + 1]!; c++) inside[r * columns + c] = 1;
    }
  });
  return inside;
}
