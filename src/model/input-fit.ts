// Whether sections suit a trained model: their pixel size and extent beside what it was trained on, told in lines for people.
import type { Dataset } from "../data/dataset.ts";
import type { TrainConfig } from "./config.ts";

/** Pixel sizes further apart than this are different ones: sizes of one scanner differ in the last digits. */
const SAME = 1e-3;
/** An image this many times coarser than the trained size lacks detail that the model has learned to look for. */
const COARSE = 1.25;

/** Warnings about embedding a dataset by a model of a configuration; none where its sections are like the trained ones. */
export function describeFit(dataset: Dataset, { data }: Pick<TrainConfig, "data">): string[] {
  const { sections } = dataset;
  const { patch, pixelSizeUm: trained } = data;
  const lines: string[] = [];
  const list = (sizes: readonly number[]): string => {
    const distinct = [...new Set(sizes)].sort((a, b) => a - b);
    return `${distinct.length > 3 ? `${distinct[0]} to ${distinct.at(-1)}` : distinct.join(", ")} µm per pixel`;
  };
  const count = (some: readonly unknown[]): string => (sections.length === 1 ? "the section has" : `${some.length} of ${sections.length} sections have`);
  if (trained === null) {
    lines.push(`the model was trained on sections of several pixel sizes, each as it is, and these have ${list(sections.map(({ pixelSizeUm }) => pixelSizeUm))}: features mean something only where that is like them`);
  } else {
    const other = sections.filter(({ pixelSizeUm }) => Math.abs(pixelSizeUm / trained - 1) > SAME);
    if (other.length > 0) {
      const sizes = other.map(({ pixelSizeUm }) => pixelSizeUm);
      const coarse = sizes.some((size) => size > COARSE * trained) ? "; the coarser ones lack the detail that it looks for, and their features mean little" : "";
      lines.push(`${count(other)} ${list(sizes)}, the model was trained at ${trained}: images are brought to that size first${coarse}`);
    }
  }
  const small = sections.filter(({ width, height, pixelSizeUm }) => Math.min(width, height) * (trained === null ? 1 : pixelSizeUm / trained) < patch);
  if (small.length > 0) lines.push(`${count(small)} less than a patch of ${patch} px on a side: what lies beyond the image is filled with its ground, and features show that too`);
  return lines.map((line) => `warning: ${line}`);
}
