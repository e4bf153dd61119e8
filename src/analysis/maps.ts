// Writing maps: one PNG a section, with the samples coloured by the leading components of their features, or in any other way.
import type { Dataset } from "../data/dataset.ts";
import { encodePng } from "../data/png.ts";
import { loadSections } from "../data/sections.ts";
import { joinPath, type Files } from "../files.ts";
import { drawFeatureMap, type Overlay } from "./feature-map.ts";
import { colourScores, principalComponents } from "./pca.ts";

/** Colours [count, 3] by the three leading principal components over all samples, and the components' shares of the variance. */
export function colourFeatures(values: Float32Array, count: number, channels: number): { colours: Uint8Array; share: number[] } {
  const { scores, share } = principalComponents(values, count, channels, 3);
  return { colours: colourScores(scores, count), share: [...share] };
}

/** Writes `<section>.png` for each section into `folder`; returns the paths and the components' shares of the variance. */
export async function writeFeatureMaps(files: Files, dataset: Dataset, values: Float32Array, channels: number, folder: string): Promise<{ paths: string[]; share: number[] }> {
  const { colours, share } = colourFeatures(values, dataset.samples.count, channels);
  return { paths: await writeMaps(files, dataset, [{ colours }], folder), share };
}

/** Writes `<section>.png` for each section into `folder`: the section and a panel for each overlay. Returns the paths. */
export async function writeMaps(files: Files, dataset: Dataset, overlays: readonly Overlay[], folder: string): Promise<string[]> {
  const cache = loadSections(dataset, files);
  await files.makeFolder(folder);
  const paths: string[] = [];
  for (const [index, section] of dataset.sections.entries()) {
    // A section's name may hold anything; a file's name may not.
    const path = joinPath(folder, `${String(index).padStart(3, "0")}-${section.id.replace(/\.(png|jpe?g)$/i, "").replace(/[^A-Za-z0-9._-]+/g, "_")}.png`);
    await files.writeAtomic(path, encodePng(drawFeatureMap(dataset, index, await cache.get(index), overlays)));
    paths.push(path);
  }
  return paths;
}
