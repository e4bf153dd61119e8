// The shape of a generated cortex: a folded pial surface with sulci, and for each point its depth and its place along the ribbon.
import { randomStream, type Words2 } from "../kernel/rng.ts";

/** A sulcus: a cleft that leaves the surface at `x` and reaches `depth` mm down, swinging `bend` mm sideways. */
interface Sulcus {
  readonly x: number;
  readonly depth: number;
  readonly bend: number;
  /** Its centre line, mm. */
  readonly line: readonly (readonly [number, number])[];
  /** Ribbon length, in mm, at its left lip. */
  readonly arc: number;
}

export interface Shape {
  /** mm of ribbon from the left to the right edge, both banks of each sulcus included. */
  readonly length: number;
  /** Cortical thickness in mm where the ribbon is straight. */
  readonly thickness: number;
  /**
   * Place of a point (x right, y down, mm in the template): distance to the pia in mm (negative outside the tissue), mm along the ribbon,
   * and the depth relative to the local thickness: 0 at the pia, 1 at the white matter. `relativeThickness` says how thick the cortex is along the ribbon.
   */
  locate(x: number, y: number, relativeThickness: (arc: number) => number): { depth: number; arc: number; relative: number };
}

/** One section of one brain: point of the image (mm) → place in the template, which is the reference space of all brains. */
export interface Placement {
  readonly z: number;
  toTemplate(x: number, y: number): [number, number];
}

const LINE_POINTS = 14;
/** Radius, in mm, with which gyral shoulders are rounded. */
const ROUNDING_MM = 1.3;
/** Where two parts of the surface are equally near, thickness passes from one's to the other's over about this many mm. */
const CHANGE_MM = 0.15;
/** The floor of a sulcus has cortex thinner by this share. */
const FLOOR_THINNING = 0.22;
const STREAM_SHAPE = 11;

/** Polynomial smooth minimum: equals min beyond `k` of difference, rounds the edge within. */
function smoothMin(a: number, b: number, k: number): number {
  const h = Math.max(0, k - Math.abs(a - b)) / k;
  return Math.min(a, b) - (h * h * k) / 4;
}

/** The half width of the cleft at t mm below its lip: open at the top, narrow below. */
function halfWidth(t: number, depth: number): number {
  return 0.07 + 0.28 * Math.exp(-Math.max(0, t) / 0.5) + 0.06 * (t / depth);
}

/**
 * The template's shape at a position z (mm) along the brain, for a field of `width` × `height` mm. It changes slowly and smoothly with z,
 * so that neighbouring sections look alike.
 */
export function makeShape(key: Words2, width: number, height: number, z: number): Shape {
  const stream = randomStream(key, [0, 0, STREAM_SHAPE]);
  const thickness = Math.min(2.2, 0.4 * height);
  const swing = (scale: number): number => {
    const phase = stream.uniform() * 2 * Math.PI;
    return scale * Math.sin(z / 1.7 + phase);
  };
  const waves = Array.from({ length: 3 }, (_, i) => {
    const amplitude = (0.03 * height * (0.6 + 0.8 * stream.uniform())) / (i + 1);
    return { amplitude, phase: stream.uniform() * 2 * Math.PI + swing(0.25), k: ((i + 1) * 2 * Math.PI * (0.7 + 0.5 * stream.uniform())) / Math.max(width, 6) };
  });
  const surface = (x: number): number => 0.11 * height + waves.reduce((sum, { amplitude, phase, k }) => sum + amplitude * Math.sin(k * x + phase), 0);
  const slope = (x: number): number => waves.reduce((sum, { amplitude, phase, k }) => sum + amplitude * k * Math.cos(k * x + phase), 0);

  const spacing = 2.7 * thickness;
  const count = Math.max(width > 1.6 * thickness ? 1 : 0, Math.round(width / spacing));
  const sulci: Sulcus[] = [];
  let folded = 0;
  for (let i = 0; i < count; i++) {
    const x = ((i + 0.5 + 0.22 * (stream.uniform() - 0.5)) * width) / count + swing(0.12);
    const depth = Math.min(0.52 * height, thickness * (1.5 + 0.6 * stream.uniform())) * (1 + swing(0.06));
    const bend = (stream.uniform() - 0.5) * 0.9 * thickness + swing(0.1);
    const phase = 1.5 + stream.uniform();
    const top = surface(x);
    const line = Array.from({ length: LINE_POINTS }, (_, p) => {
      const t = p / (LINE_POINTS - 1);
      return [x + bend * Math.sin((phase * t * Math.PI) / 2) * t, top - 0.15 + t * depth] as const;
    });
    sulci.push({ x, depth, bend, line, arc: x + folded });
    folded += 2 * depth;
  }

  const locate: Shape["locate"] = (x, y, relativeThickness) => {
    const g = slope(x);
    const open = (y - surface(x)) / Math.sqrt(1 + g * g);
    const passed = sulci.reduce((sum, sulcus) => (sulcus.x < x ? sum + 2 * sulcus.depth : sum), 0);
    let depth = open;
    let nearest = open;
    let arc = x + passed;
    const parts = [{ distance: open, arc, floor: 0 }];
    for (const sulcus of sulci) {
      let best = Number.POSITIVE_INFINITY;
      let along = 0;
      let side = 1;
      for (let p = 0; p + 1 < sulcus.line.length; p++) {
        const [ax, ay] = sulcus.line[p]!;
        const [bx, by] = sulcus.line[p + 1]!;
        const [ux, uy] = [bx - ax, by - ay];
        const t = Math.min(1, Math.max(0, ((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy)));
        const [rx, ry] = [x - ax - t * ux, y - ay - t * uy];
        const at = (p + t) / (sulcus.line.length - 1);
        const distance = Math.sqrt(rx * rx + ry * ry) - halfWidth(at * sulcus.depth, sulcus.depth);
        if (distance < best) {
          best = distance;
          along = at;
          side = ux * ry - uy * rx > 0 ? -1 : 1;
        }
      }
      depth = smoothMin(depth, best, ROUNDING_MM);
      const t = along * sulcus.depth;
      const here = side < 0 ? sulcus.arc + t : sulcus.arc + 2 * sulcus.depth - t;
      parts.push({ distance: best, arc: here, floor: Math.min(1, Math.max(0, (along - 0.75) * 4)) });
      if (best < nearest) {
        nearest = best;
        arc = here;
      }
    }
    let local = 0;
    let total = 0;
    for (const part of parts) {
      const weight = Math.exp((nearest - part.distance) / CHANGE_MM);
      local += weight * relativeThickness(part.arc) * (1 - FLOOR_THINNING * part.floor);
      total += weight;
    }
    return { depth, arc, relative: depth / ((thickness * local) / total) };
  };
  return { length: width + folded, thickness, locate };
}
