// The descriptor of the Gaussian blur along one axis.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import naive from "./blur.naive.wgsl?raw";
import { mirrored } from "./border.ts";

/** One of the two passes of a separable Gaussian blur, σ of each image. */
export const blur = defineKernel({
  name: "blur",
  doc: "Gaussian blur along rows, or with `vertical` along columns, with σ of each image, cut at min(reach, ⌈3σ⌉) and normalised; mirrored beyond the edges; σ = 0 copies.",
  // `first` images of the batch come before those of x.
  dims: ["b", "h", "w", "c", "reach", "first"],
  derive: () => ({ first: 0 }),
  flags: ["vertical"],
  args: { x: read("b", "h", "w", "c"), sigma: as("f32", read("b")), y: write("b", "h", "w", "c") },
  libraries,
  variants: { naive: { source: naive, grid: ({ b, h, w }) => [ceilDiv(w, 8), ceilDiv(h, 8), b] } },
  flops: ({ b, h, w, c, reach }) => b * h * w * c * reach * 12,
  // |k²/2σ²| is at most 4.5 at 3σ, and less than 8 one step further.
  builtins: { exp: 8, division: 2 },
  inputs: { sigma: (random, index) => (index === 0 ? 0 : 0.3 + 1.5 * random()) },
  reference({ x, sigma, y }, { b, h, w, c, reach, first }, { round, has }) {
    for (let image = 0; image < b; image++) {
      const s = sigma[first + image]!;
      const rate = s > 0 ? round(0.5 / round(s * s)) : 0;
      // Where the blur ends is decided in f32, as on the device.
      const last = s > 0 ? Math.min(reach, Math.ceil(Math.fround(3 * s))) : 0;
      for (let row = 0; row < h; row++)
        for (let column = 0; column < w; column++)
          for (let channel = 0; channel < c; channel++) {
            const at = (step: number) =>
              x[(has("vertical") ? (image * h + mirrored(row + step, h)) * w + column : (image * h + row) * w + mirrored(column + step, w)) * c + channel]!;
            let [sum, total] = [at(0), 1];
            for (let k = 1; k <= last; k++) {
              const weight = round(Math.exp(round(-k * k * rate)));
              sum = round(sum + round(weight * round(at(-k) + at(k))));
              total = round(total + 2 * weight);
            }
            y[((image * h + row) * w + column) * c + channel] = round(sum / total);
          }
    }
  },
  cases: {
    one: { numbers: { b: 2, h: 1, w: 1, c: 1, reach: 3 } },
    rows: { numbers: { b: 3, h: 9, w: 13, c: 2, reach: 4 } },
    columns: { numbers: { b: 3, h: 11, w: 10, c: 1, reach: 12 }, flags: ["vertical"] },
    "batch of patches": { numbers: { b: 16, h: 128, w: 128, c: 1, reach: 12 }, bench: true },
  },
  free: { b: 1, h: 1, w: 1, c: 1 },
  split: splitAlong("b", { whole: ["sigma"], numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "works on data" },
});
