// The areas of generated cortex: the same bands of tissue in another order each, so that the arrangement tells them apart and the grey does not.

/** Names of the layers, outside in; codes of samples index this list, masks hold index + 1. */
export const PHANTOM_LAYERS = ["L1", "L2", "L3", "L4", "L5", "L6", "WM"] as const;
/** After von Economo's types, as orientation only: no measured area is meant. */
export const PHANTOM_AREAS = ["agranular", "frontal", "parietal", "polar", "koniocortex", "limbic", "temporal"] as const;

export const WHITE_MATTER = 6;

export interface Tissue {
  /** Cell bodies per mm² of section. */
  readonly density: number;
  /** Mean radius of a cell body, µm. */
  readonly radius: number;
  /** How much radii scatter, as a share. */
  readonly scatter: number;
  /** How much longer than wide cells are, along the cortical depth. */
  readonly elongation: number;
}

/** Kinds of bands: granule cells, small pyramids, large pyramids, and a band that is poor in cells. */
const BANDS: Readonly<Record<string, Tissue>> = {
  g: { density: 4300, radius: 4.1, scatter: 0.15, elongation: 1.05 },
  s: { density: 1400, radius: 5.5, scatter: 0.22, elongation: 1.4 },
  p: { density: 480, radius: 8.8, scatter: 0.3, elongation: 1.8 },
  w: { density: 560, radius: 5.4, scatter: 0.25, elongation: 1.3 },
};

/** Layer I and white matter are the same everywhere. */
const MOLECULAR: Tissue = { density: 330, radius: 3.6, scatter: 0.2, elongation: 1 };
export const WHITE_TISSUE: Tissue = { density: 520, radius: 3.4, scatter: 0.15, elongation: 1.15 };

/** Layer I takes this share of the depth, what is below is divided evenly into half bands. */
export const MOLECULAR_SHARE = 0.1;
export const HALF_BANDS = 12;

/**
 * Per area its tissue outside in, a letter for half a band, layers II to VI divided by bars. Every area has the same six bands (2 g, s, p, 2 w):
 * over the depth its mean and its histogram are those of all others. Agranular cortex has no layer IV.
 */
const ARRANGEMENTS: Record<(typeof PHANTOM_AREAS)[number], string> = {
  agranular: "gg|ggss||pp|wwww",
  frontal: "gg|ssww|gg|pp|ww",
  parietal: "ss|ggppww|gg|w|w",
  polar: "ss|pp|gg|ww|wwgg",
  koniocortex: "ss|ww|gggg|ww|pp",
  limbic: "ww|ppww|ss|g|ggg",
  temporal: "gg|wwpp|ww|ss|gg",
};

export interface AreaProfile {
  /** Relative depth where layers II to VI and white matter begin: [6], the last is 1. */
  readonly borders: readonly number[];
  /** [13] layer I and the half bands. */
  readonly bands: readonly Tissue[];
}

function readArrangement(text: string): AreaProfile {
  const borders = [MOLECULAR_SHARE];
  const step = (1 - MOLECULAR_SHARE) / HALF_BANDS;
  for (const layer of text.split("|")) borders.push(borders[borders.length - 1]! + step * layer.length);
  const bands = [...text.replaceAll("|", "")].map((kind) => BANDS[kind]!);
  return { borders: borders.map((border) => Number(border.toFixed(9))), bands: [MOLECULAR, ...bands] };
}

/** One per name in PHANTOM_AREAS. */
export const AREA_PROFILES: readonly AreaProfile[] = PHANTOM_AREAS.map((name) => readArrangement(ARRANGEMENTS[name]));

/** Share of the section that cell bodies of a tissue cover. */
export function coverage({ density, radius, scatter }: Tissue): number {
  return density * Math.PI * radius * radius * (1 + scatter * scatter) * 1e-6;
}
