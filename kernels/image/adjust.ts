// The descriptor of the change of intensities.
import { as, ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { philox4x32, toUniform } from "../../src/kernel/rng.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import naive from "./adjust.naive.wgsl?raw";

/** "nois": keeps these draws apart from those of other kernels under the same seed. */
const NOISE = 0x6e6f6973;

/** Gain, offset, gamma and noise of each image. Noise is a pure function of seed, stream, image (or its key) and element. */
export const adjust = defineKernel({
  name: "adjust",
  doc: "y = max(gain · x + offset, 0)^gamma + noise · ε per image; ε is the scaled sum of four Philox numbers, of variance 1 and within ±3.5.",
  // `first` images of the batch come before those of x.
  dims: ["b", "n", "stream", "first"],
  derive: () => ({ first: 0 }),
  flags: ["keyed"],
  args: { x: read("b", "n"), setting: as("f32", read("b", 4)), seed: as("u32", read(2)), y: write("b", "n"), key: when("keyed", as("u32", read("b"))) },
  libraries,
  variants: { naive: { source: naive, grid: ({ b, n }) => [ceilDiv(n, 64), b, 1] } },
  flops: ({ b, n }) => 120 * b * n,
  // x^γ = exp2(γ log2 x), where the error of both grows with |γ log2 x| = t, but the result shrinks as 2^-t: at most 4 times 2 ulp of 1.
  builtins: { exp: 4, log: 4 },
  inputs: {
    x: (random) => random(),
    setting: (random, index) => [0.8 + 0.4 * random(), 0.2 * (2 * random() - 1), index < 4 ? 1 : 0.7 + 0.6 * random(), index < 8 ? 0 : 0.1 * random()][index % 4]!,
    seed: (random) => Math.floor(random() * 2 ** 32),
    key: (random) => Math.floor(random() * 2 ** 32),
  },
  reference({ x, setting, seed, y, key }, { b, n, stream, first }, { round, has }) {
    for (let image = 0; image < b; image++) {
      const [gain, offset, gamma, noise] = [0, 1, 2, 3].map((k) => setting[4 * (first + image) + k]!) as [number, number, number, number];
      for (let i = 0; i < n; i++) {
        let value = Math.max(0, round(round(gain * x[image * n + i]!) + offset));
        if (gamma !== 1) value = round(value ** gamma);
        if (noise > 0) {
          const [p, q, r, s] = philox4x32([i, has("keyed") ? key[first + image]! : first + image, stream, NOISE], [seed[0]!, seed[1]!]).map(toUniform) as [number, number, number, number];
          const drawn = round(round(round(p + q) + round(r + s)) - 2);
          value = round(value + round(round(noise * round(Math.sqrt(3))) * drawn));
        }
        y[image * n + i] = value;
      }
    }
  },
  cases: {
    one: { numbers: { b: 1, n: 1, stream: 0 } },
    some: { numbers: { b: 5, n: 333, stream: 7 } },
    keyed: { numbers: { b: 5, n: 67, stream: 3 }, flags: ["keyed"] },
    "batch of patches": { numbers: { b: 16, n: 16384, stream: 1 }, bench: true },
  },
  free: { b: 1, n: 1 },
  split: splitAlong("b", { whole: ["setting", "key"], numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "works on data" },
});
