// Gradient caching: the gradient is that of one direct pass over the whole batch, with the memory of one micro-batch.
import { expect, test } from "vitest";
import { f32, i32, u32, type Engine } from "../../src/engine/engine.ts";
import { reshape, type Tensor } from "../../src/engine/trace.ts";
import { gradients } from "../../src/ops/grad.ts";
import { HYPER_SIZE, lossSeed, packHyper } from "../../src/ops/optim.ts";
import { concat, slice } from "../../src/ops/shape.ts";
import { spatialNce } from "../../src/ops/spatial-nce.ts";
import { batchSizes } from "../../src/model/batches.ts";
import { resolveConfig, type TrainConfig } from "../../src/model/config.ts";
import { encode, presetOf, project } from "../../src/model/presets.ts";
import { applyStep, augment, bindForTraining, createStepState, imageInputs, imageValues, lossOptions, placeGradients } from "../../src/model/step-parts.ts";
import { buildTrainingStep } from "../../src/model/training.ts";
import { drawBatch, withoutData } from "../../src/profile/subjects.ts";

/** What gradient caching must do, as `testSteps`. */
export function testCaching(engine: () => Engine): void {
  // The first velocity of plain descent is the gradient itself. Noise is on: its counters must not see how the batch is dealt.
  const configOf = (settings: Record<string, unknown>) =>
    withoutData(resolveConfig({ "data.patch": 32, "batch.groups": 6, "batch.groupSize": 2, steps: 10, "optimizer.name": "sgd", "optimizer.learningRate": 0.1, "optimizer.weightDecay": 0, "optimizer.clip": 1e9, "augment.noise": 1, ...settings }));

  interface Outcome {
    readonly loss: number;
    readonly gradient: Float32Array;
    readonly statistics: ReadonlyMap<string, Float32Array>;
  }

  const isStatistic = (name: string) => name.includes(".running_");

  /** One step of the trainer's own, on weights each of which is moved by the share `off` of itself, up or down. */
  async function takeStep(config: TrainConfig, off = 0): Promise<Outcome> {
    const step = await buildTrainingStep(engine(), config);
    try {
      const before = await step.snapshot();
      step.restore(new Map([...before].map(([name, { data }]) => [name, off && name.includes(".weight") ? data.map((value, i) => value * (1 + ((i * 7919) % 2 ? off : -off))) : data])));
      const { loss } = await step.run(drawBatch(config), 0);
      const after = await step.snapshot();
      return { loss, gradient: after.get("optimizer.m")!.data, statistics: new Map([...after].filter(([name]) => isStatistic(name)).map(([name, { data }]) => [name, data])) };
    } finally {
      step.dispose();
    }
  }

  /** The same batch through the encoder part by part, as batch norm must see it, but in one plan with everything on the tape. */
  async function takeDirectly(engine: Engine, config: TrainConfig): Promise<Outcome> {
    const preset = presetOf(config);
    const { n, micro, parts } = batchSizes(config);
    const state = createStepState(engine, config);
    const whole = drawBatch({ ...config, batch: { ...config.batch, micro: null } });
    const plan = await engine.plan(
      (x: Readonly<Record<string, Tensor>>) => {
        const p = bindForTraining(state);
        const patches = augment(config, x);
        const side = patches.shape[1]!;
        const turns = reshape(patches, [micro, parts, side, side]);
        const h = concat(Array.from({ length: parts }, (_, k) => encode(preset, p, reshape(slice(turns, [0, k, 0, 0], [micro, 1, side, side]), [micro, side, side, 1]), { training: true })), 0);
        const { loss } = spatialNce(project(preset, p, h, { training: true }), { position: x["position"]!, space: x["space"]!, view: x["sample"]! }, lossOptions(config));
        placeGradients([...p.masters.keys()], gradients(loss, [...p.masters.values()], lossSeed(state.control)), state.gradients);
        applyStep(state, config, x["hyper"]!);
        return { loss };
      },
      { ...imageInputs(config, n), position: f32(n, 3), space: i32(n), sample: u32(n), hyper: f32(HYPER_SIZE) },
    );
    try {
      const { position, space, sample } = drawBatch(config);
      const [part] = whole.parts;
      const { loss } = await plan.run({ ...imageValues(config, part!, await part!.windows(), 0), position, space, sample, hyper: packHyper({ beta1: 0.9, clip: 1e9 }) });
      const statistics = new Map<string, Float32Array>();
      for (const [name, tensor] of state.weights.statistics) statistics.set(name, (await engine.read(tensor)) as Float32Array);
      return { loss: loss![0]!, gradient: (await engine.read(state.moments.m)) as Float32Array, statistics };
    } finally {
      plan.dispose();
      state.free();
    }
  }

  const norm = (a: ArrayLike<number>) => Math.sqrt(Array.from(a).reduce((sum, value) => sum + value * value, 0));
  const distance = (a: Float32Array, b: Float32Array) => norm(a.map((value, i) => value - b[i]!)) / norm(b);

  /**
   * Another order of the same sums: each operation may be off by half an ulp of f32, 2^-24, as if its weights had been off by as much. Several
   * meet, so less than what moving every weight by eight times that does is rounding; anything wrong is far above it.
   */
  function expectEqual(actual: Outcome, expected: Outcome, moved: Outcome): void {
    const rounding = distance(moved.gradient, actual.gradient);
    expect(rounding).toBeLessThan(2 ** -12);
    expect(distance(actual.gradient, expected.gradient)).toBeLessThan(rounding);
    // Similarities of unit vectors of 32 elements, over the temperature of 0.1.
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(10 * 32 * 2 ** -23);
    // Sums of up to 4 · 64 values.
    for (const [name, data] of expected.statistics) expect(distance(actual.statistics.get(name)!, data), name).toBeLessThan(256 * 2 ** -24);
  }

  test("tiny: equal to a direct pass in which batch norm sees the same parts", async () => {
    const config = configOf({ preset: "tiny", "batch.micro": 4 });
    const cached = await takeStep(config);
    expect(norm(cached.gradient)).toBeGreaterThan(0);
    expectEqual(cached, await takeDirectly(engine(), config), await takeStep(config, 2 ** -21));
  });

  test("vit-tiny, whose only batch norm is in the projection: equal to the whole batch at once, with two views", async () => {
    const config = configOf({ preset: "vit-tiny", "batch.micro": 4, "batch.views": 2 });
    expectEqual(await takeStep(config), await takeStep({ ...config, batch: { ...config.batch, micro: null } }), await takeStep(config, 2 ** -21));
  });

  test("memory is that of one micro-batch and some vectors of every patch", async () => {
    const bytes = async (settings: Record<string, unknown>) => {
      const before = engine().device.ledger().total;
      const step = await buildTrainingStep(engine(), configOf({ preset: "tiny", ...settings }));
      const total = engine().device.ledger().total - before;
      step.dispose();
      expect(engine().device.ledger().total).toBe(before);
      return total;
    };
    const [small, large, whole] = [await bytes({ "batch.micro": 4 }), await bytes({ "batch.micro": 4, "batch.groups": 48 }), await bytes({ "batch.groups": 48 })];
    const { width, hidden, embedding } = presetOf(configOf({ preset: "tiny" }));
    // At once: h and its gradient, hidden layer before and after norm and ReLU with their gradients, z and its unit vectors with theirs, places.
    const each = 4 * (2 * width + 6 * hidden + 4 * embedding + 16);
    expect(large - small).toBeLessThan(84 * each);
    expect(whole).toBeGreaterThan(2 * large);
  });
}
