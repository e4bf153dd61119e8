// Passes over traced programs, without a device: what may not be shared, and where a placed tensor may not be written early.
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/engine/interpret.ts";
import { optimise } from "../../src/engine/passes.ts";
import { place, tensorOf, trace, type StateBuffer, type Storage, type Tensor } from "../../src/engine/trace.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { scale } from "../../src/ops/scale.ts";

const N = 6;
const input: Storage = { kind: "input", name: "input x", dtype: "f32", count: N };
const x = tensorOf(input, [N]);
// The interpreter holds the memory of states itself and never looks at their buffers.
const buffer: StateBuffer = { name: "s", dtype: "f32", count: 2 * N, buffer: {} as GPUBuffer };
const view = (offset: number): Tensor => tensorOf({ kind: "state", name: `state s@${offset}`, dtype: "f32", count: N, state: { buffer, offset } }, [N]);

/** Outputs, state and copies of a program as it was traced and as the passes leave it. */
function runBoth(build: () => Record<string, Tensor>) {
  const { result, nodes } = trace(build);
  const traced = { nodes, outputs: new Map(Object.entries(result).map(([name, { storage }]) => [name, storage])) };
  const run = (program: typeof traced) => {
    const memory = Float64Array.from({ length: 2 * N }, (_, i) => 100 + i);
    const outputs = interpret(program, { inputs: new Map([[input, Float64Array.from({ length: N }, (_, i) => i + 1)]]), state: () => memory });
    return { outputs: Object.fromEntries([...outputs].map(([name, values]) => [name, [...values]])), memory: [...memory] };
  };
  const { program } = optimise(traced);
  return { plain: run(traced), optimised: run({ ...traced, ...program, nodes: [...program.nodes], outputs: new Map(program.outputs) }), copies: program.nodes.filter(({ kind }) => kind === "copy").length };
}

test("factors that differ in their last digits are not one computation", () => {
  const { plain, optimised } = runBoth(() => ({ y: add(scale(x, 0.123456), scale(x, 0.123457)), z: add(scale(x, 0.123456), x) }));
  expect(optimised).toEqual(plain);
});

describe("a placed tensor", () => {
  test("is written where it belongs", () => {
    const { plain, optimised, copies } = runBoth(() => {
      const a = scale(x, 2);
      place(a, view(0));
      place(scale(x, 3), view(N));
      return { y: scale(a, 5) };
    });
    expect(optimised).toEqual(plain);
    expect(copies).toBe(0);
  });

  test("waits for those who read what was there before", () => {
    const { plain, optimised } = runBoth(() => {
      const a = scale(x, 2);
      const y = scale(view(0), 3);
      place(a, view(0));
      return { y };
    });
    expect(optimised).toEqual(plain);
  });

  test("does not lose to one that was made later and placed earlier", () => {
    const { plain, optimised } = runBoth(() => {
      const a = scale(x, 2);
      const b = scale(x, 3);
      place(b, view(0));
      place(a, view(0));
      return {};
    });
    expect(optimised).toEqual(plain);
  });

  test("keeps its values for readers that come after the place is written again", () => {
    const { plain, optimised } = runBoth(() => {
      const a = scale(x, 2);
      place(a, view(0));
      place(scale(x, 3), view(0));
      return { y: scale(a, 5) };
    });
    expect(optimised).toEqual(plain);
  });
});
