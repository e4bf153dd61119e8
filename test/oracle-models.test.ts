// Whole models with random weights: forward against ONNX Runtime, every parameter's gradient against TensorFlow.js, both on the CPU.
import { beforeAll, describe, expect, test } from "vitest";
import { encode, PRESETS, project } from "../src/model/presets.ts";
import { spatialNce } from "../src/ops/spatial-nce.ts";
import type { Tensor as TracedTensor } from "../src/engine/trace.ts";
import { drawFor, SEED, type Value } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { expectEqual, MARGIN } from "./oracles/judge.ts";
import { drawModel, drawPlaces, NETWORKS, parametersOf, SETTING } from "./oracles/models.ts";
import { networkOf, onnxAlgebra, RUNNING_SHARE, tfAlgebra } from "./oracles/networks.ts";
import { onnxGraph } from "./oracles/onnx-graph.ts";
import { SMALL_GRADIENTS } from "./oracles/small-presets.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { tfDifferentiate, tfSpatialNce, tfTensor, type Tf } from "./oracles/tfjs-ops.ts";
import { useEngine } from "./support/engine.ts";
import { hear, kinkMargin, withGradients } from "./oracles/witnesses.ts";

// Interpreting models in f64 on the host takes its time where other work keeps the processor busy.
describe.skipIf(oraclesMissing)(`whole models, seed ${SEED}`, { timeout: 600_000 }, () => {
  const engine = useEngine();
  let tf: Tf;
  beforeAll(async () => {
    tf = await loadTfjs();
  });

  test.each([
    { name: "tiny", b: 2, side: 64 },
    { name: "tiny", b: 1, side: 96 },
    { name: "vit-tiny", b: 2, side: 40 },
  ])("$name on $b patches of $side px: forward in inference", async ({ name, b, side }) => {
    const d = drawFor(`forward ${name} ${side}`);
    const { preset, parameters, statistics } = drawModel(d, name, side);
    const inputs: Record<string, Value<Float32Array>> = { x: d.normal([b, side, side, 1]), ...parameters, ...statistics };
    const hearing = await hear(engine(), {
      inputs,
      build: (t) => {
        const p = parametersOf(t);
        const h = encode(preset, p, t["x"]!, { training: false });
        return { h, z: project(preset, p, h, { training: false }) };
      },
      oracle: () => {
        const g = onnxGraph();
        const edges = new Map(Object.entries(inputs).map(([key, value]) => [key, g.input(value)]));
        const find = (key: string) => edges.get(key)!;
        return g.run(NETWORKS[name]!(onnxAlgebra(g, find), find, find("x"), { b, side }));
      },
    });
    expectEqual(hearing.testimonies, `forward of ${name}`);
  });

  test.each([
    // Small, because with many arguments of ReLU one is always on the kink.
    { preset: PRESETS["tiny"]!, network: NETWORKS["tiny"]!, b: 8, side: 32 },
    { preset: PRESETS["vit-tiny"]!, network: NETWORKS["vit-tiny"]!, b: 6, side: 24 },
    ...SMALL_GRADIENTS.map((small) => ({ ...small, network: networkOf(small.preset.architecture) })),
  ])("$preset.name on $b patches of $side px: the whole gradient in training", async ({ preset, network, b, side }) => {
    const d = drawFor(`gradient ${preset.name}`);
    const { parameters, statistics } = drawModel(d, preset, side);
    const places = drawPlaces(d, b);
    const embed = (t: Readonly<Record<string, TracedTensor>>, state: Readonly<Record<string, TracedTensor>>) => {
      const p = parametersOf({ ...t, ...state });
      return project(preset, p, encode(preset, p, t["x"]!, { training: true }), { training: true });
    };
    let x = d.normal([b, side, side, 1]);
    const clear = () => kinkMargin(engine(), { inputs: { x, ...parameters }, state: statistics, build: (t, s) => ({ z: embed(t, s) }) }) >= MARGIN;
    let draws = 1;
    for (; !clear(); draws++) {
      if (draws === 100) throw new Error("100 batches have all an argument of ReLU on its kink");
      x = d.normal([b, side, side, 1]);
    }

    const inputs: Record<string, Value> = { x, position: places.position, space: places.space, dy: { shape: [], data: Float32Array.of(1) }, ...parameters };
    const hearing = await hear(engine(), {
      inputs,
      state: statistics,
      build: (t, s) => withGradients(t, Object.keys(parameters), spatialNce(embed(t, s), { position: t["position"]!, space: t["space"]! }, SETTING).loss, t["dy"]!),
      oracle: () => {
        const running: Record<string, Float32Array> = {};
        const gradients = tfDifferentiate(tf, parameters, (t) => {
          const find = (key: string) => t[key]!;
          const algebra = tfAlgebra(tf, find, (norm, mean, variance, count) => {
            for (const [key, value] of [["running_mean", mean], ["running_var", tf.mul(variance, tf.scalar(count / (count - 1)))]] as const)
              running[`${norm}.${key}`] = tf.add(tf.mul(tfTensor(tf, statistics[`${norm}.${key}`]!), tf.scalar(1 - RUNNING_SHARE)), tf.mul(tf.reshape(value, [-1]), tf.scalar(RUNNING_SHARE))).dataSync() as Float32Array;
          });
          return tfSpatialNce(tf, network(algebra, find, tfTensor(tf, x), { b, side }).z, places, SETTING);
        }, { shape: [], data: Float32Array.of(1) });
        return { ...gradients, ...running };
      },
    });
    expect([...hearing.testimonies.keys()].filter((key) => key.startsWith("d"))).toHaveLength(Object.keys(parameters).length);
    expectEqual(hearing.testimonies, `gradient of ${preset.name} on draw ${draws}`);
  });
});
