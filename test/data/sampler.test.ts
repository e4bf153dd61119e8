// Batches: groups of true neighbours, each centre once an epoch, and nothing but a function of (seed, epoch, index).
import { describe, expect, test } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import { indexNeighbours } from "../../src/data/neighbours.ts";
import { createSampler, selectMembers } from "../../src/data/sampler.ts";
import { UserError } from "../../src/errors.ts";
import { makeScatter } from "./make-dataset.ts";

function isNear(dataset: Dataset, i: number, j: number, radius: number): boolean {
  const { position, space } = dataset.samples;
  const squares = [0, 1, 2].map((k) => (position[3 * i + k]! - position[3 * j + k]!) ** 2);
  return space[i] === space[j] && squares[0]! + squares[1]! + squares[2]! <= radius * radius;
}

describe("neighbours", () => {
  test.each([[0.7, 10], [3, 10], [100, 10], [0.001, 10], [1e-7, 1e5]])("radius %d in %d mm finds exactly what comparing all pairs finds", (radius, extent) => {
    const dataset = makeScatter(400, extent);
    const members = selectMembers(dataset, ["b"]);
    const index = indexNeighbours(dataset.samples, members, radius);
    for (const centre of members) {
      const want = [...members].filter((i) => i !== centre && isNear(dataset, centre, i, radius));
      expect([...index.find(centre)].sort((a, b) => a - b)).toEqual(want);
    }
  });
});

describe("sampler", () => {
  const dataset = makeScatter(1000, 10);
  const options = { seed: 5, groupSize: 4, groupsPerBatch: 7, radiusMm: 1.5 };

  test("the first of a group is its centre, `neighbours` others lie within the radius, and no sample is twice in a batch", () => {
    const sampler = createSampler(dataset, options);
    expect(sampler.batches).toBe(143);
    for (let index = 0; index < sampler.batches - 1; index++) {
      const { samples, neighbours } = sampler.draw(0, index);
      expect(samples).toHaveLength(28);
      expect(new Set(samples).size).toBe(28);
      let near = 0;
      for (let g = 0; g < 7; g++) for (let k = 1; k < 4; k++) if (isNear(dataset, samples[4 * g]!, samples[4 * g + k]!, 1.5)) near += 1;
      // A stranger may be near by chance, a neighbour is never far.
      expect(near).toBeGreaterThanOrEqual(neighbours);
    }
  });

  test("every epoch has every member once as a centre, in another order, and ends by beginning again", () => {
    const sampler = createSampler(dataset, options);
    const centresOf = (epoch: number): number[] => Array.from({ length: sampler.batches }, (_, i) => sampler.draw(epoch, i)).flatMap(({ samples }) => [...samples].filter((_, k) => k % 4 === 0));
    const [first, second] = [centresOf(0), centresOf(1)];
    const everyone = Array.from({ length: 1000 }, (_, i) => i);
    expect(first.slice(0, 1000).sort((a, b) => a - b)).toEqual(everyone);
    expect(second.slice(0, 1000).sort((a, b) => a - b)).toEqual(everyone);
    expect(centresOf(0).slice(1000)).toEqual(centresOf(0).slice(0, 143 * 7 - 1000));
    expect(second).not.toEqual(centresOf(0));
  });

  test("a function of seed, epoch and index alone, whatever was drawn before", () => {
    const used = createSampler(dataset, options);
    for (let i = 0; i < 20; i++) used.draw(i % 3, i);
    const fresh = createSampler(dataset, options);
    expect(used.draw(2, 17)).toEqual(fresh.draw(2, 17));
    expect(fresh.draw(2, 17)).not.toEqual(fresh.draw(2, 18));
    expect(createSampler(dataset, { ...options, seed: 6 }).draw(2, 17)).not.toEqual(fresh.draw(2, 17));
  });

  test("neighbours come evenly from all within the radius, across sections and brains, never across spaces", () => {
    const near = makeScatter(40, 1, 3);
    const sampler = createSampler(near, { seed: 1, groupSize: 2, groupsPerBatch: 1, radiusMm: 10 });
    const counts = new Map<number, number>();
    let draws = 0;
    for (let epoch = 0; epoch < 500; epoch++) {
      for (let index = 0; index < sampler.batches; index++) {
        const [centre = 0, other = 0] = sampler.draw(epoch, index).samples;
        expect(near.samples.space[centre]).toBe(near.samples.space[other]);
        if (near.samples.space[centre] !== 0) continue;
        counts.set(other, (counts.get(other) ?? 0) + 1);
        draws += 1;
      }
    }
    const shared = [...near.samples.space].filter((space) => space === 0).length;
    expect(counts.size).toBe(shared);
    // Chi-squared with at most 39 degrees of freedom: P(chi2 > 96) < 1e-6.
    const chi2 = [...counts.values()].reduce((sum, count) => sum + (count - draws / shared) ** 2 / (draws / shared), 0);
    expect(chi2).toBeLessThan(96);
  });

  test("held-out brains never appear, not even as strangers", () => {
    const sampler = createSampler(dataset, { ...options, radiusMm: 0.01, holdOut: ["a"] });
    for (let index = 0; index < sampler.batches; index++) {
      for (const i of sampler.draw(0, index).samples) expect(dataset.sections[dataset.samples.section[i]!]!.brain).not.toBe("a");
    }
  });

  test("fewer samples than a batch needs: the batch is filled all the same", () => {
    const few = makeScatter(3, 1);
    const sampler = createSampler(few, { seed: 0, groupSize: 4, groupsPerBatch: 5, radiusMm: 5 });
    const { samples } = sampler.draw(0, 0);
    expect(samples).toHaveLength(20);
    expect(new Set(samples).size).toBe(3);
  });

  test("options that are wrong are named", () => {
    const refuse = (more: object, pattern: RegExp, code: number): void => {
      const run = (): unknown => createSampler(dataset, { ...options, ...more });
      expect(run).toThrow(UserError);
      expect(run).toThrow(pattern);
      expect(run).toThrow(expect.objectContaining({ exitCode: code }) as Error);
    };
    refuse({ radiusMm: 0 }, /radius 0, expected/, 78);
    refuse({ groupSize: 1.5 }, /groupSize 1.5/, 78);
    refuse({ seed: -1 }, /seed -1/, 78);
    refuse({ holdOut: ["A"] }, /unknown brain "A" \(did you mean "a"\?\)/, 2);
    refuse({ holdOut: ["a", "b", "c"] }, /no samples are left/, 65);
    expect(() => createSampler(dataset, options).draw(0, 143)).toThrow(RangeError);
  });
});
