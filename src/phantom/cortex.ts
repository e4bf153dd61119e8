// The cortex of one brain: what tissue lies at a place of the sheet and a relative depth, with the brain's own variation of the shared plan.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import { AREA_PROFILES, HALF_BANDS, coverage, MOLECULAR_SHARE, PHANTOM_AREAS, WHITE_MATTER, WHITE_TISSUE, type Tissue } from "./areas.ts";
import { boundedNormal, STREAMS } from "./noise.ts";
import type { Sheet } from "./sheet.ts";

/** Steps of the relative depth from pia to white matter, and beyond. */
export const DEPTH_STEPS = 120;
const STEPS_TO_WHITE = 100;
/** Relative depth that the last step stands for, and all below. */
export const DEEPEST = DEPTH_STEPS / STEPS_TO_WHITE;
/** Absorbance of a cell body, and of the tissue between cells in layer I, in the other layers and in white matter: a stain for cell bodies leaves the first and the last pale. */
export const CELL_ABSORBANCE = 1.7;
const TONES = { molecular: 0.055, cellular: 0.075, white: 0.035 };
/** Neighbouring bands pass into each other over about this share of the depth to either side, and layer VI into white matter over this one. */
const BAND_BLEND = 0.022;
const WHITE_BLEND = 0.06;

/** The tissue under one place of the sheet, by steps of the relative depth. */
export interface Column {
  readonly area: number;
  /** Index into PHANTOM_LAYERS. */
  readonly layer: Uint8Array;
  readonly density: Float64Array;
  readonly radius: Float64Array;
  readonly scatter: Float64Array;
  readonly elongation: Float64Array;
  /** Absorbance between the cells. */
  readonly tone: Float64Array;
}

export interface Cortex {
  /** Thickness relative to the template's. */
  thicknessAt(s: number, z: number): number;
  columnAt(s: number, z: number): Column;
}

interface AreaTable {
  readonly borders: readonly number[];
  readonly steps: readonly Tissue[];
  /** Added to the tone of layers II to VI, so that all areas absorb alike in the mean. */
  readonly toneShift: number;
}

/** How much of a patch around mid-depth falls on a relative depth: the outer bands are cut off now and then. */
function patchWeight(depth: number): number {
  return Math.min(1, Math.max(0, (1.08 - 1.12 * Math.abs(depth - 0.5) * 2) / 0.35));
}

/** By steps of the depth, the share of white matter in the tissue: half of it at the border. */
const WHITENESS: readonly number[] = Array.from({ length: DEPTH_STEPS }, (_, i) => {
  const t = Math.min(1, Math.max(0, ((i + 0.5) / STEPS_TO_WHITE - 1 + WHITE_BLEND) / (2 * WHITE_BLEND)));
  return t * t * (3 - 2 * t);
});

/** Bands of an area in this brain, blended over neighbouring depths. */
function tabulate(bands: readonly Tissue[], shift: (depth: number) => number): Tissue[] {
  const bandAt = (depth: number): Tissue => {
    if (depth < MOLECULAR_SHARE) return bands[0]!;
    return bands[Math.min(HALF_BANDS, 1 + Math.floor(((depth - MOLECULAR_SHARE) / (1 - MOLECULAR_SHARE)) * HALF_BANDS))]!;
  };
  return Array.from({ length: DEPTH_STEPS }, (_, i) => {
    const depth = shift((i + 0.5) / STEPS_TO_WHITE);
    const around = [-1, -0.5, 0, 0.5, 1].map((k) => bandAt(Math.max(0, depth + k * BAND_BLEND)));
    const white = WHITENESS[i]!;
    const mean = (pick: (tissue: Tissue) => number): number => white * pick(WHITE_TISSUE) + ((1 - white) * around.reduce((sum, tissue) => sum + pick(tissue), 0)) / around.length;
    return { density: mean((t) => t.density), radius: mean((t) => t.radius), scatter: mean((t) => t.scatter), elongation: mean((t) => t.elongation) };
  });
}

function layerAt(borders: readonly number[], depth: number): number {
  let layer = 0;
  while (layer < WHITE_MATTER && depth >= borders[layer]!) layer += 1;
  return layer;
}

/** The cortex of brain `brain` of a seed. */
export function makeCortex(key: Words2, brain: number, sheet: Sheet): Cortex {
  const stream = randomStream(key, [brain, 0, STREAMS.profile]);
  const thick = 1 + 0.05 * boundedNormal(stream);
  const areas = PHANTOM_AREAS.map((_, a): AreaTable => {
    const own = AREA_PROFILES[a]!;
    const bands = own.bands.map((band) => ({ ...band, density: band.density * (1 + 0.06 * boundedNormal(stream)), radius: band.radius * (1 + 0.02 * boundedNormal(stream)) }));
    const [bow, swing] = [0.012 * boundedNormal(stream), 0.008 * boundedNormal(stream)];
    const shift = (depth: number): number => (depth >= 1 ? depth : depth + bow * Math.sin(Math.PI * depth) + swing * Math.sin(2 * Math.PI * depth));
    return { borders: own.borders, steps: tabulate(bands, shift), toneShift: 0 };
  });
  // The mean absorbance of a patch, less the tone: what differs between areas goes into the tone.
  const weights = Array.from({ length: STEPS_TO_WHITE }, (_, i) => patchWeight((i + 0.5) / STEPS_TO_WHITE));
  const cellular = weights.map((weight, i) => (i < MOLECULAR_SHARE * STEPS_TO_WHITE ? 0 : weight * (1 - WHITENESS[i]!)));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const absorbed = areas.map(({ steps }) => sum(weights.map((weight, i) => weight * CELL_ABSORBANCE * coverage(steps[i]!))));
  const target = sum(absorbed) / absorbed.length;
  const tables = areas.map((area, a) => ({ ...area, toneShift: (target - absorbed[a]!) / sum(cellular) }));

  return {
    thicknessAt: (s, z) => thick * (1 + 0.09 * sheet.gradientsAt(s, z)[2]),
    columnAt(s, z) {
      const { area, other, share } = sheet.areaAt(s, z);
      const [own, second] = [tables[area]!, tables[other]!];
      const [dense, large] = sheet.gradientsAt(s, z);
      const borders = own.borders.map((border, i) => (1 - share) * border + share * second.borders[i]!);
      const toneShift = (1 - share) * own.toneShift + share * second.toneShift;
      const make = (): Float64Array => new Float64Array(DEPTH_STEPS);
      const column = { area, layer: new Uint8Array(DEPTH_STEPS), density: make(), radius: make(), scatter: make(), elongation: make(), tone: make() };
      for (let i = 0; i < DEPTH_STEPS; i++) {
        const grey = 1 - WHITENESS[i]!;
        const [a, b] = [own.steps[i]!, second.steps[i]!];
        column.layer[i] = layerAt(borders, (i + 0.5) / STEPS_TO_WHITE);
        column.density[i] = ((1 - share) * a.density + share * b.density) * (1 + grey * 0.08 * dense);
        column.radius[i] = ((1 - share) * a.radius + share * b.radius) * (1 + grey * 0.03 * large);
        column.scatter[i] = (1 - share) * a.scatter + share * b.scatter;
        column.elongation[i] = (1 - share) * a.elongation + share * b.elongation;
        column.tone[i] = i < MOLECULAR_SHARE * STEPS_TO_WHITE ? TONES.molecular : (1 - grey) * TONES.white + grey * (TONES.cellular + toneShift);
      }
      return column;
    },
  };
}

/** The step of a relative depth; depths outside are the outermost or the deepest. */
export function depthStep(relative: number): number {
  return Math.max(0, Math.min(DEPTH_STEPS - 1, Math.floor(relative * STEPS_TO_WHITE)));
}
