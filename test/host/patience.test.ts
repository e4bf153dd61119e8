// Resting while a device works: nothing is lost, nothing is late, and Dawn asks seldom.
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

test("whoever asks in every round of the event loop asks far less often", async () => {
  const count = async (wait: <T>(promise: Promise<T>) => Promise<T>): Promise<number> => {
    let [waiting, asked] = [true, 0];
    // What Dawn does.
    const ask = (): void => void (waiting && (asked++, setImmediate(ask)));
    ask();
    await wait(new Promise((resolve) => setTimeout(resolve, 300)));
    waiting = false;
    return asked;
  };
  const without = await count((promise) => promise);
  expect(await count(createPatience())).toBeLessThan(without / 10);
});
