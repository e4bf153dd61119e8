// The descriptor of the normalisation of intensities.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./normalise.naive.wgsl?raw";

/** Intensities shifted and scaled, by given numbers or by the moments of each image. */
export const normalise = defineKernel({
  name: "normalise",
  doc: "y = (x − mean) · inverse, with the two numbers given, or with `each` those of every image.",
  // `first` images of the batch come before those of x.
  dims: ["b", "n", "first"],
  scalars: ["mean", "inverse"],
  flags: ["each"],
  derive: () => ({ first: 0 }),
  args: { x: read("b", "n"), moments: when("each", as("f32", read("b", 2))), y: write("b", "n") },
  variants: { naive: { source: naive, grid: ({ b, n }) => [ceilDiv(n, 64), b, 1] } },
  flops: ({ b, n }) => 2 * b * n,
  reference({ x, moments, y }, { b, n, first, mean, inverse }, { round, has }) {
    for (let image = 0; image < b; image++) {
      const [m, r] = has("each") ? [moments[2 * (first + image)]!, moments[2 * (first + image) + 1]!] : [Math.fround(mean), Math.fround(inverse)];
      for (let i = 0; i < n; i++) y[image * n + i] = round(round(x[image * n + i]! - m) * r);
    }
  },
  cases: {
    fixed: { numbers: { b: 2, n: 77, mean: 0.4, inverse: 3 } },
    each: { numbers: { b: 3, n: 100, mean: 0, inverse: 1 }, flags: ["each"] },
    "batch of patches": { numbers: { b: 16, n: 16384, mean: 0.4, inverse: 3 }, bench: true },
  },
  free: { b: 1, n: 1 },
  split: splitAlong("b", { whole: ["moments"], numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "works on data" },
});
