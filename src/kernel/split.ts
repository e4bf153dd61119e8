// Cutting a kernel's work into launches of the same kernel, each on windows of its arguments: for tensors that no binding holds at once.
import type { Arg, Numbers } from "./define.ts";

/** A part of an argument that lies in one piece, in elements. */
export interface Window {
  readonly first: number;
  readonly count: number;
}

/** One launch of the kernel: all of its numbers, and the windows of those arguments that it does not see whole. */
export interface Launch {
  readonly numbers: Numbers;
  readonly windows: Readonly<Record<string, Window>>;
}

/** What a device binds of an argument, in elements. */
export interface Room {
  /** Those arguments that are there under the flags. */
  readonly args: Readonly<Record<string, Arg>>;
  /** The most that one binding holds. */
  most(arg: string): number;
  /** Its elements, where they are known before anything runs. */
  data(arg: string): ArrayLike<number> | undefined;
  /** Windows begin at multiples of it. */
  step(arg: string): number;
}

/**
 * How a problem that exceeds bindings is cut into launches that run in this order; undefined where it cannot be. Together they write what one launch would
 * have written. Launches of one problem may continue an output that an earlier one began.
 */
export type Split = (numbers: Numbers, flags: ReadonlySet<string>, room: Room) => readonly Launch[] | undefined;

/** Tries ways of cutting one after the other. */
export function splitBy(...ways: readonly Split[]): Split {
  return (numbers, flags, room) => {
    for (const way of ways) {
      const launches = way(numbers, flags, room);
      if (launches) return launches;
    }
    return undefined;
  };
}

export interface AlongOptions {
  /** Dims that mean the same as the one that is cut, where they have the same size: they are cut with it. */
  readonly also?: readonly string[];
  /** Arguments with the dim that every launch sees whole: small ones, whose windows could not begin where they should. */
  readonly whole?: readonly string[];
  /** Whether the flags and numbers allow it. */
  readonly when?: (numbers: Numbers, flags: ReadonlySet<string>) => boolean;
  /** Cuts lie at multiples of it. */
  readonly step?: (numbers: Numbers) => number;
  /** Numbers of the launch that takes [from, to), besides the size of the dim. */
  readonly numbers?: (numbers: Numbers, from: number, to: number) => Readonly<Record<string, number>>;
}

/** Cuts one dim: arguments with it as their first extent above 1 are seen in windows, those without it whole. */
export function splitAlong(dim: string, { also = [], whole = [], when, step, numbers: more }: AlongOptions = {}): Split {
  return (numbers, flags, room) => {
    const size = numbers[dim]!;
    if (when && !when(numbers, flags)) return undefined;
    const cut = new Set([dim, ...also.filter((other) => size > 1 && numbers[other] === size)]);
    const extent = (letter: string | number) => (typeof letter === "number" ? letter : numbers[letter]!);
    const strides: [name: string, stride: number][] = [];
    for (const [name, { shape }] of Object.entries(room.args)) {
      const at = whole.includes(name) ? -1 : shape.findIndex((letter) => typeof letter === "string" && cut.has(letter));
      const stride = shape.slice(at + 1).reduce<number>((product, letter) => product * extent(letter), 1);
      if (at < 0 && stride > room.most(name)) return undefined;
      if (at < 0) continue;
      if (shape.slice(0, at).some((letter) => extent(letter) !== 1)) return undefined;
      strides.push([name, stride]);
    }
    const most = Math.min(...strides.map(([name, stride]) => Math.floor(room.most(name) / stride)));
    const unit = strides.reduce((sum, [name, stride]) => leastCommon(sum, alignment(room.step(name), stride)), step?.(numbers) ?? 1);
    return cutEvenly(size, most, unit)?.map(([from, to]) => ({
      numbers: { ...numbers, ...Object.fromEntries([...cut].map((letter) => [letter, to - from])), ...more?.(numbers, from, to) },
      windows: Object.fromEntries(strides.map(([name, stride]) => [name, { first: from * stride, count: (to - from) * stride }])),
    }));
  };
}

/** Cuts [0, size) into as few stretches of at most `most`, all but the last multiples of `unit`, as there can be; undefined where none fits. */
export function cutEvenly(size: number, most: number, unit: number): [from: number, to: number][] | undefined {
  const longest = most >= size ? size : Math.floor(most / unit) * unit;
  if (longest < 1) return undefined;
  const length = Math.ceil(Math.ceil(size / Math.ceil(size / longest)) / unit) * unit;
  return Array.from({ length: Math.ceil(size / length) }, (_, i) => [i * length, Math.min(size, (i + 1) * length)]);
}

/** Units of `stride` elements after which a window begins at a multiple of `step`. */
export function alignment(step: number, stride: number): number {
  return step / greatestCommon(step, stride);
}

function greatestCommon(p: number, q: number): number {
  return q === 0 ? p : greatestCommon(q, p % q);
}

/** Least common multiple. */
export function leastCommon(p: number, q: number): number {
  return (p / greatestCommon(p, q)) * q;
}
