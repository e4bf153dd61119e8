// `cytonet train --dry-run`: what a run would take, as rows; nothing is trained and nothing written.
import { formatBytes } from "../engine/errors.ts";
import type { Engine } from "../engine/engine.ts";
import type { TrainConfig } from "../model/config.ts";
import { MEMORY_PURPOSES, planTraining, type DryRun } from "../model/dry-run.ts";
import { measureRoofs } from "../profile/profile.ts";
import { withoutData } from "../profile/subjects.ts";
import { formatRate, formatTime } from "../profile/units.ts";
import type { Format } from "./arguments.ts";
import { formatRows, type Row } from "./output.ts";

/** Plans the run that a configuration stands for, on peaks of the device that are measured for it. */
export async function formatDryRun(engine: Engine, given: TrainConfig, format: Format): Promise<string> {
  // What data would decide (intensities, lengths) changes no size.
  const config = withoutData(given);
  const found = await planTraining(engine, config, () => measureRoofs(engine));
  const { adapter, kind } = engine.device.fingerprint;
  return formatRows(format, "cytonet-train-dry-run/1", rowsOf(config, found), { head: { config: given, device: { adapter, kind } }, tail: { recomputed: found.recomputed } });
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
    row("of these computed again", found.recomputed.length, "", found.recomputed.length === 0 ? "none" : `${found.recomputed.length} operations`),
    row("operations in a step", found.flops, "FLOP", `${(found.flops / 1e9).toPrecision(4)} GFLOP`),
    row("bytes moved in a step", found.bytesMoved, "B", formatBytes(found.bytesMoved)),
    ...time("time of a step at least", seconds),
    ...time("of that computing again", recomputedSeconds),
    ...(peaks ? [row("peak of arithmetic", peaks.flops, "FLOP/s", formatRate(peaks.flops, "FLOP/s")), row("peak of memory", peaks.bytes, "B/s", formatRate(peaks.bytes, "B/s"))] : []),
  ];
}
