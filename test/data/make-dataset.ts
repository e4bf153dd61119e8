// Datasets for tests, made in memory without images.
import type { Dataset } from "../../src/data/dataset.ts";
import { randomStream, keyOfSeed } from "../../src/kernel/rng.ts";

/** `count` random positions in a cube of `extentMm`, spread over four sections: brains a, a, b, c; brain c has its own space. */
export function makeScatter(count: number, extentMm: number, seed = 1): Dataset {
  const stream = randomStream(keyOfSeed(seed), [0, 0, 99]);
  const sectionOf = [0, 0, 0, 1];
  const section = Uint32Array.from({ length: count }, () => stream.below(4));
  return {
    name: "scatter",
    path: "scatter",
    brains: [{ id: "a" }, { id: "b" }, { id: "c" }],
    sections: ["a", "a", "b", "c"].map((brain, i) => ({ id: `s${i}`, brain, file: `s${i}.png`, width: 10, height: 10, pixelSizeUm: 1, space: brain === "c" ? "own" : "shared" })),
    spaces: ["shared", "own"],
    samples: {
      count,
      section,
      x: new Float64Array(count),
      y: new Float64Array(count),
      position: Float32Array.from({ length: 3 * count }, () => (stream.uniform() - 0.5) * extentMm),
      space: Int32Array.from(section, (s) => sectionOf[s] ?? 0),
      labels: new Map(),
      values: new Map(),
      ids: undefined,
    },
    hash: "",
  };
}
