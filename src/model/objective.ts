// What training needs of a dataset besides patches: the scale of its distances and of its intensities, measured once.
import type { Dataset } from "../data/dataset.ts";
import { cropWindows, type SectionCache, type WindowOptions } from "../data/sections.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { FIELDS, type TrainConfig } from "./config.ts";

/** The larger side of the samples' bounding box in each reference space, mm: its median over the spaces. */
export function measureExtent(dataset: Dataset, members: Uint32Array): number {
  const { position, space } = dataset.samples;
  const boxes = new Map<number, { low: number[]; high: number[] }>();
  for (const i of members) {
    const id = space[i] ?? 0;
    const box = boxes.get(id) ?? { low: [Infinity, Infinity, Infinity], high: [-Infinity, -Infinity, -Infinity] };
    for (let axis = 0; axis < 3; axis++) {
      const value = position[3 * i + axis] ?? 0;
      box.low[axis] = Math.min(box.low[axis]!, value);
      box.high[axis] = Math.max(box.high[axis]!, value);
    }
    boxes.set(id, box);
  }
  const extents = [...boxes.values()].map(({ low, high }) => Math.max(...high.map((value, axis) => value - low[axis]!))).sort((x, y) => x - y);
  const extent = extents[Math.floor(extents.length / 2)] ?? 0;
  if (!(extent > 0))
    throw new UserError(EXIT_CODES.badData, `${dataset.path}: all samples of a space lie at one place, so the loss's scale cannot be derived`, ["Set loss.sigmaMm, loss.radiusMm and batch.radiusMm yourself."]);
  return extent;
}

/** Mean and standard deviation of the intensities in patches of the members: from at most 256 of them, drawn by the seed. */
export async function measureIntensity(dataset: Dataset, cache: SectionCache, members: Uint32Array, config: TrainConfig): Promise<{ mean: number; deviation: number }> {
  const random = randomStream(keyOfSeed(config.seed), [0, 0, 0x1e]);
  const chosen = members.length <= 256 ? members : Uint32Array.from({ length: 256 }, () => members[random.below(members.length)]!);
  const windows = await cropWindows(dataset, cache, chosen, config.data.patch, windowOptions(config));
  let mean = 0;
  for (const value of windows) mean += value / windows.length;
  let variance = 0;
  for (const value of windows) variance += (value - mean) ** 2 / windows.length;
  // Blank sections have no contrast to scale; dividing by next to nothing would only blow up noise.
  return { mean: Math.fround(mean), deviation: Math.fround(Math.max(Math.sqrt(variance), 1e-3)) };
}

/** How patches of a run are cut. */
export function windowOptions(config: Pick<TrainConfig, "data">): WindowOptions & { readonly scale: "grey" | "density" } {
  const { pixelSizeUm, intensity, normalise } = config.data;
  return { scale: intensity, normalise, ...(pixelSizeUm === null ? {} : { pixelSizeUm }) };
}

/** The pixel size of all sections that have members, where it is one: a model is of that size, and what it embeds later is brought to it. */
function findPixelSize(dataset: Dataset, members: Uint32Array): number | null {
  const sizes = new Set(Array.from(members, (i) => dataset.sections[dataset.samples.section[i]!]!.pixelSizeUm));
  const [size] = sizes;
  return sizes.size === 1 && size !== undefined && FIELDS["data.pixelSizeUm"].check(size) === undefined ? size : null;
}

/** The configuration with every null that the data decides filled in; the pixel size stays null where sections differ. */
export async function resolveScales(config: TrainConfig, dataset: Dataset, cache: SectionCache, members: Uint32Array): Promise<TrainConfig> {
  const { loss, batch, data } = config;
  const needsExtent = loss.sigmaMm === null || loss.radiusMm === null;
  const extent = needsExtent ? measureExtent(dataset, members) : 0;
  const round = (value: number) => Number(value.toPrecision(4));
  const sigmaMm = loss.sigmaMm ?? round(extent / 20);
  const radiusMm = loss.radiusMm ?? round(extent / 10);
  const measured = data.mean === null || data.deviation === null ? await measureIntensity(dataset, cache, members, config) : undefined;
  return {
    ...config,
    loss: { ...loss, sigmaMm, radiusMm },
    batch: { ...batch, radiusMm: batch.radiusMm ?? (loss.kernel === "radius" ? radiusMm : 2 * sigmaMm) },
    data: { ...data, pixelSizeUm: data.pixelSizeUm ?? findPixelSize(dataset, members), mean: data.mean ?? measured!.mean, deviation: data.deviation ?? measured!.deviation },
  };
}
