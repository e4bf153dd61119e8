// What ops mean, at drawn shapes: forward in f64 against index arithmetic written here, gradients as everywhere.
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/engine/interpret.ts";
import { sizeOf, tensorOf, trace, type Storage, type Tensor } from "../../src/engine/trace.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { add, divide, multiply, subtract } from "../../src/ops/arithmetic.ts";
import { checkGradient } from "../../src/ops/gradcheck.ts";
import type { GradientCase } from "../../src/ops/gradient-case.ts";
import { crossEntropy, mse } from "../../src/ops/loss.ts";
import { max, mean, sum } from "../../src/ops/reduce.ts";
import { concat, expand, pad, slice, transpose } from "../../src/ops/shape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { useEngine } from "../support/engine.ts";

/** Host tensor: the specification that ops are held against. */
interface Host {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

function indicesOf(shape: readonly number[]): number[][] {
  return Array.from({ length: sizeOf(shape) }, (_, flat) => shape.map((extent, i) => Math.floor(flat / sizeOf(shape.slice(i + 1))) % extent));
}
function at({ shape, data }: Host, index: readonly number[]): number {
  return data[index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0)]!;
}
function build(shape: readonly number[], value: (index: number[]) => number): Host {
  return { shape, data: Float64Array.from(indicesOf(shape), value) };
}

/** Runs an op on host tensors in f64. */
function evaluate(op: (...x: Tensor[]) => Tensor, ...inputs: Host[]): Host {
  const values = new Map<Storage, Float64Array>();
  const { result, nodes } = trace(() =>
    op(
      ...inputs.map(({ shape, data }, i) => {
        const storage: Storage = { kind: "input", name: `input ${i}`, dtype: "f32", count: data.length };
        values.set(storage, data);
        return tensorOf(storage, shape);
      }),
    ),
  );
  return { shape: result.shape, data: interpret({ nodes, outputs: new Map([["y", result.storage]]) }, { inputs: values }).get("y")! };
}

function expectSame(got: Host, want: Host): void {
  expect(got.shape).toEqual(want.shape);
  // f64 sums in another order: each of at most a thousand additions rounds by 2^-53 of a partial sum below a thousand.
  got.data.forEach((value, i) => expect(Math.abs(value - want.data[i]!)).toBeLessThanOrEqual(1e6 * 2 ** -53));
}

const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

function drawer(seed: number) {
  const { uniform, below } = randomStream(keyOfSeed(seed), [3, 0, 0]);
  const shape = (rank: number, most = 7) => Array.from({ length: rank }, () => 1 + below(most));
  const host = (of: readonly number[]): Host => build(of, () => 2 * uniform() - 1);
  return { below, shape, host };
}

describe.each(SEEDS)("drawn shapes, seed %i", (seed) => {
  test("arithmetic broadcasts", () => {
    const { below, shape, host } = drawer(seed);
    const full = shape(1 + below(4));
    // At most four alternating groups exist in four dimensions, so any mask will do.
    const part = () => full.map((extent) => (below(2) ? extent : 1)).slice(below(full.length));
    const [a, b] = [host(part()), build(part(), () => 0.5 + below(100) / 50)];
    const rank = Math.max(a.shape.length, b.shape.length);
    const extent = (x: Host, i: number) => x.shape[i - (rank - x.shape.length)] ?? 1;
    const result = Array.from({ length: rank }, (_, i) => Math.max(extent(a, i), extent(b, i)));
    const read = (x: Host, index: readonly number[]) => at(x, index.slice(rank - x.shape.length).map((i, axis) => (x.shape[axis] === 1 ? 0 : i)));
    const each = (f: (p: number, q: number) => number) => build(result, (index) => f(read(a, index), read(b, index)));
    expectSame(evaluate(add, a, b), each((p, q) => p + q));
    expectSame(evaluate(subtract, a, b), each((p, q) => p - q));
    expectSame(evaluate(multiply, a, b), each((p, q) => p * q));
    expectSame(evaluate(divide, a, b), each((p, q) => p / q));
    expectSame(evaluate((x) => expand(x, result), a), build(result, (index) => read(a, index)));
  });

  test("reductions take the axes they are told", () => {
    const { below, shape, host } = drawer(seed);
    const x = host([...shape(1 + below(3)), 1 + below(150)]);
    const axes = x.shape.flatMap((_, i) => (below(2) ? [below(2) ? i : i - x.shape.length] : []));
    const reduced = new Set(axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis)));
    const kept = x.shape.map((extent, i) => (reduced.has(i) ? 1 : extent));
    const gathered = (f: (values: number[]) => number) => build(kept, (index) => f(indicesOf(x.shape).filter((other) => other.every((i, axis) => reduced.has(axis) || i === index[axis])).map((other) => at(x, other))));
    const total = (values: number[]) => values.reduce((p, q) => p + q, 0);
    expectSame(evaluate((t) => sum(t, axes, true), x), gathered(total));
    expectSame(evaluate((t) => mean(t, axes, true), x), gathered((values) => total(values) / values.length));
    const top = gathered((values) => Math.max(...values));
    expectSame(evaluate((t) => max(t, axes), x), { shape: x.shape.filter((_, i) => !reduced.has(i)), data: top.data });
  });

  test("slices, pads, permutations and joins put elements where they say", () => {
    const { below, shape, host } = drawer(seed);
    const x = host(shape(1 + below(4)));
    const rank = x.shape.length;
    const start = x.shape.map((extent) => below(extent));
    const size = x.shape.map((extent, i) => 1 + below(extent - start[i]!));
    expectSame(evaluate((t) => slice(t, start, size), x), build(size, (index) => at(x, index.map((i, axis) => i + start[axis]!))));

    const [before, after] = [x.shape.map(() => below(3)), x.shape.map(() => below(3))];
    const padded = x.shape.map((extent, i) => before[i]! + extent + after[i]!);
    const inside = (index: readonly number[]) => index.every((i, axis) => i >= 0 && i < x.shape[axis]!);
    expectSame(
      evaluate((t) => pad(t, before, after), x),
      build(padded, (index) => {
        const from = index.map((i, axis) => i - before[axis]!);
        return inside(from) ? at(x, from) : 0;
      }),
    );

    const order = x.shape.map((_, i) => i);
    for (let i = rank - 1; i > 0; i--) {
      const j = below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    expectSame(
      evaluate((t) => transpose(t, order), x),
      build(order.map((axis) => x.shape[axis]!), (index) => at(x, x.shape.map((_, axis) => index[order.indexOf(axis)]!))),
    );

    const axis = below(rank);
    const parts = Array.from({ length: 2 + below(5) }, () => host(x.shape.map((extent, i) => (i === axis ? 1 + below(5) : extent))));
    const ends = parts.map((_, i) => parts.slice(0, i + 1).reduce((total, part) => total + part.shape[axis]!, 0));
    expectSame(
      evaluate((...t) => concat(t, axis - rank), ...parts),
      build(x.shape.map((extent, i) => (i === axis ? ends.at(-1)! : extent)), (index) => {
        const which = ends.findIndex((end) => index[axis]! < end);
        const from = ends[which]! - parts[which]!.shape[axis]!;
        return at(parts[which]!, index.map((i, a) => (a === axis ? i - from : i)));
      }),
    );
  });
});

test("misuse is told with both shapes", () => {
  const zeros = (...shape: number[]): Host => build(shape, () => 0);
  const refused = (op: (...x: Tensor[]) => Tensor, ...x: Host[]) => expect(() => evaluate(op, ...x));
  refused(add, zeros(2, 3), zeros(4, 3)).toThrow("add: [2, 3] and [4, 3] differ in dimension -2, expected equal extents or 1");
  refused(add, zeros(2, 1, 2, 1, 2), zeros(1, 2, 1, 2, 1)).toThrow("repeat in 5 alternating groups of dimensions, expected at most 4");
  refused((x) => sum(x, [2]), zeros(2, 3)).toThrow("sum: axis 2 of [2, 3], expected a whole number from -2 to 1");
  refused((x) => slice(x, [1, 0], [2, 3]), zeros(2, 3)).toThrow("slice: [2, 3] from [1, 0] of [2, 3], expected a block inside");
  refused((x) => transpose(x, [0, 0]), zeros(2, 3)).toThrow("transpose: order [0, 0] for [2, 3]");
  refused((x) => pad(x, [0], [1, 1]), zeros(2, 3)).toThrow("pad: [0] before and [1, 1] behind [2, 3]");
  refused((x, y) => concat([x!, y!], 0), zeros(2, 3), zeros(2, 4)).toThrow("concat: [2, 4] beside [2, 3] along 0");
  refused((x) => expand(x, [4, 5]), zeros(2, 5)).toThrow("expand: [2, 5] to [4, 5]");
  refused(mse, zeros(2, 3), zeros(3, 2)).toThrow("mse: [2, 3] and [3, 2], expected equal shapes");
  refused((x, y) => crossEntropy(x!, y!), zeros(2, 3), zeros(2)).toThrow("crossEntropy: f32 labels [2] for logits [2, 3], expected one u32 label for each row");
});

describe("gradients at drawn shapes", () => {
  const engine = useEngine();

  const cases = (seed: number): GradientCase[] => {
    const { below, shape } = drawer(100 + seed);
    const x = shape(3, 19);
    const [rows, columns] = [1 + below(40), 1 + below(40)];
    const row = x.map((extent) => (below(2) ? extent : 1)).slice(1);
    return [
      { name: `multiply [${x.join()}] by [${row.join()}]`, inputs: { a: { shape: x }, b: { shape: row } }, build: ({ a, b }) => multiply(a!, b!) },
      { name: `mean over ${seed % 3} of [${x.join()}]`, inputs: { a: { shape: x } }, build: ({ a }) => mean(a!, [seed % 3]) },
      { name: `softmax [${x.join()}]`, inputs: { a: { shape: x } }, build: ({ a }) => softmax(a!) },
      { name: `transpose and pad [${x.join()}]`, inputs: { a: { shape: x } }, build: ({ a }) => pad(transpose(a!, [2, 0, 1]), [1, 0, 2], [0, 3, 1]) },
      {
        name: `crossEntropy [${rows}, ${columns}]`,
        inputs: { a: { shape: [rows, columns] }, labels: { shape: [rows], dtype: "u32", values: (random) => Math.floor(random() * columns) } },
        build: ({ a, labels }) => crossEntropy(a!, labels!, { smoothing: 0.1 }),
      },
    ];
  };
  test.each(SEEDS.slice(0, 4).flatMap((seed) => cases(seed).map((c) => [c.name, c, seed] as const)))("%s", async (_, c, seed) => {
    const result = await checkGradient(engine(), c, seed);
    expect(result.reason ?? result.status).toBe("passed");
  });
});
