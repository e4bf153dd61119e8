// What the story shows: sections with their samples coloured in several ways, and patches with their nearest ones of other brains.
import type { ProbeResult } from "../analysis/probe.ts";
import { findNearest } from "../analysis/retrieval.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Embeddings } from "../data/embeddings.ts";
import type { Image } from "../data/image.ts";
import type { Plane, SectionCache } from "../data/sections.ts";
import { cropWindows } from "../data/sections.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import type { Parcels } from "./parcels.ts";

/** A sample on a section. Areas are codes into the label's names, -1 where there is none. */
export interface StoryPlace {
  readonly x: number;
  readonly y: number;
  readonly area: number;
  /** What the probe read off; -1 where it was not asked: on brains that it was fitted on, and where there is no label. */
  readonly predicted: number;
  readonly parcel: number;
  /** Three leading components of its features as red, green and blue, 0…255. */
  readonly colour: readonly [number, number, number];
}

export interface StorySection {
  readonly id: string;
  readonly brain: string;
  readonly heldOut: boolean;
  /** What befell it in the making, for people: torn, folded, unevenly stained, out of focus. */
  readonly flaws: readonly string[];
  readonly image: Image;
  readonly umPerPixel: number;
  /** x and y in pixels of the image. */
  readonly places: readonly StoryPlace[];
}

export interface StoryPatch {
  readonly brain: string;
  readonly section: string;
  readonly area: number;
  readonly image: Image;
}

export interface StoryPatches {
  /** One patch of the brain held out for each of its areas, drawn by the seed, with the nearest patches of the other brains. */
  readonly queries: readonly { readonly patch: StoryPatch; readonly near: readonly (StoryPatch & { readonly similarity: number })[] }[];
  /** Over all labelled patches of the brain held out: the share whose nearest one is of the same area, and the share that chance gives. */
  readonly hits: number;
  readonly chance: number;
  readonly asked: number;
  readonly umPerPatch: number;
}

interface PictureOptions {
  readonly label: string;
  readonly heldOut: string;
  /** Side of a patch, px. */
  readonly patch: number;
  readonly seed: number;
  readonly measured: ProbeResult;
  readonly parcels: Parcels;
  /** [samples, 3] by the features. */
  readonly colours: Uint8Array;
  /** [sections] */
  readonly flaws: readonly (readonly string[])[];
}

/** Sections shown of the brain held out, and of each other; evenly over the brain. */
const SHOWN = { heldOut: 3, other: 1 } as const;
/** Widest side of a section's picture, px. */
const WIDEST = 704;
const NEAREST = 5;
const STREAM = 0x70;

export async function drawPictures(dataset: Dataset, cache: SectionCache, embeddings: Pick<Embeddings, "values" | "channels">, options: PictureOptions): Promise<{ sections: StorySection[]; patches: StoryPatches }> {
  return { sections: await drawSections(dataset, cache, options), patches: await findPatches(dataset, cache, embeddings, options) };
}

async function drawSections(dataset: Dataset, cache: SectionCache, { label, heldOut, measured, parcels, colours, flaws }: PictureOptions): Promise<StorySection[]> {
  const { samples } = dataset;
  const { count } = samples;
  const { codes, names } = samples.labels.get(label)!;
  const predicted = new Int32Array(count).fill(-1);
  measured.test.forEach((sample, i) => (predicted[sample] = names.indexOf(measured.report.classes[measured.predicted[i]!]!)));
  const sections: StorySection[] = [];
  for (const { id } of [...dataset.brains].sort((a, b) => Number(b.id === heldOut) - Number(a.id === heldOut))) {
    const own = dataset.sections.flatMap(({ brain }, s) => (brain === id ? [s] : []));
    const shown = Math.min(own.length, id === heldOut ? SHOWN.heldOut : SHOWN.other);
    for (let n = 0; n < shown; n++) {
      const number = own[Math.floor(((n + 0.5) * own.length) / shown)]!;
      const plane = await cache.get(number);
      const image = shrink(plane, WIDEST);
      const umPerPixel = (plane.width * plane.pixelSizeUm) / image.width;
      const places: StoryPlace[] = [];
      for (let i = 0; i < count; i++)
        if (samples.section[i] === number)
          places.push({
            x: samples.x[i]! / umPerPixel,
            y: samples.y[i]! / umPerPixel,
            area: codes[i]!,
            predicted: predicted[i]!,
            parcel: parcels.of[i]!,
            colour: [colours[3 * i]!, colours[3 * i + 1]!, colours[3 * i + 2]!],
          });
      sections.push({ id: dataset.sections[number]!.id, brain: id, heldOut: id === heldOut, flaws: flaws[number] ?? [], image, umPerPixel, places });
    }
  }
  return sections;
}

/** A plane at most `widest` px wide: each pixel the mean of those it covers. */
function shrink({ data, width, height }: Plane, widest: number): Image {
  const factor = Math.max(1, Math.ceil(width / widest));
  const [columns, rows] = [Math.floor(width / factor), Math.floor(height / factor)];
  const out = new Uint8Array(columns * rows);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let dy = 0; dy < factor; dy++) for (let dx = 0; dx < factor; dx++) sum += data[(y * factor + dy) * width + x * factor + dx]!;
      out[y * columns + x] = Math.round(sum / factor ** 2);
    }
  return { width: columns, height: rows, channels: 1, data: out };
}

async function findPatches(dataset: Dataset, cache: SectionCache, { values, channels }: Pick<Embeddings, "values" | "channels">, { label, patch, seed, measured }: PictureOptions): Promise<StoryPatches> {
  const { train, test } = measured;
  const { codes, names } = dataset.samples.labels.get(label)!;
  const pick = (some: Uint32Array): Float32Array => {
    const out = new Float32Array(some.length * channels);
    some.forEach((sample, i) => out.set(values.subarray(sample * channels, (sample + 1) * channels), i * channels));
    return out;
  };
  const k = Math.min(NEAREST, train.length);
  const nearest = await findNearest(pick(train), train.length, pick(test), test.length, channels, k);
  const shares = (some: Uint32Array): number[] => names.map((_, area) => some.reduce((sum, i) => sum + Number(codes[i] === area), 0) / some.length);
  const [inTrain, inTest] = [shares(train), shares(test)];
  const show = async (sample: number): Promise<StoryPatch> => {
    const window = await cropWindows(dataset, cache, [sample], patch);
    const section = dataset.sections[dataset.samples.section[sample]!]!;
    return { brain: section.brain, section: section.id, area: codes[sample]!, image: { width: patch, height: patch, channels: 1, data: Uint8Array.from(window, (value) => Math.round(255 * value)) } };
  };
  const random = randomStream(keyOfSeed(seed), [0, 0, STREAM]);
  const queries: StoryPatches["queries"][number][] = [];
  for (const area of names.keys()) {
    const of = Array.from(test.keys()).filter((q) => codes[test[q]!] === area);
    if (of.length === 0) continue;
    const q = of[random.below(of.length)]!;
    const near: StoryPatches["queries"][number]["near"][number][] = [];
    for (let j = 0; j < k; j++) near.push({ ...(await show(train[nearest.rows[q * k + j]!]!)), similarity: nearest.similarities[q * k + j]! });
    queries.push({ patch: await show(test[q]!), near });
  }
  const hits = test.reduce((sum, sample, q) => sum + Number(codes[sample] === codes[train[nearest.rows[q * k]!]!]), 0);
  return {
    queries,
    hits: hits / test.length,
    chance: inTrain.reduce((sum, share, area) => sum + share * inTest[area]!, 0),
    asked: test.length,
    umPerPatch: patch * dataset.sections[0]!.pixelSizeUm,
  };
}
