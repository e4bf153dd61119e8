// Who trains and who tests: split by brain, nothing of the test samples in what is learned, mistakes told with a remedy; and intensity statistics by hand.
import { expect, test } from "vitest";
import { describeIntensity, measureRange } from "../../src/analysis/intensity.ts";
import { judgeLeak } from "../../src/analysis/probe.ts";
import { findBlocks, foldTraining, splitSamples, type SplitOptions } from "../../src/analysis/probe-split.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import type { SectionCache } from "../../src/data/sections.ts";
import { UserError } from "../../src/errors.ts";
import { makeScatter } from "../data/make-dataset.ts";

/** Brains a (two sections), b and c; labels by turns, class w in brain c only, class v never there. */
function makeLabelled(): Dataset {
  const dataset = makeScatter(400, 4);
  const brainOf = (i: number) => dataset.sections[dataset.samples.section[i]!]!.brain;
  const codes = Int32Array.from({ length: 400 }, (_, i) => (i % 7 === 0 ? -1 : brainOf(i) === "c" && i % 3 === 0 ? 2 : i % 2));
  return { ...dataset, samples: { ...dataset.samples, labels: new Map([["layer", { names: ["x", "y", "w", "v"], codes }]]) } };
}

const dataset = makeLabelled();
const options: SplitOptions = { label: "layer", holdOut: ["c"], maxSamples: 1000, seed: 1 };

test("held-out brains test, the others train, and unlabelled samples do neither", () => {
  const { classes, train, test: held, notes } = splitSamples(dataset, options);
  expect(classes).toEqual(["x", "y"]);
  for (const [part, inside] of [[train, false], [held, true]] as const)
    for (const [k, i] of part.samples.entries()) {
      expect(dataset.sections[dataset.samples.section[i]!]!.brain === "c").toBe(inside);
      expect(part.labels[k]).toBe(dataset.samples.labels.get("layer")!.codes[i]);
    }
  expect(notes).toEqual([expect.stringMatching(/^w: no training sample, so its \d+ test samples are left out$/)]);
  const { notes: turned, classes: three } = splitSamples(dataset, { ...options, holdOut: ["a"] });
  expect(three).toEqual(["x", "y", "w"]);
  expect(turned).toEqual(["w: no test sample, so it is in no mean over classes"]);
});

test("labels of the test samples change nothing that is learned", () => {
  const before = splitSamples(dataset, { ...options, maxSamples: 100 });
  const labels = dataset.samples.labels.get("layer")!;
  const codes = labels.codes.map((code, i) => (dataset.samples.section[i] === 3 ? 3 - Math.max(0, code) : code));
  codes[before.test.samples[0]!] = 0; // something must remain to be tested
  const after = splitSamples({ ...dataset, samples: { ...dataset.samples, labels: new Map([["layer", { ...labels, codes }]]) } }, { ...options, maxSamples: 100 });
  expect(after.train).toEqual(before.train);
  expect(after.classes).toEqual(before.classes);
  expect(before.train.samples.length).toBe(100);
  expect(new Set(before.train.samples).size).toBe(100);
});

test.each<[string, Partial<SplitOptions>, number, RegExp]>([
  ["an unknown label", { label: "layr" }, 2, /label: no column "layr" \(did you mean "layer"\?\) in scatter, expected one of layer; correct the name/],
  ["an unknown brain", { holdOut: ["d"] }, 2, /unknown brain "d".*expected one of a, b, c/],
  ["no brain held out", { holdOut: [] }, 2, /no brain, expected at least one/],
  ["all brains held out", { holdOut: ["a", "b", "c"] }, 65, /no samples are left after holding out a, b, c/],
  ["an unknown class", { classes: ["x", "z"] }, 2, /classes: no "z".*expected some of x, y, w, v/],
  ["one class only", { classes: ["x"] }, 65, /all training samples are of class x, expected at least two classes/],
  ["no labelled training sample", { classes: ["w"] }, 65, /no samples of the classes w outside of c/],
  ["no labelled test sample", { holdOut: ["a"], classes: ["v"] }, 65, /no samples of the classes v/],
])("%s is told", (_, change, code, message) => {
  let thrown: unknown;
  try {
    splitSamples(dataset, { ...options, ...change });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(UserError);
  expect((thrown as UserError).exitCode).toBe(code);
  expect((thrown as UserError).message).toMatch(message);
});

test("folds are brains where there are two, else spaces, sections, or blocks", () => {
  const kind = (sections: readonly number[]) => {
    const samples = Uint32Array.from(Array.from({ length: 400 }, (_, i) => i).filter((i) => sections.includes(dataset.samples.section[i]!)));
    const { folds, by } = foldTraining(dataset, samples, 100);
    expect(folds.count).toBeGreaterThan(1);
    return by;
  };
  expect(kind([0, 1, 2])).toBe("brain");
  expect(kind([0, 1])).toBe("section");
  expect(kind([0])).toBe("block");
});

test("blocks are cubes of the reference space, and never hold two brains", () => {
  const samples = Uint32Array.from({ length: 400 }, (_, i) => i);
  const { of, count } = findBlocks(dataset, samples, 1);
  const { position, section } = dataset.samples;
  const cell = (i: number) => [0, 1, 2].map((axis) => Math.floor(position[3 * i + axis]!)).join();
  const brain = (i: number) => dataset.sections[section[i]!]!.brain;
  const keys = Array.from({ length: 400 }, (_, i) => `${brain(i)} ${cell(i)}`);
  const wrong = keys.flatMap((key, i) => keys.slice(0, i).filter((other, j) => (of[i] === of[j]) !== (key === other)));
  expect(wrong).toEqual([]);
  expect(new Set(of).size).toBe(count);
});

test("what the encoder saw is told from its run", () => {
  const judge = (own: string[], trainedOn: string | undefined) => judgeLeak({ holdOut: own }, { hash: "this" }, ["c"], trainedOn);
  expect(judge([], "this")).toBe(true);
  expect(judge(["b"], "this")).toBe(true);
  expect(judge(["b", "c"], "this")).toBe(false);
  expect(judge([], "other")).toBe("unknown");
  expect(judge([], undefined)).toBe("unknown");
});

test("intensity statistics of a patch by hand, in bins that training samples span", async () => {
  const plane = { width: 4, height: 2, pixelSizeUm: 1, background: 0, data: Uint8Array.of(51, 51, 0, 255, 51, 255, 255, 0) };
  const cache: SectionCache = { get: async () => plane, tissue: async () => ({ mean: 0, deviation: 1 }), bytes: 0 };
  const places = { ...dataset, samples: { ...dataset.samples, count: 2, section: Uint32Array.of(0, 0), x: Float64Array.of(1, 3), y: Float64Array.of(1, 1) } };
  const patch = { patch: 2, scale: "grey" as const };
  const range = await measureRange(places, cache, Uint32Array.of(0), patch);
  // 51/255 = 0.2 to 1, to a 4096th.
  expect(range.low).toBeCloseTo(0.2, 3);
  expect(range.high).toBe(1);
  const rows = await describeIntensity(places, cache, Uint32Array.of(0, 1), range, patch);
  const [first, second] = [[...rows.subarray(0, 67)], [...rows.subarray(67)]];
  // Three pixels of 0.2 and one of 1: mean 0.4, variance 0.12, third moment (3 · −0.008 + 0.216)/4 = 0.048.
  expect([first[0], first[63]]).toEqual([0.75, 0.25]);
  expect(first[64]).toBeCloseTo(0.4, 6);
  expect(first[65]).toBeCloseTo(Math.sqrt(0.12), 6);
  expect(first[66]).toBeCloseTo(0.048 / 0.12 ** 1.5, 5);
  // What lies below the range falls in the first bin.
  expect([second[0], second[63], second[66]]).toEqual([0.5, 0.5, 0]);
});
