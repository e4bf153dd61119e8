// Random numbers on the device: the published vectors of Philox, the host's own bits, and the statistics of dropout.
import { describe, expect, test } from "vitest";
import { f32, u32 } from "../../src/engine/engine.ts";
import { philox4x32 } from "../../src/kernel/rng.ts";
import { dropout, randomWords } from "../../src/ops/dropout.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

describe("Philox on the device", () => {
  // Known answers of Random123, as in test/rng.test.ts.
  const vectors: [readonly [number, number, number, number], readonly [number, number], readonly number[]][] = [
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ];
  test.each(vectors)("counter %j under key %j", async ([c0, c1, c2, c3], key, want) => {
    const plan = await engine().plan(({ seed }) => ({ y: randomWords(seed, 1, [c1, c2, c3], c0) }), { seed: u32(2) });
    const { y } = await plan.run({ seed: Uint32Array.from(key) });
    expect([...y!]).toEqual(want);
    plan.dispose();
  });

  test("a thousand draws are the host's", async () => {
    const plan = await engine().plan(({ seed }) => ({ y: randomWords(seed, 1000, [5, 6, 7], 0xfffffe00) }), { seed: u32(2) });
    const { y } = await plan.run({ seed: Uint32Array.of(11, 12) });
    const want = Array.from({ length: 1000 }, (_, i) => philox4x32([(0xfffffe00 + i) >>> 0, 5, 6, 7], [11, 12])).flat();
    expect([...y!]).toEqual(want);
    plan.dispose();
  });
});

describe("dropout", () => {
  const N = 20_000;
  const ones = new Float32Array(N).fill(1);

  test("keeps the share that it should, scaled so that the mean stays", async () => {
    const rate = 0.3;
    const plan = await engine().plan(({ x, seed }) => ({ y: dropout(x, rate, seed) }), { x: f32(N), seed: u32(2) });
    const { y } = await plan.run({ x: ones, seed: Uint32Array.of(1, 2) });
    const kept = y!.filter((v) => v !== 0);
    // The count of a binomial distribution: five standard deviations are left with probability 6e-7, and the seed is fixed.
    expect(Math.abs(kept.length - (1 - rate) * N)).toBeLessThan(5 * Math.sqrt(N * rate * (1 - rate)));
    const scaled = new Set(kept);
    expect(scaled.size).toBe(1);
    expect(Math.abs([...scaled][0]! - 1 / (1 - rate))).toBeLessThan(2 ** -22);
    plan.dispose();
  });

  test("calls, seeds and runs: other calls and seeds give other masks, the same seed the same", async () => {
    const plan = await engine().plan(({ x, seed }) => ({ a: dropout(x, 0.5, seed), b: dropout(x, 0.5, seed) }), { x: f32(N), seed: u32(2) });
    const first = await plan.run({ x: ones, seed: Uint32Array.of(1, 2) });
    const other = await plan.run({ x: ones, seed: Uint32Array.of(1, 3) });
    const again = await plan.run({ x: ones, seed: Uint32Array.of(1, 2) });
    expect(again).toEqual(first);
    const equal = (p: ArrayLike<number>, q: ArrayLike<number>) => Array.from(p).filter((v, i) => v === q[i]).length;
    // Independent masks agree in half of the elements, within five standard deviations.
    const bound = 5 * Math.sqrt(N / 4);
    expect(Math.abs(equal(first["a"]!, first["b"]!) - N / 2)).toBeLessThan(bound);
    expect(Math.abs(equal(first["a"]!, other["a"]!) - N / 2)).toBeLessThan(bound);
    plan.dispose();
  });

  test("a rate of 0 changes nothing, a rate of 1 is refused", async () => {
    const plan = await engine().plan(({ x, seed }) => ({ y: dropout(x, 0, seed), z: dropout(x, 0.5, seed) }), { x: f32(N), seed: u32(2) });
    expect(plan.program.nodes.length).toBe(1);
    const { y } = await plan.run({ x: ones, seed: Uint32Array.of(1, 2) });
    expect(y).toEqual(ones);
    plan.dispose();
    await expect(engine().plan(({ x, seed }) => ({ y: dropout(x, 1, seed) }), { x: f32(4), seed: u32(2) })).rejects.toThrow("rate 1, expected a number from 0 to below 1");
  });
});
