// The cortical sheet that all brains share: areas with sharp and gradual borders and slow gradients, over the place along the ribbon and z.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import { PHANTOM_AREAS } from "./areas.ts";
import { makeSmoothNoise, makeWave, STREAMS } from "./noise.ts";

/** Lengths in mm of the common space: the unfolded sheet [0, length] × [0, depth of all sections], with the cortex's template thickness. */
export interface SheetSize {
  readonly length: number;
  readonly zLength: number;
  readonly thickness: number;
}

/** A place on the sheet belongs to `area`; near a border a share of its tissue is `other`'s. */
export interface AreaMix {
  /** Index into PHANTOM_AREAS. */
  readonly area: number;
  readonly other: number;
  /** 0 to 0.5. */
  readonly share: number;
}

export interface Sheet extends SheetSize {
  areaAt(s: number, z: number): AreaMix;
  /** Slow changes across the sheet, about −1…1: of cell density, of cell size, of thickness. */
  gradientsAt(s: number, z: number): readonly [number, number, number];
}

/** Width of sharp and of gradual borders, mm. */
const SHARP_MM = 0.15;
const GRADUAL_MM = 1.6;

/** The sheet of a seed. Areas are the cells of nearest centres, in an order that the seed draws, with wavy borders. */
export function makeSheet(key: Words2, size: SheetSize): Sheet {
  const { length, zLength } = size;
  const count = PHANTOM_AREAS.length;
  const stream = randomStream(key, [0, 0, STREAMS.sheet]);
  const order = PHANTOM_AREAS.map((_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  // The outermost parts of the ribbon lie outside of the sections: areas divide what is seen.
  const [from, to] = [0.12 * length, 0.88 * length];
  const pitch = (to - from) / count;
  const centres = order.map((area, i) => ({ area, s: from + (i + 0.5 + 0.24 * (stream.uniform() - 0.5)) * pitch, z: zLength * (0.5 + 0.6 * (stream.uniform() - 0.5)) }));
  const [warpS, warpZ] = [makeSmoothNoise(stream, length, zLength, 0.6 * pitch), makeSmoothNoise(stream, length, zLength, 0.6 * pitch)];
  const gradual = Array.from({ length: count * count }, () => stream.uniform() < 0.5);
  const scale = pitch / 7;

  const gradients = randomStream(key, [0, 0, STREAMS.gradients]);
  const waves = Array.from({ length: 3 }, () => ({ s: makeWave(gradients, 0.7, 0.7 * length), z: makeWave(gradients, 0.4, 2 * zLength) }));

  return {
    ...size,
    areaAt(s, z) {
      const x = s + 0.14 * pitch * warpS(s, z);
      const y = z + 0.14 * pitch * warpZ(s, z);
      let [nearest, second] = [0, 0];
      let [least, next] = [Infinity, Infinity];
      centres.forEach((centre, i) => {
        const distance = Math.hypot(x - centre.s, 0.6 * (y - centre.z));
        if (distance < least) [second, next, nearest, least] = [nearest, least, i, distance];
        else if (distance < next) [second, next] = [i, distance];
      });
      const pair = Math.min(nearest, second) * count + Math.max(nearest, second);
      const width = scale * (gradual[pair] ? GRADUAL_MM : SHARP_MM);
      // Half the difference of the distances is about the distance to the border.
      const t = Math.min(1, (next - least) / width);
      return { area: centres[nearest]!.area, other: centres[second]!.area, share: 0.5 * (1 - t * t * (3 - 2 * t)) };
    },
    gradientsAt(s, z) {
      const [a, b, c] = waves.map((wave) => wave.s(s) + wave.z(z));
      return [a ?? 0, b ?? 0, c ?? 0];
    },
  };
}
