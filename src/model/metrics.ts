// What a step measured, as metrics.jsonl and TensorBoard have it.
import type { MetricsRecord } from "./run.ts";
import type { StepMetrics } from "./training.ts";

/** Steps from one TensorBoard record to the next: every step of a run of up to 200, at most 20; the last step has one in any case. */
export function eventsEvery(steps: number): number {
  return Math.min(20, Math.ceil(steps / 200));
}

/** The metrics in a line of metrics.jsonl. */
export function metricsOf(record: MetricsRecord): StepMetrics {
  const number = (key: string): number => (typeof record[key] === "number" ? record[key] : NaN);
  const rest = Object.entries(record).filter((entry): entry is [string, number | boolean] => entry[0] !== "step" && (typeof entry[1] === "number" || typeof entry[1] === "boolean"));
  return {
    ...Object.fromEntries(rest),
    loss: number("loss"),
    divergence: number("divergence"),
    anchors: number("anchors"),
    gradientNorm: number("gradientNorm"),
    learningRate: number("learningRate"),
    skipped: record["skipped"] === true,
  };
}

/** Those that are numbers, for TensorBoard. */
export function scalarsOf(metrics: StepMetrics): Map<string, number> {
  return new Map(Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}
