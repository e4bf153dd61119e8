// `cytonet bench model`: patches a second of inference and training, by preset, size, batch and precision, in timm's columns.
import { EXIT_CODES, UserError } from "../../errors.ts";
import { findPreset } from "../../model/presets.ts";
import { benchModels, columnsOf, MODEL_MODES, type ModelMode } from "../../profile/model-bench.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress } from "../progress.ts";
import { settingsOf } from "./train.ts";

export interface BenchModelFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly preset?: readonly string[];
  readonly patch?: readonly number[];
  readonly batch?: readonly number[];
  readonly dtype?: "f32" | "f16";
  readonly mode?: ModelMode;
  readonly set?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
}

const SCHEMA = "cytonet-bench-model/1";
/** Places in a neighbourhood group, unless --set says otherwise: it divides any usual batch. */
const GROUP_SIZE = 4;
const BATCH = 64;

export async function runBenchModel(flags: BenchModelFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const presets = flags.preset ?? ["tiny", "vit-tiny"];
  presets.forEach(findPreset);
  const settings: Record<string, unknown> = { "batch.groupSize": GROUP_SIZE, ...settingsOf(flags.set === undefined ? {} : { set: flags.set }) };
  for (const key of ["preset", "precision", "data.patch", "batch.groups"])
    if (key in settings) throw new UserError(EXIT_CODES.usage, `cytonet bench model: --set ${key}, expected --preset, --dtype, --patch or --batch instead`);
  const stop = listenForStop(() => process.stderr.write("stopping after this model; what is measured is kept\n"));
  const progress = createProgress();
  const end = performance.now() + 1000 * (flags.seconds ?? Infinity);
  try {
    const report = await withEngine(flags, (engine) =>
      benchModels(engine, {
        presets,
        sizes: flags.patch ?? [],
        batches: flags.batch ?? [BATCH],
        precisions: flags.dtype ? [flags.dtype] : engine.device.traits.features.has("shader-f16") ? ["f32", "f16"] : ["f32"],
        modes: flags.mode ? [flags.mode] : MODEL_MODES,
        settings,
        ...(flags.rounds === undefined ? {} : { runs: flags.rounds }),
        stop: () => stop.signal.aborted || performance.now() > end,
        onProgress: (text) => progress.update(text),
      }),
    );
    progress.end("");
    const { rows, ...head } = report;
    const cells = rows.map(columnsOf);
    await emit(flags.format === "table" ? printTable(cells) : formatRows(flags.format, SCHEMA, cells, { head }), flags.output);
    if (report.left.length > 0) process.stderr.write(`not begun: ${report.left.join(", ")}\n`);
    process.exitCode = stop.code() ?? EXIT_CODES.ok;
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** The table has a line for each model and mode, narrow enough for a terminal; the other formats have timm's columns. */
function printTable(rows: readonly Row[]): string {
  const lines = rows.flatMap((row) =>
    MODEL_MODES.filter((mode) => `${mode}_img_size` in row).map((mode): Row => {
      const cell = (name: string) => row[`${mode}_${name}`] ?? null;
      const percent = (name: string) => (typeof row[`${mode}_${name}`] === "number" ? `${Math.round(100 * Number(row[`${mode}_${name}`]))} %` : "");
      return {
        model: row["model"] ?? null,
        mode,
        px: cell("img_size"),
        type: row["precision"] ?? null,
        batch: cell("batch_size"),
        "patches/s": cell("samples_per_sec"),
        ms: cell("step_time"),
        "of roof": percent("roof_share"),
        idle: percent("idle_share"),
        MiB: cell("memory"),
        Mparam: row["param_count"] ?? null,
        ...(cell("error") === null ? {} : { error: cell("error") }),
      };
    }),
  );
  return formatRows("table", SCHEMA, lines);
}
