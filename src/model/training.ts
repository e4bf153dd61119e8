// One optimizer step: augment → encode → project → loss → gradients → update, everything on the device, in one plan or by gradient caching.
import type { JsonObject } from "../data/json.ts";
import { f32, i32, u32, type Engine } from "../engine/engine.ts";
import { bytesOfStorage } from "../engine/passes.ts";
import type { Plan, PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import { ShapeError } from "../engine/errors.ts";
import { scope, sizeOf, type Tensor } from "../engine/trace.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { gradients } from "../ops/grad.ts";
import { CONTROL, HYPER_SIZE, lossSeed, packHyper } from "../ops/optim.ts";
import { spatialNce } from "../ops/spatial-nce.ts";
import { batchSizes, type HostBatch } from "./batches.ts";
import { buildCachedStep, type StepRunner, type StopSignal } from "./cached-step.ts";
import type { TrainConfig } from "./config.ts";
import { describePreset, listPinned, planEncoder, type EncoderPlan } from "./embed.ts";
import { withinMemory } from "./memory.ts";
import { precisionOn } from "./precision.ts";
import { encode, presetOf, project } from "./presets.ts";
import { scheduleAt } from "./schedule.ts";
import { applyStep, augment, bindForTraining, createStepState, imageInputs, imageValues, LOSS_SCALE, lossOptions, placeGradients, type StepState } from "./step-parts.ts";

/** What a step reports. A skipped step changed no weight, moment, average, count or running statistic. */
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
  /** What a step runs, and how often. */
  readonly plans: StepRunner["plans"];
  /** Bytes that reading its largest tensor back takes, as for a checkpoint. */
  readonly staging: number;
  /** JSON of [problem, blueprint] pairs: the kernels in use. */
  readonly pinned: readonly string[];
  /**
   * Runs step `step` (from 0); it is skipped where the gradient's norm is beyond `limit`, unless that is 0.
   * @param signal where it is aborted before the optimizer begins, the step throws its reason and has changed nothing that `snapshot` gives
   */
  run(batch: HostBatch, step: number, limit?: number, signal?: StopSignal): Promise<StepMetrics>;
  /** Runs the step as `run` does, with begin and end of every command instead of what it reports. */
  timeline(batch: HostBatch, step: number): Promise<Timeline>;
  /** Milliseconds so far in which steps waited for patches that a batch reads part by part. */
  waited(): number;
  /** Everything that decides the next step. */
  snapshot(): Promise<Map<string, HostTensor>>;
  restore(tensors: ReadonlyMap<string, Float32Array>): void;
  /** An inference plan for batches of so many patches over the weights as they are at each of its runs; its owner disposes of it before the step. */
  encoder(batch: number): Promise<EncoderPlan>;
  /** Parameters and running statistics. */
  weights(): Promise<Map<string, HostTensor>>;
  /** Their moving averages, by the same names; undefined without `ema.decay`. */
  averages(): Promise<Map<string, HostTensor> | undefined>;
  /** Passes, memory and dispatches as text. */
  describe(): string;
  dispose(): void;
}

/** What makes a model this model: names, shapes and beginnings of its tensors. */
export function modelDefinition(config: TrainConfig): JsonObject {
  const { parameters, statistics } = describePreset(presetOf(config), config.data.patch);
  return JSON.parse(JSON.stringify({ preset: config.preset, parameters, statistics })) as JsonObject;
}

/** The step in one plan: every patch of the batch goes through the encoder at once. */
async function buildWholeStep(engine: Engine, config: TrainConfig, state: StepState, pinned: ReadonlyMap<string, Blueprint>): Promise<StepRunner> {
  const preset = presetOf(config);
  const { n } = batchSizes(config);
  const rows = n * config.batch.views;
  const { control } = state;
  const inputs = { ...imageInputs(config, n), position: f32(rows, 3), space: i32(rows), sample: u32(rows), hyper: f32(HYPER_SIZE) };
  const plan = await engine.plan(
    (x: Readonly<Record<string, Tensor>>) => {
      const p = bindForTraining(state);
      const z = project(preset, p, encode(preset, p, augment(config, x), { training: true }), { training: true });
      const { loss, divergence, anchors } = spatialNce(z, { position: x["position"]!, space: x["space"]!, view: x["sample"]! }, lossOptions(config));
      const names = [...p.masters.keys()];
      const found = gradients(loss, [...p.masters.values()], lossSeed(control));
      scope("optimizer", () => {
        placeGradients(names, found, state.gradients);
        applyStep(state, config, x["hyper"]!);
      });
      return { loss, divergence, anchors, control };
    },
    inputs,
    { label: `train ${preset.name}`, pinned, scratch: [state.gradients.flat, state.staged.flat] },
  );
  let waited = 0;
  const fill = async ({ parts: [part], position, space, sample }: HostBatch, step: number, hyper: Float32Array) => {
    if (!part) throw new Error("a batch has no part");
    const before = performance.now();
    const windows = await part.windows();
    waited += performance.now() - before;
    return { ...imageValues(config, part, windows, step), position, space, sample, hyper };
  };
  return {
    plans: [[plan, 1]],
    statistics: plan.statistics,
    run: async (batch, step, hyper, signal) => plan.run(await fill(batch, step, hyper), signal),
    timeline: async (batch, step, hyper) => plan.timeline(await fill(batch, step, hyper)),
    waited: () => waited,
    dispose: () => plan.dispose(),
  };
}

/** The engine, with plans that lie where `lender` lies: what runs between steps needs no memory beside theirs. */
function lendTo(engine: Engine, lender: Plan | undefined): Engine {
  return { ...engine, plan: (build, inputs, options) => engine.plan(build, inputs, { ...options, ...(lender ? { borrow: lender } : {}) }) };
}

/** Builds the step of a configuration whose nulls are resolved. */
export async function buildTrainingStep(engine: Engine, config: TrainConfig, pinned: ReadonlyMap<string, Blueprint> = new Map()): Promise<TrainingStep> {
  const state = createStepState(engine, config);
  const { weights } = state;
  const build = batchSizes(config).parts > 1 ? buildCachedStep : buildWholeStep;
  const staging = Math.max(...[...state.kept.values()].map(({ storage }) => bytesOfStorage(storage)));
  const planner = withinMemory(engine, config, staging);
  const runner = await build(planner, config, state, pinned).catch((cause: unknown) => {
    state.free();
    const { micro } = batchSizes(config);
    if (!(cause instanceof ShapeError) || micro * config.batch.views > 1) throw cause;
    throw new UserError(EXIT_CODES.config, `config: batch.micro: ${micro} with batch.views 1 and patches of ${config.data.patch} px, expected 2 at least: batch norm in the encoder would see a single value`, [cause.message], { cause });
  });

  const [largest] = runner.plans.map(([plan]) => plan).sort((x, y) => y.statistics.memory.arenaBytes - x.statistics.memory.arenaBytes);

  const read = async (tensors: Iterable<readonly [string, Tensor]>) => {
    const out = new Map<string, HostTensor>();
    for (const [name, tensor] of tensors) out.set(name, { data: (await engine.read(tensor)) as Float32Array, shape: tensor.shape });
    return out;
  };
  /** What varies from step to step besides the batch. */
  const schedule = (step: number, limit = 0) => {
    const { optimizer } = config;
    const learningRate = optimizer.learningRate * scheduleAt(step, config.steps, optimizer);
    const hyper = packHyper({
      learningRate,
      beta1: optimizer.name === "adamw" ? optimizer.beta1 : optimizer.momentum,
      beta2: optimizer.beta2,
      epsilon: optimizer.epsilon,
      weightDecay: optimizer.weightDecay,
      clip: optimizer.clip,
      growthInterval: precisionOn(engine, config) === "f16" ? LOSS_SCALE.growthInterval : 0,
      maxLossScale: LOSS_SCALE.most,
      limit,
    });
    return { learningRate, hyper };
  };

  return {
    statistics: runner.statistics,
    parameters: weights.count,
    plans: runner.plans,
    staging,
    pinned: [...new Set(runner.plans.flatMap(([plan]) => listPinned(plan)))],
    async run(batch, step, limit, signal) {
      const { learningRate, hyper } = schedule(step, limit);
      const out = await runner.run(batch, step, hyper, signal);
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
    timeline: (batch, step) => runner.timeline(batch, step, schedule(step).hyper),
    waited: () => runner.waited(),
    encoder: (batch) => planEncoder(lendTo(planner, largest), config, weights, batch, { pinned }),
    snapshot: () => read(state.kept),
    averages: async () => (state.averages ? read([...state.averages.parameters.members, ...state.averages.statistics.members]) : undefined),
    weights: () => read([...weights.parameters, ...weights.statistics]),
    restore(tensors) {
      for (const [name, tensor] of state.kept) {
        const data = tensors.get(name);
        if (data?.length !== sizeOf(tensor.shape))
          throw new UserError(EXIT_CODES.badData, `checkpoint: ${name} is ${data ? `${data.length} values` : "missing"}, expected [${tensor.shape.join(", ")}]`, ["The checkpoint belongs to another model; start the run again with --force."]);
        state.write(name, data);
      }
    },
    describe: () => runner.plans.map(([plan]) => plan.describe()).join("\n"),
    dispose() {
      runner.dispose();
      state.free();
    },
  };
}
