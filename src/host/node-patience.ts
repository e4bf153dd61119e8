// Waiting in Node for what a CPU adapter computes: Dawn asks without pause whether it is done, on a core that the adapter itself needs.

/** Part of the time waited so far for which the thread sleeps before it looks again: by as much, at most, is a result seen late. */
const SHARE = 1 / 16;
/** Longest sleep, ms: other work of the event loop is not to wait for longer. */
const LONGEST = 1;
/** Sleeps that are shorter, ms, take longer than they say: until then the thread does not sleep. */
const SHORTEST = 0.02;

/**
 * Makes a function that gives promises of a device back as they are, and while any of them is open, lets the thread sleep for moments between two rounds of the event loop.
 * On two cores, where lavapipe computes with two threads, a third one that only asks takes a third of both: kernels are 1.5 times as fast without it.
 */
export function createPatience(): <T>(promise: Promise<T>) => Promise<T> {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let open = 0;
  let since = 0;
  let scheduled = false;
  const rest = (): void => {
    scheduled = false;
    if (open === 0) return;
    const nap = Math.min(LONGEST, (performance.now() - since) * SHARE);
    if (nap >= SHORTEST) Atomics.wait(cell, 0, 0, nap);
    schedule();
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(rest);
  };
  const settled = (): void => {
    open--;
    since = performance.now();
  };
  return (promise) => {
    open++;
    since = performance.now();
    schedule();
    promise.then(settled, settled);
    return promise;
  };
}
