// Some steps of AdamW on a whole model, for several witnesses: on the device, in f64 and in plain f32 on the host, in TensorFlow.js.
import { f32, type Engine } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/interpret.ts";
import { constant, place, reshape, tensorOf, trace, type Program, type StateBuffer, type Storage, type Tensor } from "../../src/engine/trace.ts";
import { bindParameters, createWeights } from "../../src/model/parameters.ts";
import { encode, project, type Preset } from "../../src/model/presets.ts";
import { gradients } from "../../src/ops/grad.ts";
import { adamw, CONTROL_SIZE, gradientControl, HYPER_SIZE, packHyper } from "../../src/ops/optim.ts";
import { spatialNce } from "../../src/ops/spatial-nce.ts";
import type { Draw, Value } from "./draw.ts";
import { drawModel, drawPlaces, parametersOf, SETTING, type RandomModel } from "./models.ts";
import { tfAlgebra, type Network } from "./networks.ts";
import type { Scalar } from "./tfjs-entry.ts";
import { tfDifferentiate, tfSpatialNce, tfTensor, type NcePlaceValues, type Tf } from "./tfjs-ops.ts";

/**
 * Epsilon is larger than what people take: Adam divides each gradient by its own size, so that one of mere rounding, as that
 * of a key's bias is, would become a step of full length in a direction that means nothing. The gradient's elements are of
 * about 1e-3 here (its norm is clipped to 0.5), their rounding is of about 1e-9.
 */
export const HYPER = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-4, weightDecay: 0.1, clip: 0.5 };

/** What a training leaves: the loss of each step, and how far each parameter moved. */
export interface Course {
  readonly losses: readonly number[];
  readonly moved: ReadonlyMap<string, Float64Array>;
}

/** A loss and its gradient. */
export interface Slope {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, ArrayLike<number>>;
}

export interface Problem {
  readonly model: RandomModel;
  readonly network: Network;
  readonly places: NcePlaceValues;
  /** Patches a batch, and their side, px. */
  readonly b: number;
  readonly side: number;
  readonly batches: readonly Value<Float32Array>[];
}

/** A model with random weights and a batch for each of `steps` steps. */
export function drawProblem(d: Draw, preset: Preset, network: Network, { b, side, steps }: { readonly b: number; readonly side: number; readonly steps: number }): Problem {
  return { model: drawModel(d, preset, side), network, places: drawPlaces(d, b), b, side, batches: Array.from({ length: steps }, () => d.normal([b, side, side, 1])) };
}

function moves(model: RandomModel, after: (name: string) => ArrayLike<number>): Map<string, Float64Array> {
  return new Map(Object.entries(model.parameters).map(([name, { data }]) => [name, Float64Array.from(after(name), (value, i) => value - data[i]!)]));
}

/** The step as the trainer builds it, without augmentation: parameters and their gradients flat, one dispatch for all. */
export function describeStep(engine: Engine, { model, places }: Problem) {
  const weights = createWeights(engine, model.spec, 0);
  for (const [name, { data }] of Object.entries(model.parameters)) engine.write(weights.parameters.get(name)!, data);
  const gradientGroup = engine.stateGroup("gradients", model.spec.parameters);
  const { shape } = weights.flat;
  const [m, v, control] = [engine.state("m", shape), engine.state("v", shape), engine.state("control", [CONTROL_SIZE])];
  const build = ({ x, hyper }: { readonly x: Tensor; readonly hyper: Tensor }) => {
    const p = bindParameters(weights, "f32");
    const z = project(model.preset, p, encode(model.preset, p, x, { training: true }), { training: true });
    const where = { position: constant(places.position.data, places.position.shape, "f32"), space: constant(places.space.data, places.space.shape, "i32") };
    const { loss } = spatialNce(z, where, SETTING);
    const masters = model.spec.parameters.map(({ name }) => p.masters.get(name)!);
    gradients(loss, masters, constant(Float32Array.of(1), [], "f32")).forEach((gradient, i) => place(reshape(gradient!, masters[i]!.shape), gradientGroup.members[i]!));
    const shared = { gradients: gradientGroup.flat, control, hyper };
    gradientControl(shared);
    adamw({ ...shared, parameters: weights.flat, m, v, decayEnd: weights.decayEnd });
    return { loss };
  };
  return { weights, build, states: [weights.flat, gradientGroup.flat, m, v, control, ...(weights.flatStatistics ? [weights.flatStatistics] : [])] };
}

export type Step = ReturnType<typeof describeStep>;

/** The steps on the device. */
export async function trainOnDevice(engine: Engine, { weights, build }: Step, { model, batches, b, side }: Problem): Promise<Course> {
  const plan = await engine.plan(build, { x: f32(b, side, side, 1), hyper: f32(HYPER_SIZE) });
  try {
    const losses: number[] = [];
    for (const { data } of batches) losses.push((await plan.run({ x: data, hyper: packHyper(HYPER) }))["loss"]![0]!);
    const after = new Map<string, ArrayLike<number>>();
    for (const [name, tensor] of weights.parameters) after.set(name, await engine.read(tensor));
    return { losses, moved: moves(model, (name) => after.get(name)!) };
  } finally {
    plan.dispose();
  }
}

/** The same steps on the host; along with the course come the arguments of ReLU, step by step. */
export function trainOnHost({ weights, build, states }: Step, { model, batches, b, side }: Problem, arithmetic: "exact" | "rounded"): Course & { readonly kinks: readonly Float64Array[] } {
  const input = (name: string, shape: readonly number[], count: number) => tensorOf({ kind: "input", name, dtype: "f32", count }, shape);
  const [x, hyper] = [input("x", [b, side, side, 1], b * side * side), input("hyper", [HYPER_SIZE], HYPER_SIZE)];
  const { result, nodes } = trace(() => build({ x, hyper }));
  const kinks = nodes.flatMap((node) => (node.kind === "dispatch" && node.kernel.name === "activation" && node.flags.size === 0 ? [node.bindings["x"]!] : []));
  const program: Program = { nodes, outputs: new Map<string, Storage>([["loss", result.loss.storage], ...kinks.map((storage, i) => [`kink ${i}`, storage] as const)]) };
  const contents = new Map<StateBuffer, Float64Array>(states.map(({ storage }) => [storage.state!.buffer, new Float64Array(storage.count)]));
  const flat = contents.get(weights.flat.storage.state!.buffer)!;
  for (const [name, { storage }] of weights.parameters) flat.set(model.parameters[name]!.data, storage.state!.offset);
  const course: Float64Array[] = [];
  const losses = batches.map(({ data }) => {
    const outputs = interpret(program, { inputs: new Map([[x.storage, data], [hyper.storage, packHyper(HYPER)]]), state: (buffer) => contents.get(buffer)!, arithmetic });
    for (let i = 0; i < kinks.length; i++) course.push(outputs.get(`kink ${i}`)!);
    return outputs.get("loss")![0]!;
  });
  const at = (name: string) => {
    const { state, count } = weights.parameters.get(name)!.storage;
    return flat.subarray(state!.offset, state!.offset + count);
  };
  return { losses, moved: moves(model, at), kinks: course };
}

/** Least distance from a kink in units of the error, as `kinkMargin`, over the whole course. */
export function marginOf(exact: readonly Float64Array[], rounded: readonly Float64Array[]): number {
  return exact.reduce((least, values, i) => {
    const error = values.reduce((most, value, j) => Math.max(most, Math.abs(rounded[i]![j]! - value)), 0);
    return values.reduce((nearest, value) => Math.min(nearest, Math.abs(value) / error), least);
  }, Infinity);
}

/** The loss of the first batch and the gradient of every parameter, each in a buffer of its own: devices bind less than all of a large model at once. */
export async function differentiateOnDevice(engine: Engine, { model, places, batches, b, side }: Problem): Promise<Slope> {
  const state = Object.fromEntries(Object.entries({ ...model.parameters, ...model.statistics }).map(([name, { shape, data }]) => [name, engine.state(name, shape, "f32", data)]));
  const names = Object.keys(model.parameters);
  const p = parametersOf(state);
  const plan = await engine.plan(
    ({ x }) => {
      const z = project(model.preset, p, encode(model.preset, p, x, { training: true }), { training: true });
      const where = { position: constant(places.position.data, places.position.shape, "f32"), space: constant(places.space.data, places.space.shape, "i32") };
      const { loss } = spatialNce(z, where, SETTING);
      return { loss, ...Object.fromEntries(gradients(loss, names.map((name) => state[name]!), constant(Float32Array.of(1), [], "f32")).map((gradient, i) => [names[i]!, gradient!])) };
    },
    { x: f32(b, side, side, 1) },
  );
  try {
    const { loss, ...found } = await plan.run({ x: batches[0]!.data });
    return { loss: loss![0]!, gradients: new Map(Object.entries(found)) };
  } finally {
    plan.dispose();
    for (const tensor of Object.values(state)) engine.free(tensor);
  }
}

/** The same in TensorFlow.js. */
export function differentiateWithTf(tf: Tf, { model, network, places, batches, b, side }: Problem): Slope {
  const found = tfDifferentiate(tf, model.parameters, (t) => {
    const find = (name: string) => t[name]!;
    return tfSpatialNce(tf, network(tfAlgebra(tf, find), find, tfTensor(tf, batches[0]!), { b, side }).z, places, SETTING);
  }, { shape: [], data: Float32Array.of(1) });
  return { loss: found["y"]![0]!, gradients: new Map(Object.keys(model.parameters).map((name) => [name, found[`d${name}`]!])) };
}

/** The steps in TensorFlow.js, by its differentiation and its Adam. */
export function trainWithTf(tf: Tf, { model, network, places, batches, b, side }: Problem): Course {
  const names = model.spec.parameters.map(({ name }) => name);
  const variables = Object.fromEntries(names.map((name) => [name, tf.variable(tfTensor(tf, model.parameters[name]!), true, name)]));
  const adam = tf.train.adam(HYPER.learningRate, HYPER.beta1, HYPER.beta2, HYPER.epsilon);
  try {
    const find = (name: string) => variables[name]!;
    const losses = batches.map((batch) =>
      tf.tidy(() => {
        const { value, grads } = tf.variableGrads(() => tfSpatialNce(tf, network(tfAlgebra(tf, find), find, tfTensor(tf, batch), { b, side }).z, places, SETTING) as Scalar);
        const norm = tf.sqrt(tf.addN(names.map((name) => tf.sum(tf.square(grads[name]!)))));
        const factor = tf.minimum(tf.scalar(1), tf.div(tf.scalar(HYPER.clip), norm));
        for (const { name, decay } of model.spec.parameters) if (decay) find(name).assign(tf.mul(find(name), tf.scalar(1 - HYPER.learningRate * HYPER.weightDecay)));
        adam.applyGradients(Object.fromEntries(names.map((name) => [name, tf.mul(grads[name]!, factor)])));
        return value.dataSync()[0]!;
      }),
    );
    return { losses, moved: moves(model, (name) => find(name).dataSync()) };
  } finally {
    adam.dispose();
    for (const variable of Object.values(variables)) variable.dispose();
  }
}
