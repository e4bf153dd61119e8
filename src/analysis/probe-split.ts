// Who trains a probe and who tests it: labelled samples split by brain, and groups of neighbours among them.
import type { Dataset } from "../data/dataset.ts";
import { didYouMean } from "../data/mistakes.ts";
import { selectMembers } from "../data/sampler.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { foldGroups, type Folds } from "./linear-probe.ts";

export interface SplitOptions {
  /** A label column. */
  readonly label: string;
  /** Ids of the brains that test; all others train. */
  readonly holdOut: readonly string[];
  /** Only samples of these classes; default all. */
  readonly classes?: readonly string[];
  /** Training samples at most, drawn by the seed. */
  readonly maxSamples: number;
  readonly seed: number;
}

export interface Part {
  /** Indices of samples in the dataset, ascending. */
  readonly samples: Uint32Array<ArrayBuffer>;
  /** Class of each. */
  readonly labels: Int32Array;
}

export interface Split {
  /** Names of the classes that training samples have: what can be learned. Nothing of the test samples decides it. */
  readonly classes: readonly string[];
  readonly train: Part;
  readonly test: Part;
  /** What people must know to read the scores. */
  readonly notes: readonly string[];
}

const SUBSAMPLE = 0x5b;

/**
 * Splits the labelled samples by brain.
 * Errors: UserError 2 for a label, class or brain that is not there; 65 where a part has no labelled samples or there is one class only.
 */
export function splitSamples(dataset: Dataset, options: SplitOptions): Split {
  const { label, holdOut } = options;
  const columns = [...dataset.samples.labels.keys()];
  if (columns.length === 0) throw new UserError(EXIT_CODES.badData, `${dataset.path}: the dataset has no label columns, expected "${label}"; declare it in dataset.json under "labels", or import with --label (docs/dataset.md)`);
  const labels = dataset.samples.labels.get(label);
  if (!labels) throw new UserError(EXIT_CODES.usage, `label: no column "${label}"${didYouMean(label, columns)} in ${dataset.path}, expected one of ${columns.join(", ")}; correct the name`);
  if (holdOut.length === 0) throw new UserError(EXIT_CODES.usage, "hold-out: no brain, expected at least one; a probe is tested on a brain that it was not fitted on");
  for (const name of options.classes ?? [])
    if (!labels.names.includes(name)) throw new UserError(EXIT_CODES.usage, `classes: no "${name}"${didYouMean(name, labels.names)} in ${label}, expected some of ${labels.names.join(", ")}; correct the name`);
  const trains = new Set(selectMembers(dataset, holdOut));
  const wanted = labels.names.map((name) => options.classes?.includes(name) ?? true);
  const indices = Array.from({ length: dataset.samples.count }, (_, i) => i).filter((i) => wanted[labels.codes[i]!] === true);
  const subject = options.classes === undefined ? `samples labelled with ${label}` : `samples of the classes ${options.classes.join(", ")}`;
  const refuse = (what: string, remedy: string) => new UserError(EXIT_CODES.badData, `${dataset.path}: ${what}; ${remedy}`);
  const all = indices.filter((i) => trains.has(i));
  if (all.length === 0) throw refuse(`no ${subject} outside of ${holdOut.join(", ")}, expected some to train on`, "hold out fewer brains, or other classes");
  const chosen = drawSome(all, options.maxSamples, options.seed);
  // The order of the manifest, which may be one that means something, such as that of layers.
  const known = labels.names.map((_, code) => code).filter((code) => chosen.some((i) => labels.codes[i] === code));
  if (known.length < 2) throw refuse(`all training samples are of class ${labels.names[known[0]!]}, expected at least two classes in ${label}`, "hold out another brain, or choose other classes");
  const classOf = new Map(known.map((code, k) => [code, k] as const));
  const held = indices.filter((i) => !trains.has(i));
  if (held.length === 0) throw refuse(`no ${subject} in ${holdOut.join(", ")}, expected some to test on`, "hold out another brain");
  const tested = held.filter((i) => classOf.has(labels.codes[i]!));
  if (tested.length === 0) throw refuse(`no class of the training samples is in ${holdOut.join(", ")}, expected some to test on`, "hold out another brain, or choose other classes");
  const part = (samples: readonly number[]): Part => ({ samples: Uint32Array.from(samples), labels: Int32Array.from(samples, (i) => classOf.get(labels.codes[i]!)!) });
  const notes: string[] = [];
  if (chosen.length < all.length) notes.push(`${chosen.length} of ${all.length} training samples were drawn`);
  for (const code of new Set(held.map((i) => labels.codes[i]!)))
    if (!classOf.has(code)) notes.push(`${labels.names[code]}: no training sample, so its ${held.filter((i) => labels.codes[i] === code).length} test samples are left out`);
  for (const code of known) if (!tested.some((i) => labels.codes[i] === code)) notes.push(`${labels.names[code]}: no test sample, so it is in no mean over classes`);
  return { classes: known.map((code) => labels.names[code]!), train: part(chosen), test: part(tested), notes };
}

/** At most `most` of the indices, evenly drawn without repetition, in their order. */
export function drawSome(indices: readonly number[], most: number, seed: number): number[] {
  return indices.length <= most ? [...indices] : shuffleSome(indices, most, seed).sort((a, b) => a - b);
}

/** At most `most` of the indices, evenly drawn without repetition, in any order. */
export function shuffleSome(indices: ArrayLike<number>, most: number, seed: number): number[] {
  const random = randomStream(keyOfSeed(seed), [0, 0, SUBSAMPLE]);
  const pool = Array.from(indices);
  const count = Math.min(most, pool.length);
  for (let i = 0; i < count; i++) {
    const j = i + random.below(pool.length - i);
    [pool[i], pool[j]] = [pool[j]!, pool[i]!];
  }
  return pool.slice(0, count);
}

/** Numbers of blocks, from 0, for the samples of a part. */
export interface Blocks {
  readonly of: Int32Array;
  readonly count: number;
  readonly edgeMm: number;
}

/**
 * Cubes of the reference space, per brain: sections that are registered to each other and lie within one edge share their blocks, as what is
 * seen in one is seen again in the next. Where each section has a space of its own these are squares of the section.
 */
export function findBlocks(dataset: Dataset, samples: Uint32Array, edgeMm: number): Blocks {
  const { position, space, section } = dataset.samples;
  const numbers = new Map<string, number>();
  const of = Int32Array.from(samples, (i) => {
    const cell = [0, 1, 2].map((axis) => Math.floor(position[3 * i + axis]! / edgeMm));
    const key = JSON.stringify([dataset.sections[section[i]!]!.brain, space[i], ...cell]);
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return numbers.get(key)!;
  });
  return { of, count: numbers.size, edgeMm };
}

const MOST_FOLDS = 5;

/** What is left out whole in each fold. */
export type FoldKind = "brain" | "space" | "section" | "block";

/**
 * Folds of the training samples for the choice of settings: by brain where there are two, else by reference space, else by section, else by
 * block (of half the edge, and half of that, until there are two). Errors: UserError 65 where all samples lie at one place.
 */
export function foldTraining(dataset: Dataset, samples: Uint32Array, edgeMm: number): { folds: Folds; by: FoldKind } {
  const { section, space } = dataset.samples;
  const brains = dataset.brains.map(({ id }) => id);
  const groupings: readonly (readonly [FoldKind, (i: number) => number])[] = [
    ["brain", (i) => brains.indexOf(dataset.sections[section[i]!]!.brain)],
    ["space", (i) => space[i]!],
    ["section", (i) => section[i]!],
  ];
  for (const [by, groupOf] of groupings) {
    const folds = foldGroups(Int32Array.from(samples, groupOf), MOST_FOLDS);
    if (folds.count > 1) return { folds, by };
  }
  for (let edge = edgeMm; edge > 1e-6; edge /= 2) {
    const folds = foldGroups(findBlocks(dataset, samples, edge).of, MOST_FOLDS);
    if (folds.count > 1) return { folds, by: "block" };
  }
  throw new UserError(EXIT_CODES.badData, `${dataset.path}: all training samples lie at one place, expected several, to choose the regularisation by; give more samples`);
}
