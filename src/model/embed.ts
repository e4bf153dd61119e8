// Embedding: patches through the encoder with the weights of a run, without augmentation; the same path in Node and in browsers.
import { type Dataset } from "../data/dataset.ts";
import type { Embeddings } from "../data/embeddings.ts";
import { openImage } from "../data/image-dataset.ts";
import { cropWindows, loadSections, type SectionCache } from "../data/sections.ts";
import { loadFloat32 } from "../data/tensors.ts";
import type { Engine } from "../engine/engine.ts";
import { f32 } from "../engine/engine.ts";
import type { PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { normalise } from "../ops/image.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "./config.ts";
import { windowOptions } from "./objective.ts";
import { bindParameters, createWeights, describeModel, type DeviceWeights } from "./parameters.ts";
import { encode, presetOf, project, type Preset } from "./presets.ts";
import type { Weights } from "./weights.ts";

/** An encoder on a device, ready for patches. */
export interface Embedder {
  readonly config: TrainConfig;
  /** Channels of a feature vector. */
  readonly channels: number;
  /** [count, patch, patch, 1] intensities as `cropWindows` gives them → [count, channels]. Any count. */
  run(patches: Float32Array, count: number): Promise<Float32Array>;
  /** Begin and end of every command for one whole batch of patches. */
  timeline(patches: Float32Array): Promise<Timeline>;
  readonly statistics: PlanStatistics;
  dispose(): void;
}

/** Puts weights on a device and builds the inference plan for batches of `batch` patches. Throws UserError 65 where weights and configuration disagree. */
export async function createEmbedder(engine: Engine, weights: Weights, batch: number): Promise<Embedder> {
  const config = resolveConfig(flattenSettings(weights.config));
  const preset = presetOf(config);
  const { patch, mean, deviation } = config.data;
  if (mean === null || deviation === null) throw new UserError(EXIT_CODES.badData, "weights: data.mean and data.deviation are missing in their configuration", ["Use the model.safetensors of a finished run."]);
  const device = createWeights(engine, describePreset(preset, patch), config.seed);
  const build = async () => {
    loadWeights(engine, device, weights);
    return engine.plan(
      ({ x }) => ({ h: encode(preset, bindParameters(device, config.precision), normalise(x, mean, deviation), { training: false }) }),
      { x: f32(batch, patch, patch, 1) },
      { label: `embed ${preset.name}` },
    );
  };
  const plan = await build().catch((cause: unknown) => {
    freeWeights(engine, device);
    throw cause;
  });
  const size = patch * patch;
  return {
    config,
    channels: preset.width,
    statistics: plan.statistics,
    timeline: (patches) => plan.timeline({ x: patches }),
    async run(patches, count) {
      const out = new Float32Array(count * preset.width);
      for (let from = 0; from < count; from += batch) {
        const rows = Math.min(batch, count - from);
        // The last batch is filled up with zeros: in inference rows do not see each other.
        const x = new Float32Array(batch * size);
        x.set(patches.subarray(from * size, (from + rows) * size));
        const { h } = await plan.run({ x });
        out.set((h as Float32Array).subarray(0, rows * preset.width), from * preset.width);
      }
      return out;
    },
    dispose() {
      plan.dispose();
      freeWeights(engine, device);
    },
  };
}

/** Everything that a preset's parameters are, for patches of a size. */
export function describePreset(preset: Preset, patch: number): ReturnType<typeof describeModel> {
  return describeModel((p) => {
    const x = { storage: { kind: "input", name: "patch", dtype: "f32", count: 2 * patch * patch }, shape: [2, patch, patch, 1], dtype: "f32" } as const;
    project(preset, p, encode(preset, p, x, { training: false }), { training: false });
  });
}

/** Overwrites a model's tensors on the device; every one must be there with the right number of values. */
export function loadWeights(engine: Engine, device: DeviceWeights, weights: Pick<Weights, "tensors">): void {
  for (const [name, tensor] of [...device.parameters, ...device.statistics]) {
    const stored = weights.tensors.get(name);
    const values = stored && loadFloat32(stored);
    if (!stored || !values || values.length !== tensor.storage.count)
      throw new UserError(EXIT_CODES.badData, `weights: ${name} is ${stored ? `${stored.dtype}[${stored.shape.join(", ")}]` : "missing"}, expected F32[${tensor.shape.join(", ")}]`, ["The weights belong to another preset or patch size."]);
    engine.write(tensor, values);
  }
}

export function freeWeights(engine: Engine, device: DeviceWeights): void {
  engine.free(device.flat);
  for (const tensor of device.statistics.values()) engine.free(tensor);
}

export interface EmbedOptions {
  readonly files: Files;
  readonly weights: Weights;
  /** Patches at once. */
  readonly batch: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Features of every sample, in the order of the table; undefined where the signal stopped it. */
export async function embedDataset(engine: Engine, dataset: Dataset, options: EmbedOptions): Promise<Embeddings | undefined> {
  const cache = loadSections(dataset, options.files);
  const { count, section, x, y, ids } = dataset.samples;
  const values = await embedSamples(engine, dataset, cache, options);
  if (!values) return undefined;
  const columns = new Map<string, readonly string[] | Float64Array>();
  if (ids) columns.set("id", ids);
  columns.set("section", Array.from(section, (s) => dataset.sections[s]?.id ?? ""));
  columns.set("x_um", x);
  columns.set("y_um", y);
  return { values, count, channels: values.length / Math.max(1, count), columns, metadata: new Map([["dataset", dataset.hash]]) };
}

async function embedSamples(engine: Engine, dataset: Dataset, cache: SectionCache, options: EmbedOptions): Promise<Float32Array | undefined> {
  const { count } = dataset.samples;
  const embedder = await createEmbedder(engine, options.weights, Math.min(options.batch, Math.max(1, count)));
  try {
    const values = new Float32Array(count * embedder.channels);
    const { patch } = embedder.config.data;
    for (let from = 0; from < count; from += options.batch) {
      if (options.signal?.aborted) return undefined;
      const rows = Math.min(options.batch, count - from);
      const windows = await cropWindows(dataset, cache, Uint32Array.from({ length: rows }, (_, i) => from + i), patch, windowOptions(embedder.config));
      values.set(await embedder.run(windows, rows), from * embedder.channels);
      options.onProgress?.(from + rows, count);
    }
    return values;
  } finally {
    embedder.dispose();
  }
}

/**
 * Features of one image on a grid of places `strideUm` apart (default: half a patch).
 * Errors: UserError 65 for a damaged image, 66 for a missing one.
 */
export async function embedImage(engine: Engine, path: string, options: EmbedOptions & { readonly pixelSizeUm: number; readonly strideUm?: number }): Promise<Embeddings | undefined> {
  const { patch, pixelSizeUm } = resolveConfig(flattenSettings(options.weights.config)).data;
  const strideUm = options.strideUm ?? (patch * (pixelSizeUm ?? options.pixelSizeUm)) / 2;
  return embedDataset(engine, await openImage(options.files, path, { pixelSizeUm: options.pixelSizeUm, strideUm }), options);
}
