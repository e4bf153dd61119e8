// Validation while training: what the features of places held out are good for, as they are now. Nothing of it reaches training.
import type { Dataset } from "../data/dataset.ts";
import { didYouMean } from "../data/mistakes.ts";
import { indexNeighbours } from "../data/neighbours.ts";
import { cropWindows, type SectionCache } from "../data/sections.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { keyOfSeed, randomStream, type RandomStream } from "../kernel/rng.ts";
import type { TrainConfig } from "./config.ts";
import type { EncoderPlan } from "./embed.ts";
import { classifyByNeighbours, compareRows, normaliseRows } from "./neighbours.ts";
import { windowOptions } from "./objective.ts";
import { scorePredictions } from "./scores.ts";

/** Names of the random streams. */
const SECTIONS = 0x7a;
const PLACES = 0x7b;
const BANK = 0x7c;

/** Nearest features that vote for a label. */
export const VOTES = 20;
/** Recall is told for so many nearest features. */
export const RECALL_AT = [1, 5] as const;
/** A place is taken with up to so many of its spatial neighbours, so that there is something to find. */
const COMPANIONS = 3;

/**
 * Sections that validation keeps from training: none where it is off or brains are held out, else a share of all, drawn by the seed. Whole sections,
 * because patches of one may share pixels.
 * Errors: UserError 65 where there is one section only.
 */
export function holdOutSections(dataset: Dataset, { validate, holdOut, seed }: Pick<TrainConfig, "validate" | "holdOut" | "seed">): ReadonlySet<number> {
  if (validate.every === null || holdOut.length > 0) return new Set();
  const count = dataset.sections.length;
  if (count < 2)
    throw new UserError(EXIT_CODES.badData, `${dataset.path}: one section, expected two at least, or a brain held out, to validate on what is not trained on; set validate.every=null`);
  const held = Math.min(count - 1, Math.max(1, Math.round(count * validate.share)));
  return new Set(drawSome(Array.from({ length: count }, (_, i) => i), held, randomStream(keyOfSeed(seed), [0, 0, SECTIONS])));
}

/** `most` of the values at most, evenly drawn without repetition, in the order in which they were drawn. */
function drawSome(values: ArrayLike<number>, most: number, random: RandomStream): number[] {
  const pool = Array.from(values);
  const count = Math.min(most, pool.length);
  for (let i = 0; i < count; i++) {
    const j = i + random.below(pool.length - i);
    [pool[i], pool[j]] = [pool[j]!, pool[i]!];
  }
  return pool.slice(0, count);
}

export interface ValidationPlaces {
  /** Samples held out, ascending. */
  readonly places: Uint32Array;
  /** Within this distance places are neighbours, mm. */
  readonly reachMm: number;
  /** Where a label is asked for: training samples that have one, and those of `places` (by their number there) that have one. */
  readonly label?: { readonly bank: Uint32Array; readonly bankClasses: Int32Array; readonly asked: Int32Array; readonly askedClasses: Int32Array; readonly classes: number };
}

/**
 * Chooses what is looked at; a function of dataset and configuration. `members` are the samples that training may see, lengths are resolved.
 * Errors: UserError 2 for a label column that is not there, 65 where nothing is held out or has the label.
 */
export function choosePlaces(dataset: Dataset, config: TrainConfig, members: Uint32Array): ValidationPlaces {
  const { samples, label } = config.validate;
  const trained = new Uint8Array(dataset.samples.count);
  for (const i of members) trained[i] = 1;
  const heldOut = Uint32Array.from(Array.from(trained.keys()).filter((i) => trained[i] === 0));
  if (heldOut.length < 2) throw new UserError(EXIT_CODES.badData, `${dataset.path}: ${heldOut.length} places held out, expected two at least to validate on; hold out more, or set validate.every=null`);
  const reachMm = config.loss.kernel === "radius" ? config.loss.radiusMm! : config.loss.sigmaMm!;
  const key = keyOfSeed(config.seed);
  const random = randomStream(key, [0, 0, PLACES]);
  const around = indexNeighbours(dataset.samples, heldOut, reachMm);
  const taken = new Set<number>();
  for (const centre of drawSome(heldOut, heldOut.length, random)) {
    if (taken.size >= samples) break;
    if (taken.has(centre)) continue;
    taken.add(centre);
    for (const near of drawSome(around.find(centre).filter((i) => !taken.has(i)), Math.min(COMPANIONS, samples - taken.size), random)) taken.add(near);
  }
  const places = Uint32Array.from(taken).sort();
  if (label === null) return { places, reachMm };

  const columns = [...dataset.samples.labels.keys()];
  const { codes } = dataset.samples.labels.get(label) ?? {};
  if (!codes) throw new UserError(EXIT_CODES.usage, `validate.label: no column "${label}"${didYouMean(label, columns)} in ${dataset.path}, expected ${columns.length > 0 ? `one of ${columns.join(", ")}` : "one, and it has none"}; correct the name`);
  const bank = Uint32Array.from(drawSome(members.filter((i) => codes[i]! >= 0), samples, randomStream(key, [0, 0, BANK]))).sort();
  const known = new Set(Array.from(bank, (i) => codes[i]!));
  const asked = Int32Array.from(Array.from(places.keys()).filter((k) => codes[places[k]!]! >= 0));
  // A class that no training place has cannot be called: its places count as wrong.
  const classes = [...new Set([...known, ...Array.from(asked, (k) => codes[places[k]!]!)])].sort((a, b) => a - b);
  if (!asked.some((k) => known.has(codes[places[k]!]!))) throw new UserError(EXIT_CODES.badData, `${dataset.path}: none of the places held out has a ${label} that training places have, expected some; choose another validate.label, or set it to null`);
  return {
    places,
    reachMm,
    label: { bank, bankClasses: Int32Array.from(bank, (i) => classes.indexOf(codes[i]!)), asked, askedClasses: Int32Array.from(asked, (k) => classes.indexOf(codes[places[k]!]!)), classes: classes.length },
  };
}

export interface Recall {
  /** For each k: the share of queries among whose k nearest features is that of a spatial neighbour. */
  readonly at: readonly number[];
  /** What the first would be if features were drawn at random. */
  readonly chance: number;
  /** Places that have a spatial neighbour among the others; the rest asks nothing. */
  readonly queries: number;
}

/**
 * Do the nearest features lie near by? Features [count, channels] of places at `position` [count, 3] mm in `space` [count]; by cosine similarity, of equal
 * ones the first. All are 0 where no place has a neighbour.
 */
export function measureRecall(values: Float32Array, channels: number, position: ArrayLike<number>, space: ArrayLike<number>, reachMm: number, ks: readonly number[]): Recall {
  const count = space.length;
  const rows = normaliseRows(values, count, channels);
  const isNear = (i: number, j: number) =>
    space[i] === space[j] && [0, 1, 2].reduce((sum, axis) => sum + (position[3 * i + axis]! - position[3 * j + axis]!) ** 2, 0) <= reachMm * reachMm;
  const most = Math.min(Math.max(...ks), count - 1);
  const hits = ks.map(() => 0);
  let [queries, chance] = [0, 0];
  for (let i = 0; i < count; i++) {
    let near = 0;
    for (let j = 0; j < count; j++) if (j !== i && isNear(i, j)) near++;
    if (near === 0) continue;
    queries++;
    chance += near / (count - 1);
    const similar = compareRows(rows.subarray(i * channels, (i + 1) * channels), 1, rows, count, channels);
    const best: number[] = [];
    for (let j = 0; j < count; j++) {
      if (j === i || (best.length === most && !(similar[j]! > similar[best[most - 1]!]!))) continue;
      let at = best.length < most ? best.length : most - 1;
      for (; at > 0 && similar[j]! > similar[best[at - 1]!]!; at--) best[at] = best[at - 1]!;
      best[at] = j;
    }
    const first = best.findIndex((j) => isNear(i, j));
    ks.forEach((k, c) => (hits[c]! += first >= 0 && first < k ? 1 : 0));
  }
  const share = (sum: number) => (queries === 0 ? 0 : sum / queries);
  return { at: hits.map(share), chance: share(chance), queries };
}

/**
 * Patches that go through the encoder at once: 64, fewer of large ones, and never more than training takes through it at once, which fits into memory
 * and what the device binds.
 */
export function validationBatch({ data: { patch }, batch }: Pick<TrainConfig, "data" | "batch">): number {
  const micro = batch.micro ?? batch.groups * batch.groupSize;
  return Math.min(64, micro * batch.views, Math.max(1, Math.floor(2 ** 22 / (patch * patch))));
}

/** What `validate` found, as words. */
export function describeValidation(found: Readonly<Record<string, number>>): string {
  const share = (name: string) => (found[`validation/${name}`] ?? 0).toFixed(3);
  const recall = `nearest features lie near by: recall@1 ${share("recallAt1")} (chance ${share("chanceAt1")}), recall@5 ${share("recallAt5")}`;
  return "validation/knnAccuracy" in found ? `${recall}; ${VOTES} nearest neighbours: accuracy ${share("knnAccuracy")}, macro-F1 ${share("knnMacroF1")}` : recall;
}

/** What the encoder's features are worth now, by names as metrics have them. The same weights give the same numbers. Throws the reason of a signal that is aborted. */
export async function validate(encoder: EncoderPlan, dataset: Dataset, cache: SectionCache, config: TrainConfig, { places, reachMm, label }: ValidationPlaces, signal?: Pick<AbortSignal, "throwIfAborted">): Promise<Record<string, number>> {
  const { channels } = encoder;
  const embed = async (samples: Uint32Array): Promise<Float32Array> => {
    const values = new Float32Array(samples.length * channels);
    const batch = validationBatch(config);
    for (let from = 0; from < samples.length; from += batch) {
      const some = samples.subarray(from, from + batch);
      signal?.throwIfAborted();
      values.set(await encoder.run(await cropWindows(dataset, cache, some, config.data.patch, windowOptions(config)), some.length, signal), from * channels);
    }
    return values;
  };
  const features = await embed(places);
  const { position, space } = dataset.samples;
  const recall = measureRecall(
    features,
    channels,
    Array.from(places, (i) => Array.from(position.subarray(3 * i, 3 * i + 3))).flat(),
    Array.from(places, (i) => space[i]!),
    reachMm,
    RECALL_AT,
  );
  const found: Record<string, number> = Object.fromEntries(RECALL_AT.map((k, c) => [`validation/recallAt${k}`, recall.at[c]!]));
  found["validation/chanceAt1"] = recall.chance;
  if (label) {
    const queries = new Float32Array(label.asked.length * channels);
    label.asked.forEach((k, row) => queries.set(features.subarray(k * channels, (k + 1) * channels), row * channels));
    const rows = { values: await embed(label.bank), labels: label.bankClasses, count: label.bank.length, channels, classes: label.classes };
    const [called = new Int32Array()] = classifyByNeighbours(rows, queries, label.asked.length, [VOTES]);
    const scores = scorePredictions(label.askedClasses, called, label.classes);
    found["validation/knnAccuracy"] = scores.accuracy;
    found["validation/knnMacroF1"] = scores.macroF1;
  }
  return found;
}
