// The watch over gradients: where a spike begins, what lasts is no spike, going back ends, and what a checkpoint keeps is read back.
import { describe, expect, test } from "vitest";
import { resolveConfig } from "../../src/model/config.ts";
import { anchorOf, FRESH_WATCH, judgeStep, LEAST_NORMS, MAX_REWINDS, MAX_SPIKES, orderSeed, readWatch, rewindWatch, spikeLimit, type WatchState } from "../../src/model/watch.ts";

const spike = resolveConfig({ "spike.action": "skip", "spike.threshold": 5, "spike.window": 16 }).spike;
const after = (norms: readonly number[], from: WatchState = FRESH_WATCH) => norms.reduce((state, gradientNorm) => judgeStep(spike, state, { skipped: false, gradientNorm }, 0).state, from);

describe("the limit", () => {
  test("is the median and so many deviations, as a number that the device has", () => {
    const norms = Array.from({ length: LEAST_NORMS }, (_, i) => 1 + i / 10); // median 1.75, absolute deviations 0.05 … 0.75, their median 0.4
    expect(spikeLimit(spike, { norms })).toBe(Math.fround(1.75 + 5 * 1.4826 * 0.4));
    // Order does not matter; one far norm among many hardly does.
    expect(spikeLimit(spike, { norms: [...norms].reverse() })).toBe(spikeLimit(spike, { norms }));
    expect(spikeLimit(spike, { norms: [...norms.slice(1), 1e6] })).toBeLessThan(1.25 * spikeLimit(spike, { norms }));
  });
  test("does not make spikes of norms that hardly vary", () => expect(spikeLimit(spike, { norms: Array(16).fill(2) })).toBe(Math.fround(2 + 5 * 0.2)));
  test("is none before enough is known, and where nothing is done about spikes", () => {
    expect(spikeLimit(spike, { norms: Array(LEAST_NORMS - 1).fill(1) })).toBe(0);
    expect(spikeLimit({ ...spike, action: "none" }, { norms: Array(64).fill(1) })).toBe(0);
  });
});

describe("a step", () => {
  test("that is taken adds its norm, of which the latest stay", () => {
    expect(after(Array.from({ length: 20 }, (_, i) => i)).norms).toEqual(Array.from({ length: 16 }, (_, i) => i + 4));
    expect(judgeStep({ ...spike, action: "none" }, FRESH_WATCH, { skipped: false, gradientNorm: 1 }, 0).state).toEqual(FRESH_WATCH);
  });
  test("that is skipped is a spike beyond the limit, and not finite otherwise; both are counted, neither changes the level", () => {
    const state = after(Array(16).fill(1));
    const jump = judgeStep(spike, state, { skipped: true, gradientNorm: 9 }, 1.5);
    expect(jump).toEqual({ verdict: "spike", state: { ...state, skipped: 1, spikes: 1, spikesInARow: 1 } });
    expect(judgeStep(spike, jump.state, { skipped: true, gradientNorm: 0 }, 1.5)).toEqual({ verdict: "not finite", state: { ...jump.state, skipped: 2 } });
    expect(judgeStep(spike, state, { skipped: true, gradientNorm: 0 }, 0).verdict).toBe("not finite");
    expect(judgeStep(spike, jump.state, { skipped: false, gradientNorm: 1 }, 1.5).state.spikesInARow).toBe(0);
  });
  test("a level that lasts is learned anew", () => {
    let state = after(Array(16).fill(1));
    for (let i = 1; i <= MAX_SPIKES; i++) {
      state = judgeStep(spike, state, { skipped: true, gradientNorm: 9 }, 1.5).state;
      expect(state.norms.length).toBe(i < MAX_SPIKES ? 16 : 0);
    }
    expect([state.spikes, state.spikesInARow, spikeLimit(spike, state)]).toEqual([MAX_SPIKES, 0, 0]);
  });
});

describe("going back", () => {
  test("takes the level from there, keeps the counts, and gives up where it does not help", () => {
    const then = after(Array(16).fill(1));
    let now: WatchState = { ...after(Array(16).fill(2)), skipped: 5, spikes: 3 };
    for (let i = 1; i <= MAX_REWINDS; i++) {
      const back = rewindWatch(now, then, 40);
      expect(back).toEqual({ ...then, skipped: 5, spikes: 3, rewinds: i, rewoundTo: 40, rewindsThere: i });
      now = back!;
    }
    expect(rewindWatch(now, then, 40)).toBeUndefined();
    expect(rewindWatch(now, then, 60)).toMatchObject({ rewinds: MAX_REWINDS + 1, rewoundTo: 60, rewindsThere: 1 });
  });
  test("goes to a checkpoint that is there whether or not the run was stopped", () => expect([0, 9, 10, 19, 25].map((step) => anchorOf(step, 10))).toEqual([0, 0, 10, 10, 20]));
  test("gives each time another order, and at first the run's own", () => {
    const seeds = Array.from({ length: 100 }, (_, rewinds) => orderSeed(4294967290, rewinds));
    expect(seeds[0]).toBe(4294967290);
    expect(new Set(seeds).size).toBe(100);
    expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)).toBe(true);
  });
});

test("what a checkpoint keeps is read back as it was, and nothing else for it", () => {
  const state = { ...after([0.1, 1 / 3, 2e-7]), skipped: 2 };
  expect(readWatch(JSON.parse(JSON.stringify(state)))).toEqual(state);
  for (const wrong of [{ ...state, norms: 3 }, { ...state, norms: ["1"] }, { ...state, spikes: "2" }, {}]) expect(readWatch(wrong)).toBeUndefined();
});
