// The watch over a run's gradients: what counts as a spike, what is done about one, and when steps that are skipped end the run. Pure.
import type { Json, JsonObject } from "../data/json.ts";
import { isList } from "../data/json.ts";
import type { TrainConfig } from "./config.ts";

/** Steps without a finite gradient in a row after which a run is given up. */
export const MAX_SKIPPED = 8;
/** Spikes in a row after which their level is taken for the new one: what lasts is no spike. */
export const MAX_SPIKES = 8;
/** Norms that must be known before one is called a spike. */
export const LEAST_NORMS = 16;
/** Times that a run goes back to one and the same checkpoint. */
export const MAX_REWINDS = 3;

/** Everything of the watch that decides the next step; a checkpoint keeps it. */
export type WatchState = {
  /** Of the latest steps that were taken, oldest first. */
  readonly norms: readonly number[];
  readonly skipped: number;
  readonly spikes: number;
  readonly spikesInARow: number;
  /** How often the run went back; each time it goes on with data in another order. */
  readonly rewinds: number;
  /** The step it went back to last, and how often in a row. */
  readonly rewoundTo: number;
  readonly rewindsThere: number;
};

export const FRESH_WATCH: WatchState = { norms: [], skipped: 0, spikes: 0, spikesInARow: 0, rewinds: 0, rewoundTo: -1, rewindsThere: 0 };

type SpikeSettings = TrainConfig["spike"];

/** The largest norm that the next gradient may have: beyond it the device takes no step. 0: any. An f32 number, so that host and device compare alike. */
export function spikeLimit({ action, threshold }: SpikeSettings, { norms }: Pick<WatchState, "norms">): number {
  if (action === "none" || norms.length < LEAST_NORMS) return 0;
  const middle = median(norms);
  // 1.4826 MAD is the standard deviation of a normal distribution. Norms that hardly vary must not make a spike of every small rise.
  const deviation = Math.max(1.4826 * median(norms.map((norm) => Math.abs(norm - middle))), 0.1 * middle);
  return Math.fround(middle + threshold * deviation);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export type Verdict = "taken" | "not finite" | "spike";

/** What a step was, and the watch after it. `limit` is what the step ran with. */
export function judgeStep({ action, window }: SpikeSettings, state: WatchState, { skipped, gradientNorm }: { readonly skipped: boolean; readonly gradientNorm: number }, limit: number): { verdict: Verdict; state: WatchState } {
  if (!skipped) return { verdict: "taken", state: { ...state, norms: action === "none" ? [] : [...state.norms, gradientNorm].slice(-window), spikesInARow: 0 } };
  const counted = { ...state, skipped: state.skipped + 1 };
  // The norm of a gradient that is not finite is told as 0.
  if (!(limit > 0 && gradientNorm > limit)) return { verdict: "not finite", state: counted };
  const spikesInARow = state.spikesInARow + 1;
  const lasting = spikesInARow >= MAX_SPIKES;
  return { verdict: "spike", state: { ...counted, spikes: state.spikes + 1, spikesInARow: lasting ? 0 : spikesInARow, norms: lasting ? [] : state.norms } };
}

/** The watch once the run has gone back to `step`, where it stood as `then`; undefined where it went back there too often already. */
export function rewindWatch(now: WatchState, then: WatchState, step: number): WatchState | undefined {
  const rewindsThere = now.rewoundTo === step ? now.rewindsThere + 1 : 1;
  if (rewindsThere > MAX_REWINDS) return undefined;
  return { ...then, skipped: now.skipped, spikes: now.spikes, rewinds: now.rewinds + 1, rewoundTo: step, rewindsThere };
}

/** The step of the checkpoint that a run at `step` goes back to: one that is written whether or not the run was ever stopped in between. */
export function anchorOf(step: number, every: number): number {
  return Math.floor(step / every) * every;
}

/** The seed of data order and augmentation after so many rewinds: that of the run at first. */
export function orderSeed(seed: number, rewinds: number): number {
  return (seed + Math.imul(rewinds, 0x9e3779b1)) >>> 0;
}

/** Reads what a checkpoint keeps; undefined where it is none. */
export function readWatch(value: JsonObject): WatchState | undefined {
  const isNumber = (one: Json | undefined): one is number => typeof one === "number" && Number.isFinite(one);
  const { norms, skipped, spikes, spikesInARow, rewinds, rewoundTo, rewindsThere } = value;
  if (!isList(norms ?? null) || ![skipped, spikes, spikesInARow, rewinds, rewoundTo, rewindsThere].every(isNumber)) return undefined;
  const list = norms as readonly Json[];
  return list.every(isNumber) ? ({ norms: list, skipped, spikes, spikesInARow, rewinds, rewoundTo, rewindsThere } as WatchState) : undefined;
}
