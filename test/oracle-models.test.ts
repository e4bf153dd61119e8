// Whole models with random weights: forward against ONNX Runtime, every parameter's gradient against TensorFlow.js, both on the CPU.
import { beforeAll, describe, expect, test } from "vitest";
import { encode, project } from "../src/model/presets.ts";
import { spatialNce } from "../src/ops/spatial-nce.ts";
import type { Tensor as TracedTensor } from "../src/engine/trace.ts";
import { drawFor, SEED, type Draw, type Value } from "./oracles/draw.ts";
import { oraclesMissing } from "./oracles/installed.ts";
import { drawModel, NETWORKS, parametersOf } from "./oracles/models.ts";
import { onnxAlgebra, RUNNING_SHARE, tfAlgebra } from "./oracles/networks.ts";
import { onnxGraph } from "./oracles/onnx-graph.ts";
import { loadTfjs } from "./oracles/tfjs.ts";
import { tfDifferentiate, tfSpatialNce, tfTensor, type NceSetting, type Tf } from "./oracles/tfjs-ops.ts";
import { useEngine } from "./oracles/use-engine.ts";
import { errorsOf, hear, kinkMargin, withGradients, type Errors, type Hearing } from "./oracles/witnesses.ts";

/**
 * Errors of f32 arithmetic are, to first order, sums of rounding errors, each times how much the result hangs on it. Whoever
 * evaluates the same formula in f32, in whatever order, draws from the same sum: norms of many elements then differ by little,
 * and plain order, the yardstick's, is the worst there is. Four times the yardstick covers the spread of small tensors.
 */
const SPREAD = 4;
/** The bound must stay this far below the truth: the least mistake of a formula looked for, an unbiased variance in the widest norm of `tiny`, changes 1 part in 512. */
const POWER = 2e-4;
/** Arguments of ReLU keep this many units of error away from its kink: twice what the bound on errors allows. */
const MARGIN = 2 * SPREAD;
/** Rounding of a stored result. */
const ROUNDING = 2 ** -24;

/** Gradients that are 0 in exact arithmetic, with those of a like size: a softmax does not see what is added to a whole row, as a key's bias is. */
const twinOf = (name: string): string => name.replace(/attention\.key\.bias$/, "attention.query.bias");

/** Holds device and oracle to the truth, output by output, and prints the worst of each. */
function expectEqual({ testimonies }: Hearing, title: string): void {
  const errors = new Map([...testimonies].map(([name, testimony]) => [name, errorsOf(testimony)]));
  const whole = (pick: (e: Errors) => number) => Math.sqrt([...errors.values()].reduce((sum, e) => sum + pick(e) ** 2, 0));
  // A tensor of few elements is a small sample: the yardstick of the whole counts for it where that is larger.
  const common = whole((e) => e.yardstick) / whole((e) => e.size);
  const faults: string[] = [];
  for (const [name, e] of errors) {
    const size = errors.get(twinOf(name))?.size ?? 0;
    const allowed = SPREAD * Math.max(e.yardstick, common * e.size) + ROUNDING * e.size;
    const tell = (who: string, error: number) => `${name}: ${who} is off by ${(error / size).toExponential(2)} of its size, allowed ${(allowed / size).toExponential(2)}`;
    if (!(e.device <= allowed)) faults.push(tell("the device", e.device));
    if (!(e.oracle <= allowed)) faults.push(tell("the oracle", e.oracle));
    if (!(allowed <= POWER * size)) faults.push(`${name}: the bound ${(allowed / size).toExponential(2)} is too wide to tell right from wrong, expected at most ${POWER}`);
    // Two vectors within r of a third, r of its size each, stand at an angle of at most 2 asin r to each other.
    const r = allowed / e.size;
    if (r < 0.5 && !(e.cosine >= Math.cos(2 * Math.asin(r)) - 4 * Number.EPSILON)) faults.push(`${name}: the cosine of device and oracle is ${e.cosine}`);
    if (name !== twinOf(name) && !(e.size <= 1e-9 * size)) faults.push(`${name}: expected to vanish, but its size is ${e.size}`);
  }
  const worst = (pick: (e: Errors) => number) => Math.max(...[...errors].map(([name, e]) => pick(e) / (errors.get(twinOf(name))?.size ?? 1)));
  const parts = { device: worst((e) => e.device), oracle: worst((e) => e.oracle), yardstick: worst((e) => e.yardstick) };
  console.info(`${title}: ${errors.size} tensors; largest relative error of ${Object.entries(parts).map(([who, error]) => `${who} ${error.toExponential(2)}`).join(", ")}`);
  expect(faults).toEqual([]);
}

/** Three clusters of neighbours, and a last sample that is alone in its space and hence no anchor. */
function drawPlaces(d: Draw, n: number) {
  const position = d.uniform([n, 3], 0, 1.5);
  for (let i = 0; i < n; i++) position.data[3 * i]! += 20 * (i % 3);
  return {
    position,
    space: { shape: [n], data: Int32Array.from({ length: n }, (_, i) => (i === n - 1 ? 1 : 0)) },
    view: { shape: [n], data: new Uint32Array(n) },
  };
}

const SETTING: NceSetting = { kernel: "gaussian", tau: 0.2, sigma: 1, crossSpace: "negative" };

describe.skipIf(oraclesMissing)(`whole models, seed ${SEED}`, () => {
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
        return { h, z: project(preset, p, h) };
      },
      oracle: () => {
        const g = onnxGraph();
        const edges = new Map(Object.entries(inputs).map(([key, value]) => [key, g.input(value)]));
        const find = (key: string) => edges.get(key)!;
        return g.run(NETWORKS[name]!(onnxAlgebra(g, find), find, find("x"), { b, side }));
      },
    });
    expectEqual(hearing, `forward of ${name}`);
  });

  test.each([
    // Small, because with many arguments of ReLU one is always on the kink.
    { name: "tiny", b: 8, side: 32 },
    { name: "vit-tiny", b: 6, side: 24 },
  ])("$name on $b patches of $side px: the whole gradient in training", async ({ name, b, side }) => {
    const d = drawFor(`gradient ${name}`);
    const { preset, parameters, statistics } = drawModel(d, name, side);
    const places = drawPlaces(d, b);
    const embed = (t: Readonly<Record<string, TracedTensor>>, state: Readonly<Record<string, TracedTensor>>) => {
      const p = parametersOf({ ...t, ...state });
      return project(preset, p, encode(preset, p, t["x"]!, { training: true }));
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
          return tfSpatialNce(tf, NETWORKS[name]!(algebra, find, tfTensor(tf, x), { b, side }).z, places, SETTING);
        }, { shape: [], data: Float32Array.of(1) });
        return { ...gradients, ...running };
      },
    });
    expect([...hearing.testimonies.keys()].filter((key) => key.startsWith("d"))).toHaveLength(Object.keys(parameters).length);
    expectEqual(hearing, `gradient of ${name} on draw ${draws}`);
  });
});
