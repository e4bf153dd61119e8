// Image operations on the device against what they mean: crops that are exact, noise that can be replayed, blurs that are Gaussian.
import { describe, expect, test } from "vitest";
import { f32, u32 } from "../../src/engine/engine.ts";
import { reshape, sizeOf, tensorOf, trace, type Tensor } from "../../src/engine/trace.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { adjust, affineCrop, blur, normalise, standardise } from "../../src/ops/image.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

const draw = (count: number) => {
  const random = randomStream(keyOfSeed(11), [3, 0, 0]);
  return Float32Array.from({ length: count }, () => random.uniform());
};

/** Runs one op on images of a shape; `others` are its further inputs. */
async function run(shape: readonly number[], x: Float32Array, others: Readonly<Record<string, Float32Array | Uint32Array>>, op: (x: Tensor, others: Readonly<Record<string, Tensor>>) => Tensor): Promise<number[]> {
  const specs = Object.fromEntries(Object.entries(others).map(([name, data]) => [name, data instanceof Uint32Array ? u32(data.length) : f32(shape[0]!, data.length / shape[0]!)]));
  const plan = await engine().plan(({ x: images, ...rest }) => ({ y: op(images!, rest) }), { x: f32(...shape), ...specs });
  const { y } = await plan.run({ x, ...others });
  plan.dispose();
  return [...y!];
}

describe("affineCrop", () => {
  const window = draw(2 * 6 * 6);
  const at = (image: number, row: number, column: number) => window[(image * 6 + row) * 6 + column]!;
  const crop = (matrices: number[][], size: number, border?: "mirror" | number) => run([2, 6, 6, 1], window, { matrix: Float32Array.from(matrices.flat()) }, (x, { matrix }) => affineCrop(x, matrix!, size, border));
  const patch = (of: (image: number, row: number, column: number) => number, size: number) => Array.from({ length: 2 * size * size }, (_, i) => of(Math.floor(i / size / size), Math.floor(i / size) % size, i % size));

  test("the identity cuts out the middle, a quarter turn and a flip move whole pixels", async () => {
    expect(await crop([[1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, -1]], 4)).toEqual(patch((image, r, c) => (image ? at(1, r, c + 2) : at(0, r + 1, c + 1)), 4));
    expect(await crop([[0, 1, 0, -1, 0, 0], [-1, 0, 0, 0, 1, 0]], 4)).toEqual(patch((image, r, c) => (image ? at(1, r + 1, 4 - c) : at(0, 4 - c, r + 1)), 4));
  });

  test("half a pixel on, each pixel is the mean of two", async () => {
    const got = await crop([[1, 0, 0.5, 0, 1, 0], [1, 0, 0, 0, 1, 0.5]], 4);
    const truth = patch((image, r, c) => (image ? (at(1, r + 1, c + 1) + at(1, r + 2, c + 1)) / 2 : (at(0, r + 1, c + 1) + at(0, r + 1, c + 2)) / 2), 4);
    got.forEach((value, i) => expect(Math.abs(value - truth[i]!)).toBeLessThanOrEqual(2 ** -23));
  });

  test("beyond the edges lies the mirror image, or the value given", async () => {
    const mirror = (i: number) => (i < 0 ? -1 - i : i > 5 ? 11 - i : i);
    const identity = [1, 0, 0, 0, 1, 0];
    expect(await crop([identity, identity], 8)).toEqual(patch((image, r, c) => at(image, mirror(r - 1), mirror(c - 1)), 8));
    expect(await crop([identity, identity], 8, 0.5)).toEqual(patch((image, r, c) => (r < 1 || c < 1 || r > 6 || c > 6 ? 0.5 : at(image, r - 1, c - 1)), 8));
  });
});

describe("adjust", () => {
  const n = 64 * 64;
  test("gain, offset and gamma are those of each image", async () => {
    const x = draw(2 * n);
    const y = await run([2, 64, 64, 1], x, { setting: Float32Array.of(1.5, -0.25, 1, 0, 0.5, 0.125, 2, 0), seed: Uint32Array.of(1, 2) }, (a, { setting, seed }) => adjust(a, setting!, seed!));
    // One product and one sum; the square by exp2 and log2 is within 8 ulp of 1, as the descriptor derives.
    y.forEach((value, i) => {
      const truth = i < n ? Math.max(0, 1.5 * x[i]! - 0.25) : (0.5 * x[i]! + 0.125) ** 2;
      expect(Math.abs(value - truth)).toBeLessThanOrEqual(8 * 2 ** -23);
    });
  });

  test("noise has mean 0 and the given deviation, returns with its seed, and differs by image, call and seed", async () => {
    const x = new Float32Array(2 * n).fill(100);
    const noise = (seed: readonly number[], calls = 1) =>
      run([2, 64, 64, 1], x, { setting: Float32Array.of(1, 0, 1, 2, 1, 0, 1, 2), seed: Uint32Array.from(seed) }, (a, { setting, seed: key }) => {
        for (let call = 1; call < calls; call++) adjust(a, setting!, key!);
        return adjust(a, setting!, key!);
      });
    const first = await noise([5, 6]);
    expect(await noise([5, 6])).toEqual(first);
    expect(first.slice(0, n)).not.toEqual(first.slice(n));
    expect(await noise([5, 7])).not.toEqual(first);
    expect(await noise([5, 6], 2)).not.toEqual(first);
    // Five standard errors of a mean and of a variance (the fourth moment of four uniform numbers is 2.7 σ⁴).
    const mean = first.reduce((a, b) => a + b) / first.length;
    const variance = first.reduce((a, b) => a + (b - 100) ** 2, 0) / first.length;
    expect(Math.abs(mean - 100)).toBeLessThan((5 * 2) / Math.sqrt(2 * n));
    expect(Math.abs(variance / 4 - 1)).toBeLessThan(5 * Math.sqrt(1.7 / (2 * n)));
  });
});

describe("blur", () => {
  test("an impulse becomes a Gaussian of each image's own width; 0 copies; the sum stays", async () => {
    const x = new Float32Array(3 * 21 * 21);
    for (let image = 0; image < 3; image++) x[(image * 21 + 10) * 21 + 10] = 1;
    const sigmas = [0, 1, 2.5];
    const y = await run([3, 21, 21, 1], x, { sigma: Float32Array.from(sigmas) }, (a, { sigma }) => blur(a, reshape(sigma!, [3])));
    sigmas.forEach((sigma, image) => {
      const weight = (k: number) => (sigma === 0 ? Number(k === 0) : Math.abs(k) <= Math.ceil(3 * sigma) ? Math.exp((-k * k) / 2 / sigma ** 2) : 0);
      const total = Array.from({ length: 21 }, (_, k) => weight(k - 10)).reduce((a, b) => a + b);
      for (let i = 0; i < 441; i++) {
        const truth = (weight((i % 21) - 10) * weight(Math.floor(i / 21) - 10)) / total ** 2;
        // Two passes of exp at an argument of 8 at most and a division, relative to a weight of at most 1.
        expect(Math.abs(y[image * 441 + i]! - truth)).toBeLessThan(2 * 22 * 2 ** -23);
      }
    });
  });
});

describe("normalisation", () => {
  const x = draw(3 * 100).map((value, i) => 1000 + 10 ** (Math.floor(i / 100) - 1) * value);
  test("by given numbers", async () => {
    const y = await run([3, 10, 10, 1], x, {}, (a) => normalise(a, 1000, 4));
    // 1/4 and the difference of neighbours are exact.
    expect(y).toEqual([...x].map((value) => (value - 1000) / 4));
  });
  test("by the image's own moments, however small its deviation beside its mean", async () => {
    const y = await run([3, 10, 10, 1], x, {}, (a) => standardise(a, 1e-6));
    for (let image = 0; image < 3; image++) {
      const own = [...x.subarray(image * 100, (image + 1) * 100)];
      const mean = own.reduce((a, b) => a + b) / 100;
      const deviation = Math.sqrt(own.reduce((a, b) => a + (b - mean) ** 2, 0) / 100);
      // The mean, near 1000, is rounded: some of its ulps of 2^-14, over the deviation; the rest is of order 2^-20.
      own.forEach((value, i) => expect(Math.abs(y[image * 100 + i]! - (value - mean) / deviation)).toBeLessThan((4 * 2 ** -14) / deviation + 2 ** -18));
    }
  });
  test("a flat image becomes zeros", async () => {
    expect(await run([1, 5, 5, 1], new Float32Array(25).fill(3), {}, (a) => standardise(a))).toEqual(new Array(25).fill(0));
  });
});

test("misuse is refused", () => {
  const leaf = (dtype: "f32" | "u32", ...shape: number[]): Tensor => tensorOf({ kind: "input", name: "x", dtype, count: sizeOf(shape) }, shape);
  const images = leaf("f32", 2, 4, 4, 1);
  const attempt = (build: () => Tensor) => () => trace(build);
  expect(attempt(() => affineCrop(leaf("f32", 4, 4), leaf("f32", 2, 6), 2))).toThrow(/images have shape \[4, 4\], expected \[b, h, w, c\]/);
  expect(attempt(() => affineCrop(images, leaf("f32", 3, 6), 2))).toThrow(/matrix is f32 \[3, 6\], expected f32 \[2, 6\]/);
  expect(attempt(() => affineCrop(images, leaf("f32", 2, 6), 1.5))).toThrow(/size is 1.5/);
  expect(attempt(() => adjust(images, leaf("f32", 2, 4), leaf("f32", 2)))).toThrow(/seed is f32 \[2\], expected u32 \[2\]/);
  expect(attempt(() => blur(images, leaf("f32", 2), -1))).toThrow(/reach is -1/);
  expect(attempt(() => normalise(images, 0, 0))).toThrow(/deviation is 0/);
});
