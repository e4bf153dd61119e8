// The descriptor of the second stage of the moments of images.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./image-moments-merge.naive.wgsl?raw";

/** Mean and inverse standard deviation of each image. */
export const imageMomentsMerge = defineKernel({
  name: "image_moments_merge",
  doc: "Mean and 1 / max(population standard deviation, least) of each image from means, squared deviations and counts of its parts.",
  dims: ["b", "parts"],
  scalars: ["least"],
  dtypes: ["f32"],
  args: { partial: as("f32", read("b", "parts", 3)), moments: as("f32", write("b", 2)) },
  variants: { naive: { source: naive, grid: ({ b }) => [ceilDiv(b, 64), 1, 1] } },
  flops: ({ b, parts }) => 8 * b * parts,
  // Each share is a quotient, but errors of weights that sum to 1 do not add up; then a quotient, a root and an inverse.
  builtins: { division: 4, sqrt: 1 },
  inputs: { partial: (random, index) => [random(), 10 * random(), 1 + Math.floor(20 * random())][index % 3]! },
  reference({ partial, moments }, { b, parts, least }, { round }) {
    for (let image = 0; image < b; image++) {
      let [mean, squares, count] = [0, 0, 0];
      for (let p = 0; p < parts; p++) {
        const [m, s, k] = partial.subarray(3 * (image * parts + p)) as unknown as [number, number, number];
        const shift = round(m - mean);
        const share = round(k / (count + k));
        mean = round(mean + round(shift * share));
        squares = round(squares + round(s + round(round(shift * shift) * round(count * share))));
        count += k;
      }
      moments[2 * image] = mean;
      moments[2 * image + 1] = round(1 / Math.max(round(Math.sqrt(round(squares / count))), Math.fround(least)));
    }
  },
  cases: {
    one: { numbers: { b: 1, parts: 1, least: 1e-3 } },
    some: { numbers: { b: 5, parts: 37, least: 1e-3 } },
    flat: { numbers: { b: 2, parts: 3, least: 100 } },
    batch: { numbers: { b: 64, parts: 64, least: 1e-3 }, bench: true },
  },
  free: { b: 1, parts: 1 },
  gradient: { none: "works on data" },
});
