// The descriptor of the first stage of the moments of images.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./image-moments.naive.wgsl?raw";
import vec4 from "./image-moments.vec4.wgsl?raw";

const MAX_PARTS = 256;

/** Parts that an image of n elements is cut in. */
export function imagePartsOf(n: number): number {
  return Math.min(MAX_PARTS, Math.max(1, ceilDiv(n, 64)));
}

/** Mean, sum of squared deviations and count of each part of each image; the second stage is `image_moments_merge`. */
export const imageMoments = defineKernel({
  name: "image_moments",
  doc: "Per image and part (every parts-th group of four elements): mean, sum of squared deviations from it, and count.",
  dims: ["b", "n", "parts"],
  derive: ({ n }) => ({ parts: imagePartsOf(n) }),
  args: { x: read("b", "n"), partial: as("f32", write("b", "parts", 3)) },
  variants: {
    naive: { source: naive, grid: ({ b, parts }) => [ceilDiv(parts, 64), b, 1] },
    vec4: { source: vec4, grid: ({ b, parts }) => [ceilDiv(parts, 64), b, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ b, n }) => 4 * b * n,
  builtins: { division: 2 },
  inputs: { x: (random) => 100 + random() },
  reference({ x, partial }, { b, n, parts }, { round }) {
    for (let image = 0; image < b; image++)
      for (let p = 0; p < parts; p++) {
        const fold = (step: (sum: number, value: number) => number) => {
          let sum = 0;
          for (let q = p; 4 * q < n; q += parts) for (let i = 4 * q; i < Math.min(4 * q + 4, n); i++) sum = step(sum, x[image * n + i]!);
          return sum;
        };
        const count = fold((sum) => sum + 1);
        const mean = round(fold((sum, value) => round(sum + value)) / count);
        const squares = fold((sum, value) => round(sum + round(round(value - mean) ** 2)));
        partial.set([mean, squares, count], 3 * (image * parts + p));
      }
  },
  cases: {
    one: { numbers: { b: 1, n: 1 } },
    odd: { numbers: { b: 3, n: 333 } },
    even: { numbers: { b: 2, n: 400 } },
    "batch of patches": { numbers: { b: 16, n: 16384 }, bench: true },
  },
  free: { b: 1, n: 1 },
  split: splitAlong("b"),
  gradient: { none: "works on data" },
});
