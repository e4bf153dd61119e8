// Templates against their descriptors, without a GPU: bindings, uniforms, shape comments, directives, and valid WGSL throughout.
import { readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as catalogue from "../../kernels/index.ts";
import { libraries } from "../../kernels/lib/index.ts";
import { listChecks } from "../../src/engine/check.ts";
import { openNullAdapter } from "../../src/host/node.ts";
import { blueprintKey, chooseBlueprint, librariesOf, type Problem, tryVariant } from "../../src/kernel/blueprint.ts";
import type { Kernel, Traits } from "../../src/kernel/define.ts";
import { completeNumbers } from "../../src/kernel/define.ts";
import { lintTemplate, renderBlueprint } from "../../src/kernel/layout.ts";
import { renderWhole } from "../../src/kernel/template.ts";

const kernels = Object.values(catalogue);
let device: GPUDevice;
let close: () => void;
beforeAll(async () => {
  const handle = await openNullAdapter();
  const features = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"].filter((f) => handle.adapter.features.has(f as GPUFeatureName)) as GPUFeatureName[];
  device = await handle.adapter.requestDevice({ requiredFeatures: features });
  close = () => {
    device.destroy();
    handle.close();
  };
});
afterAll(() => close?.());

const variants = kernels.flatMap((kernel) => Object.keys(kernel.variants).map((variant) => [`${kernel.name}.${variant}`, kernel, variant] as const));

describe.each(variants)("%s", (name, kernel, variant) => {
  test("declares what its descriptor declares", () => {
    expect(lintTemplate(kernel, variant)).toEqual([]);
  });
  test("is valid WGSL as it stands", async () => {
    const code = renderWhole({ name, source: kernel.variants[variant]!.source, libraries: librariesOf(kernel, variant), declaredFlags: kernel.flags });
    device.pushErrorScope("validation");
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    expect(info.messages.filter(({ type }) => type === "error").map((m) => `${m.lineNum}: ${m.message}`)).toEqual([]);
  });
});

describe.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", (_, kernel) => {
  test("has a case with and one without each flag", () => {
    const sets = Object.values(kernel.cases).map(({ flags = [] }) => new Set<string>(flags));
    for (const flag of kernel.flags) {
      expect(sets.some((set) => set.has(flag)), `no case has ${flag}`).toBe(true);
      expect(sets.some((set) => !set.has(flag)), `every case has ${flag}`).toBe(true);
    }
  });
});

test("every kernel has a bench row, but for the probes that benches are measured by", () => {
  const without = kernels.filter(({ cases }) => !Object.values(cases).some(({ bench }) => bench)).map(({ name }) => name);
  expect(without).toEqual(kernels.filter(({ name }) => name.endsWith("_probe")).map(({ name }) => name));
});

// No CPU adapter has subgroup matrices: here the compiler alone tells that their variants are right, as far as text goes.
const MATRICES: Traits = {
  features: new Set(["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"]),
  subgroupMin: 32,
  subgroupMax: 32,
  workgroupMemory: 49152,
  invocations: 1024,
  barriers: "cheap",
  matrices: [{ component: "f16", result: "f32", M: 16, N: 16, K: 16 }],
};

test("every form of what multiplies subgroup matrices compiles, and stand-ins are never chosen", async () => {
  const compiled = new Set<string>();
  for (const kernel of kernels as readonly Kernel[]) {
    const problems = Object.values(kernel.cases).map(({ numbers, flags = [] }): Problem => ({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype: "f16" }));
    for (const problem of kernel.dtypes.includes("f16") ? problems : []) expect(kernel.variants[chooseBlueprint(problem, MATRICES).variant]!.standsInFor).toBeUndefined();
    for (const [name, { needs = [], params = {} }] of Object.entries(kernel.variants)) {
      if (!needs.includes("chromium-experimental-subgroup-matrix")) continue;
      const choices = [{}, ...Object.entries(params).flatMap(([param, values]) => values.map((value) => ({ [param]: value }))), { BM: 128, BN: 128 }, { BM: 128, BN: 128, WN: 64 }, { ROWS: 64, STEP: 64 }].filter((choice) => Object.keys(choice).every((param) => param in params));
      for (const tried of problems.flatMap((problem) => choices.map((choice) => tryVariant(problem, MATRICES, name, choice)))) {
        if (!("blueprint" in tried) || compiled.has(blueprintKey(tried.blueprint))) continue;
        compiled.add(blueprintKey(tried.blueprint));
        device.pushErrorScope("validation");
        device.createShaderModule({ code: renderBlueprint(kernel, tried.blueprint).code });
        expect((await device.popErrorScope())?.message, blueprintKey(tried.blueprint)).toBeUndefined();
      }
    }
  }
  expect([...compiled]).toEqual(expect.arrayContaining(["matmul.matrix f16 +bias+residual+silu+ta+tb BM=128 BN=128 SG=32", "conv2d.matrix f16 +bias+relu+residual BM=128 BN=128 SG=32", "conv2d_dx.matrix f16 BM=128 BN=128 SG=32", "conv2d_dw.matrix f16 BM=128 BN=128 SG=32", "attention.matrix f16 D8=16 SG=32", "attention-dq.matrix f16 D8=8 ROWS=64 SG=32", "attention-dkv.matrix f16 D8=8 ROWS=64 SG=32"]));
});

test("what a check runs has every flag of every variant", () => {
  // Eight lanes as lavapipe has them, and whole subgroup matrices: between them they take all variants.
  const wide: Traits = { ...MATRICES, features: new Set([...MATRICES.features]), subgroupMin: 8, subgroupMax: 8, barriers: "dear", matrices: [] };
  const missing: string[] = [];
  for (const kernel of kernels as readonly Kernel[]) {
    const run = new Set<string>();
    for (const traits of [wide, MATRICES])
      for (const { variant, dtype, flags, numbers, params = {} } of listChecks(kernel, { ragged: true, traits }))
        if ("blueprint" in tryVariant({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }, traits, variant, params)) for (const flag of flags) run.add(`${variant} +${flag}`);
    for (const [variant, { source }] of Object.entries(kernel.variants))
      for (const flag of kernel.flags) if (new RegExp(`//#if !?${flag}\\b`).test(source) && !run.has(`${variant} +${flag}`)) missing.push(`${kernel.name}.${variant} +${flag}`);
  }
  expect(missing).toEqual([]);
});

test("every template has an owner", () => {
  const sources = new Set([...kernels.flatMap((k) => Object.values(k.variants).flatMap(({ source, libraries: own = {} }) => [source, ...Object.values(own)])), ...Object.values(libraries)]);
  const root = path.join(import.meta.dirname, "../../kernels");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".wgsl"));
  expect(files.length).toBe(sources.size);
});
