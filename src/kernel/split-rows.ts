// Cutting work on images along their rows: each launch sees the rows that it makes and, of what it makes them from, the rows around them.
import type { Numbers } from "./define.ts";
import { alignment, leastCommon, type Launch, type Room, type Split, type Window } from "./split.ts";

/** Rows [from, to) of image `image` that a launch takes, and the rows [low, high) that it sees of the images on the other side. */
export interface Rows {
  readonly image: number;
  readonly from: number;
  readonly to: number;
  readonly low: number;
  readonly high: number;
}

export interface RowsOptions {
  /** The dim of the rows that are cut, second extent of their arguments. */
  readonly cut: string;
  /** The dim of the rows on the other side, second extent of theirs. */
  readonly other: string;
  /** Rows on the other side that [from, to) need, whether or not they are there. */
  readonly reach: (numbers: Numbers, from: number, to: number) => readonly [low: number, high: number];
  /** Rows of padding that a launch on windows from `from` and `low` has; may be negative. */
  readonly padding: (numbers: Numbers, from: number, low: number) => number;
  /** Cuts lie at multiples of it, and at the ends of images; undefined where that cannot be. */
  readonly unit?: (numbers: Numbers, room: Room) => number | undefined;
  /** Arguments whose windows follow from the rows in another way, and further numbers. */
  readonly more?: (numbers: Numbers, rows: Rows, room: Room) => { readonly windows: Readonly<Record<string, Window>>; readonly numbers: Numbers };
  /** Those arguments. */
  readonly apart?: readonly string[];
}

/** Cuts images [b, rows, ..] image by image, and each along its rows. Arguments without such rows are seen whole. */
export function splitRows({ cut, other, reach, padding, unit = () => 1, more, apart = [] }: RowsOptions): Split {
  return (numbers, _, room) => {
    const [b, height, depth] = [numbers["b"]!, numbers[cut]!, numbers[other]!];
    const own = unit(numbers, room);
    if (own === undefined) return undefined;
    const sides: { name: string; dim: string; row: number }[] = [];
    for (const [name, { shape }] of Object.entries(room.args)) {
      if (apart.includes(name)) continue;
      const sizeFrom = (at: number) => shape.slice(at).reduce<number>((product, letter) => product * (typeof letter === "number" ? letter : numbers[letter]!), 1);
      const dim = shape[0] === "b" && (shape[1] === cut || shape[1] === other) ? shape[1] : undefined;
      if (dim === undefined && sizeFrom(0) > room.most(name)) return undefined;
      if (dim !== undefined) sides.push({ name, dim, row: sizeFrom(2) });
    }
    const unitOf = (dim: string) => sides.filter((side) => side.dim === dim).reduce((sum, { name, row }) => leastCommon(sum, alignment(room.step(name), row)), 1);
    const [step, below] = [leastCommon(own, unitOf(cut)), unitOf(other)];
    // Every image begins with a window.
    if (b > 1 && (height % unitOf(cut) || depth % below)) return undefined;
    const launchesOf = (length: number): Launch[] | undefined => {
      const launches: Launch[] = [];
      for (let image = 0; image < b; image++)
        for (let from = 0; from < height; from += length) {
          const to = Math.min(height, from + length);
          const [first, last] = reach(numbers, from, to);
          const start = Math.min(Math.max(0, first), depth - 1);
          const low = start - (start % below);
          const rows = { image, from, to, low, high: Math.max(low + 1, Math.min(depth, last)) };
          const side = ({ dim, row }: { dim: string; row: number }): Window =>
            dim === cut ? { first: (image * height + from) * row, count: (to - from) * row } : { first: (image * depth + low) * row, count: (rows.high - low) * row };
          const further = more?.(numbers, rows, room);
          const windows = { ...Object.fromEntries(sides.map((one) => [one.name, side(one)])), ...further?.windows };
          if (Object.entries(windows).some(([name, { count }]) => count > room.most(name))) return undefined;
          launches.push({ numbers: { ...numbers, b: 1, [cut]: to - from, [other]: rows.high - low, padH: padding(numbers, from, low), ...further?.numbers }, windows });
        }
      return launches;
    };
    for (let length = Math.ceil(height / step) * step; length > 0; length -= step) {
      const launches = launchesOf(Math.min(length, height));
      if (launches) return launches;
    }
    return undefined;
  };
}

/** Rows that a filter of fh taps sees: of images for its results (convolution and pooling forwards). */
export const FORWARD = {
  cut: "oh",
  other: "ih",
  reach: ({ strideH, padH, fh, dilationH = 1 }: Numbers, from: number, to: number): [number, number] => [from * strideH! - padH!, (to - 1) * strideH! - padH! + (fh! - 1) * dilationH + 1],
  padding: ({ strideH, padH }: Numbers, from: number, low: number): number => padH! - from * strideH! + low,
} as const;

/** Results whose filters saw rows: of gradients for the gradient of images. */
export const BACKWARD = {
  cut: "ih",
  other: "oh",
  reach: ({ strideH, padH, fh, dilationH = 1 }: Numbers, from: number, to: number): [number, number] => [
    Math.floor((from + padH! - (fh! - 1) * dilationH) / strideH!),
    Math.floor((to - 1 + padH!) / strideH!) + 1,
  ],
  padding: ({ strideH, padH }: Numbers, from: number, low: number): number => padH! + from - low * strideH!,
} as const;
