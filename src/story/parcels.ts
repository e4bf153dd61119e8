// Parcels: what clusters form in the features without any label, and how far they are the true areas.
import { comparePartitions, crossTabulate, type Agreement } from "../analysis/agreement.ts";
import { clusterByKMeans } from "../analysis/kmeans.ts";
import { normaliseRows } from "../model/neighbours.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Embeddings } from "../data/embeddings.ts";

export interface Parcels {
  /** As many as there are areas. */
  readonly k: number;
  /** Starts, of which the tightest was kept. */
  readonly restarts: number;
  /** [samples] parcel of each sample, of all brains. */
  readonly of: readonly number[];
  /** [k] the area whose colour a parcel takes: for comparing by eye only. Each area is taken once. */
  readonly colours: readonly number[];
  /** With the areas, over the labelled samples of the brain held out and over all. */
  readonly heldOut: Agreement & { readonly samples: number };
  readonly all: Agreement & { readonly samples: number };
}

/** Clusters the features of all samples, each of length 1, into as many parcels as the label has classes. No label is used in it. */
export function parcellate(dataset: Dataset, label: string, heldOut: string, embeddings: Pick<Embeddings, "values" | "count" | "channels">, seed: number): Parcels {
  const { names, codes } = dataset.samples.labels.get(label)!;
  const { count, channels } = embeddings;
  const k = Math.min(names.length, count);
  const found = clusterByKMeans(normaliseRows(embeddings.values, count, channels), count, channels, { k, seed });
  const labelled = Array.from({ length: count }, (_, i) => i).filter((i) => codes[i]! >= 0);
  const agree = (some: readonly number[]) => ({ ...comparePartitions(some.map((i) => found.labels[i]!), some.map((i) => codes[i]!)), samples: some.length });
  return {
    k,
    restarts: found.restarts,
    of: [...found.labels],
    colours: matchColours(crossTabulate(labelled.map((i) => found.labels[i]!), labelled.map((i) => codes[i]!)), k),
    heldOut: agree(labelled.filter((i) => dataset.sections[dataset.samples.section[i]!]!.brain === heldOut)),
    all: agree(labelled),
  };
}

/** Pairs parcels with areas, the largest overlap first. */
export function matchColours(table: readonly (readonly number[])[], k: number): number[] {
  const colours = new Array<number>(k).fill(-1);
  const pairs = Array.from({ length: k * k }, (_, i) => ({ parcel: Math.floor(i / k), area: i % k })).map((pair) => ({ ...pair, overlap: table[pair.parcel]?.[pair.area] ?? 0 }));
  const taken = new Set<number>();
  for (const { parcel, area } of pairs.sort((a, b) => b.overlap - a.overlap || a.parcel - b.parcel || a.area - b.area)) {
    if (colours[parcel]! >= 0 || taken.has(area)) continue;
    colours[parcel] = area;
    taken.add(area);
  }
  return colours;
}
