// Kernels broken on purpose, in the ways in which kernels break: the check must find each, and say what it is.
import { describe, expect, test } from "vitest";
import { attention } from "../../kernels/attention/attention.ts";
import { conv2d } from "../../kernels/conv/conv2d.ts";
import { layerNormDx } from "../../kernels/norm/layer-norm.ts";
import { gradientSquares } from "../../kernels/optim/gradient-squares.ts";
import { matmul } from "../../kernels/matmul/matmul.ts";
import { reduce } from "../../kernels/reduce/reduce.ts";
import { scale } from "../../kernels/pointwise/scale.ts";
import { softmax, softmaxDx } from "../../kernels/softmax/softmax.ts";
import * as catalogue from "../../kernels/index.ts";
import { listChecks, runCheck } from "../../src/engine/check.ts";
import { lintBarriers } from "../../src/kernel/barriers.ts";
import type { Kernel } from "../../src/kernel/define.ts";
import { gradients } from "../../src/ops/grad.ts";
import { checkGradient } from "../../src/ops/gradcheck.ts";
import { withGradient } from "../../src/engine/trace.ts";
import { negate } from "../../src/ops/scale.ts";
import { tanh } from "../../src/ops/activation.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

/** The same kernel with one piece of one template replaced; the piece must be there. */
function mutate(kernel: Kernel, variant: string, piece: string, by: string): Kernel {
  const { source } = kernel.variants[variant]!;
  expect(source).toContain(piece);
  return { ...kernel, name: `${kernel.name} with ${by}`, variants: { ...kernel.variants, [variant]: { ...kernel.variants[variant]!, source: source.replace(piece, by) } } };
}

/** What the check says of the first failing cases of a variant, in f32 and without flags, until it has said all that is expected, or of eight. */
async function complain(kernel: Kernel, variant: string, expected: readonly RegExp[], scattered = false): Promise<string> {
  const { traits } = engine().device;
  const checks = listChecks(kernel, { ragged: true, traits }).filter((check) => check.variant === variant && check.dtype === "f32" && check.flags.length === 0 && check.params === undefined && (check.scattered ?? false) === scattered && !check.watched);
  const said: string[] = [];
  for (const check of checks) {
    const result = await runCheck(engine(), check);
    if (result.status === "failed") said.push(result.reason ?? "");
    if (said.length === 8 || expected.every((words) => words.test(said.join("\n")))) break;
  }
  return said.join("\n");
}

describe("a mutant is named", () => {
  test.each([
    ["an off-by-one at the last row of a tile", matmul, "register", "r < min(ROWS, u.m - i)", "r < min(ROWS, u.m - i - 1u)", /c\[\d+\] was never written/],
    ["an off-by-one at the last column", matmul, "scalar", "p < own.end; p++", "p + 1u < own.end; p++", /c\[\d+\] is .*, expected/],
    ["a tail that is left out", scale, "vector", "i < u.n / 4u", "i + 1u < u.n / 4u", /y\[\d+\] was never written/],
    ["a tail of pixels that is left out", conv2d, "direct", "i < min(count, 4u)", "i + 1u < min(count, 4u)", /y\[\d+\] was never written/],
    ["the wrong sign of a gradient", softmaxDx, "lanes", "* (vec4f(dy[at]) - sum)", "* (sum - vec4f(dy[at]))", /the sign is wrong/],
    ["the wrong sign in a workgroup", layerNormDx, "workgroup", "Elem(s * (g", "Elem(-s * (g", /the sign is wrong/],
    ["a factor that is left out", reduce, "columns", "v0 *= u.scale;", "v0 *= 2.0 * u.scale;", /they are 2 times what is expected/],
    ["results of other workgroups as inputs", scale, "naive", "y[i] =", "y[i] = Elem(1e-3) * y[max(i, 64u) - 64u] +", /workgroups depend on each other/],
    ["sums that all workgroups add to", reduce, "naive", "y[i] =", "y[i % 64u] = y[i % 64u] +", /workgroups depend on each other|was never written/],
    ["a grid that cannot be cut", scale, "naive", "group.x + u.origin.x", "group.x", /y\[\d+\] is not written where the grid is cut into pieces: u\.origin/],
    ["stores behind the last row", layerNormDx, "naive", "if (r >= u.rows) { return; }", "", /wrote past its end/],
    // A driver that trusts indices reads what lies there in every run: then it is the result that is wrong.
    ["elements behind the end of an argument that count", gradientSquares, "naive", "min(4u * q + 4u, u.n)", "4u * q + 4u", /squares\[\d+\] (depends on what lies behind the end of an argument|is .*, expected)/],
    ["memory that is read before it is written", softmax, "naive", "y[start + j] = ", "y[start + j] = 0.5 * y[start + j] + 0.5 * ", /depends on what lay in the outputs before/],
  ])("%s", async (_, kernel, variant, piece, by, words) => {
    expect(await complain(mutate(kernel, variant, piece, by), variant, [words])).toMatch(words);
  });

  // Found twice: in the text, and by running it with the invocations of a workgroup in other places.
  test.each([
    ["between a write and a tree", reduce, "workgroup", 1, false],
    // In its own place the first invocation runs first, and nobody is too early. SwiftShader has its turn come first in any place.
    ["before all read what the first wrote", softmax, "workgroup", 2, true],
    ["before a tile is read", attention, "block", 2, false],
    ["before a tile is overwritten", attention, "block", 1, false],
  ] as const)("a missing barrier %s", async (_, kernel, variant, nth, scattered) => {
    const pieces = kernel.variants[variant]!.source.split("workgroupBarrier();");
    const source = pieces.map((piece, i) => (i === 0 ? piece : i === nth ? `/* none */;${piece}` : `workgroupBarrier();${piece}`)).join("");
    const mutant = { ...kernel, name: `${kernel.name} without barrier ${nth}`, variants: { ...kernel.variants, [variant]: { ...kernel.variants[variant]!, source } } };
    const [text, run] = [/without a workgroupBarrier between them/, /invocations of a workgroup depend on their order, a barrier is missing/];
    const found = await complain(mutant, variant, [text, run], scattered);
    expect(found).toMatch(text);
    if (!scattered || !/swiftshader/i.test(engine().device.fingerprint.adapter)) expect(found).toMatch(run);
  });
});

test.each([
  ["in storage, that counts for nothing", scale, "naive", "let", (source: string) => source.replace(/^(\s*)y\[i\] = (.*)$/m, "$1if (x[i + u.n] > 2.0e38) { return; }\n$1y[i] = $2"), /scale astray\.naive\.wgsl:\d+: index \d+ of x, which has \d+ elements/],
  ["in workgroup memory", softmax, "workgroup", "tree", (source: string) => source.replace("tree[t] =", "tree[t + 1u] ="), /softmax astray\.workgroup\.wgsl:\d+: index \d+ of tree, which has \d+ elements/],
  ["in a function", conv2d, "direct", "near[i]", (source: string) => source.replace("near[i]", "near[i + 1u]"), /conv2d astray\.direct\.wgsl:\d+: index 4 of near, which has 4 elements/],
] as const)("an index that goes astray %s is named", async (_, kernel, variant, piece, edit, words) => {
  expect(kernel.variants[variant]!.source).toContain(piece);
  const edited = edit(kernel.variants[variant]!.source);
  expect(edited).not.toBe(kernel.variants[variant]!.source);
  const mutant: Kernel = { ...kernel, name: `${kernel.name} astray`, variants: { ...kernel.variants, [variant]: { ...kernel.variants[variant]!, source: edited } } };
  const checks = listChecks(mutant, { ragged: true, traits: engine().device.traits }).filter((check) => check.watched && check.variant === variant && check.flags.length === 0).slice(0, 4);
  expect(checks.length).toBeGreaterThan(1);
  const results = [];
  for (const check of checks) results.push(await runCheck(engine(), check));
  expect(results.map(({ reason }) => reason).join("\n")).toMatch(words);
  // The kernel as it is passes all of them.
  for (const check of checks) expect((await runCheck(engine(), { ...check, kernel })).status).toBe("passed");
});

test("the text of every template has the barriers it needs, and none that could go", () => {
  const unneeded: string[] = [];
  // With slabs that take turns and without: each needs other barriers.
  const lint = (kernel: Kernel, variant: string) =>
    (kernel.variants[variant]!.params?.["STAGES"] ?? [undefined]).flatMap((stages) =>
      Object.values(kernel.cases).flatMap(({ flags = [] }) =>
        lintBarriers(kernel, { kernel: kernel.name, variant, dtype: "f32", flags: [...flags].sort(), constants: stages === undefined ? {} : { STAGES: stages } }),
      ),
    );
  for (const kernel of Object.values<Kernel>(catalogue))
    for (const [name, variant] of Object.entries(kernel.variants)) {
      expect(lint(kernel, name)).toEqual([]);
      const pieces = variant.source.split("workgroupBarrier();");
      for (let i = 1; i < pieces.length; i++) {
        const source = [pieces.slice(0, i).join("workgroupBarrier();"), pieces.slice(i).join("workgroupBarrier();")].join("");
        if (lint({ ...kernel, variants: { ...kernel.variants, [name]: { ...variant, source } } }, name).length === 0) unneeded.push(`${kernel.name}.${name}, barrier ${i}`);
      }
    }
  expect(unneeded).toEqual([]);
});

test("the text tells of pointers to workgroup memory, and of writes that meet", () => {
  const lint = (body: string, functions = "") => {
    const source = `//#params
alias Elem = f32;
//#end
var<workgroup> tree: array<f32, 64>;
${functions}
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) t: u32) {
${body}
}
`;
    const kernel = { ...scale, name: "text", variants: { naive: { ...scale.variants["naive"]!, source } } };
    return lintBarriers(kernel, { kernel: "text", variant: "naive", dtype: "f32", flags: [], constants: {} }).join("; ");
  };
  const barrier = "workgroupBarrier();\n";
  const functions = "fn put(p: ptr<workgroup, array<f32, 64>>, i: u32, v: f32) { (*p)[i] = v; }\nfn take(p: ptr<workgroup, array<f32, 64>>, i: u32) -> f32 { return p[i]; }";
  expect(lint("put(&tree, t, 1.0);\nlet v = take(&tree, 63u - t);", functions)).toMatch(/:6: reads tree\[63u - t\], which line 5 writes as tree\[t\]/);
  expect(lint(`put(&tree, t, 1.0);\n${barrier}let v = take(&tree, 63u - t);`, functions)).toBe("");
  expect(lint("let p = &tree[t];\n*p = 1.0;\nlet v = 2.0 * tree[t + 1u];")).toMatch(/:10: reads tree\[t \+ 1u\], which line 9 writes as tree\[t\]/);
  expect(lint("tree[0] = f32(t);")).toMatch(/:8: all invocations write tree\[0\], and nothing leaves it to one/);
  expect(lint("if (t == 0u) { tree[0] = 1.0; }")).toBe("");
  expect(lint("if (t > 0u) { return; }\ntree[0] = 1.0;")).toBe("");
  expect(lint("tree[t] = 1.0;\nif (t == 0u) { tree[1] = 2.0; }")).toMatch(/:9: writes tree\[1\], which line 8 writes as tree\[t\]/);
  expect(lint(`tree[t] = 1.0;\n${barrier}if (t == 0u) { tree[1] = 2.0; }`)).toBe("");
});

test("a barrier missing in a library is found where the library is used", () => {
  const total = layerNormDx.libraries["total"]!;
  const broken = { ...layerNormDx, libraries: { ...layerNormDx.libraries, total: total.replace("  workgroupBarrier();\n  return", "  return") } };
  const found = lintBarriers(broken, { kernel: broken.name, variant: "workgroup", dtype: "f32", flags: [], constants: {} });
  expect(found.join()).toMatch(/lib\/total\.wgsl:\d+: reads totals\[0\]/);
});

test("the wrong sign of a gradient rule is named", async () => {
  const result = await checkGradient(engine(), {
    name: "tanh with the wrong sign",
    inputs: { x: { shape: [13] } },
    build: ({ x }) => withGradient(tanh(x!), "wrong", [x!], (dy) => [() => negate(gradients(tanh(x!), [x!], dy)[0]!)]),
  });
  expect(result.status).toBe("failed");
  expect(result.reason).toMatch(/the sign is wrong/);
});
