// The laminar profiles of generated cortex: per area six layers and white matter, with density, size and tone of cells.

/** Names of the layers, outside in; `codes` of samples index this list. */
export const PHANTOM_LAYERS = ["L1", "L2", "L3", "L4", "L5", "L6", "WM"] as const;
export const PHANTOM_AREAS = ["agranular", "granular", "koniocortex"] as const;

interface Layer {
  /** Share of the cortical thickness; white matter has none. */
  readonly share: number;
  /** Cell bodies per mm² of section. */
  readonly density: number;
  /** Radius of a cell body in µm at the layer's upper and lower border. */
  readonly radius: readonly [number, number];
  /** How much radii scatter, as a share. */
  readonly scatter: number;
  /** Absorbance of the tissue between the cells. */
  readonly tone: number;
  /** How much longer than wide the cells are, along the cortical depth. */
  readonly stretch: number;
}

function layer(share: number, density: number, from: number, to: number, scatter: number, tone: number, stretch: number): Layer {
  return { share, density, radius: [from, to], scatter, tone, stretch };
}

const WHITE_MATTER = layer(0, 950, 2.7, 2.7, 0.15, 0.085, 1);

/**
 * Orders of magnitude after textbook Nissl profiles (von Economo and Koskinas' types): motor-like cortex without layer IV and with giant
 * cells in V, frontal granular cortex, and thin sensory koniocortex with a broad dense IV. They are phantoms: no measured area is meant.
 */
const AREAS: Record<(typeof PHANTOM_AREAS)[number], { readonly thickness: number; readonly layers: readonly Layer[] }> = {
  agranular: {
    thickness: 1.16,
    layers: [
      layer(0.09, 420, 2.8, 2.8, 0.2, 0.075, 1), layer(0.08, 2500, 4.4, 4.8, 0.2, 0.12, 1.1), layer(0.34, 1500, 5.2, 7.6, 0.25, 0.12, 1.4),
      layer(0.02, 1500, 5.4, 5.4, 0.2, 0.12, 1.1), layer(0.24, 900, 6.6, 9.5, 0.45, 0.1, 1.5), layer(0.23, 1500, 5.4, 4.6, 0.25, 0.11, 1.3), WHITE_MATTER,
    ],
  },
  granular: {
    thickness: 1,
    layers: [
      layer(0.1, 430, 2.8, 2.8, 0.2, 0.075, 1), layer(0.1, 3500, 4.3, 4.6, 0.2, 0.13, 1.1), layer(0.29, 1700, 4.8, 7, 0.25, 0.12, 1.4),
      layer(0.11, 4300, 4, 4, 0.15, 0.14, 1), layer(0.17, 1050, 6.2, 6.4, 0.35, 0.095, 1.5), layer(0.23, 2100, 5.4, 4.6, 0.25, 0.12, 1.3), WHITE_MATTER,
    ],
  },
  koniocortex: {
    thickness: 0.82,
    layers: [
      layer(0.09, 450, 2.7, 2.7, 0.2, 0.075, 1), layer(0.1, 4300, 3.9, 4, 0.15, 0.14, 1), layer(0.22, 3000, 4.2, 5, 0.2, 0.13, 1.2),
      layer(0.27, 6200, 3.6, 3.7, 0.12, 0.16, 1), layer(0.13, 1250, 5.4, 5.6, 0.3, 0.095, 1.4), layer(0.19, 3300, 4.6, 4.2, 0.2, 0.13, 1.2), WHITE_MATTER,
    ],
  },
};

/** What is found at one place of the ribbon. */
export interface Tissue {
  /** Index into PHANTOM_LAYERS. */
  readonly layer: number;
  readonly density: number;
  readonly radius: number;
  readonly scatter: number;
  readonly tone: number;
  readonly stretch: number;
}

export interface Profile {
  /** Index into PHANTOM_AREAS of the area that prevails at this place along the ribbon. */
  area(arc: number): number;
  /** Thickness here, relative to the shape's. */
  thickness(arc: number): number;
  /** The tissue at a depth relative to the local thickness: 0 at the pia, 1 at the white matter. */
  tissue(arc: number, relativeDepth: number): Tissue;
  /** No place has more cells per mm². */
  readonly maxDensity: number;
  readonly whiteMatterDensity: number;
}

/** Width, in mm, over which one area passes into the next, and share of the thickness over which layers do. */
const AREA_BLEND_MM = 0.35;
const LAYER_BLEND = 0.025;

function at(area: number, depth: number): Tissue {
  const { layers } = AREAS[PHANTOM_AREAS[area]!];
  let top = 0;
  for (let i = 0; i < 6; i++) {
    const { share, density, radius, scatter, tone, stretch } = layers[i]!;
    if (depth < top + share) {
      const t = (depth - top) / share;
      return { layer: i, density, radius: radius[0] + (radius[1] - radius[0]) * t, scatter, tone, stretch };
    }
    top += share;
  }
  return { layer: 6, density: WHITE_MATTER.density, radius: WHITE_MATTER.radius[0], scatter: WHITE_MATTER.scatter, tone: WHITE_MATTER.tone, stretch: 1 };
}

/** Areas follow one another along a ribbon of `length` mm in three nearly equal parts. */
export function makeProfile(length: number): Profile {
  const borders = [length * 0.34, length * 0.67];
  const place = (arc: number): { area: number; other: number; share: number } => {
    const area = borders.filter((border) => arc >= border).length;
    for (const [i, border] of borders.entries()) {
      const t = (arc - border) / AREA_BLEND_MM;
      if (Math.abs(t) < 0.5) return { area, other: t < 0 ? i + 1 : i, share: 0.5 - Math.abs(t) };
    }
    return { area, other: area, share: 0 };
  };
  const tissue = (arc: number, depth: number): Tissue => {
    const { area, other, share } = place(arc);
    const own = at(area, depth);
    // Borders between layers are soft: the density is the mean of what lies a little above and below.
    const soft = (which: number): number => (at(which, depth - LAYER_BLEND).density + at(which, depth).density + at(which, depth + LAYER_BLEND).density) / 3;
    const density = (1 - share) * soft(area) + share * soft(other);
    return { ...own, density };
  };
  return {
    area: (arc) => place(arc).area,
    thickness(arc) {
      const { area, other, share } = place(arc);
      return (1 - share) * AREAS[PHANTOM_AREAS[area]!].thickness + share * AREAS[PHANTOM_AREAS[other]!].thickness;
    },
    tissue,
    whiteMatterDensity: WHITE_MATTER.density,
    maxDensity: Math.max(...Object.values(AREAS).flatMap(({ layers }) => layers.map(({ density }) => density))),
  };
}
