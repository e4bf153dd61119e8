// The model in a page: a training step works, and embeddings agree with Node's within what f32 arithmetic explains.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cropWindows, loadSections } from "../../src/data/sections.ts";
import { openImage } from "../../src/data/image-dataset.ts";
import { renderSectionPng } from "../support/section.ts";
import { createEngine, f32, type Engine } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/interpret.ts";
import { allowanceOf, compare } from "../../src/engine/tolerance.ts";
import { accessesOf, type StateBuffer, type Storage } from "../../src/engine/trace.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { openAdapter } from "../../src/host/node.ts";
import { flattenSettings, resolveConfig } from "../../src/model/config.ts";
import { describePreset, freeWeights, loadWeights } from "../../src/model/embed.ts";
import { windowOptions } from "../../src/model/objective.ts";
import { bindParameters, createWeights } from "../../src/model/parameters.ts";
import { encode, presetOf } from "../../src/model/presets.ts";
import { decodeWeights } from "../../src/model/weights.ts";
import { normalise } from "../../src/ops/image.ts";
import { startChromium, whyNoChromium } from "./chromium.ts";
import { runInPage } from "./page.ts";
import { embedBytes, trainModel } from "./programs/model.ts";

const PROGRAM = "test/browser/programs/model.ts";
const GRID = { pixelSizeUm: 24, strideUm: 1000 };

describe.skipIf(whyNoChromium() !== undefined)("the model in a page", () => {
  let browser: Browser;
  let handle: AdapterHandle;
  let engine: Engine;
  beforeAll(async () => {
    browser = await startChromium();
    handle = await openAdapter({ adapter: "swiftshader", log: () => undefined });
    engine = await createEngine(handle);
  });
  afterAll(async () => {
    engine?.dispose();
    handle?.close();
    await browser?.close();
  });

  test("a training step works, and again with the same bits", async () => {
    const [first, again] = [await runInPage(PROGRAM, "trainHere", [3], browser), await runInPage(PROGRAM, "trainHere", [3], browser)] as Awaited<ReturnType<typeof trainModel>>[];
    expect(first?.metrics).toHaveLength(3);
    for (const { loss, gradientNorm, skipped } of first?.metrics ?? []) {
      expect(loss).toBeGreaterThan(0);
      expect(gradientNorm).toBeGreaterThan(0);
      expect(skipped).toBe(false);
    }
    expect(first?.metrics).toEqual(again?.metrics);
    expect(first?.weights).toEqual(again?.weights);
    // A fourth step moves the weights on: what was compared is not what the training began with.
    const later = (await runInPage(PROGRAM, "trainHere", [4], browser)) as Awaited<ReturnType<typeof trainModel>>;
    expect(later.weights).not.toEqual(first?.weights);
  }, 240_000);

  /**
   * Both devices are held against the same plan in f64: each may differ from it by four times what the formula loses in plain f32
   * loops, an ulp, and what WGSL allows the built-ins (`src/engine/tolerance.ts`). So they differ from each other by at most
   * the sum of both bounds.
   */
  test("embeddings of the same weights and image agree with Node's", async () => {
    const { weights: bytes } = await trainModel(engine, 2);
    const image = await renderSectionPng();
    const inNode = await embedBytes(engine, bytes, image, GRID);
    const inPage = (await runInPage(PROGRAM, "embedHere", [bytes, image, GRID], browser)) as Float32Array;
    const { truth, yardstick, allowance } = await embedExactly(engine, bytes, image);
    expect(inNode).toHaveLength(truth.length);
    expect(inPage).toHaveLength(truth.length);
    for (const values of [inNode, inPage]) {
      const { ok, worst } = compare(values, truth, yardstick, "f32", allowance);
      expect(ok, `${worst.toPrecision(3)} times the allowed error`).toBe(true);
    }
    // The bound is far below the features themselves, so the comparison could have failed.
    const rms = Math.sqrt(truth.reduce((sum, x) => sum + x * x, 0) / truth.length);
    const loss = Math.max(...truth.map((x, i) => Math.abs(x - (yardstick[i] ?? NaN))));
    expect((4 * loss) / rms + allowance).toBeLessThan(1e-3);
  }, 240_000);
});

/** The embedding plan on the host: in f64, and in f32 in plain order. */
async function embedExactly(engine: Engine, bytes: Uint8Array, image: Uint8Array) {
  const weights = decodeWeights(bytes, "weights");
  const config = resolveConfig(flattenSettings(weights.config));
  const { patch, mean, deviation } = config.data;
  const preset = presetOf(config);
  const files = createMemoryFiles();
  await files.writeAtomic("image.png", image);
  const dataset = await openImage(files, "image.png", GRID);
  const { count } = dataset.samples;
  const windows = await cropWindows(dataset, loadSections(dataset, files), Uint32Array.from({ length: count }, (_, i) => i), patch, windowOptions(config));

  const device = createWeights(engine, describePreset(preset, patch), config.seed);
  loadWeights(engine, device, weights);
  const contents = new Map<StateBuffer, Float64Array>();
  for (const tensor of [device.flat, device.flatStatistics!]) contents.set(tensor.storage.state!.buffer, Float64Array.from(await engine.read(tensor)));
  const plan = await engine.plan(({ x }) => ({ h: encode(preset, bindParameters(device, "f32"), normalise(x, mean ?? NaN, deviation ?? NaN), { training: false }) }), { x: f32(count, patch, patch, 1) });
  try {
    const input = plan.program.nodes.flatMap((node) => accessesOf(node).reads).find(({ kind }) => kind === "input") as Storage;
    const run = (arithmetic: "exact" | "rounded") =>
      interpret(plan.program, { inputs: new Map([[input, windows]]), state: (buffer) => contents.get(buffer) ?? new Float64Array(), arithmetic }).get("h")!;
    const allowance = plan.program.nodes.reduce((sum, node) => sum + (node.kind === "dispatch" ? allowanceOf(node.kernel.builtins) : 0), 0);
    return { truth: run("exact"), yardstick: run("rounded"), allowance };
  } finally {
    plan.dispose();
    freeWeights(engine, device);
  }
}
