// Memory images of a check's arguments: each between canaries, outputs full of poison; and what they tell after a run.
import type { Arg } from "../kernel/define.ts";
import { type Dtype, bytesOf, halfToNumber, hostArrayOf, storageBytes, toHostArray, toNumbers } from "../kernel/dtype.ts";

/** Bytes of canaries before and behind every argument. */
export const PAD = 256;
const CANARY = 0xc0ffee11;
/**
 * What outputs hold before a run: a NaN, in f32 and in both halves for f16, which spoils whatever is made of it; and a number, which
 * unlike a NaN does not survive arithmetic. What two runs leave as the first and as the second was never written.
 */
export const POISONS = [0x7fcd7fcd, 0x4bcd4bcd] as const;
/** Which of them. */
export type Poison = 0 | 1;

/** An argument as it lies on the device: its bytes are at PAD. */
export interface Argument {
  readonly name: string;
  readonly arg: Arg;
  readonly binding: number;
  readonly dtype: Dtype;
  readonly count: number;
  readonly bytes: number;
  /** With each poison where it has no value of its own. */
  readonly images: readonly [Uint32Array<ArrayBuffer>, Uint32Array<ArrayBuffer>];
}

/** The images of arguments; those without a value are poisoned. */
export function layOut(args: readonly (Omit<Argument, "bytes" | "images"> & { readonly value: Float64Array | undefined })[]): Argument[] {
  return args.map(({ value, ...rest }) => {
    const bytes = storageBytes(rest.dtype, rest.count);
    const make = (poison: number) => {
      const image = new Uint32Array((PAD + bytes + PAD) / 4).fill(CANARY);
      const inside = image.subarray(PAD / 4, (PAD + bytes) / 4).fill(poison);
      if (value) {
        const host = toHostArray(rest.dtype, value);
        new Uint8Array(inside.buffer, inside.byteOffset, inside.byteLength).set(new Uint8Array(host.buffer, host.byteOffset, host.byteLength));
      }
      return image;
    };
    return { ...rest, bytes, images: [make(POISONS[0]), make(POISONS[1])] as const };
  });
}

/** The elements of an image as the bits they are stored in. */
function bitsOf({ dtype, bytes, count }: Argument, image: Uint32Array): Uint16Array | Uint32Array {
  return bytesOf(dtype) === 2 ? new Uint16Array(image.buffer, image.byteOffset + PAD, count) : image.subarray(PAD / 4, (PAD + bytes) / 4).subarray(0, count);
}

/** One element as a number. */
export function valueAt(argument: Argument, image: Uint32Array, at: number): number {
  const bits = bitsOf(argument, image)[at] ?? 0;
  if (argument.dtype === "f16") return halfToNumber(bits);
  return toNumbers(argument.dtype, hostArrayOf(argument.dtype, Uint32Array.of(bits).buffer, 1))[0] ?? NaN;
}

/** Writes beside an argument, and to one that is only read, in a run over this poison. */
export function findBroken({ name, arg, bytes, images }: Argument, after: Uint32Array, poison: Poison): string[] {
  const before = images[poison];
  const complaints: string[] = [];
  const end = (PAD + bytes) / 4;
  const stray = after.findIndex((word, at) => (at < PAD / 4 || at >= end) && word !== CANARY);
  if (stray >= 0) complaints.push(`${name}: wrote ${stray < PAD / 4 ? "before its start" : `past its end, to word ${stray - end} behind it`}`);
  if (arg.access === "read" && after.some((word, at) => at >= PAD / 4 && at < end && word !== before[at])) complaints.push(`${name}: an input was changed`);
  return complaints;
}

/** Elements that two runs over different poisons both left as they were. */
export function findUnwritten(argument: Argument, first: Uint32Array, second: Uint32Array): string[] {
  if (argument.arg.access !== "write") return [];
  const of = (image: Uint32Array) => bitsOf(argument, image);
  const [a, b, before, other] = [of(first), of(second), of(argument.images[0]), of(argument.images[1])];
  const unwritten: number[] = [];
  for (let i = 0; i < argument.count; i++) if (a[i] === before[i] && b[i] === other[i]) unwritten.push(i);
  return unwritten.length ? [`${argument.name}[${unwritten[0]}] was never written${unwritten.length > 1 ? `, nor were ${unwritten.length - 1} others of ${argument.count}` : ""}`] : [];
}

/** Where two runs differ first; `untouched` where the second, over the second poison, left the element as it was. */
export function findDifference(active: readonly Argument[], first: readonly Uint32Array[], second: readonly Uint32Array[]): { place: string; first: number; second: number; untouched: boolean } | undefined {
  for (const [i, argument] of active.entries()) {
    if (argument.arg.access === "read") continue;
    const other = bitsOf(argument, second[i]!);
    const at = bitsOf(argument, first[i]!).findIndex((bits: number, k: number) => bits !== other[k]);
    if (at < 0) continue;
    const untouched = argument.arg.access === "write" && other[at] === bitsOf(argument, argument.images[1])[at];
    return { place: `${argument.name}[${at}]`, first: valueAt(argument, first[i]!, at), second: valueAt(argument, second[i]!, at), untouched };
  }
  return undefined;
}

/** The first element of a part of the grid that is neither untouched nor what the whole grid makes it; -1 where there is none. */
export function findStray(argument: Argument, whole: Uint32Array, part: Uint32Array): number {
  const [all, before] = [bitsOf(argument, whole), bitsOf(argument, argument.images[0])];
  return bitsOf(argument, part).findIndex((bits: number, i: number) => bits !== before[i] && bits !== all[i]);
}

/** The values of every argument that was written. */
export function outputsOf(active: readonly Argument[], images: readonly Uint32Array[]): Map<string, Float64Array> {
  const written = active.map((argument, i) => ({ argument, image: images[i]! })).filter(({ argument }) => argument.arg.access !== "read");
  return new Map(
    written.map(({ argument: { name, dtype, bytes, count }, image }) => [name, toNumbers(dtype, hostArrayOf(dtype, image.slice(PAD / 4, (PAD + bytes) / 4).buffer, count))]),
  );
}
