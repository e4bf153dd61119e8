// Runs many small tasks a few at a time: while the device works on one, the host prepares and judges others.

/** Tasks in flight that keep device and host busy; more would only hold more memory. */
export const IN_FLIGHT = 4;

/**
 * Calls `run` on every item, at most `limit` at once, and hands each result to `take` in the order of the items.
 * The first error ends it: no further task is begun, those in flight are waited for, and the error is thrown.
 */
export async function runConcurrently<T, R>(items: readonly T[], limit: number, run: (item: T) => Promise<R>, take: (result: R, item: T, index: number) => void): Promise<void> {
  const waiting: Promise<R>[] = [];
  let begun = 0;
  const begin = () => {
    const promise = run(items[begun++] as T);
    promise.catch(() => undefined); // thrown where it is awaited below
    waiting.push(promise);
  };
  try {
    for (let index = 0; index < items.length; index++) {
      while (begun < items.length && begun < index + limit) begin();
      take(await waiting[index]!, items[index] as T, index);
    }
  } finally {
    await Promise.allSettled(waiting);
  }
}

/**
 * Shares `units` of items out to workers, each unit to the worker that is free first, and there runs its items as `runConcurrently` does;
 * `take` gets results in the order of the items within a unit. The first error ends it in the same way.
 */
export async function shareOut<T, R, W>(units: readonly (readonly T[])[], workers: readonly W[], limit: number, run: (worker: W, item: T) => Promise<R>, take: (result: R, item: T) => void): Promise<void> {
  let next = 0;
  let failed: { readonly error: unknown } | undefined;
  const work = async (worker: W): Promise<void> => {
    for (let unit = units[next++]; unit !== undefined && failed === undefined; unit = units[next++])
      await runConcurrently(unit, limit, (item) => (failed ? Promise.reject(failed.error) : run(worker, item)), take).catch((error: unknown) => void (failed ??= { error }));
  };
  await Promise.all(workers.map(work));
  if (failed) throw (failed as { readonly error: unknown }).error;
}
