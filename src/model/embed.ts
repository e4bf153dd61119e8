// Embedding: patches through the encoder with the weights of a run, without augmentation; the same path in Node and in browsers.
import { type Dataset } from "../data/dataset.ts";
import type { Embeddings } from "../data/embeddings.ts";
import { openImage } from "../data/image-dataset.ts";
import { cropWindows, loadSections, type SectionCache } from "../data/sections.ts";
import { loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Engine } from "../engine/engine.ts";
import { f32 } from "../engine/engine.ts";
import { problemKey, type Plan, type PlanStatistics } from "../engine/plan.ts";
import type { Timeline } from "../engine/timing.ts";
import type { Tensor } from "../engine/trace.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { normalise } from "../ops/image.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "./config.ts";
import { windowOptions } from "./objective.ts";
import { bindParameters, createWeights, describeModel, type DeviceWeights } from "./parameters.ts";
import { precisionOn } from "./precision.ts";
import { encode, encodeWithMaps, presetOf, project, type Preset } from "./presets.ts";
import type { Weights } from "./weights.ts";

/** A plan of an encoder. */
export interface EncoderPlan {
  /** Channels of a feature vector. */
  readonly channels: number;
  /** [count, patch, patch, 1] intensities as `cropWindows` gives them → [count, channels]. Any count. Throws the reason of a signal that is aborted. */
  run(patches: Float32Array, count: number, signal?: Pick<AbortSignal, "throwIfAborted">): Promise<Float32Array>;
  /** Where the encoder looked, beside the features; undefined unless asked for. */
  readonly attention?: {
    readonly heads: number;
    readonly grid: readonly [number, number];
    /** As `run`, with maps [count, heads, rows, columns]. */
    run(patches: Float32Array, count: number): Promise<{ readonly h: Float32Array; readonly maps: Float32Array }>;
  };
  /** Begin and end of every command for one whole batch of patches. */
  timeline(patches: Float32Array): Promise<Timeline>;
  readonly statistics: PlanStatistics;
  /** JSON of [problem, blueprint] pairs: the kernels in use. */
  readonly pinned: readonly string[];
  dispose(): void;
}

/** An encoder on a device, ready for patches. */
export interface Embedder extends EncoderPlan {
  readonly config: TrainConfig;
}

/**
 * Puts weights on a device and builds the inference plan for batches of `batch` patches. Throws UserError 65 where weights and configuration
 * disagree, 2 where `attention` is wanted of an encoder that does not end in it.
 */
export async function createEmbedder(engine: Engine, weights: Weights, batch: number, attention = false): Promise<Embedder> {
  const config = resolveConfig(flattenSettings(weights.config));
  const preset = presetOf(config);
  const { patch, mean, deviation } = config.data;
  if (mean === null || deviation === null) throw new UserError(EXIT_CODES.badData, "weights: data.mean and data.deviation are missing in their configuration", ["Use the model.safetensors of a finished run."]);
  const device = createWeights(engine, describePreset(preset, patch), config.seed);
  const build = async () => {
    loadWeights(engine, device, weights);
    return planEncoder(engine, config, device, batch, { attention });
  };
  const plan = await build().catch((cause: unknown) => {
    freeWeights(engine, device);
    throw cause;
  });
  return {
    ...plan,
    config,
    dispose() {
      plan.dispose();
      freeWeights(engine, device);
    },
  };
}

/**
 * The inference plan over weights that are on a device already: each run reads them as they are then. Disposing of it leaves the weights.
 * Throws UserError 2 where `attention` is wanted of an encoder that does not end in it.
 */
export async function planEncoder(engine: Engine, config: TrainConfig, device: DeviceWeights, batch: number, { attention = false, pinned = new Map() }: { readonly attention?: boolean; readonly pinned?: ReadonlyMap<string, Blueprint> } = {}): Promise<EncoderPlan> {
  const preset = presetOf(config);
  const { patch, mean, deviation } = config.data;
  let looked: { readonly heads: number; readonly grid: readonly [number, number] } | undefined;
  const plan = await engine.plan(
    ({ x }): Readonly<Record<string, Tensor>> => {
      const { h, maps } = encodeWithMaps(preset, bindParameters(device, precisionOn(engine, config)), normalise(x, mean!, deviation!), { training: false });
      if (!attention) return { h };
      const found = maps?.();
      if (!found) throw new UserError(EXIT_CODES.usage, `attention: the encoder ${preset.name} has none, expected one that ends in attention; transformers do, and convolutional ones trained with model.pool=attention`);
      looked = { heads: found.weights.shape[1] ?? 0, grid: found.grid };
      return { h, maps: found.weights };
    },
    { x: f32(batch, patch, patch, 1) },
    { label: `embed ${preset.name}`, pinned },
  );
  const size = patch * patch;
  const places = looked ? looked.heads * looked.grid[0] * looked.grid[1] : 0;
  const runAll = async (patches: Float32Array, count: number, signal?: Pick<AbortSignal, "throwIfAborted">) => {
    const h = new Float32Array(count * preset.width);
    const maps = new Float32Array(count * places);
    for (let from = 0; from < count; from += batch) {
      const rows = Math.min(batch, count - from);
      // The last batch is filled up with zeros: in inference rows do not see each other.
      const x = new Float32Array(batch * size);
      x.set(patches.subarray(from * size, (from + rows) * size));
      const out = await plan.run({ x }, signal);
      h.set((out["h"] as Float32Array).subarray(0, rows * preset.width), from * preset.width);
      if (places > 0) maps.set((out["maps"] as Float32Array).subarray(0, rows * places), from * places);
    }
    return { h, maps };
  };
  return {
    channels: preset.width,
    statistics: plan.statistics,
    pinned: listPinned(plan),
    timeline: (patches) => plan.timeline({ x: patches }),
    run: async (patches, count, signal) => (await runAll(patches, count, signal)).h,
    ...(looked ? { attention: { heads: looked.heads, grid: looked.grid, run: runAll } } : {}),
    dispose: () => plan.dispose(),
  };
}

/** JSON of [problem, blueprint] pairs: the kernels that a plan uses, each once. */
export function listPinned({ program, blueprints }: Plan): string[] {
  const dispatches = program.nodes.filter((node) => node.kind === "dispatch");
  return [...new Set(dispatches.map((node, i) => JSON.stringify([problemKey(node), blueprints[i]])))];
}

/** Everything that a preset's parameters are, for patches of a size. */
export function describePreset(preset: Preset, patch: number): ReturnType<typeof describeModel> {
  return describeModel((p) => {
    const x = { storage: { kind: "input", name: "patch", dtype: "f32", count: 2 * patch * patch }, shape: [2, patch, patch, 1], dtype: "f32" } as const;
    project(preset, p, encode(preset, p, x, { training: false }), { training: false });
  });
}

/** Overwrites a model's tensors on the device; every one must be there with its shape. */
export function loadWeights(engine: Engine, device: DeviceWeights, weights: Pick<Weights, "tensors">): void {
  for (const [name, tensor] of [...device.parameters, ...device.statistics]) {
    const stored = weights.tensors.get(name);
    const values = stored && loadFloat32(stored);
    if (!stored || !values || values.length !== tensor.storage.count || stored.shape.length !== tensor.shape.length || tensor.shape.some((extent, i) => extent !== stored.shape[i]))
      throw new UserError(EXIT_CODES.badData, `weights: ${name} is ${stored ? `${stored.dtype}[${stored.shape.join(", ")}]` : "missing"}, expected F32[${tensor.shape.join(", ")}]`, ["The weights belong to another preset or patch size."]);
    engine.write(tensor, values);
  }
}

export function freeWeights(engine: Engine, device: DeviceWeights): void {
  engine.free(device.flat);
  if (device.flatStatistics) engine.free(device.flatStatistics);
}

export interface EmbedOptions {
  readonly files: Files;
  readonly weights: Weights;
  /** Patches at once. */
  readonly batch: number;
  /** Also where the encoder looked. Throws UserError 2 for an encoder that does not end in attention. */
  readonly attention?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Features, and where asked for the maps [count, heads, rows, columns] of what the encoder looked at. */
export interface EmbeddedDataset extends Embeddings {
  readonly attention?: StoredTensor;
}

/** Features of every sample, in the order of the table; undefined where the signal stopped it. */
export async function embedDataset(engine: Engine, dataset: Dataset, options: EmbedOptions): Promise<EmbeddedDataset | undefined> {
  const cache = loadSections(dataset, options.files);
  const { count, section, x, y, ids } = dataset.samples;
  const embedded = await embedSamples(engine, dataset, cache, options);
  if (!embedded) return undefined;
  const { values, attention } = embedded;
  const columns = new Map<string, readonly string[] | Float64Array>();
  if (ids) columns.set("id", ids);
  columns.set("section", Array.from(section, (s) => dataset.sections[s]?.id ?? ""));
  columns.set("x_um", x);
  columns.set("y_um", y);
  return { values, count, channels: values.length / Math.max(1, count), columns, metadata: new Map([["dataset", dataset.hash]]), ...(attention ? { attention } : {}) };
}

async function embedSamples(engine: Engine, dataset: Dataset, cache: SectionCache, options: EmbedOptions): Promise<{ values: Float32Array; attention?: StoredTensor } | undefined> {
  const { count } = dataset.samples;
  const embedder = await createEmbedder(engine, options.weights, Math.min(options.batch, Math.max(1, count)), options.attention ?? false);
  try {
    const values = new Float32Array(count * embedder.channels);
    const { attention } = embedder;
    const shape = attention ? [count, attention.heads, ...attention.grid] : [0];
    const maps = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
    const each = count === 0 ? 0 : maps.length / count;
    const { patch } = embedder.config.data;
    for (let from = 0; from < count; from += options.batch) {
      if (options.signal?.aborted) return undefined;
      const rows = Math.min(options.batch, count - from);
      const windows = await cropWindows(dataset, cache, Uint32Array.from({ length: rows }, (_, i) => from + i), patch, windowOptions(embedder.config));
      const out = attention ? await attention.run(windows, rows) : { h: await embedder.run(windows, rows) };
      values.set(out.h, from * embedder.channels);
      if ("maps" in out) maps.set(out.maps, from * each);
      options.onProgress?.(from + rows, count);
    }
    return { values, ...(attention ? { attention: storeFloat32(maps, shape) } : {}) };
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
