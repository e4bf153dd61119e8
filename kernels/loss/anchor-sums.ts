// The descriptor of the first stage of SpatialNCE's mean over anchors.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./anchor-sums.naive.wgsl?raw";
import vec4 from "./anchor-sums.vec4.wgsl?raw";

/** At most this many parts: one invocation of the second stage then adds few enough. */
const PARTS = 256;

/** Sums of loss, entropy and anchors over the rows of each part, in row order. */
export const anchorSums = defineKernel({
  name: "anchor_sums",
  doc: "Part p adds rows p, p + parts, … of loss and entropy, and counts the rows with mass.",
  dims: ["n", "parts"],
  derive: ({ n }) => ({ parts: Math.min(PARTS, n) }),
  dtypes: ["f32"],
  args: {
    loss: as("f32", read("n")),
    entropy: as("f32", read("n")),
    mass: as("f32", read("n")),
    sums: as("f32", write("parts", 3)),
  },
  variants: {
    naive: { source: naive, grid: ({ parts }) => [ceilDiv(parts, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ parts }) => [ceilDiv(parts / 4, 64), 1, 1], legal: ({ n, parts }) => n % 4 === 0 && parts % 4 === 0 },
  },
  flops: ({ n }) => 3 * n,
  inputs: { mass: (random) => Math.max(0, random() - 0.3) },
  reference({ loss, entropy, mass, sums }, { n, parts }, { round }) {
    for (let p = 0; p < parts; p++) {
      let [a, b, c] = [0, 0, 0];
      for (let i = p; i < n; i += parts) {
        a = round(a + loss[i]!);
        b = round(b + entropy[i]!);
        c += mass[i]! > 0 ? 1 : 0;
      }
      sums.set([a, b, c], 3 * p);
    }
  },
  cases: {
    one: { numbers: { n: 1 } },
    few: { numbers: { n: 37 } },
    many: { numbers: { n: 1000 } },
    "65,536 rows": { numbers: { n: 65536 }, bench: true },
  },
  free: { n: 1 },
  gradient: "op",
});
