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
