// Long products in parts: when they are cut, and that what follows them joins their sum. No adapter is needed.
import { expect, test } from "vitest";
import { optimise } from "../../src/engine/passes.ts";
import { trace, tensorOf, type Tensor } from "../../src/engine/trace.ts";
import { gelu } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { matmul, productParts } from "../../src/ops/matmul.ts";

const input = (name: string, dtype: "f32" | "f16", ...shape: number[]): Tensor => tensorOf({ kind: "input", name, dtype, count: shape.reduce((product, extent) => product * extent, 1) }, shape);

test("a product is cut where it is long and has few tiles", () => {
  expect(productParts(1, 64, 64, 100_000)).toBe(264); // one tile: as many parts as fill a GPU
  expect(productParts(1, 64, 64, 4096)).toBe(16); // but none shorter than 256 steps
  expect(productParts(1, 384, 1536, 8192)).toBe(8); // 36 tiles of 128 × 128
  expect(productParts(12, 64, 64, 4096)).toBe(16); // a batch's tiles count
  expect(productParts(1, 4096, 1536, 384)).toBe(1); // 384 tiles
  expect(productParts(1, 64, 64, 511)).toBe(1);
});

test("products in halves are added up in f32, and bias, activation and residual join the sum", () => {
  const { nodes } = trace(() => add(gelu(matmul(input("a", "f16", 40, 8192), input("b", "f16", 8192, 24), { bias: input("bias", "f16", 24) })), input("r", "f16", 40, 24)));
  const { program } = optimise({ nodes, outputs: new Map(nodes.slice(-1).flatMap((node) => (node.kind === "dispatch" ? [["y", node.bindings["y"]!] as const] : []))) });
  const found = program.nodes.map((node) => (node.kind === "dispatch" ? [node.kernel.name, [...node.flags].sort().join("+"), ...Object.entries(node.bindings).map(([name, { dtype }]) => `${name}:${dtype}`)] : []));
  expect(found).toEqual([
    ["matmul", "parts", "a:f16", "b:f16", "parts:f32"],
    ["merge_parts", "bias+gelu+residual", "parts:f32", "y:f16", "bias:f16", "residual:f16"],
  ]);
});
