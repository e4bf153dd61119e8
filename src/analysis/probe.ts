// The probe: how well a label is read off frozen features on brains that it was not fitted on, beside honest baselines.
import type { Dataset } from "../data/dataset.ts";
import { cropWindows, loadSections, type SectionCache } from "../data/sections.ts";
import type { Engine } from "../engine/engine.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "../model/config.ts";
import { createEmbedder } from "../model/embed.ts";
import { classifyByNeighbours, type LabelledRows } from "../model/neighbours.ts";
import { windowOptions } from "../model/objective.ts";
import type { Weights } from "../model/weights.ts";
import { bootstrap, estimate, estimateDifference, tabulate, tabulateGuesses, type BlockTable, type Estimate, type Resampled } from "./bootstrap.ts";
import { describeIntensity, INTENSITY_CHANNELS, measureRange, type IntensityRange } from "./intensity.ts";
import { chooseNeighbours } from "./knn.ts";
import { fitLinearProbe, type Choice, type LinearProbe } from "./linear-probe.ts";
import { predictLogistic, type LogisticModel } from "./logistic.ts";
import { findBlocks, foldTraining, splitSamples, type FoldKind, type Split } from "./probe-split.ts";
import { scoreClasses, type ClassScores } from "../model/scores.ts";
import { makeUntrained } from "./untrained.ts";

export const PROBE_SCHEMA = "cytonet-probe/1";

export interface ProbeOptions {
  readonly files: Files;
  readonly weights: Weights;
  /** A label column of the dataset. */
  readonly label: string;
  /** Ids of the brains that test; all others train. */
  readonly holdOut: readonly string[];
  /** Only samples of these classes; default all. */
  readonly classes?: readonly string[];
  /** Training samples at most, drawn by the seed; default 5,000. */
  readonly maxSamples?: number;
  /** Edge of the blocks that are resampled, mm; default twice the extent of a patch. */
  readonly blockMm?: number;
  /** Default 2,000. */
  readonly resamples?: number;
  /** Of the draws here; default 1. The untrained encoder has the seed of the run. */
  readonly seed?: number;
  /** Patches embedded at once; default 64. */
  readonly batch?: number;
  /** Hash of the dataset that the encoder was trained on, where it is known. */
  readonly trainedOn?: string;
  /** Features of all samples of the dataset [count, channels] by these weights, where they are there already. */
  readonly features?: { readonly values: Float32Array; readonly channels: number };
  /** Aborted: the probe stops at the next pause and gives undefined. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

/** What one method scores on the test samples; intervals are of 95 %, by blocks. */
export interface MethodReport {
  readonly macroF1: Estimate;
  readonly balancedAccuracy: Estimate;
  readonly accuracy: Estimate;
  readonly perClass: readonly ({ readonly class: string } & ClassScores)[];
  /** [truth][prediction], in the order of the classes. */
  readonly confusion: readonly (readonly number[])[];
}

/** A linear probe: its strength of L2, and what validation inside the training samples said of each. */
export interface LinearReport extends MethodReport {
  readonly regularisation: { readonly strength: number; readonly candidates: Choice["candidates"]; readonly iterations: number; readonly converged: boolean };
}

export interface NeighboursReport extends MethodReport {
  readonly neighbours: { readonly k: number; readonly candidates: Choice["candidates"] };
}

interface PartReport {
  readonly samples: number;
  readonly brains: readonly string[];
  readonly sections: number;
}

const BASELINES = ["chance", "majority", "intensity", "untrained"] as const;
export type Baseline = (typeof BASELINES)[number];

export interface ProbeReport {
  readonly schema: typeof PROBE_SCHEMA;
  readonly dataset: { readonly name: string; readonly hash: string };
  readonly label: string;
  readonly classes: readonly string[];
  readonly holdOut: readonly string[];
  readonly train: PartReport;
  readonly test: PartReport;
  readonly blocks: { readonly count: number; readonly edgeMm: number; readonly resamples: number };
  /** What was left out whole, in turn, to choose strengths and k by. */
  readonly validation: { readonly by: FoldKind; readonly folds: number };
  readonly probe: LinearReport;
  readonly knn: NeighboursReport;
  readonly baselines: { readonly chance: MethodReport; readonly majority: MethodReport; readonly intensity: LinearReport; readonly untrained: LinearReport };
  /** The probe less each other method, resample by resample. */
  readonly differences: Readonly<Record<"knn" | Baseline, { readonly macroF1: Estimate }>>;
  readonly encoder: {
    readonly preset: string;
    readonly steps: number;
    readonly seed: number;
    readonly patch: number;
    /** µm; null: each section's own. */
    readonly pixelSizeUm: number | null;
    /** Brains that its training left out. */
    readonly holdOut: readonly string[];
    readonly trainedOn: string | null;
    readonly sawHeldOut: boolean | "unknown";
  };
  readonly seed: number;
  readonly notes: readonly string[];
}

export interface ProbeResult {
  readonly report: ProbeReport;
  /** Indices of the samples that were fitted and tested on, and the linear probe's class of each tested one. */
  readonly train: Uint32Array;
  readonly test: Uint32Array;
  readonly predicted: Int32Array;
  /** All that came from the training samples. */
  readonly fitted: { readonly probe: LogisticModel; readonly intensity: LogisticModel; readonly untrained: LogisticModel; readonly k: number; readonly range: IntensityRange; readonly initial: Weights };
}

export const PROBE_DEFAULTS = { maxSamples: 5000, resamples: 2000, seed: 1, batch: 64 } as const;
/** Intervals of fewer blocks say little, and a note says so. */
const FEW_BLOCKS = 8;

class Stopped extends Error {}

/**
 * Splits by brain, embeds, fits and scores. All that is fitted or chosen (standardisation, strengths, k, histogram range, batch-norm statistics) comes from
 * the training samples. The same device and input give the same bits.
 * Errors: UserError 2 and 65 as `splitSamples`; 65 for weights, 65 and 66 for images.
 */
export async function probe(engine: Engine, dataset: Dataset, options: ProbeOptions): Promise<ProbeResult | undefined> {
  try {
    return await measure(engine, dataset, options);
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    throw error;
  }
}

async function measure(engine: Engine, dataset: Dataset, options: ProbeOptions): Promise<ProbeResult> {
  const { label, holdOut, weights, files } = options;
  const { maxSamples, resamples, seed, batch } = { ...PROBE_DEFAULTS, ...withoutUndefined(options) };
  const config = resolveConfig(flattenSettings(weights.config));
  const split = splitSamples(dataset, { label, holdOut, maxSamples, seed, ...(options.classes === undefined ? {} : { classes: options.classes }) });
  const notes = [...split.notes];
  const edgeMm = options.blockMm ?? 2 * patchExtentMm(dataset, split.test.samples, config);
  const blocks = findBlocks(dataset, split.test.samples, edgeMm);
  if (blocks.count < FEW_BLOCKS) notes.push(`${blocks.count} ${blocks.count === 1 ? "block" : "blocks"} of ${round(edgeMm)} mm in the test samples: too few for intervals that can be relied on`);
  const { folds, by } = foldTraining(dataset, split.train.samples, options.blockMm ?? 2 * patchExtentMm(dataset, split.train.samples, config));
  const tell = (stage: string) => async (done: number, total: number) => {
    options.onProgress?.(stage, done, total);
    await pause(options.signal);
  };
  const cache = loadSections(dataset, files);

  const features = options.features ? pickFeatures(options.features, dataset, split) : await embedSplit(engine, dataset, cache, split, weights, batch, tell("embedding"));
  const initial = await makeUntrained(engine, weights, dataset, cache, split.train.samples, tell("calibrating the untrained encoder"));
  const untrained = await embedSplit(engine, dataset, cache, split, initial, batch, tell("embedding, untrained"));
  const { range, ...intensity } = await intensityFeatures(dataset, cache, split, config, tell("intensity statistics"));

  const fit = async (name: string, { train, test }: Features): Promise<{ linear: LinearProbe; predicted: Int32Array }> => {
    let done = 0;
    const step = tell(`fitting ${name}`);
    const linear = await fitLinearProbe(train, folds, () => step(++done, folds.count + 1));
    if (!linear.model.converged) notes.push(`${name}: the fit stopped after ${linear.model.iterations} iterations with a gradient of ${linear.model.gradient.toExponential(1)}`);
    return { linear, predicted: predictLogistic(linear.model, test, split.test.samples.length) };
  };
  const fitted = { probe: await fit("the probe", features), intensity: await fit("intensity", intensity), untrained: await fit("untrained", untrained) };
  await tell("neighbours")(0, 2);
  const k = chooseNeighbours(features.train, folds);
  await tell("neighbours")(1, 2);
  const [near = new Int32Array()] = classifyByNeighbours(features.train, features.test, split.test.samples.length, [k.chosen]);
  await tell("neighbours")(2, 2);

  const classes = split.classes.length;
  const priors = new Float64Array(classes);
  for (const of of split.train.labels) priors[of]! += 1 / split.train.labels.length;
  const truth = split.test.labels;
  const table = (predicted: Int32Array) => tabulate(truth, predicted, blocks.of, classes);
  const tables = {
    probe: table(fitted.probe.predicted),
    knn: table(near),
    chance: tabulateGuesses(truth, priors, blocks.of),
    majority: table(new Int32Array(truth.length).fill(priors.indexOf(Math.max(...priors)))),
    intensity: table(fitted.intensity.predicted),
    untrained: table(fitted.untrained.predicted),
  } satisfies Record<string, BlockTable>;
  const scored = bootstrap(tables, { blocks: blocks.count, resamples, seed });
  const describe = (name: keyof typeof tables): MethodReport => describeMethod(scored[name], split.classes);
  const linear = (name: keyof typeof fitted): LinearReport => {
    const { model, choice } = fitted[name].linear;
    return { ...describe(name), regularisation: { strength: model.strength, candidates: choice.candidates, iterations: model.iterations, converged: model.converged } };
  };
  const sawHeldOut = judgeLeak(config, dataset, holdOut, options.trainedOn);
  if (sawHeldOut === true) notes.push(`the encoder was trained on ${holdOut.filter((id) => !config.holdOut.includes(id)).join(", ")}: the scores of the probe and kNN are not those of an unseen brain`);
  if (sawHeldOut === "unknown") notes.push(`whether the encoder was trained on ${holdOut.join(", ")} is not known`);
  if (sawHeldOut === false && options.trainedOn !== dataset.hash) notes.push(`the encoder was trained on ${options.trainedOn === undefined ? "a dataset that its weights do not name" : "another dataset, or another state of this one"}: that it held out ${holdOut.join(", ")} is taken to mean the brain of that name here`);
  const report: ProbeReport = {
    schema: PROBE_SCHEMA,
    dataset: { name: dataset.name, hash: dataset.hash },
    label,
    classes: split.classes,
    holdOut,
    train: describePart(dataset, split.train.samples),
    test: describePart(dataset, split.test.samples),
    blocks: { count: blocks.count, edgeMm: round(edgeMm), resamples },
    validation: { by, folds: folds.count },
    probe: linear("probe"),
    knn: { ...describe("knn"), neighbours: { k: k.chosen, candidates: k.candidates } },
    baselines: { chance: describe("chance"), majority: describe("majority"), intensity: linear("intensity"), untrained: linear("untrained") },
    differences: {
      knn: difference(scored, "knn"),
      chance: difference(scored, "chance"),
      majority: difference(scored, "majority"),
      intensity: difference(scored, "intensity"),
      untrained: difference(scored, "untrained"),
    },
    encoder: {
      preset: config.preset,
      steps: weights.step,
      seed: config.seed,
      patch: config.data.patch,
      pixelSizeUm: config.data.pixelSizeUm,
      holdOut: config.holdOut,
      trainedOn: options.trainedOn ?? null,
      sawHeldOut,
    },
    seed,
    notes,
  };
  const models = { probe: fitted.probe.linear.model, intensity: fitted.intensity.linear.model, untrained: fitted.untrained.linear.model };
  return { report, train: split.train.samples, test: split.test.samples, predicted: fitted.probe.predicted, fitted: { ...models, k: k.chosen, range, initial } };
}

/** Features of both parts; the training ones with their labels. */
interface Features {
  readonly train: LabelledRows;
  readonly test: Float32Array;
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Lets a page or a terminal live. @throws Stopped */
async function pause(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((done) => setTimeout(done, 0));
  if (signal?.aborted) throw new Stopped();
}

const round = (value: number): number => Number(value.toPrecision(4));

function patchExtentMm(dataset: Dataset, samples: Uint32Array, { data }: TrainConfig): number {
  let widest = 0;
  for (const i of samples) widest = Math.max(widest, data.pixelSizeUm ?? dataset.sections[dataset.samples.section[i]!]!.pixelSizeUm);
  return (data.patch * widest) / 1000;
}

/** Whether training saw a brain that tests here. A run that held out a brain of the name had one, so names are taken to mean the same. */
export function judgeLeak(config: Pick<TrainConfig, "holdOut">, dataset: Pick<Dataset, "hash">, holdOut: readonly string[], trainedOn: string | undefined): boolean | "unknown" {
  if (holdOut.every((id) => config.holdOut.includes(id))) return false;
  return trainedOn === dataset.hash ? true : "unknown";
}

function labelRows(split: Split, values: Float32Array, channels: number): LabelledRows {
  return { values, labels: split.train.labels, count: split.train.samples.length, channels, classes: split.classes.length };
}

function pickFeatures({ values, channels }: NonNullable<ProbeOptions["features"]>, dataset: Dataset, split: Split): Features {
  if (values.length !== dataset.samples.count * channels) throw new UserError(EXIT_CODES.usage, `features: ${values.length} values, expected ${dataset.samples.count} × ${channels}, one row a sample of the dataset`);
  const pick = (samples: Uint32Array) => {
    const out = new Float32Array(samples.length * channels);
    samples.forEach((sample, i) => out.set(values.subarray(sample * channels, (sample + 1) * channels), i * channels));
    return out;
  };
  return { train: labelRows(split, pick(split.train.samples), channels), test: pick(split.test.samples) };
}

async function embedSplit(engine: Engine, dataset: Dataset, cache: SectionCache, split: Split, weights: Weights, batch: number, onBatch: (done: number, total: number) => Promise<void>): Promise<Features> {
  const trains = split.train.samples.length;
  const chosen = new Uint32Array(trains + split.test.samples.length);
  chosen.set(split.train.samples);
  chosen.set(split.test.samples, trains);
  const embedder = await createEmbedder(engine, weights, Math.min(batch, chosen.length));
  try {
    const { channels, config } = embedder;
    const values = new Float32Array(chosen.length * channels);
    for (let from = 0; from < chosen.length; from += batch) {
      const some = chosen.subarray(from, from + batch);
      // Cut from the whole dataset: what a section's tissue is like must not depend on which of its samples are labelled.
      values.set(await embedder.run(await cropWindows(dataset, cache, some, config.data.patch, windowOptions(config)), some.length), from * channels);
      await onBatch(from + some.length, chosen.length);
    }
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new UserError(EXIT_CODES.badData, `probe: ${values[bad]} in the features of sample ${chosen[Math.floor(bad / channels)]}, expected finite numbers; the weights or the image are spoilt`);
    return { train: labelRows(split, values.slice(0, trains * channels), channels), test: values.slice(trains * channels) };
  } finally {
    embedder.dispose();
  }
}

async function intensityFeatures(dataset: Dataset, cache: SectionCache, split: Split, config: TrainConfig, onChunk: (done: number, total: number) => Promise<void>): Promise<Features & { readonly range: IntensityRange }> {
  const options = { ...windowOptions(config), patch: config.data.patch, onChunk };
  const range = await measureRange(dataset, cache, split.train.samples, options);
  const train = await describeIntensity(dataset, cache, split.train.samples, range, options);
  return { range, train: labelRows(split, train, INTENSITY_CHANNELS), test: await describeIntensity(dataset, cache, split.test.samples, range, options) };
}

function describeMethod({ confusion, scores, resamples }: Resampled, classes: readonly string[]): MethodReport {
  const n = classes.length;
  return {
    macroF1: estimate(scores.macroF1, resamples.macroF1),
    balancedAccuracy: estimate(scores.balancedAccuracy, resamples.balancedAccuracy),
    accuracy: estimate(scores.accuracy, resamples.accuracy),
    perClass: scoreClasses(confusion, n).map((scores, k) => ({ class: classes[k]!, ...scores })),
    confusion: classes.map((_, k) => [...confusion.subarray(k * n, (k + 1) * n)]),
  };
}

function difference<Name extends string>(scored: Readonly<Record<"probe" | Name, Resampled>>, name: Name): { macroF1: Estimate } {
  return { macroF1: estimateDifference(scored.probe, scored[name], "macroF1") };
}

function describePart(dataset: Dataset, samples: Uint32Array): PartReport {
  const sections = new Set(Array.from(samples, (i) => dataset.samples.section[i]!));
  const brains = new Set([...sections].map((section) => dataset.sections[section]!.brain));
  return { samples: samples.length, brains: dataset.brains.map(({ id }) => id).filter((id) => brains.has(id)), sections: sections.size };
}
