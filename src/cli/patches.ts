// Workers that read sections and cut patches while a model trains: threads that run patch-worker.ts.
import { availableParallelism } from "node:os";
import { dealSections, type PatchSource, type PatchWorkerHost } from "../data/patch-workers.ts";
import { DEFAULT_CACHE_BYTES } from "../data/sections.ts";
import { createThread } from "../host/node-threads.ts";

/** More than this do not make reading faster: they share one disk and one memory. */
const MOST = 4;

/** What a worker is given when it starts. Samples lie in memory that all share. */
export interface PatchWorkerData {
  readonly source: PatchSource;
  /** Of decoded sections. */
  readonly budgetBytes: number;
}

/** @param script patch-worker.ts, built */
export function patchWorkerHost(script: URL): PatchWorkerHost {
  return {
    most: Math.max(1, Math.min(MOST, availableParallelism() - 1)),
    start({ path, sections, samples }, count) {
      const numbers = (values: Float64Array): Float64Array => {
        const shared = new Float64Array(new SharedArrayBuffer(values.byteLength));
        shared.set(values);
        return shared;
      };
      const section = new Uint32Array(new SharedArrayBuffer(samples.section.byteLength));
      section.set(samples.section);
      const data: PatchWorkerData = { source: { path, sections, samples: { count: samples.count, section, x: numbers(samples.x), y: numbers(samples.y) } }, budgetBytes: Math.floor(DEFAULT_CACHE_BYTES / count) };
      const threads = Array.from({ length: count }, () => createThread("patches: a worker that cuts them (data.workers)", script, data));
      return dealSections(data.source, threads.map((thread) => ({ cut: async (request) => (await thread.ask(request)) as Float32Array, end: () => thread.end() })));
    },
  };
}
