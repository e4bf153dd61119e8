// What the SpatialNCE kernels share: sizes, flags, test inputs, and the pair of two samples in plain loops.
import { ceilDiv, type ReferenceContext } from "../../src/kernel/define.ts";

/** `d` is the width of an embedding, `n` the samples; the columns of the n × n pairs are taken in so many parts, side by side. */
export const NCE_DIMS = ["n", "d", "splits"] as const;
/** 1/τ; the largest d² with mass; 1/(2σ²); the open interval of d² that is left out. */
export const NCE_SCALARS = ["invTau", "reach2", "rate", "near2", "far2"] as const;
/** `views` takes mass from equal view ids, `distance` from positions: one of the two is on, or mass comes from lists. */
export const NCE_FLAGS = ["views", "distance", "gaussian", "band", "ignoreSpaces"] as const;

type Flag = (typeof NCE_FLAGS)[number];

/** One part unless said. */
export function deriveSplits({ splits = 1 }: { readonly splits?: number }): { splits: number } {
  return { splits };
}

/** Columns of a part, but for the last ones. */
export function shareOf({ n, splits }: { readonly n: number; readonly splits: number }): number {
  return 64 * ceilDiv(n, 64 * splits);
}

type NceNumbers = Readonly<Record<(typeof NCE_DIMS)[number] | (typeof NCE_SCALARS)[number], number>>;

export interface NcePlaces {
  readonly position: Float64Array;
  readonly space: Float64Array;
  readonly view: Float64Array;
}

export interface NcePair {
  readonly keep: boolean;
  readonly mass: number;
  readonly logMass: number;
}

/**
 * K of the pair (i, j), i ≠ j. Which side of a bound d² lies on is decided in f32, on the device and here, so that truth and
 * device have the same anchors; its value is as exact as `round`.
 */
export function pairOf({ position, space, view }: NcePlaces, i: number, j: number, u: NceNumbers, { round, has }: ReferenceContext<Flag>): NcePair {
  if (has("views")) return { keep: true, mass: view[i] === view[j] ? 1 : 0, logMass: 0 };
  if (!has("distance")) return { keep: true, mass: 0, logMass: 0 };
  const same = space[i] === space[j];
  const squared = (r: (x: number) => number) => {
    const [x, y, z] = [0, 1, 2].map((axis) => r(position[3 * i + axis]! - position[3 * j + axis]!)) as [number, number, number];
    return r(r(r(x * x) + r(y * y)) + r(z * z));
  };
  const cut = squared(Math.fround);
  const banned = has("band") && same && cut > Math.fround(u.near2) && cut < Math.fround(u.far2);
  const near = same && !banned && cut <= Math.fround(u.reach2);
  const keep = !banned && (same || !has("ignoreSpaces"));
  if (!has("gaussian")) return { keep, mass: near ? 1 : 0, logMass: 0 };
  const logMass = round(-squared(round) * u.rate);
  return { keep, mass: near ? round(Math.exp(logMass)) : 0, logMass };
}

/** ⟨z_i, z_j⟩ / τ. */
export function similarityOf(z: Float64Array, i: number, j: number, d: number, invTau: number, round: (x: number) => number): number {
  let sum = 0;
  for (let k = 0; k < d; k++) sum = round(sum + round(z[i * d + k]! * z[j * d + k]!));
  return round(sum * invTau);
}

/** Embeddings of a length below 1, places in a box of 10 mm in two spaces, and two views of each sample. */
export const NCE_INPUTS = {
  z: (random: () => number, _: number, { d }: { readonly d: number }) => (2 * random() - 1) / Math.sqrt(d),
  position: (random: () => number) => 10 * random(),
  space: (random: () => number) => Math.floor(2 * random()),
  view: (_: () => number, index: number) => Math.floor(index / 2),
};

const base = { invTau: 10, reach2: 16, rate: 0.18, near2: 16, far2: 36 };

/** Every option, in few sets of flags, since each is a pipeline to compile; sizes of every remainder by the tiles' 4 rows, and below, between and above blocks. */
export const NCE_CASES = {
  "views": { numbers: { n: 22, d: 8, ...base }, flags: ["views"] },
  "radius": { numbers: { n: 37, d: 12, ...base }, flags: ["distance"] },
  "gaussian, band, other spaces ignored": { numbers: { n: 36, d: 20, ...base }, flags: ["distance", "gaussian", "band", "ignoreSpaces"] },
  "three rows over": { numbers: { n: 43, d: 8, ...base }, flags: ["distance"] },
  "odd width": { numbers: { n: 19, d: 7, ...base }, flags: ["distance"] },
  "wide": { numbers: { n: 150, d: 196, ...base }, flags: ["distance", "gaussian", "band", "ignoreSpaces"] },
  "one": { numbers: { n: 1, d: 4, ...base }, flags: ["distance"] },
  "nothing near": { numbers: { n: 9, d: 4, ...base, reach2: 0 }, flags: ["distance"] },
  "512 × 128 views": { numbers: { n: 512, d: 128, ...base }, flags: ["views"], bench: true },
  "4096 × 128 gaussian": { numbers: { n: 4096, d: 128, ...base }, flags: ["distance", "gaussian"], bench: true },
} as const;
