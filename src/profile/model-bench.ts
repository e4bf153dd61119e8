// The model bench: patches a second of inference and of training steps, by preset, size, batch and precision, held against the device's roofs.
import { OutOfMemory, Unavailable } from "../engine/errors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Fingerprint } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { percentile } from "../bench/statistics.ts";
import { resolveConfig, type TrainConfig } from "../model/config.ts";
import { countModel } from "../model/count.ts";
import { NoRoom } from "../model/memory.ts";
import { presetOf } from "../model/presets.ts";
import { account } from "./accounting.ts";
import { groupSpans, measureRoofs, type Roofs } from "./profile.ts";
import { createEmbeddingSubject, createTrainingSubject, type Subject } from "./subjects.ts";

/** What is measured of a model. */
export const MODEL_MODES = ["infer", "train"] as const;
export type ModelMode = (typeof MODEL_MODES)[number];

export interface ModelBenchOptions {
  readonly presets: readonly string[];
  /** Sides of the patches, px; that of `data.patch` by default, 64, where empty. */
  readonly sizes: readonly number[];
  /** Patches of an inference and of a step, views included; halved where they find no memory. */
  readonly batches: readonly number[];
  readonly precisions: readonly ("f32" | "f16")[];
  readonly modes: readonly ModelMode[];
  /** Further settings of the configuration, by their dotted names. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Timed runs of each; 10 unless said. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
  /** Asked before each model: true ends the bench with the rows there are. */
  readonly stop?: () => boolean;
  readonly onProgress?: (what: string) => void;
}

/** What one mode of one model gave. */
export interface ModelMeasurement {
  readonly batch: number;
  /** Median from the call to the result, and its quartiles, ms. */
  readonly milliseconds: number;
  readonly p25: number;
  readonly p75: number;
  readonly patchesPerSecond: number;
  /** The least time that the roofs allow its kernels, one after another, as a share of the measured time. */
  readonly ofRoof: number;
  /** Share of the measured time in which the device ran none of its commands. */
  readonly idle: number;
  readonly dispatches: number;
  /** Bytes of all buffers that it holds. */
  readonly bytes: number;
}

export interface ModelBenchRow {
  readonly preset: string;
  readonly size: number;
  readonly precision: "f32" | "f16";
  /** Learned values of the encoder; multiplications with addition for one patch, and the values that they give. */
  readonly parameters: number;
  readonly multiplyAdds: number;
  readonly activations: number;
  readonly modes: Readonly<Partial<Record<ModelMode, ModelMeasurement>>>;
  /** Why a mode has no measurement. */
  readonly refused: Readonly<Partial<Record<ModelMode, string>>>;
}

export interface ModelBenchReport {
  readonly date: string;
  readonly device: Fingerprint;
  readonly roofs: Roofs;
  readonly rows: readonly ModelBenchRow[];
  /** Models that were not begun because `stop` said so. */
  readonly left: readonly string[];
}

const RUNS = 10;
/** Runs that compile and fill caches. */
const WARM_UP = 2;

/** Measures every combination. A mode that the device has no memory for at any batch says so in its row. Errors: UserError for a preset or a setting that does not exist. */
export async function benchModels(engine: Engine, options: ModelBenchOptions): Promise<ModelBenchReport> {
  if (options.precisions.includes("f16") && !engine.device.traits.features.has("shader-f16"))
    throw new UserError(EXIT_CODES.unavailable, "bench model: f16, but the adapter has no shader-f16", ["Measure f32, or take another adapter; `cytonet doctor` lists what there is."]);
  const date = new Date().toISOString();
  const configs = options.presets.flatMap((preset) =>
    options.precisions.flatMap((precision) =>
      (options.sizes.length > 0 ? options.sizes : [undefined]).flatMap((size) =>
        options.batches.map((batch) => ({ batch, config: resolveConfig({ ...options.settings, preset, precision, ...(size === undefined ? {} : { "data.patch": size }) }) })),
      ),
    ),
  );
  options.onProgress?.("measuring the device's peaks");
  const roofs = await measureRoofs(engine);
  const rows: ModelBenchRow[] = [];
  const left: string[] = [];
  for (const [i, { config, batch }] of configs.entries()) {
    const label = `${config.preset} ${config.data.patch} px ${config.precision} batch ${batch}`;
    if (left.length > 0 || options.stop?.()) {
      left.push(label);
      continue;
    }
    options.onProgress?.(`${i + 1}/${configs.length} ${label}`);
    rows.push(await benchModel(engine, config, batch, roofs, options));
  }
  return { date, device: engine.device.fingerprint, roofs, rows, left };
}

async function benchModel(engine: Engine, config: TrainConfig, batch: number, roofs: Roofs, options: ModelBenchOptions): Promise<ModelBenchRow> {
  const { encoder } = countModel(presetOf(config), { side: config.data.patch });
  const modes: Partial<Record<ModelMode, ModelMeasurement>> = {};
  const refused: Partial<Record<ModelMode, string>> = {};
  for (const mode of options.modes) {
    const found = await measureLargest(engine, config, mode, batch, roofs, options);
    if (typeof found === "string") refused[mode] = found;
    else modes[mode] = found;
  }
  return { preset: config.preset, size: config.data.patch, precision: config.precision, parameters: encoder.parameters, multiplyAdds: encoder.multiplyAdds, activations: encoder.activations, modes, refused };
}

/** The measurement at the batch, or at the largest half, quarter, … of it that finds memory; a text where none does. */
async function measureLargest(engine: Engine, config: TrainConfig, mode: ModelMode, wanted: number, roofs: Roofs, options: ModelBenchOptions): Promise<ModelMeasurement | string> {
  let reason = "";
  for (let batch = wanted; batch >= 1; batch = Math.floor(batch / 2)) {
    const created = mode === "infer" ? () => createEmbeddingSubject(engine, config, batch) : createStep(engine, config, batch);
    if (typeof created === "string") return reason || created;
    try {
      return await measure(engine, created, batch, roofs, options);
    } catch (cause) {
      if (!(cause instanceof OutOfMemory || cause instanceof Unavailable || cause instanceof NoRoom)) throw cause;
      engine.device.assertAlive(`bench ${config.preset}`);
      reason = cause.message;
    }
  }
  return reason;
}

/** A step over a batch in neighbourhood groups as the configuration has them; a text where the batch is none. */
function createStep(engine: Engine, config: TrainConfig, batch: number): string | (() => Promise<Subject>) {
  const { groupSize, views } = config.batch;
  const groups = batch / (groupSize * views);
  if (!Number.isInteger(groups)) return `a batch of ${batch} patches, expected a multiple of ${groupSize * views}, the group of neighbours times their views`;
  return () => createTrainingSubject(engine, { ...config, batch: { ...config.batch, groups } });
}

async function measure(engine: Engine, create: () => Promise<Subject>, batch: number, roofs: Roofs, { runs = RUNS, signal }: ModelBenchOptions): Promise<ModelMeasurement> {
  const before = engine.device.ledger().total;
  const subject = await create();
  try {
    for (let i = 0; i < WARM_UP; i++) await subject.run();
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      signal?.throwIfAborted();
      const began = performance.now();
      await subject.run();
      times.push(performance.now() - began);
    }
    const bytes = engine.device.ledger().total - before;
    await subject.timeline();
    const timeline = await subject.timeline();
    const least = groupSpans([timeline], "kernel", roofs).reduce((sum, { microseconds, ofRoof }) => sum + (microseconds * ofRoof) / 1e3, 0);
    const milliseconds = percentile(times, 0.5);
    const { kernels, overlap } = account(timeline.spans);
    return {
      batch,
      milliseconds,
      p25: percentile(times, 0.25),
      p75: percentile(times, 0.75),
      patchesPerSecond: batch / (milliseconds / 1e3),
      ofRoof: least / milliseconds,
      idle: Math.max(0, 1 - (kernels - overlap) / milliseconds),
      dispatches: subject.statistics.dispatches,
      bytes,
    };
  } finally {
    subject.dispose();
  }
}

/** A row in the columns of timm's `benchmark.py`, where it has one: times in ms, counts in millions and 10⁹; memory in MiB and shares are our own. */
export function columnsOf(row: ModelBenchRow): Record<string, string | number | null> {
  const round = (value: number, digits = 5) => Number(value.toPrecision(digits));
  const cells: Record<string, string | number | null> = { model: row.preset, precision: row.precision };
  for (const mode of MODEL_MODES) {
    const found = row.modes[mode];
    const refused = row.refused[mode];
    if (!found && refused === undefined) continue;
    cells[`${mode}_samples_per_sec`] = found ? round(found.patchesPerSecond) : null;
    cells[`${mode}_step_time`] = found ? round(found.milliseconds) : null;
    cells[`${mode}_step_time_p25`] = found ? round(found.p25) : null;
    cells[`${mode}_step_time_p75`] = found ? round(found.p75) : null;
    cells[`${mode}_batch_size`] = found?.batch ?? null;
    cells[`${mode}_img_size`] = row.size;
    if (mode === "infer") {
      cells["infer_gmacs"] = round(row.multiplyAdds / 1e9);
      cells["infer_macts"] = round(row.activations / 1e6);
    }
    cells[`${mode}_roof_share`] = found ? round(found.ofRoof, 3) : null;
    cells[`${mode}_idle_share`] = found ? round(found.idle, 3) : null;
    cells[`${mode}_memory`] = found ? round(found.bytes / 2 ** 20, 4) : null;
    if (refused !== undefined) cells[`${mode}_error`] = refused;
  }
  cells["param_count"] = round(row.parameters / 1e6, 4);
  return cells;
}
