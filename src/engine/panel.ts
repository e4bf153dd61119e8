// The devtools' performance panel: every command of a timeline as a measure on a track of its own (Chrome's extensibility API).
import type { Timeline } from "./timing.ts";

/** The track group under which the panel shows the lanes. */
export const PANEL_GROUP = "cytonet";

/**
 * Adds what a timeline holds to the performance timeline of the page, or of Node: lanes "GPU" and "host". Chrome's panel draws them
 * where it records; elsewhere they are plain measures, `performance.getEntriesByType("measure")`, whose `detail.devtools` names the track.
 * Source: developer.chrome.com/docs/devtools/performance/extension, "Inject your data with the User Timings API".
 */
export function addToPanel({ spans, host, origin, clock }: Timeline, label: string): void {
  const add = (name: string, track: string, start: number, end: number, color: string, properties: readonly (readonly [string, string])[]) =>
    performance.measure(name, {
      start: Math.max(0, start),
      end: Math.max(0, start, end),
      detail: { devtools: { dataType: "track-entry", track, trackGroup: PANEL_GROUP, color, tooltipText: `${name} (${label})`, properties } },
    });
  for (const { name, begin, end } of host) add(name, "host", begin, end, "secondary", [["plan", label]]);
  for (const { key, path, sizes, begin, end, flops, bytes } of spans) {
    const rate = (amount: number) => (end > begin ? (amount / (end - begin) / 1e6).toFixed(2) : "–");
    add(key, clock === "device" ? "GPU" : "GPU, by the host's clock", origin + begin, origin + end, "primary", [["operation", path], ["sizes", sizes], ["GFLOP/s", rate(flops)], ["GB/s", rate(bytes)]]);
  }
}
