// Tuned choices: which variant with which constants was measured to be fastest for problems of a kind, and on what.
import type { Problem } from "./blueprint.ts";
import type { Choice, Kernel, Numbers } from "./define.ts";
import { usesOf } from "./template.ts";

/** What an entry holds for: all of it must be the same as when it was measured. */
export interface TuningKey {
  readonly kernel: string;
  /** Hash of the kernel's templates and of the shared functions that they use. */
  readonly source: string;
  /** Hash of everything that tells one device from another. */
  readonly device: string;
  readonly dtype: "f32" | "f16";
  /** Sorted. */
  readonly flags: readonly string[];
  /** Sizes to the nearest power of two: see `bucketOf`. */
  readonly bucket: string;
}

/** A choice with what it was measured on. */
export interface TunedEntry extends TuningKey {
  readonly choice: Choice;
  /** Sizes that were measured. */
  readonly numbers: Numbers;
  /** Time as a multiple of the kernel's own choice, with the interval that holds it with 95 %; 1 where that was the fastest. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly milliseconds: number;
  /** Of the roof that bounds it. */
  readonly share: number;
  /** For people: the names behind `device`, and when. */
  readonly adapter: string;
  readonly driver: string;
  readonly date: string;
  /** Candidates that were measured, and how many of those were refused, wrong or crashed. */
  readonly candidates: number;
  readonly failed: number;
}

/** Choices that plans take where the whole key is the same. */
export interface TuningTable {
  readonly entries: readonly TunedEntry[];
  find(problem: Problem, device: string): TunedEntry | undefined;
}

/** A hash of text for telling whether two are the same: 128 bits, four FNV-1a with different beginnings. */
export function hashText(text: string): string {
  const lanes = [0x811c9dc5, 0x01000193, 0x9e3779b9, 0x85ebca6b];
  for (let i = 0; i < text.length; i++)
    for (let lane = 0; lane < 4; lane++) {
      const mixed = Math.imul(lanes[lane]! ^ (text.charCodeAt(i) + lane), 0x01000193);
      lanes[lane] = mixed ^ (mixed >>> 15);
    }
  return lanes.map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
}

const sources = new WeakMap<Kernel, string>();

/** Hash of what a kernel's pipelines are made of: a changed template, another variant or library, and tuned entries are stale. */
export function hashSource(kernel: Kernel): string {
  const known = sources.get(kernel);
  if (known !== undefined) return known;
  const parts: string[] = [];
  const libraries = new Set<string>();
  const visit = (text: string) => {
    for (const name of usesOf(text)) {
      if (libraries.has(name)) continue;
      libraries.add(name);
      visit(kernel.libraries[name] ?? "");
    }
  };
  for (const [name, { source, libraries: own = {} }] of Object.entries(kernel.variants)) {
    parts.push(name, source);
    visit(source);
    for (const text of Object.values(own)) {
      parts.push(text);
      visit(text);
    }
  }
  for (const name of [...libraries].sort()) parts.push(name, kernel.libraries[name] ?? "");
  const hash = hashText(parts.join("\u0000"));
  sources.set(kernel, hash);
  return hash;
}

/** Sizes to the nearest power of two, `m=10 n=11`, as exponents; scalars count for nothing. */
export function bucketOf(kernel: Kernel, numbers: Numbers): string {
  return kernel.dims.map((dim) => `${dim}=${numbers[dim]! > 0 ? Math.round(Math.log2(numbers[dim]!)) : "none"}`).join(" ");
}

export function tuningKey({ kernel, numbers, flags, dtype }: Problem, device: string): TuningKey {
  return { kernel: kernel.name, source: hashSource(kernel), device, dtype, flags: [...flags].sort(), bucket: bucketOf(kernel, numbers) };
}

/** One line for a key, by which entries are told apart. */
export function printKey({ kernel, source, device, dtype, flags, bucket }: TuningKey): string {
  return [kernel, source, device, dtype, flags.join("+"), bucket].join(" | ");
}

/** A table of entries; of several with one key the first counts. */
export function createTuningTable(entries: readonly TunedEntry[]): TuningTable {
  const known = new Map<string, TunedEntry>();
  for (const entry of entries) if (!known.has(printKey(entry))) known.set(printKey(entry), entry);
  const kernels = new Set(entries.map(({ kernel }) => kernel));
  return {
    entries: [...known.values()],
    // Most kernels have no entry: no need to hash their sources.
    find: (problem, device) => (kernels.has(problem.kernel.name) ? known.get(printKey(tuningKey(problem, device))) : undefined),
  };
}
