// One optimizer step as a plan: augment → encode → project → loss → gradients → update, everything on the device.
import type { JsonObject } from "../data/json.ts";
import { f32, i32, u32, type Engine } from "../engine/engine.ts";
import { problemKey, type PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import { place, reshape, scope, sizeOf, type Tensor } from "../engine/trace.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { gradients } from "../ops/grad.ts";
import { adjust, affineCrop, blur, normalise } from "../ops/image.ts";
import { adamw, CONTROL, CONTROL_SIZE, gradientControl, HYPER_SIZE, lossSeed, packHyper, sgd } from "../ops/optim.ts";
import { concat } from "../ops/shape.ts";
import { spatialNce, type SpatialNceOptions } from "../ops/spatial-nce.ts";
import { adjustedScale, windowSide } from "./augment.ts";
import type { HostBatch } from "./batches.ts";
import type { TrainConfig } from "./config.ts";
import { describePreset, freeWeights } from "./embed.ts";
import { bindParameters, createWeights, type Parameters } from "./parameters.ts";
import { encode, presetOf, project } from "./presets.ts";
import { warmupCosine } from "./schedule.ts";

/** What a step reports. A skipped step changed no weight, moment or count; running statistics follow every batch of which they are finite. */
export interface StepMetrics {
  readonly loss: number;
  /** Loss above its floor, the entropy of the targets: the Kullback–Leibler divergence that training can remove. */
  readonly divergence: number;
  /** Anchors that have a positive. */
  readonly anchors: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly skipped: boolean;
  readonly [name: string]: number | boolean;
}

export interface HostTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export interface TrainingStep {
  readonly statistics: PlanStatistics;
  /** Learned values. */
  readonly parameters: number;
  /** JSON of [problem, blueprint] pairs: the kernels in use. */
  readonly pinned: readonly string[];
  /** Runs step `step` (from 0). */
  run(batch: HostBatch, step: number): Promise<StepMetrics>;
  /** Runs the step as `run` does, with begin and end of every command instead of what it reports. */
  timeline(batch: HostBatch, step: number): Promise<Timeline>;
  /** Everything that decides the next step. */
  snapshot(): Promise<Map<string, HostTensor>>;
  restore(tensors: ReadonlyMap<string, Float32Array>): void;
  /** Parameters and running statistics. */
  weights(): Promise<Map<string, HostTensor>>;
  /** Passes, memory and dispatches as text. */
  describe(): string;
  dispose(): void;
}

/** What makes a model this model: names, shapes and beginnings of its tensors. */
export function modelDefinition(config: TrainConfig): JsonObject {
  const { parameters, statistics } = describePreset(presetOf(config), config.data.patch);
  return JSON.parse(JSON.stringify({ preset: config.preset, parameters, statistics })) as JsonObject;
}

/** In f16 the loss is scaled before it flows back, so that small gradients do not vanish: doubled after so many good steps, halved on overflow. */
const LOSS_SCALE = { first: 1024, most: 65536, growthInterval: 2000 };

/** The loss's options, with lengths resolved. */
function lossOptions({ loss }: TrainConfig): SpatialNceOptions {
  const { kernel, tau, crossSpace, ignoreMm } = loss;
  if (kernel === "views") return { kernel, tau };
  const [radius, sigma] = [loss.radiusMm!, loss.sigmaMm!];
  const reach = kernel === "radius" ? radius : 3 * sigma;
  return { kernel, tau, radius, sigma, crossSpace, ...(ignoreMm !== null && ignoreMm > reach ? { ignoreBand: [reach, ignoreMm] as const } : {}) };
}

/** Builds the step of a configuration whose nulls are resolved. */
export async function buildTrainingStep(engine: Engine, config: TrainConfig, pinned: ReadonlyMap<string, Blueprint> = new Map()): Promise<TrainingStep> {
  const preset = presetOf(config);
  const { patch } = config.data;
  const n = config.batch.groups * config.batch.groupSize;
  const { views } = config.batch;
  const rows = n * views;
  const side = windowSide(config);
  const scale = adjustedScale(config);
  const weights = createWeights(engine, describePreset(preset, patch), config.seed);
  const { flat } = weights;
  // Gradients in the same places as their parameters; the gaps between stay zero.
  const gradientGroup = engine.stateGroup("gradients", weights.spec.parameters);
  const moments = { m: engine.state("optimizer.m", flat.shape), v: engine.state("optimizer.v", flat.shape) };
  const control = engine.state("optimizer.control", [CONTROL_SIZE]);
  if (config.precision === "f16") engine.write(control, Float32Array.from({ length: CONTROL_SIZE }, (_, i) => (i === CONTROL.lossScale ? LOSS_SCALE.first : 0)));
  const release = () => {
    freeWeights(engine, weights);
    for (const tensor of [gradientGroup.flat, moments.m, moments.v, control]) engine.free(tensor);
  };

  const inputs = {
    windows: f32(n, side, side, 1),
    position: f32(rows, 3),
    space: i32(rows),
    sample: u32(rows),
    hyper: f32(HYPER_SIZE),
    seed: u32(2),
    ...Object.fromEntries(Array.from({ length: views }, (_, v) => [[`matrix${v}`, f32(n, 6)] as const, [`adjust${v}`, f32(n, 4)] as const, [`blur${v}`, f32(n)] as const]).flat()),
  };
  const building = engine.plan(
    (x: Readonly<Record<string, Tensor>>) => {
      const patches = scope("augment", () => {
        const each = Array.from({ length: views }, (_, v) => {
          const cropped = affineCrop(x["windows"]!, x[`matrix${v}`]!, patch);
          return blur(adjust(cropped, x[`adjust${v}`]!, x["seed"]!), x[`blur${v}`]!);
        });
        return normalise(views === 1 ? each[0]! : concat(each, 0), scale.mean, scale.deviation);
      });
      const p: Parameters & { readonly masters: ReadonlyMap<string, Tensor> } = bindParameters(weights, config.precision);
      const z = project(preset, p, encode(preset, p, patches, { training: true }), { training: true });
      const { loss, divergence, anchors } = spatialNce(z, { position: x["position"]!, space: x["space"]!, view: x["sample"]! }, lossOptions(config));
      const names = [...p.masters.keys()];
      const found = gradients(loss, names.map((name) => p.masters.get(name)!), lossSeed(control));
      scope("optimizer", () => {
        names.forEach((name, i) => {
          const gradient = found[i];
          const at = weights.spec.parameters.findIndex((spec) => spec.name === name);
          if (gradient) place(reshape(gradient, gradientGroup.members[at]!.shape), gradientGroup.members[at]!);
        });
        const shared = { parameters: flat, gradients: gradientGroup.flat, control, hyper: x["hyper"]!, decayEnd: weights.decayEnd };
        gradientControl({ gradients: gradientGroup.flat, control, hyper: x["hyper"]! });
        if (config.optimizer.name === "adamw") adamw({ ...shared, ...moments });
        else sgd({ ...shared, velocity: moments.m });
      });
      return { loss, divergence, anchors, control };
    },
    inputs,
    { label: `train ${preset.name}`, pinned },
  );
  const plan = await building.catch((cause: unknown) => {
    release();
    throw cause;
  });

  const read = async (tensors: Iterable<readonly [string, Tensor]>) => {
    const out = new Map<string, HostTensor>();
    for (const [name, tensor] of tensors) out.set(name, { data: (await engine.read(tensor)) as Float32Array, shape: tensor.shape });
    return out;
  };
  const state = new Map<string, Tensor>([...weights.parameters, ...weights.statistics, ["optimizer.m", moments.m], ["optimizer.v", moments.v], ["optimizer.control", control]]);

  /** The plan's inputs for one step. */
  const fill = (batch: HostBatch, step: number) => {
    const { optimizer } = config;
    const learningRate = optimizer.learningRate * warmupCosine(step, config.steps, optimizer.warmup);
    const hyper = packHyper({
      learningRate,
      beta1: optimizer.name === "adamw" ? optimizer.beta1 : optimizer.momentum,
      beta2: optimizer.beta2,
      epsilon: optimizer.epsilon,
      weightDecay: optimizer.weightDecay,
      clip: optimizer.clip,
      growthInterval: config.precision === "f16" ? LOSS_SCALE.growthInterval : 0,
      maxLossScale: LOSS_SCALE.most,
    });
    const viewInputs = Object.fromEntries(batch.views.flatMap((view, v) => [[`matrix${v}`, view.matrix] as const, [`adjust${v}`, view.adjust] as const, [`blur${v}`, view.blur] as const]));
    const values = {
      windows: batch.windows,
      position: batch.position,
      space: batch.space,
      sample: batch.sample,
      hyper,
      seed: Uint32Array.of(config.seed, step),
      ...viewInputs,
    };
    return { values, learningRate };
  };

  return {
    statistics: plan.statistics,
    parameters: weights.count,
    pinned: plan.program.nodes
      .filter((node) => node.kind === "dispatch")
      .map((node, i) => JSON.stringify([problemKey(node), plan.blueprints[i]]))
      .filter((text, i, all) => all.indexOf(text) === i),
    async run(batch, step) {
      const { values, learningRate } = fill(batch, step);
      const out = await plan.run(values);
      const first = (name: string) => out[name]![0]!;
      return {
        loss: first("loss"),
        divergence: first("divergence"),
        anchors: first("anchors"),
        gradientNorm: out["control"]![CONTROL.norm]!,
        learningRate,
        skipped: out["control"]![CONTROL.finite] === 0,
      };
    },
    timeline: (batch, step) => plan.timeline(fill(batch, step).values),
    snapshot: () => read(state),
    weights: () => read([...weights.parameters, ...weights.statistics]),
    restore(tensors) {
      for (const [name, tensor] of state) {
        const data = tensors.get(name);
        if (data?.length !== sizeOf(tensor.shape))
          throw new UserError(EXIT_CODES.badData, `checkpoint: ${name} is ${data ? `${data.length} values` : "missing"}, expected [${tensor.shape.join(", ")}]`, ["The checkpoint belongs to another model; start the run again with --force."]);
        engine.write(tensor, data);
      }
    },
    describe: () => plan.describe(),
    dispose() {
      plan.dispose();
      release();
    },
  };
}
