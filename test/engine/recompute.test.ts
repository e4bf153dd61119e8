// Recomputation over traced programs, without a device: the same values in less memory, nothing that writes state twice, and budgets that hold.
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/engine/interpret.ts";
import { layOut } from "../../src/engine/layout.ts";
import { optimise } from "../../src/engine/passes.ts";
import { recompute } from "../../src/engine/recompute.ts";
import { accessesOf, bytesMoved, flopsOf, place, tensorOf, trace, type Node, type Program, type StateBuffer, type Storage, type Tensor } from "../../src/engine/trace.ts";
import { gelu } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { dropout } from "../../src/ops/dropout.ts";
import { gradients } from "../../src/ops/grad.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { batchNorm } from "../../src/ops/norm.ts";
import { scale } from "../../src/ops/scale.ts";

const [ROWS, C, DEPTH] = [32, 8, 6];
const limits = { alignment: 256, maxBuffer: 2 ** 20 };
const seconds = (node: Node) => flopsOf(node) / 1e10 + bytesMoved(node) / 1e9;
const input = (name: string, dtype: "f32" | "u32", shape: readonly number[]): Tensor => tensorOf({ kind: "input", name, dtype, count: shape.reduce((a, b) => a * b, 1) }, shape);
const state = (name: string, shape: readonly number[]): Tensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  // The interpreter holds the memory of states itself and never looks at their buffers.
  const buffer: StateBuffer = { name, dtype: "f32", count, buffer: {} as GPUBuffer };
  return tensorOf({ kind: "state", name: `state ${name}`, dtype: "f32", count, state: { buffer, offset: 0 } }, shape);
};

/** A residual network with batch norm, running statistics, dropout and gradients of all weights, of which the last half is then moved in place. */
function network() {
  const x = input("x", "f32", [ROWS, C]);
  const seed = input("seed", "u32", [2]);
  const weights = Array.from({ length: DEPTH }, (_, i) => state(`w${i}`, [C, C]));
  const [gamma, beta] = [state("gamma", [C]), state("beta", [C])];
  const running = { mean: state("mean", [C]), variance: state("variance", [C]) };
  const { result, nodes } = trace(() => {
    const y = weights.reduce((h, w) => add(h, dropout(gelu(matmul(batchNorm(h, gamma, beta, { running, training: true }), w)), 0.3, seed)), x);
    const found = gradients(y, weights, y);
    weights.slice(DEPTH / 2).forEach((w, i) => place(add(w, scale(found[DEPTH / 2 + i]!, -0.1)), w));
    return Object.fromEntries([["y", y], ...found.map((dw, i) => [`dw${i}`, dw!])] as [string, Tensor][]);
  });
  const outputs = new Map(Object.entries(result).map(([name, { storage }]) => [name, storage] as const));
  const { program } = optimise({ nodes, outputs });
  const inputs = new Map<Storage, ArrayLike<number>>([[x.storage, Float64Array.from({ length: ROWS * C }, (_, i) => Math.sin(i))], [seed.storage, [7, 9]]]);
  return { program, inputs };
}

/** Outputs and what state holds afterwards. */
function compute(program: Program, inputs: ReadonlyMap<Storage, ArrayLike<number>>) {
  const memory = new Map<StateBuffer, Float64Array>();
  const of = (buffer: StateBuffer) => memory.get(buffer) ?? (memory.set(buffer, Float64Array.from({ length: buffer.count }, (_, i) => 0.5 + 0.1 * Math.cos(3 * i + buffer.name.length))), memory.get(buffer)!);
  const outputs = interpret(program, { inputs, state: of, arithmetic: "rounded" });
  return { outputs: [...outputs].map(([name, values]) => [name, ...values]), memory: [...memory].map(([{ name }, values]) => [name, ...values]).sort() };
}

const writesState = ({ nodes }: Program) => nodes.filter((node) => accessesOf(node).writes.some(({ kind }) => kind === "state")).map(({ path }) => path);

describe("a program with gradients, running statistics, dropout and an update in place", () => {
  const { program, inputs } = network();
  const whole = layOut(program, limits).arenaBytes;
  const least = recompute(program, { budget: 0, limits, seconds });

  test("computes the same bits in half the memory, and writes every state once", () => {
    expect(least.fits).toBe(false);
    expect(least.layout.arenaBytes).toBeLessThan(0.6 * whole);
    expect(least.again.length).toBeGreaterThan(0);
    expect(compute(least.program, inputs)).toEqual(compute(program, inputs));
    expect(writesState(least.program)).toEqual(writesState(program));
  });

  test("fits into every budget from the least on, with less to run again where there is more", () => {
    const budgets = Array.from({ length: 12 }, (_, i) => Math.ceil(least.layout.arenaBytes + ((whole - least.layout.arenaBytes) * i) / 11));
    const costs = budgets.map((budget) => {
      const found = recompute(program, { budget, limits, seconds });
      expect(found.fits, `${budget} bytes`).toBe(true);
      expect(found.layout.arenaBytes).toBeLessThanOrEqual(budget);
      expect(layOut(found.program, limits)).toMatchObject({ arenaBytes: found.layout.arenaBytes });
      return found.again.reduce((sum, node) => sum + seconds(node), 0);
    });
    expect(costs.at(-1)).toBe(0);
    expect(costs[0]).toBeGreaterThan(costs.at(-2)!);
    expect(costs[0]).toBeLessThan(program.nodes.reduce((sum, node) => sum + seconds(node), 0) / 2);
  });

  test("says what it did", () => {
    const { report, again } = least;
    expect(report.after - report.before).toBe(again.length);
    expect(report.savedBytes).toBe(-again.reduce((sum, node) => sum + bytesMoved(node), 0));
    expect(report.changes[0]).toMatch(/ runs again$/);
  });
});

test("what read a state that was overwritten since is kept, however little memory there is", () => {
  const [x, s] = [input("x", "f32", [ROWS, C]), state("s", [ROWS, C])];
  const { result, nodes } = trace(() => {
    const early = gelu(add(x, s));
    place(scale(x, 2), s);
    let y = x;
    for (let i = 0; i < 4; i++) y = gelu(add(y, s));
    return { y: add(early, y) };
  });
  const { program } = optimise({ nodes, outputs: new Map([["y", result.y.storage]]) });
  const found = recompute(program, { budget: 0, limits, seconds });
  const inputs = new Map([[x.storage, Float64Array.from({ length: ROWS * C }, (_, i) => i / 100)]]);
  expect(compute(found.program, inputs)).toEqual(compute(program, inputs));
});
