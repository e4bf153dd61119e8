// The training step by gradient caching: micro-batches through the encoder, the loss over all of them, and the same micro-batches again for the gradient.
import { f32, i32, u32, type Engine } from "../engine/engine.ts";
import type { Plan, PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import { place, reshape, scope, type Tensor } from "../engine/trace.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import type { HostArray } from "../kernel/dtype.ts";
import { gradients } from "../ops/grad.ts";
import { accumulate, HYPER_SIZE, lossSeed } from "../ops/optim.ts";
import { putRows, takeRows } from "../ops/rows.ts";
import { spatialNce } from "../ops/spatial-nce.ts";
import { batchSizes, type HostBatch } from "./batches.ts";
import type { TrainConfig } from "./config.ts";
import { encode, presetOf, project } from "./presets.ts";
import { applyStep, augment, bindForTraining, createGroup, imageInputs, imageValues, lossOptions, placeGradients, type StepState } from "./step-parts.ts";

/** Aborted: the work ends as soon as it may, and throws the reason. */
export type StopSignal = Pick<AbortSignal, "throwIfAborted">;

/** What runs a step on the device, in one plan or in several. */
export interface StepRunner {
  readonly statistics: PlanStatistics;
  readonly plans: readonly (readonly [plan: Plan, times: number])[];
  /** `loss`, `divergence`, `anchors` and `control`, by name. Stopped by the signal, it leaves all that checkpoints keep as it was. */
  run(batch: HostBatch, step: number, hyper: Float32Array, signal?: StopSignal): Promise<Readonly<Record<string, HostArray>>>;
  timeline(batch: HostBatch, step: number, hyper: Float32Array): Promise<Timeline>;
  /** Milliseconds so far in which runs waited for patches. */
  waited(): number;
  dispose(): void;
}

/**
 * The gradient of the whole batch with the memory of one micro-batch (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory
 * limited setup"), in four plans:
 *
 *     embed     each micro-batch without a tape → its rows of h, features of the whole batch; moves the staged running statistics
 *     head      h → projection → loss → gradients of the projection, and of h
 *     backward  each micro-batch once more, with a tape, from its rows of that gradient; adds to the gradients of the encoder
 *     update    the optimizer
 *
 * What is cached are the encoder's features, not the embeddings: projection and loss see the whole batch, the projection's batch norm too. So the
 * gradient is that of one large batch, but for batch norms inside the encoder, which see one micro-batch, the same in both passes.
 */
export async function buildCachedStep(engine: Engine, config: TrainConfig, state: StepState, pinned: ReadonlyMap<string, Blueprint>): Promise<StepRunner> {
  const preset = presetOf(config);
  const { n, micro, parts } = batchSizes(config);
  const { views } = config.batch;
  const [rows, part] = [n * views, micro * views];
  const h = engine.state("cache.h", [rows, preset.width]);
  const dh = engine.state("cache.dh", [rows, preset.width]);
  // The projection's places in it stay zero.
  const added = createGroup(engine, "cache.gradients", state.weights.spec.parameters);
  const plans: Plan[] = [];
  const dispose = () => {
    for (const plan of plans) plan.dispose();
    for (const tensor of [h, dh, added.flat]) engine.free(tensor);
  };
  const scratch = [h, dh, added.flat, state.gradients.flat, state.staged.flat];
  const build = async (name: string, trace: Parameters<Engine["plan"]>[0], inputs: Parameters<Engine["plan"]>[1], borrow?: Plan): Promise<Plan> => {
    const plan = await engine.plan(trace, inputs, { label: `train ${preset.name}, ${name}`, pinned, scratch, ...(borrow ? { borrow } : {}) });
    plans.push(plan);
    return plan;
  };
  const images = { ...imageInputs(config, micro), first: u32(1) };
  const built = async () => {
    // The one with the tape goes first: the others lie where it lies, because no two of them run at once.
    const backward = await build(
      "backward",
      (x) => {
        const p = bindForTraining(state);
        const features = encode(preset, p, augment(config, x), { training: true, update: false });
        const names = [...p.masters.keys()];
        placeGradients(names, gradients(features, [...p.masters.values()], takeRows(dh, x["first"]!, part)), added);
        accumulate(state.gradients.flat, added.flat);
        return {};
      },
      images,
    );
    return {
      backward,
      embed: await build(
        "embed",
        (x) => {
          putRows(encode(preset, bindForTraining(state), augment(config, x), { training: true }), h, x["first"]!);
          return {};
        },
        images,
        backward,
      ),
      head: await build(
        "head",
        (x): Readonly<Record<string, Tensor>> => {
          accumulate(state.gradients.flat);
          const p = bindForTraining(state);
          const { loss, divergence, anchors } = spatialNce(project(preset, p, h, { training: true }), { position: x["position"]!, space: x["space"]!, view: x["sample"]! }, lossOptions(config));
          const names = [...p.masters.keys()];
          const found = gradients(loss, [...p.masters.values(), h], lossSeed(state.control));
          placeGradients(names, found, state.gradients);
          const gradient = found.at(-1);
          if (gradient) place(reshape(gradient, dh.shape), dh);
          return { loss, divergence, anchors };
        },
        { position: f32(rows, 3), space: i32(rows), sample: u32(rows) },
        backward,
      ),
      update: await build(
        "update",
        ({ hyper }) => {
          scope("optimizer", () => applyStep(state, config, hyper!));
          return { control: state.control };
        },
        { hyper: f32(HYPER_SIZE) },
        backward,
      ),
    };
  };
  const { embed, head, backward, update } = await built().catch((cause: unknown) => {
    dispose();
    throw cause;
  });

  const runs = [[embed, parts], [head, 1], [backward, parts], [update, 1]] as const;
  let waited = 0;
  /** Hands every micro-batch to `run`, one after the other; the patches of the next are read meanwhile. */
  const each = async <T>(batch: HostBatch, step: number, run: (values: Record<string, HostArray>) => Promise<T>): Promise<T[]> => {
    const results: T[] = [];
    let next = batch.parts[0]?.windows();
    for (const [i, one] of batch.parts.entries()) {
      const before = performance.now();
      const windows = (await next)!;
      waited += performance.now() - before;
      const running = run({ ...imageValues(config, one, windows, step), first: Uint32Array.of(i * part) });
      next = batch.parts[i + 1]?.windows();
      next?.catch(() => undefined); // reported when it is awaited
      results.push(await running);
    }
    return results;
  };
  const places = ({ position, space, sample }: HostBatch) => ({ position, space, sample });

  return {
    plans: runs,
    statistics: addUp(runs),
    async run(batch, step, hyper, signal) {
      await each(batch, step, (values) => embed.run(values, signal));
      const losses = await head.run(places(batch), signal);
      await each(batch, step, (values) => backward.run(values, signal));
      return { ...losses, ...(await update.run({ hyper }, signal)) };
    },
    async timeline(batch, step, hyper) {
      const before = await each(batch, step, (values) => embed.timeline(values));
      const losses = await head.timeline(places(batch));
      const after = await each(batch, step, (values) => backward.timeline(values));
      return join([...before, losses, ...after, await update.timeline({ hyper })]);
    },
    waited: () => waited,
    dispose,
  };
}

/** One plan of a whole step: its statistics are those of several, run so often. Memory adds up, because each counts what is its own, without the arenas that it borrows. */
function addUp(plans: readonly (readonly [plan: Plan, times: number])[]): PlanStatistics {
  const sum = (of: (statistics: PlanStatistics) => number, once = false) => plans.reduce((total, [plan, times]) => total + of(plan.statistics) * (once ? 1 : times), 0);
  return {
    dispatches: sum((s) => s.dispatches),
    submits: sum((s) => s.submits),
    pipelines: sum((s) => s.pipelines, true),
    tuned: sum((s) => s.tuned, true),
    pinned: sum((s) => s.pinned, true),
    flops: sum((s) => s.flops),
    bytesMoved: sum((s) => s.bytesMoved),
    memory: { tensorBytes: sum((s) => s.memory.tensorBytes, true), arenaBytes: sum((s) => s.memory.arenaBytes, true) },
    ownBytes: sum((s) => s.ownBytes, true),
    reports: plans.flatMap(([plan]) => plan.statistics.reports),
  };
}

/** Timelines of runs that followed each other as one. */
function join(timelines: readonly Timeline[]): Timeline {
  const [first] = timelines;
  if (!first) throw new Error("no timeline to join");
  let steps = 0;
  const spans = timelines.flatMap((timeline) => {
    const shift = timeline.origin - first.origin;
    const from = steps;
    steps += 1 + timeline.spans.reduce((most, { step }) => Math.max(most, step), -1);
    return timeline.spans.map((span) => ({ ...span, step: from + span.step, begin: span.begin + shift, end: span.end + shift }));
  });
  return { ...first, spans, host: timelines.flatMap(({ host }) => host), slack: Math.max(...timelines.map(({ slack }) => slack)) };
}
