// Encoders written as ONNX models: ONNX Runtime gives the same features and the same maps as the device, and the file reads back exactly.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readOnnx } from "../src/data/onnx.ts";
import { joinPieces, writeBytes, writeText } from "../src/data/protobuf.ts";
import { loadFloat32, storeFloat32 } from "../src/data/tensors.ts";
import { adoptWeights } from "../src/model/adopt.ts";
import { resolveConfig } from "../src/model/config.ts";
import { encodeEncoder } from "../src/model/onnx-export.ts";
import { nameInitialisers } from "../src/model/onnx-names.ts";
import { bicubicGrid } from "../src/model/positions.ts";
import { encodeWithMaps, presetOf } from "../src/model/presets.ts";
import { toStateDict } from "../src/model/state-dict.ts";
import { normalise } from "../src/ops/image.ts";
import { matmul } from "../src/ops/matmul.ts";
import { drawFor, SEED } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { expectEqual } from "./oracles/judge.ts";
import { drawModel, parametersOf } from "./oracles/models.ts";
import { runModel, runOnnx } from "./oracles/onnx.ts";
import { SMALL_PRESETS } from "./oracles/small-presets.ts";
import { useEngine } from "./support/engine.ts";
import { findTestData, ULTRAFACE } from "./support/test-data.ts";
import { expectAgreement, hear } from "./oracles/witnesses.ts";

describe.skipIf(oraclesMissing)(`exported encoders, seed ${SEED}`, { timeout: 300_000 }, () => {
  const engine = useEngine();

  test.each(SMALL_PRESETS)("$preset.name on images of $side px", async ({ preset, side }) => {
    const d = drawFor(`export ${preset.name}`);
    const { parameters, statistics } = drawModel(d, preset, side);
    const own = Object.fromEntries(Object.entries({ ...parameters, ...statistics }).filter(([name]) => name.startsWith("encoder.")));
    const stored = new Map(Object.entries(own).map(([name, { data, shape }]) => [name, storeFloat32(data, shape)]));
    const { kind } = preset.architecture;
    const maps = kind === "vit" || preset.architecture.pool === "attention";
    const [mean, deviation] = [0.25, 0.5];
    const model = encodeEncoder(stored, { preset, patch: side, mean, deviation, step: 7, config: {} }, { maps });
    const b = 2;
    const x = d.uniform([b, side, side, 1], 0, 1);
    const hearing = await hear(engine(), {
      inputs: { x, ...own },
      build: (t) => {
        const features = encodeWithMaps(preset, parametersOf(t), normalise(t["x"]!, mean, deviation), { training: false });
        return { h: features.h, ...(maps ? { maps: features.maps!().weights } : {}) };
      },
      oracle: async () => {
        // One channel: rows of [b, side, side, 1] are those of [b, 1, side, side].
        const out = await runModel(model, { images: { dims: [b, 1, side, side], data: x.data } }, maps ? ["h", "maps"] : ["h"]);
        expect(out["h"]!.dims).toEqual([b, preset.width]);
        return Object.fromEntries(Object.entries(out).map(([name, { data }]) => [name, data]));
      },
    });
    expectEqual(hearing.testimonies, preset.name);
    const read = readOnnx(model, "exported.onnx");
    expect([read.inputs, read.opset, read.producer.split(" ")[0], read.metadata.get("cytonet.step")]).toEqual([["images"], 17, "cytonet", "7"]);
    const named = nameInitialisers(read, preset.architecture).tensors;
    for (const [name, tensor] of toStateDict(stored, preset.architecture)) expect(named.get(name), name).toEqual(tensor);
  });

  const ultraface = findTestData(ULTRAFACE) ?? "";
  test.skipIf(ultraface === "")("UltraFace RFB-320 as it was published: its features are ours, read from its own file", async () => {
    const bytes = new Uint8Array(readFileSync(ultraface));
    const config = resolveConfig({ preset: "rfb", "data.patch": 320 });
    const { tensors, notes } = nameInitialisers(readOnnx(bytes, ultraface), presetOf(config).architecture);
    const { weights, report } = adoptWeights(tensors, config, ultraface, notes);
    expect(report.changed).toEqual([...notes, "base_net.0.0.weight: filters over three colours summed up for grey images"]);
    const d = drawFor("ultraface");
    const x = d.uniform([1, 240, 320, 1]);
    const own = Object.fromEntries([...weights.tensors].filter(([name]) => name.startsWith("encoder.")).map(([name, tensor]) => [name, { shape: tensor.shape, data: loadFloat32(tensor)! }]));
    const hearing = await hear(engine(), {
      inputs: { x, ...own },
      build: (t) => ({ h: encodeWithMaps(presetOf(config), parametersOf(t), t["x"]!, { training: false }).h }),
      oracle: async () => {
        // A message that is there twice is merged: the second graph only adds the last feature map to the outputs.
        const withMap = joinPieces([bytes, ...writeBytes(7, ...writeBytes(12, ...writeText(1, "400")))]);
        const colours = Float32Array.from({ length: 3 * x.data.length }, (_, i) => x.data[i % x.data.length]!);
        const { "400": map } = await runModel(withMap, { input: { dims: [1, 3, 240, 320], data: colours } }, ["400"]);
        const places = map!.data.length / 256;
        return { h: Float32Array.from({ length: 256 }, (_, c) => map!.data.subarray(c * places, (c + 1) * places).reduce((sum, value) => sum + value / places, 0)) };
      },
    });
    expectEqual(hearing.testimonies, "UltraFace");
  });

  test.each([
    { from: [3, 5], to: [7, 9] },
    { from: [14, 14], to: [5, 4] },
  ] as const)("positions from $from to $to as ONNX Runtime resizes, bicubic with antialiasing", async ({ from, to }) => {
    const d = drawFor(`positions ${from.join()}`);
    const values = d.normal([from[0] * from[1], 1]);
    await expectAgreement(engine(), {
      inputs: { weights: { shape: [to[0] * to[1], from[0] * from[1]], data: bicubicGrid(from, to) }, values },
      build: (t) => ({ y: matmul(t.weights, t.values) }),
      oracle: async () => {
        const node = { op: "Resize", inputs: ["x", "", "", "sizes"], outputs: ["y"], attributes: { mode: "cubic", antialias: 1, cubic_coeff_a: { float: -0.5 }, exclude_outside: 1, coordinate_transformation_mode: "half_pixel" } };
        const { y } = await runOnnx([node], { x: { dims: [1, 1, ...from], data: values.data }, sizes: { dims: [4], data: BigInt64Array.from([1, 1, ...to], BigInt) } }, ["y"]);
        return { y: y!.data };
      },
    });
  });
});
