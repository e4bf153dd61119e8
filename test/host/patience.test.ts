// Resting while a device works: nothing is lost, nothing is late, and the processor is left to others.
import { expect, test } from "vitest";
import { createPatience } from "../../src/host/node-patience.ts";

test("results and failures come through as they are, and other work of the event loop goes on", async () => {
  const patience = createPatience();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const slow = patience(new Promise<string>((resolve) => setTimeout(() => resolve("done"), 200)));
  const failed = patience(new Promise<string>((_, reject) => setTimeout(() => reject(new Error("no")), 50)));
  await expect(failed).rejects.toThrow("no");
  expect(await slow).toBe("done");
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(3);
});

test("a wait costs a small part of the processor time that asking without pause does", async () => {
  const spend = async (wait: <T>(promise: Promise<T>) => Promise<T>): Promise<number> => {
    const before = process.cpuUsage();
    let waiting = true;
    // What Dawn does: it asks in every round of the event loop.
    const ask = (): void => void (waiting && setImmediate(ask));
    ask();
    await wait(new Promise((resolve) => setTimeout(resolve, 300)));
    waiting = false;
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const asking = await spend((promise) => promise);
  expect(await spend(createPatience())).toBeLessThan(asking / 2);
});
