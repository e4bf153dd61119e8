// What an author of kernels and a hunter of errors see: diagnostics at the template's own line, and the debug switches.
import { describe, expect, test } from "vitest";
import { parseDebug, DEBUG_SWITCHES, type DebugSwitch } from "../../src/engine/debug.ts";
import { createEngine, f32, type Engine, type EngineOptions } from "../../src/engine/engine.ts";
import { dispatch } from "../../src/engine/trace.ts";
import { openAdapter } from "../../src/host/node.ts";
import { defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { render, TemplateError } from "../../src/kernel/template.ts";
import { relu } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { matmul } from "../../src/ops/matmul.ts";

/** An adapter gives one device, so each engine opens its own. */
async function withEngine<T>(options: EngineOptions, body: (engine: Engine) => Promise<T>): Promise<T> {
  const handle = await openAdapter({ log: () => undefined });
  const engine = await createEngine(handle, options);
  try {
    return await body(engine);
  } finally {
    engine.dispose();
    handle.close();
  }
}

const TEMPLATE = `// y = x (+ more)
//#params
alias Elem = f32;
const SIZE = 64u;
//#end
//#use twice
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;          // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;    // [n]
@group(0) @binding(3) var<storage, read> more: array<Elem>;       // [n] //#if more
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * SIZE + t;
  if (i >= u.n) { return; }
  //#if more
  y[i] = Elem(twice(x[i]) + MISTAKE[i]);
  //#else
  y[i] = x[i];
  //#endif
}
`;
const options = { name: "broken.naive", source: TEMPLATE, libraries: { twice: "fn twice(v: f32) -> f32 {\n  return v + WRONG;\n}\n" }, declaredFlags: ["more"], constants: {}, dtype: "f32" as const };

test("removed lines become empty, so every line keeps its number; libraries have their own", () => {
  const { code, origin } = render({ ...options, flags: new Set<string>(), constants: { SIZE: 32 }, dtype: "f16" });
  const lines = code.split("\n");
  expect(lines[0]).toBe("enable f16; // y = x (+ more)");
  expect(lines[2]).toBe("alias Elem = f16;");
  expect(lines[3]).toBe("const SIZE = 32u;");
  expect(lines[10]).toBe("");
  expect(lines[16]).toBe("");
  expect(lines[18]).toBe("  y[i] = x[i];");
  expect(origin(19)).toEqual({ file: "broken.naive.wgsl", line: 19 });
  expect(origin(TEMPLATE.split("\n").length + 1)).toEqual({ file: "lib/twice.wgsl", line: 2 });
});

test.each([
  ["//#if nothing\n//#endif\n", /broken\.naive\.wgsl:1: condition "nothing" names no flag/],
  ["a\n//#endif\n", /:2: .*endif without/],
  ["//#if more\n", /if without/],
  ["//#wat\n", /unknown directive/],
  ["//#use missing\n", /no such library/],
])("refuses %j", (source, message) => {
  expect(() => render({ ...options, source, flags: new Set() })).toThrow(TemplateError);
  expect(() => render({ ...options, source, flags: new Set() })).toThrow(message);
});

test("a compiler's complaint names the template's file and line, or the library's", async () => {
  const broken = (library: string) =>
    defineKernel({
      name: "broken",
      doc: "",
      dims: ["n"],
      flags: ["more"],
      args: { x: read("n"), y: write("n"), more: when("more", read("n")) },
      libraries: { twice: library },
      variants: { naive: { source: TEMPLATE, grid: () => [1, 1, 1] } },
      flops: () => 0,
      reference: () => undefined,
      cases: {},
      gradient: { none: "a test" },
    });
  await withEngine({}, async (engine) => {
    const plan = (library: string) =>
      engine.plan(({ x }) => dispatch(broken(library), { inputs: { x, more: x }, outputs: { y: [4] }, numbers: { n: 4 }, flags: ["more"] }), { x: f32(4) });
    await expect(plan("fn twice(v: f32) -> f32 {\n  return 2.0 * v;\n}\n")).rejects.toThrow(/broken\.naive\.wgsl:17:.*MISTAKE/);
    await expect(plan("fn twice(v: f32) -> f32 {\n  return v + WRONG;\n}\n")).rejects.toThrow(/lib\/twice\.wgsl:2:.*WRONG/);
  });
});

describe("debug switches", () => {
  const linesOf = async (...switches: DebugSwitch[]) => {
    const lines: string[] = [];
    await withEngine({ debug: new Set(switches), log: (line) => lines.push(line) }, async (engine) => {
      const plan = await engine.plan(({ x, w }) => ({ y: relu(add(matmul(x, w), x)) }), { x: f32(8, 8), w: f32(8, 8) }, { label: "probe" });
      await plan.run({ x: new Float32Array(64).fill(1), w: new Float32Array(64).fill(1) });
    });
    return lines.join("\n");
  };
  test("print what they promise, and nothing without one", async () => {
    expect(await linesOf()).toBe("");
    expect(await linesOf("shapes")).toMatch(/plan probe[\s\S]*epilogue fusion: \d+ → \d+ operations, saves .* MFLOP and .*B[\s\S]*memory: [\s\S]*matmul.*m=8/);
    expect(await linesOf("wgsl")).toMatch(/\/\/ matmul\.\w+ f32[\s\S]*fn main/);
    expect(await linesOf("time")).toMatch(/ms +[\d.-]+ GFLOP\/s +[\d.-]+ GB\/s +matmul\.\w+ f32/);
    expect(await linesOf("alloc")).toMatch(/plan probe: .* of its own; device: .*activations/);
  });
  test("are parsed strictly", () => {
    expect([...parseDebug("nan, time")]).toEqual(["nan", "time"]);
    expect(parseDebug(undefined).size).toBe(0);
    expect(() => parseDebug("tim")).toThrow(/no switch "tim"/);
    expect([...parseDebug(Object.keys(DEBUG_SWITCHES).join())]).toEqual(Object.keys(DEBUG_SWITCHES));
  });
});
