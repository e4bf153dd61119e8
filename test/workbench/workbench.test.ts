// The workbench: facts read off rendered templates, mistakes named, and verdicts on edits as an editor leaves them.
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { matmul } from "../../kernels/matmul/matmul.ts";
import { softmax } from "../../kernels/softmax/softmax.ts";
import { openTemplate, watchTexts } from "../../src/cli/templates.ts";
import type { Traits } from "../../src/kernel/define.ts";
import { createWorkbench, type Texts } from "../../src/workbench/bench.ts";
import { explain } from "../../src/workbench/explain.ts";
import { readFacts } from "../../src/workbench/facts.ts";
import { printExplanation, printVerdict } from "../../src/workbench/print.ts";
import { findKernel, findWorkpiece } from "../../src/workbench/workpiece.ts";
import { useEngine } from "../support/engine.ts";

const TRAITS: Traits = { features: new Set(), subgroupMin: 1, subgroupMax: 1, workgroupMemory: 16384, invocations: 256, barriers: "cheap", matrices: [] };

describe("facts", () => {
  test("sizes by the rules of WGSL, constants worked out, comments and other functions left out", () => {
    const facts = readFacts(`
alias Elem = f16;
alias Elem4 = vec4<Elem>;
const W = 8u; const TILE = 2u * (W - 2u); // 12
struct Pair { a: vec3f, b: f32, c: f32 }   // 16 + 4 → 20, rounded up to 32
var<workgroup> tile: array<vec4f, TILE * 2u>;
var<workgroup> pairs: array<Pair, max(3u, W / 4u)>;
var<workgroup> odd: array<vec3f, 2>;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;
fn unused() { var big = array<f32, 100>(); }
fn load(i: u32) -> vec4f { let raw = x[i]; return vec4f(raw); }
@compute @workgroup_size(W, W / 2u)
fn main(@builtin(local_invocation_index) t: u32) {
  var sums: array<vec4f, TILE>;     // 48 words
  let v = load(t);                  // 4 words, and load's own 2 below
  let s = v.x;                      // 1
  var m = mat4x4f();                // 16
  /* var comment = array<f32, 64>(); */
  workgroupBarrier();
}`);
    expect(facts).toEqual({ workgroup: [8, 4, 1], shared: 24 * 16 + 3 * 32 + 2 * 16, barriers: 1, registers: { arrays: 48, values: 4 + 1 + 16 + 2 } });
  });
});

describe("workpieces", () => {
  test("are found with hyphen or underscore, and by what benches know", () => {
    expect(findKernel("layer_norm").name).toBe("layer-norm");
    expect(findWorkpiece(matmul, {}, TRAITS)).toMatchObject({ case: "1024³", chosen: true });
    expect(findWorkpiece(matmul, { flags: ["bias", "gelu"], variant: "register", constants: { ROWS: 4 } }, TRAITS)).toMatchObject({ case: "vit-s mlp", blueprint: { variant: "register", flags: ["bias", "gelu"], constants: { ROWS: 4 } } });
  });
  test.each([
    [() => findKernel("matmull"), /nothing is called "matmull", expected one of .*matmul/],
    [() => findWorkpiece(matmul, { variant: "registr" }, TRAITS), /--variant registr: matmul has none, expected one of naive, .*register/],
    [() => findWorkpiece(matmul, { flags: ["gelo"] }, TRAITS), /no flag gelo/],
    [() => findWorkpiece(matmul, { case: "1024" }, TRAITS), /--case "1024"/],
    [() => findWorkpiece(matmul, { sizes: { q: 3 } }, TRAITS), /--size q: matmul has no such size, expected one of batch, /],
    [() => findWorkpiece(matmul, { variant: "tile64", constants: { TILES: 3 } }, TRAITS), /--set TILES: .*expected one of TILE, STEP/],
    [() => findWorkpiece(matmul, { dtype: "f16" }, TRAITS), /the device lacks shader-f16/],
  ])("%#: mistakes are named", (find, message) => {
    expect(find).toThrow(message);
  });
});

test("an explanation: work, bound, variants and why not, in 80 columns", () => {
  const piece = findWorkpiece(matmul, { variant: "naive", sizes: { m: 6, n: 10, k: 7 } }, TRAITS);
  const found = explain(piece, TRAITS, { flops: 1e9, bytes: 1e8, launch: 0 });
  expect(found).toMatchObject({ flops: 2 * 6 * 10 * 7, bytes: 4 * (6 * 7 + 7 * 10 + 6 * 10), output: { name: "c", elements: 60 }, ridge: 10, bound: "memory" });
  expect(found.seconds).toBeCloseTo(found.bytes / 1e8, 12);
  expect(found.variants.find(({ variant }) => variant === "register")?.reason).toMatch(/does not take this size/);
  expect(found.variants.find(({ variant }) => variant === "broadcast")?.reason).toMatch(/the device lacks subgroups/);
  expect(found.variants.filter(({ chosen }) => chosen)).toHaveLength(1);
  const text = printExplanation(found, "kernels/matmul/matmul.naive.wgsl");
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
});

describe("an edit", () => {
  const engine = useEngine();
  const texts: Texts = { source: softmax.variants["lanes"]!.source, libraries: softmax.libraries };
  const edited = (from: string, to: string): Texts => {
    expect(texts.source).toContain(from);
    return { ...texts, source: texts.source.replace(from, to) };
  };

  test("is linted at its own line, checked, and raced", async () => {
    const piece = findWorkpiece(softmax, { variant: "lanes", sizes: { rows: 64, n: 64 } }, engine().device.traits);
    const bench = await createWorkbench(engine(), piece, texts);
    try {
      const same = await bench.judge(texts);
      expect(same).toMatchObject({ lint: [], checks: { failures: [] } });
      expect(same.checks!.passed).toBeGreaterThan(0);
      expect(same.speed!.low).toBeLessThanOrEqual(same.speed!.ratio);
      expect(same.speed!.high).toBeGreaterThanOrEqual(same.speed!.ratio);

      const line = texts.source.split("\n").findIndex((text) => text.includes("let start =")) + 1;
      const broken = await bench.judge(edited("let start =", "let start = ="));
      expect(broken.lint).toHaveLength(1);
      expect(broken.lint[0]).toContain(`softmax.lanes.wgsl:${line}:`);
      expect(broken).not.toHaveProperty("speed");

      const unbound = await bench.judge(edited("// [rows, n]", "// [n, rows]"));
      expect(unbound.lint[0]).toMatch(/the comment gives x the shape \[n, rows\]/);
      const directive = await bench.judge(edited("//#end", "//#end\n//#if nonsense"));
      expect(directive.lint[0]).toMatch(/^softmax\.lanes\.wgsl:\d+: /);

      const wrong = await bench.judge(edited("1.0 / (sums.x", "1.0 / (0.5 * sums.x"));
      expect(wrong.lint).toEqual([]);
      expect(wrong.checks!.failures[0]).toMatch(/^softmax\.lanes f32 .*times the allowed error/);
      expect(printVerdict(wrong)).toContain("FAILED");

      const well = await bench.judge(texts);
      expect(well.checks!.failures).toEqual([]);
    } finally {
      bench.dispose();
    }
  });
});

test("a watched file is seen however it is written, and not while it is away or empty", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cytonet-watch-"));
  const controller = new AbortController();
  try {
    const path = join(folder, "softmax.lanes.wgsl");
    const put = (text: string) => writeFile(path, text);
    await put("first");
    const seen: string[] = [];
    const ended = (async () => {
      for await (const { source } of watchTexts(openTemplate(path), softmax, { source: "first", libraries: softmax.libraries }, controller.signal)) seen.push(source);
    })();
    const until = async (count: number) => {
      while (seen.length < count) await new Promise((done) => setTimeout(done, 10));
    };
    const idle = () => new Promise((done) => setTimeout(done, 250));
    await idle();
    expect(seen).toEqual([]);
    await put("in place");
    await until(1);
    await writeFile(join(folder, "new"), "renamed over it");
    await rename(join(folder, "new"), path);
    await until(2);
    await put("");
    await idle();
    await rm(path);
    await idle();
    expect(seen).toEqual(["in place", "renamed over it"]);
    await put("back again");
    await until(3);
    expect(seen.at(-1)).toBe("back again");
    controller.abort();
    await ended;
  } finally {
    controller.abort();
    await rm(folder, { recursive: true, force: true });
  }
});
