// Smooth random functions over a plane, and the names of the random streams: one per purpose, so that no purpose disturbs another.
import type { RandomStream } from "../kernel/rng.ts";

/** Third word of a stream's name; the first two say which brain, section or row. */
export const STREAMS = {
  sheet: 1, gradients: 2, brain: 3, profile: 4, folding: 5, placement: 6, registration: 7, cells: 8, optics: 9, texture: 10, vessels: 11, artefacts: 12, grain: 13, samples: 14,
} as const;

export type Noise = (x: number, y: number) => number;

/** Values even in −1…1 on a grid of `step`, eased between its corners: mean 0, standard deviation about 0.4. Beyond the field the outermost cells go on. */
export function makeSmoothNoise(stream: RandomStream, width: number, height: number, step: number): Noise {
  const columns = Math.ceil(width / step) + 2;
  const rows = Math.ceil(height / step) + 2;
  const values = Float64Array.from({ length: columns * rows }, () => 2 * stream.uniform() - 1);
  const ease = (t: number): number => t * t * (3 - 2 * t);
  return (x, y) => {
    const c = Math.min(columns - 2, Math.max(0, Math.floor(x / step)));
    const r = Math.min(rows - 2, Math.max(0, Math.floor(y / step)));
    const fx = ease(Math.min(1, Math.max(0, x / step - c)));
    const fy = ease(Math.min(1, Math.max(0, y / step - r)));
    const i = r * columns + c;
    return (values[i]! * (1 - fx) + values[i + 1]! * fx) * (1 - fy) + (values[i + columns]! * (1 - fx) + values[i + columns + 1]! * fx) * fy;
  };
}

/** A function of one variable that swings smoothly by `amplitude` with about `period`. */
export function makeWave(stream: RandomStream, amplitude: number, period: number): (t: number) => number {
  const phase = 2 * Math.PI * stream.uniform();
  const k = (2 * Math.PI) / (period * (0.8 + 0.4 * stream.uniform()));
  return (t) => amplitude * Math.sin(k * t + phase);
}

/** Nearly a standard normal number from one word: the sum of its four bytes has mean 510 and standard deviation 147.8; beyond 3.4 there is nothing. */
export function toNearlyNormal(word: number): number {
  return ((word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24) - 510) / 147.8;
}

/** A normal number that never strays beyond two standard deviations: what it scales stays plausible. */
export function boundedNormal(stream: RandomStream): number {
  return Math.max(-2, Math.min(2, stream.normal()));
}
