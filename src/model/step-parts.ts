// The parts of a training step: what it keeps on the device, augmentation, loss and update; a step strings them together in one plan or in several.
import { f32, u32, type Engine } from "../engine/engine.ts";
import type { InputSpec } from "../engine/plan.ts";
import { place, reshape, scope, sizeOf, type Tensor } from "../engine/trace.ts";
import type { HostArray } from "../kernel/dtype.ts";
import { adjust, affineCrop, blur, normalise } from "../ops/image.ts";
import { adamw, CONTROL, CONTROL_SIZE, ema, gradientControl, lars, settle, sgd } from "../ops/optim.ts";
import { concat } from "../ops/shape.ts";
import type { SpatialNceOptions } from "../ops/spatial-nce.ts";
import { adjustedScale, windowSide } from "./augment.ts";
import type { HostPart } from "./batches.ts";
import type { TrainConfig } from "./config.ts";
import { describePreset, freeWeights } from "./embed.ts";
import { bindParameters, createWeights, initialValues, type DeviceWeights, type ParameterSpec } from "./parameters.ts";
import { precisionOn } from "./precision.ts";
import { presetOf } from "./presets.ts";

/**
 * How the loss is scaled in f16 before it flows back, so that small gradients do not vanish: doubled after so many good steps, halved on overflow.
 * The seed of the backward pass and the projection are f32, so a scale beyond f16's own range is fine. At 2^24 gradients down to 2^-48 are f16's
 * smallest numbers: what lies below is lost in f32 sums beside anything that matters, and growing further would only cost skipped steps.
 */
export const LOSS_SCALE = { first: 65536, most: 2 ** 24, growthInterval: 2000 };

/** Flat state and its members by name. */
export interface Group {
  readonly flat: Tensor;
  readonly members: ReadonlyMap<string, Tensor>;
}

/** What a training step keeps on the device. */
export interface StepState {
  readonly weights: DeviceWeights;
  /** Of the model's arithmetic on this device. */
  readonly precision: "f32" | "f16";
  /** Gradients in the same places as their parameters; the gaps between stay zero. */
  readonly gradients: Group;
  /** Running statistics as the step under way moves them; the weights' own follow once it is known that the step is taken. */
  readonly staged: Group;
  /** Moving averages of parameters and running statistics, where the configuration wants them. */
  readonly averages: { readonly parameters: Group; readonly statistics: Group } | undefined;
  /** `v` for AdamW only. */
  readonly moments: { readonly m: Tensor; readonly v: Tensor | undefined };
  readonly control: Tensor;
  /** Everything that decides the next step, by its name in checkpoints. */
  readonly kept: ReadonlyMap<string, Tensor>;
  /** Overwrites one tensor of `kept`. */
  write(name: string, data: HostArray): void;
  free(): void;
}

/** Flat state laid out as `specs`. */
export function createGroup(engine: Engine, name: string, specs: readonly Pick<ParameterSpec, "name" | "shape">[]): Group {
  const { flat, members } = engine.stateGroup(name, specs);
  return { flat, members: new Map(specs.map((spec, i) => [spec.name, members[i]!])) };
}

/** The state that a configuration's run begins with. */
export function createStepState(engine: Engine, config: TrainConfig): StepState {
  const weights = createWeights(engine, describePreset(presetOf(config), config.data.patch), config.seed);
  const gradients = createGroup(engine, "gradients", weights.spec.parameters);
  const staged = createGroup(engine, "statistics.staged", weights.spec.statistics);
  const moments = { m: engine.state("optimizer.m", weights.flat.shape), v: config.optimizer.name === "adamw" ? engine.state("optimizer.v", weights.flat.shape) : undefined };
  const control = engine.state("optimizer.control", [CONTROL_SIZE]);
  const precision = precisionOn(engine, config);
  if (precision === "f16") engine.write(control, Float32Array.from({ length: CONTROL_SIZE }, (_, i) => (i === CONTROL.lossScale ? LOSS_SCALE.first : 0)));
  const { parameters, statistics } = weights.spec;
  const averages = config.ema.decay === null ? undefined : { parameters: createGroup(engine, "ema.parameters", parameters), statistics: createGroup(engine, "ema.statistics", statistics) };
  const fill = ({ members }: Group) => statistics.forEach(({ name, shape, fill: value }) => engine.write(members.get(name)!, new Float32Array(sizeOf(shape)).fill(value)));
  fill(staged);
  if (averages) {
    parameters.forEach((parameter, i) => engine.write(averages.parameters.members.get(parameter.name)!, () => initialValues(parameter, config.seed, i)));
    fill(averages.statistics);
  }
  const averaged = averages ? [...averages.parameters.members, ...averages.statistics.members].map(([name, tensor]) => [`ema.${name}`, tensor] as const) : [];
  const kept = new Map<string, Tensor>([...weights.parameters, ...weights.statistics, ["optimizer.m", moments.m], ...(moments.v ? [["optimizer.v", moments.v] as const] : []), ["optimizer.control", control], ...averaged]);
  return {
    weights,
    precision,
    gradients,
    staged,
    averages,
    moments,
    control,
    kept,
    write(name, data) {
      engine.write(kept.get(name)!, data);
      const copy = staged.members.get(name);
      if (copy) engine.write(copy, data);
    },
    free() {
      freeWeights(engine, weights);
      for (const tensor of [gradients.flat, staged.flat, moments.m, ...(moments.v ? [moments.v] : []), control, ...(averages ? [averages.parameters.flat, averages.statistics.flat] : [])]) engine.free(tensor);
    },
  };
}

/** The model's parameters for a trace of training: its batches move the staged statistics. */
export function bindForTraining({ weights, precision, staged }: StepState): ReturnType<typeof bindParameters> {
  return bindParameters(weights, precision, staged.members);
}

/** Inputs of `augment` for `count` patches. */
export function imageInputs(config: TrainConfig, count: number): Record<string, InputSpec> {
  const side = windowSide(config);
  const views = Array.from({ length: config.batch.views }, (_, v) => [[`matrix${v}`, f32(count, 6)] as const, [`adjust${v}`, f32(count, 4)] as const, [`blur${v}`, f32(count)] as const]);
  return { windows: f32(count, side, side, 1), slot: u32(count), seed: u32(2), ...Object.fromEntries(views.flat()) };
}

/** Their values. `windows` are those of the part. */
export function imageValues(config: TrainConfig, part: HostPart, windows: Float32Array, step: number): Record<string, HostArray> {
  const views = part.views.flatMap((view, v) => [[`matrix${v}`, view.matrix] as const, [`adjust${v}`, view.adjust] as const, [`blur${v}`, view.blur] as const]);
  return { windows, slot: part.slot, seed: Uint32Array.of(config.seed, step), ...Object.fromEntries(views) };
}

/** Patches as the encoder gets them [views · count, patch, patch, 1], view by view. */
export function augment(config: TrainConfig, x: Readonly<Record<string, Tensor>>): Tensor {
  const scale = adjustedScale(config);
  return scope("augment", () => {
    const each = Array.from({ length: config.batch.views }, (_, v) => {
      const cropped = affineCrop(x["windows"]!, x[`matrix${v}`]!, config.data.patch);
      return blur(adjust(cropped, x[`adjust${v}`]!, x["seed"]!, x["slot"]!), x[`blur${v}`]!);
    });
    return normalise(each.length === 1 ? each[0]! : concat(each, 0), scale.mean, scale.deviation);
  });
}

/** The loss's options, with lengths resolved. */
export function lossOptions({ loss }: TrainConfig): SpatialNceOptions {
  const { kernel, tau, crossSpace, ignoreMm } = loss;
  if (kernel === "views") return { kernel, tau };
  const [radius, sigma] = [loss.radiusMm!, loss.sigmaMm!];
  const reach = kernel === "radius" ? radius : 3 * sigma;
  return { kernel, tau, radius, sigma, crossSpace, ...(ignoreMm !== null && ignoreMm > reach ? { ignoreBand: [reach, ignoreMm] as const } : {}) };
}

/** Lets gradients, in the order of `names`, lie in their places of a group laid out as the parameters. */
export function placeGradients(names: readonly string[], found: readonly (Tensor | undefined)[], { members }: Group): void {
  names.forEach((name, i) => {
    const gradient = found[i];
    const target = members.get(name)!;
    if (gradient) place(reshape(gradient, target.shape), target);
  });
}

/** Decides by the gradients whether the step is taken, and carries it out: weights, moments, running statistics and averages change together or not at all. */
export function applyStep({ weights, gradients, staged, averages, moments, control }: StepState, config: TrainConfig, hyper: Tensor): void {
  const shared = { parameters: weights.flat, gradients: gradients.flat, control, hyper, decayEnd: weights.decayEnd };
  gradientControl({ gradients: gradients.flat, control, hyper });
  if (moments.v) adamw({ ...shared, m: moments.m, v: moments.v });
  else if (config.optimizer.name === "sgd") sgd({ ...shared, velocity: moments.m });
  else lars({ ...shared, velocity: moments.m, trust: config.optimizer.trust, tensors: [...weights.parameters.values()].map(({ storage }) => ({ first: storage.state!.offset, count: storage.count })) });
  if (weights.flatStatistics) settle({ staged: staged.flat, settled: weights.flatStatistics, control });
  const { decay } = config.ema;
  if (!averages || decay === null) return;
  ema({ average: averages.parameters.flat, values: weights.flat, control, decay });
  if (weights.flatStatistics) ema({ average: averages.statistics.flat, values: weights.flatStatistics, control, decay });
}
