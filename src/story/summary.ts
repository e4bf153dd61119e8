// The story's numbers as JSON, for programs: the words of the probe, and what made them.
import type { JsonObject } from "../data/json.ts";
import type { Story } from "./story.ts";

export const SUMMARY_SCHEMA = "cytonet-demo/2";

export interface SummaryExtras {
  /** Of everything, start and end included. */
  readonly seconds: number;
  readonly environment: JsonObject;
  /** Paths of what was written, by name. */
  readonly files: Readonly<Record<string, string>>;
}

/** Steps that the first and the last loss are averaged over: single batches differ. In short runs fewer, so that none is in both. */
export function countAveraged(steps: number): number {
  return Math.max(1, Math.min(10, Math.floor(steps / 2)));
}

/** A document with the fields of `cytonet probe`'s report (`probe`, `knn`, `baselines`, `differences`, …) beside those of training. */
export function summariseStory(story: Story, { seconds, environment, files }: SummaryExtras): Readonly<Record<string, unknown>> {
  const { schema: probeSchema, ...probe } = story.probe;
  const last = story.losses.at(-1);
  const mean = (some: Story["losses"]) => some.reduce((sum, { loss, floor }) => sum + loss - floor, 0) / Math.max(1, some.length);
  const { of: _, ...parcels } = story.parcels;
  const averagedSteps = countAveraged(story.losses.length);
  return {
    schema: SUMMARY_SCHEMA,
    probeSchema,
    version: story.version,
    finished: story.finished,
    adapter: story.device,
    phantom: story.phantom,
    brains: story.dataset.brains,
    samples: story.dataset.samples,
    steps: story.losses.length,
    parameters: story.parameters,
    loss: { last: last?.loss ?? null, floor: last?.floor ?? null, aboveFloorFirst: mean(story.losses.slice(0, averagedSteps)), aboveFloorLast: mean(story.losses.slice(-averagedSteps)), averagedSteps },
    throughput: story.throughput,
    seconds: Number(seconds.toFixed(1)),
    stages: story.seconds,
    ...probe,
    parcels,
    neighbours: { hits: story.patches.hits, chance: story.patches.chance, asked: story.patches.asked },
    shareOfVariance: story.share,
    config: story.config,
    environment,
    files,
  };
}
