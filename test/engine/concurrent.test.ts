// Many small tasks: a few at a time, or shared out to workers.
import { expect, test } from "vitest";
import { runConcurrently, shareOut } from "../../src/engine/concurrent.ts";

const soon = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

test("results come in the order of the items, and never more than the limit are under way", async () => {
  let running = 0;
  let most = 0;
  const taken: number[] = [];
  const run = async (item: number) => {
    most = Math.max(most, ++running);
    await soon(item % 3);
    running--;
    return 10 * item;
  };
  await runConcurrently([5, 4, 3, 2, 1, 0], 3, run, (result, item, index) => taken.push(result, item, index));
  expect(taken).toEqual([5, 4, 3, 2, 1, 0].flatMap((item, index) => [10 * item, item, index]));
  expect(most).toBe(3);
});

test("units are shared out: each stays with one worker, in its order, and a worker that is free takes the next", async () => {
  const taken = new Map<string, string[]>();
  const workers = new Map<string, string[]>();
  const run = async (worker: string, item: string) => {
    workers.set(item[0]!, [...(workers.get(item[0]!) ?? []), worker]);
    await soon(item.startsWith("a") ? 20 : 1);
    return item.toUpperCase();
  };
  await shareOut([["a1", "a2"], ["b1"], ["c1", "c2", "c3"]], ["left", "right"], 2, run, (result) => taken.set(result[0]!, [...(taken.get(result[0]!) ?? []), result]));
  expect(Object.fromEntries(taken)).toEqual({ A: ["A1", "A2"], B: ["B1"], C: ["C1", "C2", "C3"] });
  expect(Object.fromEntries(workers)).toEqual({ a: ["left", "left"], b: ["right"], c: ["right", "right", "right"] });
});

test("the first error ends all workers, and is what is thrown", async () => {
  const begun: number[] = [];
  const run = async (_worker: string, item: number) => {
    begun.push(item);
    await soon(1);
    if (item === 1) throw new Error("one fails");
    return item;
  };
  const units = Array.from({ length: 50 }, (_, i) => [i]);
  await expect(shareOut(units, ["left", "right"], 1, run, () => undefined)).rejects.toThrow("one fails");
  expect(begun.length).toBeLessThan(10);
  // Also where the other worker is in the middle of a long unit.
  const long = Array.from({ length: 50 }, (_, i) => 100 + i);
  await expect(shareOut([long, [1]], ["left", "right"], 2, run, () => undefined)).rejects.toThrow("one fails");
});
