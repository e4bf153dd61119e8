// The descriptor of the second stage of SpatialNCE's mean over anchors.
import { as, defineKernel, read, write } from "../../src/kernel/define.ts";
import naive from "./anchor-means.naive.wgsl?raw";
import tree from "./anchor-means.tree.wgsl?raw";

/** Mean loss, mean entropy, their difference, and the number of anchors; all 0 without an anchor. */
export const anchorMeans = defineKernel({
  name: "anchor_means",
  doc: "Means over anchors of loss and entropy from partial sums, their difference, and the number of anchors M; 0 where M = 0.",
  dims: ["parts"],
  dtypes: ["f32"],
  args: {
    sums: as("f32", read("parts", 3)),
    loss: as("f32", write(1)),
    entropy: as("f32", write(1)),
    divergence: as("f32", write(1)),
    anchors: as("f32", write(1)),
  },
  variants: { naive: { source: naive, grid: () => [1, 1, 1] }, tree: { source: tree, grid: () => [1, 1, 1] } },
  choose: (_, { barriers }) => [{ variant: barriers === "dear" ? "naive" : "tree" }],
  flops: ({ parts }) => 3 * parts,
  builtins: { division: 1 },
  inputs: { sums: (random, index) => (index % 3 === 2 ? Math.floor(4 * random()) : random()) },
  reference({ sums, loss, entropy, divergence, anchors }, { parts }, { round }) {
    let [a, b, c] = [0, 0, 0];
    for (let p = 0; p < parts; p++) {
      a = round(a + sums[3 * p]!);
      b = round(b + sums[3 * p + 1]!);
      c += sums[3 * p + 2]!;
    }
    const count = Math.max(c, 1);
    loss[0] = round(a / count);
    entropy[0] = round(b / count);
    divergence[0] = round(round(a - b) / count);
    anchors[0] = c;
  },
  cases: { one: { numbers: { parts: 1 } }, few: { numbers: { parts: 37 } }, all: { numbers: { parts: 256 }, bench: true } },
  free: { parts: 1 },
  gradient: "op",
});
