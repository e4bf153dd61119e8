// The presets at full size, exported and run by ONNX Runtime on the CPU beside the device, on demand: CYTONET_EXPORT=all, or words of the cases' names.
import { describe, expect, test } from "vitest";
import { readOnnx } from "../src/data/onnx.ts";
import { storeFloat32 } from "../src/data/tensors.ts";
import { f32 } from "../src/engine/engine.ts";
import { resolveConfig } from "../src/model/config.ts";
import { encodeEncoder } from "../src/model/onnx-export.ts";
import { nameInitialisers } from "../src/model/onnx-names.ts";
import { encode, presetOf } from "../src/model/presets.ts";
import { toStateDict } from "../src/model/state-dict.ts";
import { normalise } from "../src/ops/image.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { drawModel, parametersOf } from "./oracles/models.ts";
import { runModel } from "./oracles/onnx.ts";
import { useEngine } from "./support/engine.ts";

const CASES: readonly { readonly title: string; readonly settings: Readonly<Record<string, unknown>>; readonly side: number }[] = [
  { title: "r50", settings: { preset: "r50" }, side: 64 },
  { title: "r50 average", settings: { preset: "r50", "model.pool": "average" }, side: 64 },
  { title: "vit-s", settings: { preset: "vit-s" }, side: 64 },
  { title: "vit-s patch 32 registers grid", settings: { preset: "vit-s", "model.patch": 32, "model.registers": 4, "model.grid": 7 }, side: 96 },
  { title: "hybrid", settings: { preset: "hybrid" }, side: 64 },
  { title: "vit-b", settings: { preset: "vit-b" }, side: 64 },
];
const wanted = (process.env["CYTONET_EXPORT"] ?? "").split(",").filter((word) => word !== "");
const chosen = CASES.filter(({ title }) => wanted.some((word) => word === "all" || title.includes(word)));
/** Both are f32 in orders of their own, some hundred operations deep: far above what they lose, far below what a wrong operator changes. */
const FAR = 1e-4;

describe.skipIf(oraclesMissing || chosen.length === 0)(`exported presets at full size, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const engine = useEngine();

  test.each(chosen)("$title on two images of $side px", async ({ title, settings, side }) => {
    const d = drawFor(`full export ${title}`);
    const preset = presetOf(resolveConfig({ ...settings, "data.patch": side }));
    const { parameters, statistics } = drawModel(d, preset, side);
    const own = Object.entries({ ...parameters, ...statistics }).filter(([name]) => name.startsWith("encoder."));
    const stored = new Map(own.map(([name, { data, shape }]) => [name, storeFloat32(data, shape)]));
    const [mean, deviation, b] = [0.25, 0.5, 2];
    const model = encodeEncoder(stored, { preset, patch: side, mean, deviation, step: 0, config: {} });
    const x = d.uniform([b, side, side, 1], 0, 1);
    const state = Object.fromEntries(own.map(([name, { data, shape }]) => [name, engine().state(name, shape, "f32", data)]));
    const plan = await engine().plan((t) => ({ h: encode(preset, parametersOf(state), normalise(t.x, mean, deviation), { training: false }) }), { x: f32(...x.shape) });
    const [{ h }, { h: theirs }] = [await plan.run({ x: x.data }), await runModel(model, { images: { dims: [b, 1, side, side], data: x.data } }, ["h"])];
    plan.dispose();
    for (const tensor of Object.values(state)) engine().free(tensor);
    const [mine, other] = [h as Float32Array, theirs!.data];
    expect(mine.length).toBe(other.length);
    let [off, size, most] = [0, 0, 0];
    mine.forEach((value, i) => {
      off += (value - other[i]!) ** 2;
      size += other[i]! ** 2;
      most = Math.max(most, Math.abs(value - other[i]!));
    });
    console.info(`${title}: h differs by ${Math.sqrt(off / size).toExponential(1)}, the largest difference is ${(most / Math.sqrt(size / mine.length)).toExponential(1)} of the RMS; file ${(model.length / 1e6).toFixed(1)} MB`);
    expect(Math.sqrt(off / size)).toBeLessThan(FAR);
    const { tensors, notes, faults } = nameInitialisers(readOnnx(model, title), preset.architecture);
    expect([notes, faults]).toEqual([[], []]);
    for (const [name, tensor] of toStateDict(stored, preset.architecture)) expect(Buffer.compare(tensors.get(name)!.data, tensor.data), name).toBe(0);
  });
});
