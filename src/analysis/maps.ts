// Writing feature maps: one PNG a section, coloured by the three leading principal components over all samples.
import type { Dataset } from "../data/dataset.ts";
import { encodePng } from "../data/png.ts";
import { loadSections } from "../data/sections.ts";
import { joinPath, type Files } from "../files.ts";
import { drawFeatureMap } from "./feature-map.ts";
import { colourScores, principalComponents } from "./pca.ts";

/** Writes `<section>.png` for each section into `folder`; returns the paths and the components' shares of the variance. */
export async function writeFeatureMaps(files: Files, dataset: Dataset, values: Float32Array, channels: number, folder: string): Promise<{ paths: string[]; share: number[] }> {
  const { count } = dataset.samples;
  const { scores, share } = principalComponents(values, count, channels, 3);
  const colours = colourScores(scores, count);
  const cache = loadSections(dataset, files);
  await files.makeFolder(folder);
  const paths: string[] = [];
  for (const [index, section] of dataset.sections.entries()) {
    // A section's name may hold anything; a file's name may not.
    const path = joinPath(folder, `${String(index).padStart(3, "0")}-${section.id.replace(/[^A-Za-z0-9._-]+/g, "_")}.png`);
    await files.writeAtomic(path, encodePng(drawFeatureMap(dataset, index, await cache.get(index), colours)));
    paths.push(path);
  }
  return { paths, share: [...share] };
}
