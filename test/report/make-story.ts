// A story with made-up numbers, for tests of the report: three places, three areas, one of them with a name that must be escaped.
import type { MethodReport, ProbeReport } from "../../src/analysis/probe.ts";
import type { Image } from "../../src/data/image.ts";
import { resolveConfig } from "../../src/model/config.ts";
import type { Story } from "../../src/story/story.ts";

export const AREAS = ["frontal", "<b>&\"polar'", "temporal"];

const image = (width: number, height: number): Image => ({ width, height, channels: 1, data: Uint8Array.from({ length: width * height }, (_, i) => (i * 7) % 256) });
const estimate = (value: number, half = 0.05) => ({ value, low: value - half, high: value + half });

function method(value: number): MethodReport {
  return {
    macroF1: estimate(value),
    balancedAccuracy: estimate(value),
    accuracy: estimate(value),
    perClass: AREAS.map((name, k) => ({ class: name, precision: 0.5, recall: 0.25, f1: 1 / 3, support: 11 + k })),
    confusion: [
      [7, 2, 2],
      [0, 12, 0],
      [1, 1, 11],
    ],
  };
}

export function makeStory(): Story {
  const choice = { candidates: [], iterations: 12, converged: true, strength: 0.1 };
  const probe: ProbeReport = {
    schema: "cytonet-probe/1",
    dataset: { name: "phantom-1", hash: "0123456789abcdef" },
    label: "area",
    classes: AREAS,
    holdOut: ["phantom3"],
    train: { samples: 1234, brains: ["phantom1", "phantom2"], sections: 12 },
    test: { samples: 36, brains: ["phantom3"], sections: 6 },
    blocks: { count: 35, edgeMm: 5.12, resamples: 2000 },
    validation: { by: "brain", folds: 2 },
    probe: { ...method(0.613), regularisation: choice },
    knn: { ...method(0.487), neighbours: { k: 10, candidates: [] } },
    baselines: { chance: method(0.142), majority: method(0.047), intensity: { ...method(0.191), regularisation: choice }, untrained: { ...method(0.234), regularisation: choice } },
    differences: {
      knn: { macroF1: estimate(0.126) },
      chance: { macroF1: estimate(0.471) },
      majority: { macroF1: estimate(0.566) },
      intensity: { macroF1: estimate(0.422) },
      untrained: { macroF1: estimate(0.379) },
    },
    encoder: { preset: "tiny", steps: 3, seed: 1, patch: 64, pixelSizeUm: null, holdOut: ["phantom3"], trainedOn: "0123456789abcdef", sawHeldOut: false },
    seed: 1,
    notes: ["made up for a test"],
  };
  const place = (x: number, area: number, predicted: number) => ({ x, y: 8, area, predicted, parcel: Math.max(0, area), colour: [10, 20, 30] as const });
  const patch = (area: number, brain: string) => ({ brain, section: "b1s1", area, image: image(4, 4) });
  return {
    version: "9.9.9",
    finished: "2026-01-02T03:04:05.678Z",
    phantom: { seed: 1, brains: 3 },
    dataset: {
      name: "phantom-1",
      samples: 1270,
      pixelSizeUm: 40,
      brains: ["phantom1", "phantom2", "phantom3"].map((id, b) => ({ id, sections: 6, samples: 400 + b, heldOut: b === 2 })),
    },
    device: { adapter: "paper <machine>", driver: "v1", kind: "cpu", peakBytes: 3 * 2 ** 20 },
    config: resolveConfig({ steps: 3, holdOut: ["phantom3"], "loss.sigmaMm": 4 }),
    parameters: 202192,
    losses: [
      { step: 1, loss: 5, floor: 2.5 },
      { step: 2, loss: 4, floor: 2.25 },
      { step: 3, loss: 3, floor: 2 },
    ],
    throughput: { trainPatchesPerSecond: 381.4, embedPatchesPerSecond: 1011 },
    channels: 256,
    areas: AREAS,
    probe,
    parcels: { k: 3, restarts: 8, of: [0, 1, 2], colours: [2, 0, 1], heldOut: { ari: 0.314, nmi: 0.415, samples: 36 }, all: { ari: 0.21, nmi: 0.32, samples: 1234 } },
    share: [0.4, 0.2, 0.1],
    sections: [
      { id: "b3s2", brain: "phantom3", heldOut: true, flaws: ["out of focus"], image: image(24, 16), umPerPixel: 40, places: [place(4, 0, 0), place(8, 1, 2), place(20, -1, -1)] },
      { id: "b1s4", brain: "phantom1", heldOut: false, flaws: [], image: image(24, 16), umPerPixel: 40, places: [place(4, 2, -1)] },
    ],
    patches: {
      queries: [{ patch: patch(1, "phantom3"), near: [{ ...patch(1, "phantom1"), similarity: 0.97 }, { ...patch(0, "phantom2"), similarity: 0.91 }] }],
      hits: 0.52,
      chance: 0.15,
      asked: 36,
      umPerPatch: 2560,
    },
    maps: ["maps/000-b1s1.png"],
    seconds: { phantom: 5, train: 40, embed: 6, probe: 7, pictures: 2 },
  };
}
