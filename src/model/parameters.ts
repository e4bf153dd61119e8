// Parameters: a model asks for them by name while it is traced; the first trace finds out what there is to make.
import type { Engine } from "../engine/engine.ts";
import { scope, sizeOf, tensorOf, trace, type Node, type Tensor } from "../engine/trace.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { cast } from "../ops/cast.ts";

/** How a parameter starts. `normal` is cut at two standard deviations by drawing again. */
export type Init = { readonly normal: number } | { readonly fill: number };

/** What a model asks its parameters from. */
export interface Parameters {
  /** Type that activations and weights have in the model's arithmetic; the masters are always f32. */
  readonly dtype: "f32" | "f16";
  /** A learned tensor, cast to `dtype` unless `exact`. Weight decay acts on it unless `decay` is false. */
  weight(name: string, shape: readonly number[], init: Init, options?: { readonly decay?: boolean; readonly exact?: boolean }): Tensor;
  /** State that is not learned, such as a running mean. Always f32. */
  statistic(name: string, shape: readonly number[], fill: number): Tensor;
  /** The parameters of a part of the model; names get the prefix `name.`. */
  child(name: string): Parameters;
}

/** A part of the model: its parameters and its operations bear its name. */
export function within<T>(p: Parameters, name: string, build: (p: Parameters) => T): T {
  return scope(name, () => build(p.child(name)));
}

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
  readonly decay: boolean;
}
export interface StatisticSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly fill: number;
}

/** What a model consists of: decayed parameters first, otherwise in the order in which they are asked for. */
export interface ModelSpec {
  readonly parameters: readonly ParameterSpec[];
  readonly statistics: readonly StatisticSpec[];
}

/** Traces `build` with parameters that exist in name only; gives what it consists of and the operations it makes. */
export function describeModel(build: (p: Parameters) => void): ModelSpec & { readonly nodes: readonly Node[] } {
  const parameters = new Map<string, ParameterSpec>();
  const statistics = new Map<string, StatisticSpec>();
  const dummy = (name: string, shape: readonly number[]) => tensorOf({ kind: "state", name, dtype: "f32", count: sizeOf(shape) }, shape);
  const at = (prefix: string): Parameters => ({
    dtype: "f32",
    weight(name, shape, init, { decay = true } = {}) {
      const full = prefix + name;
      if (!parameters.has(full)) parameters.set(full, { name: full, shape, init, decay });
      return dummy(full, shape);
    },
    statistic(name, shape, fill) {
      const full = prefix + name;
      if (!statistics.has(full)) statistics.set(full, { name: full, shape, fill });
      return dummy(full, shape);
    },
    child: (name) => at(`${prefix}${name}.`),
  });
  const { nodes } = trace(() => build(at("")));
  const all = [...parameters.values()];
  return { parameters: [...all.filter(({ decay }) => decay), ...all.filter(({ decay }) => !decay)], statistics: [...statistics.values()], nodes };
}

/** First values of a parameter: a function of seed and position in the model only. */
export function initialValues(spec: ParameterSpec, seed: number, index: number): Float32Array {
  const values = new Float32Array(sizeOf(spec.shape));
  if ("fill" in spec.init) return values.fill(spec.init.fill);
  const { normal: deviation } = spec.init;
  const random = randomStream(keyOfSeed(seed), [index, 0, 0x77]);
  for (let i = 0; i < values.length; i++) {
    let x = random.normal();
    while (Math.abs(x) > 2) x = random.normal();
    values[i] = x * deviation;
  }
  return values;
}

/** A model's tensors on the device. All parameters lie in one buffer and all statistics in another, so that what acts on all of them is one dispatch. */
export interface DeviceWeights {
  readonly spec: ModelSpec;
  readonly flat: Tensor;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly statistics: ReadonlyMap<string, Tensor>;
  /** All statistics in one buffer; undefined for a model that has none. */
  readonly flatStatistics: Tensor | undefined;
  /** Elements of `flat` before this one decay. */
  readonly decayEnd: number;
  /** Number of learned values. */
  readonly count: number;
}

/** Puts a model's first values on the device. */
export function createWeights(engine: Engine, spec: ModelSpec, seed: number): DeviceWeights {
  const { flat, members } = engine.stateGroup("parameters", spec.parameters);
  const parameters = new Map(spec.parameters.map(({ name }, i) => [name, members[i]!]));
  spec.parameters.forEach((parameter, i) => engine.write(members[i]!, () => initialValues(parameter, seed, i)));
  const running = spec.statistics.length > 0 ? engine.stateGroup("statistics", spec.statistics) : undefined;
  const statistics = new Map(spec.statistics.map(({ name }, i) => [name, running!.members[i]!]));
  for (const { name, shape, fill } of spec.statistics) engine.write(statistics.get(name)!, new Float32Array(sizeOf(shape)).fill(fill));
  const first = spec.parameters.findIndex(({ decay }) => !decay);
  return {
    spec,
    flat,
    parameters,
    statistics,
    flatStatistics: running?.flat,
    decayEnd: first < 0 ? sizeOf(flat.shape) : members[first]!.storage.state!.offset,
    count: spec.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  };
}

/**
 * Parameters that are on the device, for a trace. `masters` collects those that were asked for: what gradients are wanted of. The model gets
 * `statistics`, by default those of the weights.
 */
export function bindParameters(weights: DeviceWeights, dtype: "f32" | "f16", statistics = weights.statistics): Parameters & { readonly masters: ReadonlyMap<string, Tensor> } {
  const masters = new Map<string, Tensor>();
  const casts = new Map<string, Tensor>();
  const find = (from: ReadonlyMap<string, Tensor>, name: string): Tensor => {
    const tensor = from.get(name);
    if (!tensor) throw new Error(`the model asks for ${name}, which its description does not have`);
    return tensor;
  };
  const at = (prefix: string): Parameters => ({
    dtype,
    weight(name, _shape, _init, { exact = false } = {}) {
      const full = prefix + name;
      const master = find(weights.parameters, full);
      masters.set(full, master);
      if (exact || dtype === "f32") return master;
      const known = casts.get(full) ?? cast(master, dtype);
      casts.set(full, known);
      return known;
    },
    statistic: (name) => find(statistics, prefix + name),
    child: (name) => at(`${prefix}${name}.`),
  });
  return { ...at(""), masters };
}
