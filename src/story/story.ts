// The story that the demo and the page tell: brains are generated, a model is trained on all but one, and what it learned is measured on that one.
import { colourFeatures, writeMaps } from "../analysis/maps.ts";
import { colourCodes } from "../analysis/palette.ts";
import { probe, type ProbeReport } from "../analysis/probe.ts";
import type { Dataset } from "../data/dataset.ts";
import { encodeEmbeddings, type Embeddings } from "../data/embeddings.ts";
import type { JsonObject } from "../data/json.ts";
import { loadSections } from "../data/sections.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { joinPath, type Files } from "../files.ts";
import { resolveConfig, type TrainConfig } from "../model/config.ts";
import { embedDataset } from "../model/embed.ts";
import { RUN_FILES } from "../model/run.ts";
import { train, type Progress, type TrainResult } from "../model/trainer.ts";
import { readWeights } from "../model/weights.ts";
import { generateDataset, listFlaws } from "../phantom/phantom.ts";
import { PHANTOM_BRAINS, type PhantomOptions } from "../phantom/options.ts";
import { VERSION } from "../version.ts";
import { parcellate, type Parcels } from "./parcels.ts";
import { drawPictures, type StoryPatches, type StorySection } from "./pictures.ts";

export type { StoryPatch, StoryPatches, StoryPlace, StorySection } from "./pictures.ts";

/** Folders and files that a story writes. */
export const STORY_FILES = { data: "data", run: "run", embeddings: "embeddings.safetensors", maps: "maps" } as const;

/** The label that is read off. */
export const STORY_LABEL = "area";

export const STAGES = ["phantom", "train", "embed", "probe", "pictures"] as const;
export type Stage = (typeof STAGES)[number];

export interface StoryOptions {
  readonly phantom: PhantomOptions;
  /** Training settings by dotted key; the last brain is held out. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Folder to write to, which exists. What an earlier story wrote there is replaced. */
  readonly folder: string;
  /** What it runs on: versions, adapter, driver. */
  readonly environment: JsonObject;
  readonly resamples?: number;
  /** Aborted: the step in progress is finished, and undefined is returned. */
  readonly signal?: AbortSignal;
  /** A stage begins. */
  readonly onStage?: (stage: Stage, text: string) => void;
  readonly onTraining?: (progress: Progress) => void;
  /** How far a stage is. */
  readonly onProgress?: (text: string, done: number, total: number) => void;
  /** Lines for people. */
  readonly onNote?: (line: string) => void;
}

/** One optimizer step of the curve. */
export interface LossPoint {
  readonly step: number;
  /** nats */
  readonly loss: number;
  /** The least that any model could reach on this batch: the entropy of the targets, nats. */
  readonly floor: number;
}

/** Everything that the report shows; plain data. */
export interface Story {
  readonly version: string;
  /** ISO 8601. */
  readonly finished: string;
  readonly phantom: PhantomOptions;
  readonly dataset: {
    readonly name: string;
    readonly samples: number;
    readonly pixelSizeUm: number;
    readonly brains: readonly { readonly id: string; readonly sections: number; readonly samples: number; readonly heldOut: boolean }[];
  };
  readonly device: Pick<Fingerprint, "adapter" | "driver" | "kind"> & { readonly peakBytes: number };
  readonly config: TrainConfig;
  readonly parameters: number;
  readonly losses: readonly LossPoint[];
  readonly throughput: { readonly trainPatchesPerSecond: number; readonly embedPatchesPerSecond: number };
  readonly channels: number;
  /** Names of the areas by code. */
  readonly areas: readonly string[];
  readonly probe: ProbeReport;
  readonly parcels: Parcels;
  /** Shares of the features' variance that the colours of the maps show. */
  readonly share: readonly number[];
  readonly sections: readonly StorySection[];
  readonly patches: StoryPatches;
  /** PNG maps of all sections, relative to the folder: the section, features, parcels, true areas. */
  readonly maps: readonly string[];
  /** Seconds of each stage. */
  readonly seconds: Readonly<Record<Stage, number>>;
}

const EMBED_BATCH = 64;

/** Tells the whole story; undefined where the signal stopped it. Errors: as those of the steps, which are the library's own functions. */
export async function runStory(engine: Engine, files: Files, options: StoryOptions): Promise<Story | undefined> {
  const { folder, signal } = options;
  const seconds = { phantom: 0, train: 0, embed: 0, probe: 0, pictures: 0 };
  /** Runs a stage under its clock. */
  const stage = async <T>(name: Stage, text: string, body: () => Promise<T>): Promise<T> => {
    options.onStage?.(name, text);
    await breathe();
    const began = performance.now();
    const result = await body();
    seconds[name] = (performance.now() - began) / 1000;
    return result;
  };
  const stopped = (): boolean => signal?.aborted === true;

  const dataset = await stage("phantom", `generating ${options.phantom.brains ?? PHANTOM_BRAINS} brains`, () => generateDataset(options.phantom, joinPath(folder, STORY_FILES.data), files, { force: true }));
  if (stopped()) return undefined;
  const heldOut = dataset.brains.at(-1)!.id;

  const losses: LossPoint[] = [];
  const out = joinPath(folder, STORY_FILES.run);
  const config = resolveConfig({ ...options.settings, holdOut: [heldOut] });
  const training = await stage("train", `training ${config.preset} for ${config.steps} steps on ${dataset.brains.length - 1} of them`, () =>
    train({
      engine,
      files,
      dataset,
      config,
      out,
      force: true,
      environment: options.environment,
      ...(signal === undefined ? {} : { signal }),
      onProgress(progress) {
        const { loss, divergence } = progress.metrics;
        losses.push({ step: progress.step, loss, floor: loss - divergence });
        options.onTraining?.(progress);
      },
      ...(options.onNote === undefined ? {} : { onNote: options.onNote }),
    }),
  );
  if (!training.finished || stopped()) return undefined;

  const weights = await readWeights(files, joinPath(out, RUN_FILES.weights));
  const embeddings = await stage("embed", `embedding ${dataset.samples.count} patches`, () =>
    embedDataset(engine, dataset, {
      files,
      weights,
      batch: EMBED_BATCH,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (done, total) => options.onProgress?.("embedded", done, total),
    }),
  );
  if (!embeddings) return undefined;
  await files.writeAtomic(joinPath(folder, STORY_FILES.embeddings), encodeEmbeddings(embeddings, "safetensors"));

  const measured = await stage("probe", `reading areas off the features of ${heldOut}, which training never saw`, () =>
    probe(engine, dataset, {
      files,
      weights,
      label: STORY_LABEL,
      holdOut: [heldOut],
      trainedOn: dataset.hash,
      features: embeddings,
      seed: config.seed,
      ...(options.resamples === undefined ? {} : { resamples: options.resamples }),
      ...(signal === undefined ? {} : { signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    }),
  );
  if (!measured || stopped()) return undefined;

  const pictures = await stage("pictures", "clustering, looking up neighbours, painting maps", async () => {
    const parcels = parcellate(dataset, STORY_LABEL, heldOut, embeddings, config.seed);
    await breathe();
    const { colours, share } = colourFeatures(embeddings.values, embeddings.count, embeddings.channels);
    const drawn = await drawPictures(dataset, loadSections(dataset, files), embeddings, { label: STORY_LABEL, heldOut, patch: config.data.patch, seed: config.seed, measured, parcels, colours, flaws: listFlaws(options.phantom) });
    await breathe();
    const { codes } = dataset.samples.labels.get(STORY_LABEL)!;
    const overlays = [{ colours }, { colours: colourCodes(parcels.of.map((parcel) => parcels.colours[parcel]!)) }, { colours: colourCodes(codes), shows: (i: number) => codes[i]! >= 0 }];
    const maps = await writeMaps(files, dataset, overlays, joinPath(folder, STORY_FILES.maps));
    return { parcels, ...drawn, share, maps: maps.map((path) => path.slice(folder.length + 1)) };
  });
  if (stopped()) return undefined;
  return assemble(engine, dataset, options, training, losses, embeddings, seconds, { probe: measured.report, ...pictures });
}

function assemble(
  engine: Engine,
  dataset: Dataset,
  { phantom }: StoryOptions,
  training: TrainResult,
  losses: readonly LossPoint[],
  embeddings: Embeddings,
  seconds: Story["seconds"],
  rest: Pick<Story, "probe" | "parcels" | "sections" | "patches" | "share" | "maps">,
): Story {
  const { adapter, driver, kind } = engine.device.fingerprint;
  const brains = dataset.brains.map(({ id }, b) => {
    const sections = dataset.sections.flatMap(({ brain }, s) => (brain === id ? [s] : []));
    return { id, sections: sections.length, samples: dataset.samples.section.reduce((sum, s) => sum + Number(sections.includes(s)), 0), heldOut: b === dataset.brains.length - 1 };
  });
  return {
    version: VERSION,
    finished: new Date().toISOString(),
    phantom,
    dataset: { name: dataset.name, samples: dataset.samples.count, pixelSizeUm: dataset.sections[0]!.pixelSizeUm, brains },
    device: { adapter, driver, kind, peakBytes: engine.device.ledger().peak },
    config: training.config,
    parameters: training.parameters,
    losses,
    throughput: { trainPatchesPerSecond: training.patchesPerSecond, embedPatchesPerSecond: embeddings.count / seconds.embed },
    channels: embeddings.channels,
    areas: dataset.samples.labels.get(STORY_LABEL)!.names,
    seconds,
    ...rest,
  };
}

/** Lets a page or a terminal show what was said before the processor is busy. */
function breathe(): Promise<void> {
  return new Promise((done) => setTimeout(done, 0));
}
