// What can be profiled: a training step or an inference, on patches of noise or on a dataset's own.
import { readDataset } from "../data/read-dataset.ts";
import { createSampler } from "../data/sampler.ts";
import { loadSections } from "../data/sections.ts";
import { storeFloat32 } from "../data/tensors.ts";
import type { Engine } from "../engine/engine.ts";
import type { PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import type { Files } from "../files.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { windowSide } from "../model/augment.ts";
import { batchSizes, createBatches, dealBatch, type HostBatch } from "../model/batches.ts";
import type { TrainConfig } from "../model/config.ts";
import { createEmbedder, describePreset, freeWeights } from "../model/embed.ts";
import { resolveScales } from "../model/objective.ts";
import { createWeights } from "../model/parameters.ts";
import { precisionOn } from "../model/precision.ts";
import { presetOf } from "../model/presets.ts";
import { buildTrainingStep } from "../model/training.ts";
import type { Weights } from "../model/weights.ts";

/** Something that is replayed over and over. */
export interface Subject {
  /** `train tiny, 64 patches of 64 px, f32`. */
  readonly name: string;
  /** Patches that one run takes. */
  readonly patches: number;
  readonly statistics: PlanStatistics;
  /** One run as users have it. */
  run(): Promise<unknown>;
  /** One run, command by command. */
  timeline(): Promise<Timeline>;
  dispose(): void;
}

/** A batch of noise, the same however it is dealt, at places on a line, one after the other: a tenth of the extent apart. */
export function drawBatch(config: TrainConfig): HostBatch {
  const { n } = batchSizes(config);
  const side = windowSide(config);
  const drawn = Array.from({ length: n }, (_, i) => ({ position: [0.1 * i, 0, 0], space: 0, sample: i }));
  return dealBatch(config, 0, drawn, (slot) => {
    const windows = new Float32Array(slot.length * side * side);
    slot.forEach((of, j) => {
      const { uniform } = randomStream(keyOfSeed(config.seed), [of, 0, 0x9f]);
      for (let i = 0; i < side * side; i++) windows[j * side * side + i] = uniform();
    });
    return () => Promise.resolve(windows);
  });
}

/** The configuration with what data would decide set to what suits noise. */
export function withoutData(config: TrainConfig): TrainConfig {
  return {
    ...config,
    data: { ...config.data, mean: config.data.mean ?? 0.5, deviation: config.data.deviation ?? 0.3 },
    loss: { ...config.loss, sigmaMm: config.loss.sigmaMm ?? 0.2, radiusMm: config.loss.radiusMm ?? 0.4 },
    batch: { ...config.batch, radiusMm: config.batch.radiusMm ?? 0.4 },
  };
}

/** A training step: on noise, or on the first batches of the dataset at `path`. */
export async function createTrainingSubject(engine: Engine, given: TrainConfig, data?: { readonly files: Files; readonly path: string }): Promise<Subject> {
  const { config, load } = await source(given, data);
  const step = await buildTrainingStep(engine, config);
  const patches = config.batch.groups * config.batch.groupSize * config.batch.views;
  const batch = await load();
  let at = 0;
  return {
    name: `train ${config.preset}, ${patches} patches of ${config.data.patch} px, ${precisionOn(engine, config)}`,
    patches,
    statistics: step.statistics,
    run: () => step.run(batch, at++),
    timeline: () => step.timeline(batch, at++),
    dispose: () => step.dispose(),
  };
}

async function source(config: TrainConfig, data: { readonly files: Files; readonly path: string } | undefined): Promise<{ config: TrainConfig; load: () => Promise<HostBatch> }> {
  if (!data) {
    const resolved = withoutData(config);
    return { config: resolved, load: async () => drawBatch(resolved) };
  }
  const dataset = await readDataset(data.files, data.path);
  const cache = loadSections(dataset, data.files);
  const drawing = (radiusMm: number) =>
    createSampler(dataset, { seed: config.seed, groupSize: config.batch.groupSize, groupsPerBatch: config.batch.groups, radiusMm, holdOut: config.holdOut });
  const resolved = await resolveScales(config, dataset, cache, drawing(1).members);
  return { config: resolved, load: () => createBatches(dataset, cache, drawing(resolved.batch.radiusMm!), resolved).load(0) };
}

/** An inference on `batch` patches of noise: with weights of a run, or those that a configuration begins with. */
export async function createEmbeddingSubject(engine: Engine, from: Weights | TrainConfig, batch: number): Promise<Subject> {
  const embedder = await createEmbedder(engine, "tensors" in from ? from : await firstWeights(engine, withoutData(from)), batch);
  const { preset, data } = embedder.config;
  const { uniform } = randomStream(keyOfSeed(1), [0, 0, 0x9e]);
  const patches = Float32Array.from({ length: batch * data.patch ** 2 }, () => uniform());
  return {
    name: `embed ${preset}, ${batch} patches of ${data.patch} px, ${precisionOn(engine, embedder.config)}`,
    patches: batch,
    statistics: embedder.statistics,
    run: () => embedder.run(patches, batch),
    timeline: () => embedder.timeline(patches),
    dispose: () => embedder.dispose(),
  };
}

async function firstWeights(engine: Engine, config: TrainConfig): Promise<Weights> {
  const weights = createWeights(engine, describePreset(presetOf(config), config.data.patch), config.seed);
  try {
    const tensors = new Map<string, ReturnType<typeof storeFloat32>>();
    for (const [name, tensor] of [...weights.parameters, ...weights.statistics]) tensors.set(name, storeFloat32((await engine.read(tensor)) as Float32Array, tensor.shape));
    return { tensors, config: JSON.parse(JSON.stringify(config)) as Weights["config"], step: 0 };
  } finally {
    freeWeights(engine, weights);
  }
}
