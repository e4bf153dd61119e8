// How hard a phantom is: its areas by grey level, by intensity statistics and by true laminar profiles, the last brain held out.
import { describeIntensity, INTENSITY_CHANNELS, measureRange } from "../../src/analysis/intensity.ts";
import { fitLogistic, predictLogistic } from "../../src/analysis/logistic.ts";
import { scorePredictions } from "../../src/model/scores.ts";
import { cropWindows, loadSections } from "../../src/data/sections.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { PHANTOM_AREAS } from "../../src/phantom/areas.ts";
import { planPhantom, type PhantomOptions } from "../../src/phantom/options.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { makePhantom } from "../../src/phantom/section.ts";

export interface Hardness {
  readonly samples: number;
  /** Per area the mean optical density of its patches, each divided by its section's mean. */
  readonly means: readonly number[];
  /** Standard deviation of such patch means within areas. */
  readonly scatter: number;
  /** Macro-F1 on the held-out brain. */
  readonly intensity: number;
  readonly profile: number;
}

const PATCH = 64;
const DEPTH_BINS = 12;
/** Penalties of the logistic regressions; the best on the held-out brain counts, which favours both. */
const STRENGTHS = [0.001, 0.01, 0.1];

export async function measureHardness(options: PhantomOptions): Promise<Hardness> {
  const files = createMemoryFiles();
  const dataset = await generateDataset({ ...options, truth: false }, "phantom", files);
  const { samples, sections } = dataset;
  const codes = samples.labels.get("area")!.codes;
  const held = dataset.brains.at(-1)!.id;
  const chosen = Uint32Array.from([...codes.keys()].filter((i) => codes[i]! >= 0));
  const isHeld = (i: number): boolean => sections[samples.section[i]!]!.brain === held;
  const [train, test] = [Uint32Array.from([...chosen].filter((i) => !isHeld(i))), Uint32Array.from([...chosen].filter(isHeld))];
  const classes = PHANTOM_AREAS.length;

  const probe = (channels: number, describe: (list: Uint32Array) => Float32Array): number => {
    const [fit, judge] = [describe(train), describe(test)];
    const rows = { values: fit, labels: Int32Array.from(train, (i) => codes[i]!), count: train.length, channels, classes };
    const truth = Int32Array.from(test, (i) => codes[i]!);
    return Math.max(...STRENGTHS.map((strength) => scorePredictions(truth, predictLogistic(fitLogistic(rows, strength, { tolerance: 1e-4 }), judge, test.length), classes).macroF1));
  };

  const cache = loadSections(dataset, files);
  const range = await measureRange(dataset, cache, train, { patch: PATCH, scale: "density" });
  const described = new Map<Uint32Array, Float32Array>();
  for (const list of [train, test]) described.set(list, await describeIntensity(dataset, cache, list, range, { patch: PATCH, scale: "density" }));
  const intensity = probe(INTENSITY_CHANNELS, (list) => described.get(list)!);

  const phantom = makePhantom(planPhantom(options));
  const [x, z] = ["true_x_mm", "true_z_mm"].map((column) => samples.values.get(column)!.numbers);
  const profile = probe(3 * DEPTH_BINS, (list) => {
    const rows = new Float32Array(list.length * 3 * DEPTH_BINS);
    list.forEach((i, k) => {
      const brain = dataset.brains.findIndex(({ id }) => id === sections[samples.section[i]!]!.brain);
      const column = phantom.cortices[brain]!.columnAt(x![i]!, z![i]!);
      const steps = 100 / DEPTH_BINS;
      [column.density, column.radius, column.elongation].forEach((values, what) => {
        for (let bin = 0; bin < DEPTH_BINS; bin++) {
          const part = values.subarray(Math.round(bin * steps), Math.round((bin + 1) * steps));
          rows[(k * 3 + what) * DEPTH_BINS + bin] = part.reduce((sum, value) => sum + value, 0) / part.length;
        }
      });
    });
    return rows;
  });

  const patches = await cropWindows(dataset, cache, chosen, PATCH, { scale: "density" });
  const mean = Float64Array.from(chosen, (_, k) => patches.subarray(k * PATCH * PATCH, (k + 1) * PATCH * PATCH).reduce((sum, value) => sum + value, 0) / PATCH ** 2);
  const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const ofSection = sections.map((_, section) => average([...mean].filter((_, k) => samples.section[chosen[k]!] === section)));
  const relative = mean.map((value, k) => value / ofSection[samples.section[chosen[k]!]!]!);
  const means = PHANTOM_AREAS.map((_, area) => average([...relative].filter((_, k) => codes[chosen[k]!] === area)));
  const scatter = Math.sqrt(average([...relative].map((value, k) => (value - means[codes[chosen[k]!]!]!) ** 2)));
  return { samples: samples.count, means, scatter, intensity, profile };
}
