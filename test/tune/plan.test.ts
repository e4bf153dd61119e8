// Plans on a device with tuned choices: taken where they hold, never before what a run pinned, and with the same result.
import { afterAll, expect, test } from "vitest";
import { createEngine, f32, type Engine } from "../../src/engine/engine.ts";
import { identifyDevice } from "../../src/engine/device.ts";
import { problemKey } from "../../src/engine/plan.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { openAdapter } from "../../src/host/node.ts";
import { createTuningTable, tuningKey, type TunedEntry } from "../../src/kernel/tuning.ts";
import { softmax as kernel } from "../../kernels/index.ts";
import { softmax } from "../../src/ops/softmax.ts";

const opened: { readonly handle: AdapterHandle; readonly engine: Engine }[] = [];
afterAll(() => {
  for (const { handle, engine } of opened) {
    engine.dispose();
    handle.close();
  }
});

test("a tuned choice is taken, a pinned one goes before it, one of another device is as if it were not there", async () => {
  const open = async (entries: readonly TunedEntry[]) => {
    const handle = await openAdapter({ log: () => {} }); // an adapter gives one device
    const engine = await createEngine(handle, { tuning: createTuningTable(entries) });
    opened.push({ handle, engine });
    return engine;
  };
  const plain = await open([]);
  const problem = { kernel, numbers: { rows: 24, n: 40 }, flags: new Set<string>(), dtype: "f32" as const };
  const build = ({ x }: { x: Parameters<typeof softmax>[0] }) => ({ y: softmax(x) });
  const x = Float32Array.from({ length: 24 * 40 }, (_, i) => Math.sin(i));
  const reference = await plain.plan(build, { x: f32(24, 40) });
  const own = reference.blueprints[0]!;
  expect(reference.statistics).toMatchObject({ tuned: 0, pinned: 0 });
  // Whatever the device would choose itself, the entry says something else.
  const variant = own.variant === "naive" ? "workgroup" : "naive";
  const entry: TunedEntry = { ...tuningKey(problem, identifyDevice(plain.device.fingerprint)), choice: { variant }, numbers: problem.numbers, ratio: 0.5, low: 0.4, high: 0.6, milliseconds: 1, share: 0.5, adapter: "", driver: "", date: "", candidates: 2, failed: 0 };

  const engine = await open([entry]);
  const tuned = await engine.plan(build, { x: f32(24, 40) });
  expect(tuned.blueprints.map((one) => one.variant)).toEqual([variant]);
  expect(tuned.statistics).toMatchObject({ tuned: 1, pinned: 0 });
  const [got, want] = [(await tuned.run({ x }))["y"]!, (await reference.run({ x }))["y"]!];
  // Two orders of summation of 40 terms, and exp in both: far within what the check allows each.
  got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThan(1e-5));

  const node = tuned.program.nodes.find((one) => one.kind === "dispatch")!;
  const pinned = await engine.plan(build, { x: f32(24, 40) }, { pinned: new Map([[problemKey(node), own]]) });
  expect(pinned.blueprints).toEqual([own]);
  expect(pinned.statistics).toMatchObject({ tuned: 0, pinned: 1 });

  const foreign = await (await open([{ ...entry, device: "0" }, { ...entry, source: "0" }])).plan(build, { x: f32(24, 40) });
  expect(foreign.blueprints).toEqual([own]);
});
