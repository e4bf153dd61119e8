// How a section was stained, cut and photographed: what differs between brains and sections and says nothing about the cortex.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import { boundedNormal, makeSmoothNoise, STREAMS, type Noise } from "./noise.ts";
import type { PhantomPlan } from "./options.ts";

/** A wavy band across the section: the gap of a tear, or tissue that lies doubled. */
export interface Band {
  readonly kind: "tear" | "fold";
  /** A point of its middle line, its direction, half its length and half its width, mm. */
  readonly x: number;
  readonly y: number;
  readonly angle: number;
  readonly halfLength: number;
  readonly halfWidth: number;
  readonly sway: number;
  readonly phase: number;
}

export interface Optics {
  /** Strength of the stain and its curve: absorbance = gain · a^gamma · unit^(1 − gamma). */
  readonly gain: number;
  readonly gamma: number;
  /** Stain that the whole tissue holds. */
  readonly unspecific: number;
  /** Grey of the empty glass. */
  readonly ground: number;
  /** Standard deviation of the camera's noise, grey levels. */
  readonly noise: number;
  /** Standard deviation of the blur, px. */
  readonly blur: number;
  /** Relative strength of the stain over the section, and relative brightness of the light. */
  readonly stain: Noise;
  readonly light: Noise;
  /** Fine unevenness of the tissue between the cells. */
  readonly mottle: Noise;
  readonly bands: readonly Band[];
  readonly artefacts: readonly ("tear" | "fold" | "uneven" | "blur")[];
}

/** Share of the sections that have each artefact. */
const ARTEFACT_SHARE = 0.18;

/** The optics of a section: the brain's own stain and camera, and the section's deviation from them. */
export function makeOptics(key: Words2, brain: number, number: number, plan: PhantomPlan): Optics {
  const { widthMm: width, heightMm: height, thickness: unit } = plan;
  const own = randomStream(key, [brain, 65536, STREAMS.optics]);
  const here = randomStream(key, [brain, number, STREAMS.optics]);
  const spread = (stream: typeof own, scale: number): number => Math.exp(scale * boundedNormal(stream));
  const base = { gain: spread(own, 0.12), gamma: spread(own, 0.07), unspecific: 0.02 + 0.04 * own.uniform(), ground: 226 + 20 * own.uniform(), noise: 1.6 + 1.8 * own.uniform(), blur: 0.25 + 0.25 * own.uniform() };
  const section = { gain: spread(here, 0.08), gamma: spread(here, 0.04), ground: 5 * (here.uniform() - 0.5), noise: spread(here, 0.15), blur: 0.15 * here.uniform() };

  const accident = randomStream(key, [brain, number, STREAMS.artefacts]);
  const artefacts = (["tear", "fold", "uneven", "blur"] as const).filter(() => accident.uniform() < ARTEFACT_SHARE);
  const bands = artefacts.flatMap((kind) => (kind === "tear" || kind === "fold" ? Array.from({ length: 1 + accident.below(2) }, () => drawBand(kind, accident, width, height, unit)) : []));
  const amplitude = (artefacts.includes("uneven") ? 0.45 : 0.12) * (0.7 + 0.6 * accident.uniform());
  const [stain, light, mottle] = [makeSmoothNoise(here, width, height, 0.28 * width), makeSmoothNoise(here, width, height, 0.6 * width), makeSmoothNoise(here, width, height, 0.04 * unit)];
  return {
    gain: base.gain * section.gain,
    gamma: base.gamma * section.gamma,
    unspecific: base.unspecific,
    ground: Math.min(250, base.ground + section.ground),
    noise: base.noise * section.noise,
    blur: base.blur + section.blur + (artefacts.includes("blur") ? 0.5 + 0.5 * accident.uniform() : 0),
    stain: (x, y) => Math.exp(amplitude * stain(x, y)),
    light: (x, y) => 1 + 0.035 * light(x, y),
    mottle,
    bands,
    artefacts,
  };
}

function drawBand(kind: Band["kind"], stream: ReturnType<typeof randomStream>, width: number, height: number, unit: number): Band {
  const long = kind === "tear" ? 0.7 + 1.1 * stream.uniform() : 0.9 + 1.6 * stream.uniform();
  return {
    kind,
    x: width * (0.08 + 0.84 * stream.uniform()),
    y: height * (0.1 + 0.6 * stream.uniform()),
    angle: Math.PI * stream.uniform(),
    halfLength: long * unit,
    halfWidth: unit * (kind === "tear" ? 0.012 + 0.025 * stream.uniform() : 0.04 + 0.06 * stream.uniform()),
    sway: unit * (0.08 + 0.12 * stream.uniform()),
    phase: 2 * Math.PI * stream.uniform(),
  };
}

/** How far a point lies within a band: 1 on its middle line, 0 at its edge, negative outside. */
export function withinBand(band: Band, x: number, y: number): number {
  const [dx, dy] = [x - band.x, y - band.y];
  const [cos, sin] = [Math.cos(band.angle), Math.sin(band.angle)];
  const along = (dx * cos + dy * sin) / band.halfLength;
  if (Math.abs(along) >= 1) return -1;
  const across = dy * cos - dx * sin - band.sway * Math.sin(4 * along + band.phase);
  // It tapers towards its ends.
  return 1 - Math.abs(across) / (band.halfWidth * (1 - along * along));
}
