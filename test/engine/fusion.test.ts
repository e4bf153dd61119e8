// Epilogue fusion: what one dispatch may do for the next, that results stay within their bounds, and what training keeps.
import { describe, expect, test } from "vitest";
import { f32 } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/interpret.ts";
import type { Plan } from "../../src/engine/plan.ts";
import { allowanceOf, compare } from "../../src/engine/tolerance.ts";
import type { Storage, Tensor } from "../../src/engine/trace.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { gelu, relu } from "../../src/ops/activation.ts";
import { add, multiply } from "../../src/ops/arithmetic.ts";
import { gradients } from "../../src/ops/grad.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

const [M, K, N] = [19, 12, 20];
const INPUTS = { x: f32(M, K), w: f32(K, N), bias: f32(N), r: f32(M, N), dy: f32(M, N) };
type Inputs = { readonly [name in keyof typeof INPUTS]: Tensor };

function draw(seed: number): Record<string, Float32Array> {
  const { uniform } = randomStream(keyOfSeed(seed), [0, 0, 0]);
  return Object.fromEntries(Object.entries(INPUTS).map(([name, { shape }]) => [name, Float32Array.from({ length: shape.reduce((p, e) => p * e, 1) }, () => 2 * uniform() - 1)]));
}

/** Kernels of a plan with the flags they run under, in order. */
function kernelsOf(plan: Plan): string[] {
  return plan.program.nodes.map((node) => (node.kind === "copy" ? "copy" : [node.kernel.name, ...[...node.flags].sort()].join(" +")));
}

/** The outputs of the plan's device run, held against its own program in f64. */
async function expectExact(plan: Plan, values: Record<string, Float32Array>): Promise<void> {
  const inputs = new Map<Storage, Float32Array>();
  for (const node of plan.program.nodes)
    for (const storage of node.kind === "dispatch" ? Object.values(node.bindings) : []) if (storage.kind === "input") inputs.set(storage, values[storage.name.slice("input ".length)]!);
  const truth = interpret(plan.program, { inputs });
  const yardstick = interpret(plan.program, { inputs, arithmetic: "rounded" });
  const allowance = plan.program.nodes.reduce((sum, node) => sum + (node.kind === "dispatch" ? allowanceOf(node.kernel.builtins) : 0), 0);
  const got = await plan.run(values);
  for (const [name, expected] of truth) expect(compare(got[name]!, expected, yardstick.get(name)!, "f32", allowance), name).toMatchObject({ ok: true });
}

const planOf = (build: (inputs: Inputs) => Record<string, Tensor>) => engine().plan(build, INPUTS);

describe("in inference", () => {
  test("a linear layer, its activation and the residual are one dispatch", async () => {
    const plan = await planOf(({ x, w, bias, r }) => ({ y: add(gelu(matmul(x, w, { bias })), r) }));
    expect(kernelsOf(plan)).toEqual(["matmul +bias +gelu +residual"]);
    await expectExact(plan, draw(1));
    plan.dispose();
  });

  test("fused and separate agree", async () => {
    const separate = await planOf(({ x, w, bias, r }) => {
      const pre = matmul(x, w, { bias });
      const activated = gelu(pre);
      return { pre, activated, y: add(r, activated) };
    });
    const fused = await planOf(({ x, w, bias, r }) => ({ y: add(r, gelu(matmul(x, w, { bias }))) }));
    expect(kernelsOf(separate)).toEqual(["matmul +bias", "activation +gelu", "binary"]);
    expect(kernelsOf(fused)).toEqual(["matmul +bias +gelu +residual"]);
    const values = draw(2);
    await expectExact(separate, values);
    await expectExact(fused, values);
    // The same formula: what is true of one is true of the other, within both bounds.
    const [a, b] = [await separate.run(values), await fused.run(values)];
    const truth = Float64Array.from(a["y"]!);
    const allowance = 2 * (allowanceOf({ exp: 18, division: 2, erf: 1 }) + 4 * (K + 4) * 2 ** -24);
    expect(compare(b["y"]!, truth, truth, "f32", allowance)).toMatchObject({ ok: true });
    separate.dispose();
    fused.dispose();
  });

  test("an addition takes the activation behind it, a product too", async () => {
    const plan = await planOf(({ r, dy }) => ({ y: relu(add(r, dy)), z: gelu(multiply(r, dy)) }));
    expect(kernelsOf(plan)).toEqual(["binary +relu", "binary +gelu +multiply"]);
    await expectExact(plan, draw(3));
    plan.dispose();
  });

  test("stages keep their order: an activation behind a residual stays", async () => {
    const plan = await planOf(({ x, w, r }) => ({ y: relu(add(matmul(x, w), r)) }));
    expect(kernelsOf(plan)).toEqual(["matmul +residual", "activation"]);
    await expectExact(plan, draw(4));
    plan.dispose();
  });

  test("a result that somebody else reads, or that repeats along a dimension, is not swallowed", async () => {
    const shared = await planOf(({ x, w, r }) => {
      const pre = matmul(x, w);
      return { y: add(gelu(pre), multiply(pre, r)) };
    });
    expect(kernelsOf(shared)).toContain("matmul");
    await expectExact(shared, draw(5));
    const row = await planOf(({ x, w, bias }) => ({ y: add(matmul(x, w), bias) }));
    expect(kernelsOf(row)).toEqual(["matmul", "binary"]);
    await expectExact(row, draw(6));
    shared.dispose();
    row.dispose();
  });

  test("a sum of a tensor with itself is not its own residual", async () => {
    const plan = await planOf(({ x, w }) => {
      const pre = matmul(x, w);
      return { y: add(pre, pre) };
    });
    expect(kernelsOf(plan)).toEqual(["matmul", "binary"]);
    await expectExact(plan, draw(7));
    plan.dispose();
  });
});

describe("in training", () => {
  const step = (activation: (x: Tensor) => Tensor) =>
    planOf(({ x, w, bias, dy }) => {
      const y = activation(matmul(x, w, { bias }));
      const [dx, dw] = gradients(y, [x, w], dy);
      return { y, dx: dx!, dw: dw! };
    });

  test("gelu keeps its argument", async () => {
    const plan = await step(gelu);
    expect(kernelsOf(plan).slice(0, 3)).toEqual(["matmul +bias", "activation +gelu", "activation_dx +gelu"]);
    await expectExact(plan, draw(8));
    plan.dispose();
  });

  test("relu needs only its result, and is fused", async () => {
    const plan = await step(relu);
    expect(kernelsOf(plan).slice(0, 2)).toEqual(["matmul +bias +relu", "activation_dx"]);
    await expectExact(plan, draw(9));
    plan.dispose();
  });
});
