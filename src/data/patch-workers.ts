// Windows cut elsewhere than in this thread: sections are dealt to workers, so that none is decoded twice, and what they cut is put together.
import type { Dataset } from "./dataset.ts";
import type { WindowOptions } from "./sections.ts";

/** What of a dataset is needed to cut windows. */
export interface PatchSource extends Pick<Dataset, "path" | "sections"> {
  readonly samples: Pick<Dataset["samples"], "count" | "section" | "x" | "y">;
}

/** Cuts windows as `cropWindows` does, to the same bits, without holding up the thread that asks. */
export interface PatchWorkers {
  cut(indices: Uint32Array, size: number, options: WindowOptions): Promise<Float32Array>;
  /** Ends the workers; what was asked and not answered is never answered. */
  dispose(): Promise<void>;
}

/** How a host starts them. */
export interface PatchWorkerHost {
  /** As many as this machine has processors for, besides what else goes on. */
  readonly most: number;
  start(source: PatchSource, count: number): PatchWorkers;
}

/** A piece of work: windows of samples of one section. */
export interface PatchRequest {
  readonly indices: Uint32Array;
  readonly size: number;
  readonly options: Omit<WindowOptions, "signal">;
}

/** One worker: it answers requests in the order in which they come. */
export interface PatchWorker {
  cut(request: PatchRequest): Promise<Float32Array>;
  end(): Promise<void>;
}

/** The rows of a request whose samples are of one section, section by section in the order in which they first come. */
function groupBySection({ samples }: PatchSource, indices: Uint32Array): [section: number, rows: number[]][] {
  const groups = new Map<number, number[]>();
  indices.forEach((sample, row) => {
    const section = samples.section[sample];
    if (section === undefined) throw new RangeError(`patches: sample ${sample}, expected 0 to ${samples.count - 1}`);
    const rows = groups.get(section);
    if (rows) rows.push(row);
    else groups.set(section, [row]);
  });
  return [...groups];
}

/** What a promise comes to, unless the signal is aborted first: then its reason is thrown. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Deals the sections to the workers. */
export function dealSections(source: PatchSource, workers: readonly PatchWorker[]): PatchWorkers {
  return {
    async cut(indices, size, { signal, ...options }) {
      signal?.throwIfAborted();
      const groups = groupBySection(source, indices);
      const asked = groups.map(([section, rows]) => workers[section % workers.length]!.cut({ indices: Uint32Array.from(rows, (row) => indices[row]!), size, options }));
      const parts = (await unlessAborted(Promise.allSettled(asked), signal)).map((end) => {
        // Of several errors that of the first section, whichever worker met its own first.
        if (end.status === "rejected") throw end.reason;
        return end.value;
      });
      if (parts.length === 1) return parts[0]!;
      const windows = new Float32Array(indices.length * size * size);
      groups.forEach(([, rows], g) => rows.forEach((row, k) => windows.set(parts[g]!.subarray(k * size * size, (k + 1) * size * size), row * size * size)));
      return windows;
    },
    dispose: async () => void (await Promise.all(workers.map((worker) => worker.end()))),
  };
}
