// `cytonet train --dry-run`: what a run would take, as rows; nothing is trained and nothing written.
import { formatBytes } from "../engine/errors.ts";
import type { Engine } from "../engine/engine.ts";
import type { TrainConfig } from "../model/config.ts";
import { MEMORY_PURPOSES, planTraining, type DryRun } from "../model/dry-run.ts";
import { fitBatch, type Fitted } from "../model/fit.ts";
import { memoryOf, NoRoom } from "../model/memory.ts";
import { measureRoofs } from "../profile/profile.ts";
import { withoutData } from "../profile/subjects.ts";
import { formatRate, formatTime } from "../profile/units.ts";
import type { Format } from "./arguments.ts";
import { formatRows, type Row } from "./output.ts";

/** What a dry run prints, and why the run would be refused, if it would. */
export interface DryRunText {
  readonly text: string;
  readonly note?: string;
  readonly refusal?: NoRoom;
}

/**
 * Plans the run that a configuration stands for, on peaks of the device that are measured for it. One that does not fit into its memory is shown as it would
 * be without that limit.
 */
export async function formatDryRun(engine: Engine, given: TrainConfig, format: Format): Promise<DryRunText> {
  // What data would decide (intensities, lengths) changes no size.
  const asked = withoutData(given);
  let refusal: NoRoom | undefined;
  const { config, note } = await fitBatch(engine, asked).catch((error: unknown): Fitted => {
    if (!(error instanceof NoRoom)) throw error;
    refusal = error;
    return { config: { ...asked, memory: Number.MAX_SAFE_INTEGER } };
  });
  const planned = await planTraining(engine, config, () => measureRoofs(engine));
  const found = { ...planned, budget: memoryOf(asked, engine.device) };
  const { adapter, kind } = engine.device.fingerprint;
  const text = formatRows(format, "cytonet-train-dry-run/1", rowsOf(config, found), { head: { config: { ...given, batch: { ...given.batch, micro: config.batch.micro } }, device: { adapter, kind } }, tail: { recomputed: found.recomputed } });
  return { text, ...(note === undefined ? {} : { note }), ...(refusal ? { refusal } : {}) };
}

/** One quantity a row: its value in its unit, and as people read it. */
export function rowsOf(config: TrainConfig, found: DryRun): Row[] {
  const patches = config.batch.groups * config.batch.groupSize * config.batch.views;
  const { memory, total, budget, seconds, recomputedSeconds, peaks } = found;
  const row = (quantity: string, value: number | null, unit: string, reads: string): Row => ({ quantity, value, unit, reads });
  const count = (value: number) => (value >= 1e6 ? `${(value / 1e6).toPrecision(4)} million` : String(value));
  const time = (quantity: string, value: number | undefined) => (value === undefined ? [] : [row(quantity, value, "s", value >= 1 ? `${value.toPrecision(4)} s` : formatTime(1e3 * value))]);
  return [
    row("patches in a step", patches, "", `${patches} of ${config.data.patch} px, ${config.precision}`),
    row("parameters", found.parameters, "", count(found.parameters)),
    ...MEMORY_PURPOSES.map((purpose) => row(`memory: ${purpose}`, memory[purpose], "B", formatBytes(memory[purpose]))),
    row("memory: total", total, "B", formatBytes(total)),
    row("memory: budget", budget ?? null, "B", budget === undefined ? "none; --memory gives one" : formatBytes(budget)),
    row("dispatches in a step", found.dispatches, "", String(found.dispatches)),
    row("of these computed again", found.recomputedDispatches, "", found.recomputedDispatches === 0 ? "none" : `${found.recomputedDispatches}, of ${found.recomputed.length} operations`),
    row("operations in a step", found.flops, "FLOP", `${(found.flops / 1e9).toPrecision(4)} GFLOP`),
    row("bytes moved in a step", found.bytesMoved, "B", formatBytes(found.bytesMoved)),
    ...time("time of a step at least", seconds),
    ...time("of that computing again", recomputedSeconds),
    ...(peaks ? [row("peak of arithmetic", peaks.flops, "FLOP/s", formatRate(peaks.flops, "FLOP/s")), row("peak of memory", peaks.bytes, "B/s", formatRate(peaks.bytes, "B/s"))] : []),
  ];
}
