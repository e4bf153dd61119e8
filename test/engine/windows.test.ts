// Windows: what a kernel computes in launches on windows of its arguments is what it computes at once, by its reference; and plans with small bindings on the adapter.
import { describe, expect, test } from "vitest";
import * as kernels from "../../kernels/index.ts";
import { f32 } from "../../src/engine/engine.ts";
import { Unavailable } from "../../src/engine/errors.ts";
import { interpret } from "../../src/engine/interpret.ts";
import type { Dispatch, Program, Storage, Tensor } from "../../src/engine/trace.ts";
import { cutWindows } from "../../src/engine/windows.ts";
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers } from "../../src/kernel/define.ts";
import { bytesOf } from "../../src/kernel/dtype.ts";
import { randomStream } from "../../src/kernel/rng.ts";
import { relu } from "../../src/ops/activation.ts";
import { add, multiply } from "../../src/ops/arithmetic.ts";
import { fill } from "../../src/ops/cast.ts";
import { conv2d } from "../../src/ops/conv.ts";
import { gradients } from "../../src/ops/grad.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { batchNorm, layerNorm } from "../../src/ops/norm.ts";
import { avgPool2d, maxPool2d } from "../../src/ops/pool.ts";
import { mean } from "../../src/ops/reduce.ts";

import { useEngine } from "../support/engine.ts";

/** One launch of a kernel on arguments that come from outside. */
function programOf(kernel: Kernel, given: Numbers, flags: readonly string[]) {
  const numbers = completeNumbers(kernel, given);
  const random = randomStream([1, 2], [0, 0, 0]);
  const values = new Map<Storage, Float64Array>();
  const bindings: Record<string, Storage> = {};
  for (const { name, arg } of activeArgs(kernel, new Set(flags))) {
    const dtype = arg.dtype === "elem" ? "f32" : arg.dtype;
    const count = elementCount(arg, numbers);
    const value = Float64Array.from({ length: count }, (_, i) => Math.fround(kernel.inputs[name]?.(() => random.uniform(), i, numbers) ?? 2 * random.uniform() - 1));
    const storage: Storage = { kind: "input", name, dtype, count, ...(arg.access === "read" && dtype === "u32" ? { data: Uint32Array.from(value) } : {}) };
    bindings[name] = storage;
    values.set(storage, arg.access === "write" ? value.fill(NaN) : value);
  }
  const node: Dispatch = { kind: "dispatch", kernel, numbers, flags: new Set(flags), dtype: "f32", bindings, path: kernel.name };
  const written = Object.entries(bindings).filter(([name]) => kernel.args[name]!.access !== "read");
  return { program: { nodes: [node], outputs: new Map(written) } satisfies Program, values, node };
}

/** Kernels that may sum in other parts in windows, and the elements that stand for one sum each: only what they add up to is the same. All others give the same bits. */
const PARTS: Readonly<Record<string, (numbers: Numbers, flags: ReadonlySet<string>, count: number) => number | undefined>> = {
  conv2d_dw: ({ splits }, _, count) => count / splits!,
  matmul: ({ splits }, flags, count) => (flags.has("parts") ? count / splits! : undefined),
  reduce: ({ outer, inner }, flags) => (outer === 1 && !flags.has("max") ? inner! : undefined),
};
const MOST_FLOPS = 1e6;
const cuttable = Object.values(kernels).filter((kernel) => kernel.split);

function cutOr(program: Program, alignment: number, maxBinding: number): Program | undefined {
  try {
    return cutWindows(program, "test", { alignment, maxBinding }).program;
  } catch (cause) {
    if (cause instanceof Unavailable) return undefined;
    throw cause;
  }
}

describe("kernels in windows", () => {
  test.each(cuttable.map((kernel) => [kernel.name, kernel] as const))("%s", (name, kernel) => {
    let cuts = 0;
    for (const [title, { numbers: given, flags = [], bench }] of Object.entries(kernel.cases)) {
      // Filter gradients are cut between their parts: as many as there are lines.
      const numbers = name === "conv2d_dw" ? { ...given, splits: given["b"]! * given["oh"]! } : given;
      if (bench || kernel.flops(completeNumbers(kernel, numbers)) > MOST_FLOPS) continue;
      const { program, values, node } = programOf(kernel, numbers, flags);
      const bytes = Math.max(...Object.values(node.bindings).map(({ dtype, count }) => count * bytesOf(dtype)));
      // With every operation rounded, the order of all of them shows.
      const arithmetic = PARTS[name]?.(node.numbers, node.flags, 1) === undefined ? "rounded" : "exact";
      const whole = interpret(program, { inputs: values, arithmetic });
      for (const [share, alignment] of [[0.7, 4], [0.7, 16], [0.35, 4], [0.35, 16]] as const) {
        const cut = cutOr(program, alignment, Math.ceil((share * bytes) / 4) * 4);
        if (!cut || cut.nodes.length === 1) continue;
        const parts = interpret(cut, { inputs: values, arithmetic });
        for (const [output, truth] of whole) {
          const found = parts.get(output)!;
          const where = `${title}, ${share} by ${alignment}: ${output}`;
          const columns = PARTS[name]?.(node.numbers, node.flags, truth.length);
          if (columns === undefined) expect(found.every((value, i) => Object.is(value, truth[i])), where).toBe(true);
          else {
            const sums = (list: Float64Array) => list.reduce((all, value, i) => (all[i % columns]! += value, all), new Float64Array(columns));
            const [mine, theirs] = [sums(found), sums(truth)];
            expect(Math.max(...mine.map((value, i) => Math.abs(value - theirs[i]!))), where).toBeLessThan(1e-9);
          }
          cuts++;
        }
      }
    }
    expect(cuts).toBeGreaterThan(0);
  });

  test("what cannot be cut is told with its size, the limit and what to do", () => {
    const { program } = programOf(kernels.optimControl, { parts: 1000 }, []);
    expect(() => cutWindows(program, "large", { alignment: 256, maxBinding: 1024 })).toThrow(
      /^plan large: optim_control: squares \(squares\) takes 3.91 KiB, the device binds at most 1.00 KiB, and optim_control cannot be cut/,
    );
  });
});

describe("plans in windows", () => {
  const engine = useEngine();

  /** Convolutions with halos, strides and odd sizes, norms, pooling, products and sums over large tensors, with all gradients. */
  const build = ({ x, w1, w2, w3, gamma, beta, gamma3, beta3 }: Readonly<Record<string, Tensor>>): Record<string, Tensor> => {
    const stem = relu(batchNorm(conv2d(x!, w1!, { stride: 2, padding: [1, 0] }), gamma!, beta!, { training: true }));
    const pooled = maxPool2d(stem, 3, { stride: 2, padding: 1 });
    const wide = relu(add(conv2d(pooled, w2!, { padding: [1, 0, 1, 0] }), pooled));
    const normed = layerNorm(matmul(wide, w3!), gamma3!, beta3!);
    const weights = [x!, w1!, w2!, w3!, gamma!, beta!, gamma3!, beta3!];
    const found = gradients(mean(multiply(normed, normed)), weights, fill([], 1));
    return { normed, ...Object.fromEntries(found.map((gradient, i) => [`d${i}`, gradient!])) };
  };
  const [b, h, w, c, d] = [3, 48, 32, 16, 16];
  const inputs = { x: f32(b, h, w, 4), w1: f32(2, 2, 4, c), w2: f32(2, 2, c, c), w3: f32(c, d), gamma: f32(c), beta: f32(c), gamma3: f32(d), beta3: f32(d) };

  test("give what they give at once", async () => {
    const random = randomStream([3, 4], [0, 0, 0]);
    const values = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => 2 * random.uniform() - 1)]));
    const run = async (binding?: number) => {
      const plan = await engine().plan(build, inputs, { label: "windows", ...(binding ? { binding } : {}) });
      const out = await plan.run(values);
      const { reports, memory } = plan.statistics;
      plan.dispose();
      return { out, memory, cut: reports.find(({ pass }) => pass === "windows")?.changes ?? [] };
    };
    const whole = await run();
    expect(whole.cut).toEqual([]);
    // Two images of the stem's result, and less than one.
    for (const binding of [48 * 1024, 20 * 1024]) {
      const cut = await run(binding);
      expect(cut.cut.length).toBeGreaterThan(5);
      expect(cut.memory).toEqual(whole.memory);
      for (const [name, value] of Object.entries(whole.out)) expect(cut.out[name], `${name} by ${binding}`).toEqual(value);
    }
  });

  test("means over windows count what lies in the image, wherever it is cut", async () => {
    const x = Float32Array.from({ length: 9 * 8 * 12 }, (_, i) => Math.sin(i));
    const run = async (binding?: number) => {
      const plan = await engine().plan(({ x }) => ({ y: avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false }) }), { x: f32(1, 9, 8, 12) }, { label: "means", ...(binding ? { binding } : {}) });
      const { y } = await plan.run({ x });
      const cut = plan.statistics.reports.find(({ pass }) => pass === "windows")?.changes ?? [];
      plan.dispose();
      return { y, cut };
    };
    const whole = await run();
    // Rows are 384 bytes: windows begin at even ones, one of them above what its launch begins with.
    const parts = await run(3072);
    expect(parts.cut).toHaveLength(1);
    expect(parts.y).toEqual(whole.y);
  });
});
