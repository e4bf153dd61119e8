// First light: one MLP learns in Node and in headless Chromium, by the same code.
import { describe, expect, test } from "vitest";
import { createEngine } from "../../src/engine/engine.ts";
import { openAdapter } from "../../src/host/node.ts";
import { whyNoChromium } from "./chromium.ts";
import { runInPage } from "./page.ts";
import { trainMlp } from "./programs/mlp.ts";

const STEPS = 150;

const learned = (losses: readonly number[]) => {
  const average = (part: readonly number[]) => part.reduce((a, b) => a + b, 0) / part.length;
  // The variance of x·y is 1/9: a model that learned nothing stays there.
  expect(average(losses.slice(-20))).toBeLessThan(0.02);
};

test("in Node, and twice with the same bits", async () => {
  const handle = await openAdapter({ log: () => undefined });
  const engine = await createEngine(handle);
  try {
    const first = await trainMlp(engine, STEPS);
    learned(first.losses);
    expect(await trainMlp(engine, STEPS)).toEqual(first);
    expect(engine.device.ledger().live.activations).toBe(0);
    expect(engine.device.ledger().live.state).toBe(0);
  } finally {
    engine.dispose();
    handle.close();
  }
});

describe.skipIf(whyNoChromium() !== undefined)("in a page", () => {
  test("by the same code", async () => {
    const result = (await runInPage("test/browser/programs/mlp.ts", "trainMlpHere", [STEPS])) as { losses: number[] };
    learned(result.losses);
  });
});
