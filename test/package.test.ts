// The package as others get it: packed, put into another project with its declared dependencies only, and used there.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTar } from "../src/host/node-unpack.ts";
import * as ops from "../src/ops/index.ts";
import { VERSION } from "../src/version.ts";
import { whyNoChromium } from "./browser/chromium.ts";
import { openSite } from "./browser/page.ts";
import { projectRoot } from "./support/bundle.ts";

interface Manifest {
  readonly dependencies: Record<string, string>;
}

const CONSUMER = `
import { parseDebug } from "cytonet/core";
import {
  VERSION, UserError, createEngine, createMemoryFiles, decodeWeights, embedDataset, f32, generateDataset, kernels, listAdapters, listChecks, openAdapter, ops, resolveConfig, runCheck, train,
  type AdapterHandle, type Dataset, type Engine, type Files, type Plan, type TrainResult,
} from "cytonet";

export const switches: ReadonlySet<string> = parseDebug("nan");
export const files: Files = createMemoryFiles();
export const open = (): Promise<AdapterHandle> => openAdapter({ adapter: "swiftshader" });
export async function roundTrip(): Promise<string> {
  await files.writeAtomic("a", new TextEncoder().encode(VERSION));
  return new TextDecoder().decode(await files.read("a"));
}
export async function describeMissing(): Promise<number> {
  return files.read("b").then(() => 0, (error: unknown) => (error instanceof UserError ? error.exitCode : -1));
}
export const count = async (): Promise<number> => (await listAdapters()).length;

async function withEngine<T>(body: (engine: Engine) => Promise<T>): Promise<T> {
  const handle = await openAdapter({ adapter: "swiftshader", log: () => undefined });
  const engine = await createEngine(handle);
  try {
    return await body(engine);
  } finally {
    engine.dispose();
    handle.close();
  }
}
/** A plan of one's own. */
export const multiply = (): Promise<number[]> =>
  withEngine(async (engine) => {
    const plan: Plan = await engine.plan(({ a, b }) => ({ c: ops.relu(ops.matmul(a, b)) }), { a: f32(2, 3), b: f32(3, 2) });
    const { c } = await plan.run({ a: Float32Array.of(1, 2, 3, 4, 5, 6), b: Float32Array.of(1, -1, 0, 2, 1, -1) });
    return Array.from(c as Float32Array);
  });
/** One of the catalogue's kernels, checked. */
export const check = (): Promise<string[]> =>
  withEngine(async (engine) => {
    const found: string[] = [];
    for (const one of listChecks(kernels.scale)) found.push((await runCheck(engine, one)).status);
    return [...new Set(found)].sort();
  });
/** Data in, weights and features out. */
export const learn = (): Promise<{ finished: boolean; count: number; channels: number }> =>
  withEngine(async (engine) => {
    const dataset: Dataset = await generateDataset({ seed: 1, brains: 1, sections: 1, width: 96, height: 72, pixelSizeUm: 48, sampleSpacingMm: 0.6 }, "data", files);
    const config = resolveConfig({ preset: "tiny", steps: 1, "data.patch": 32, "batch.groups": 2, "batch.groupSize": 2 });
    const { finished }: TrainResult = await train({ engine, files, dataset, config, out: "run", environment: {} });
    const embeddings = await embedDataset(engine, dataset, { files, weights: decodeWeights(await files.read("run/model.safetensors"), "weights"), batch: 8 });
    return { finished, count: embeddings?.count === dataset.samples.count ? 1 : 0, channels: embeddings?.channels ?? 0 };
  });
// @ts-expect-error: options are typed
export const wrongOp = () => ops.matmul(1, 2);
// @ts-expect-error: options are typed
export const wrong = () => openAdapter({ adapter: 5 });
`;

let consumer = "";
beforeAll(async () => {
  if (!existsSync(join(projectRoot, "dist/types/src/index.d.ts"))) execFileSync(process.execPath, ["scripts/build.mjs"], { cwd: projectRoot });
  consumer = await mkdtemp(join(tmpdir(), "cytonet-consumer-"));
  const modules = join(consumer, "node_modules");
  await mkdir(modules);
  execFileSync("npm", ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", consumer], { cwd: projectRoot });
  const packed = (await readdir(consumer)).find((name) => name.endsWith(".tgz")) ?? "";
  for (const { name, bytes } of readTar(gunzipSync(await readFile(join(consumer, packed))))) {
    const path = join(modules, name.replace(/^package\//, "cytonet/"));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  const manifest = JSON.parse(await readFile(join(modules, "cytonet/package.json"), "utf8")) as Manifest;
  for (const name of Object.keys(manifest.dependencies)) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(projectRoot, "node_modules", name), join(modules, name));
  }
  await writeFile(join(consumer, "package.json"), JSON.stringify({ name: "consumer", type: "module" }));
  await writeFile(join(consumer, "consumer.ts"), CONSUMER);
});
afterAll(() => rm(consumer, { recursive: true, force: true }));

test("holds no sources, tests or maps", async () => {
  const names = await readdir(join(consumer, "node_modules/cytonet"), { recursive: true });
  expect(names).toContain(join("dist", "index.js"));
  expect(names.filter((name) => /\.map$|(^|[\\/])(test|scripts)[\\/]|(?<!\.d)\.ts$/.test(name))).toEqual([]);
});

describe.each([
  ["bundler", "esnext"],
  ["nodenext", "nodenext"],
])("TypeScript with module resolution %s", (moduleResolution, module) => {
  test("finds types and holds users to them", async () => {
    const config = `tsconfig.${moduleResolution}.json`;
    const options = { strict: true, target: "es2022", lib: ["es2022", "dom"], types: [], noEmit: true, module, moduleResolution };
    await writeFile(join(consumer, config), JSON.stringify({ compilerOptions: options, files: ["consumer.ts"] }));
    const { status, stdout } = spawnSync(process.execPath, [join(projectRoot, "node_modules/typescript/bin/tsc"), "-p", config], { cwd: consumer, encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });
});

/** Compiles the first TypeScript example of a page as a user would, runs it from the package, and gives what `shown` is then. */
async function runExample(page: string, shown: string): Promise<unknown> {
  const text = await readFile(join(consumer, "node_modules/cytonet", page), "utf8");
  const example = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? "";
  expect(example).toContain('from "cytonet"');
  await writeFile(join(consumer, "example.ts"), example);
  const compiler = [join(projectRoot, "node_modules/typescript/bin/tsc"), "--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext", "example.ts"];
  const compiled = spawnSync(process.execPath, compiler, { cwd: consumer, encoding: "utf8" });
  expect(compiled.stdout).toBe("");
  await writeFile(join(consumer, "show.mjs"), `${await readFile(join(consumer, "example.js"), "utf8")}\nconsole.log("\\n" + JSON.stringify(${shown})); process.exit(0);`);
  const { stdout, stderr, status } = spawnSync(process.execPath, ["show.mjs"], { cwd: consumer, encoding: "utf8", env: { CYTONET_ADAPTER: "swiftshader", ...process.env } });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

test("the example of docs/library.md has types, and learns", async () => {
  const { losses, disc } = (await runExample("docs/library.md", "{ losses, disc }")) as { losses: number[]; disc: number[] };
  // It begins near the log 2 of a coin, and ends sure of a point in the middle and of one far outside.
  expect(losses).toHaveLength(200);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4);
  expect(disc[0]!).toBeGreaterThan(0.9);
  expect(disc[1]!).toBeLessThan(0.1);
});

test("docs/library.md names every op", async () => {
  const text = await readFile(join(projectRoot, "docs/library.md"), "utf8");
  const missing = Object.entries(ops).filter(([name, op]) => typeof op === "function" && !new RegExp(`[\\\`.]${name}\\b`).test(text));
  expect(missing.map(([name]) => name)).toEqual([]);
});

test("the package brings its docs, and no script that an install would run", async () => {
  const names = await readdir(join(consumer, "node_modules/cytonet/docs"));
  expect(names).toEqual(expect.arrayContaining(["dataset.md", "run-folder.md", "library.md"]));
  const { scripts } = JSON.parse(await readFile(join(consumer, "node_modules/cytonet/package.json"), "utf8")) as { scripts: Record<string, string> };
  expect(Object.keys(scripts).filter((name) => ["preinstall", "install", "postinstall", "prepare"].includes(name))).toEqual([]);
});

test("the README's example runs, and has types", async () => {
  const [y, dw] = (await runExample("README.md", "[y[0], dw[0]]")) as [number, number];
  // y = 128 · 0.1 · 0.1 and dw = Σ x / 2048 over 64 rows: sums of up to 128 terms in f32, each rounded by at most 2^-24 relative.
  expect(Math.abs(y / 1.28 - 1)).toBeLessThan(128 * 2 ** -24);
  expect(Math.abs(dw / ((64 * 0.1) / 2048) - 1)).toBeLessThan(128 * 2 ** -24);
});

test("runs in Node, and has one engine by both of its entries", async () => {
  const script =
    'import { VERSION, nodeFiles, listAdapters, decodeImage, encodePng, createEngine } from "cytonet"; import * as core from "cytonet/core"; const png = encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(7) }); console.log(VERSION, typeof nodeFiles.read, Array.isArray(await listAdapters()), decodeImage(png, "x").data[0], core.createEngine === createEngine, "train" in core); process.exit(0);';
  await writeFile(join(consumer, "run.mjs"), script);
  expect(execFileSync(process.execPath, ["run.mjs"], { cwd: consumer, encoding: "utf8" }).trim()).toBe(`${VERSION} function true 7 true false`);
});

const LEARNED = { finished: true, count: 1, channels: 256 };
const PRODUCT = [4, 0, 10, 0];

test("computes, checks and trains in Node", async () => {
  await build({ absWorkingDir: consumer, entryPoints: ["consumer.ts"], format: "esm", outfile: join(consumer, "consumer.mjs"), logLevel: "error" });
  await writeFile(join(consumer, "use.mjs"), 'import { check, learn, multiply } from "./consumer.mjs"; console.log(JSON.stringify([await multiply(), await check(), await learn()])); process.exit(0);');
  const { stdout, stderr, status } = spawnSync(process.execPath, ["use.mjs"], { cwd: consumer, encoding: "utf8" });
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual([PRODUCT, ["passed", "skipped"], LEARNED]);
});

test.skipIf(whyNoChromium() !== undefined)("runs in a bundled page, with nothing of Node in it", async () => {
  const { outputFiles } = await build({ absWorkingDir: consumer, entryPoints: ["consumer.ts"], bundle: true, format: "esm", platform: "browser", write: false, logLevel: "error" });
  const code = outputFiles[0]?.text ?? "";
  expect(code).not.toMatch(/from\s*"node:|\brequire\("/);
  const contents = new Map([
    ["/index.html", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/entry.js"></script>'],
    ["/entry.js", 'import * as entry from "/consumer.js"; globalThis.entry = entry;'],
    ["/consumer.js", code],
  ]);
  const opened = await openSite({ contents });
  try {
    expect(await opened.call("roundTrip")).toBe(VERSION);
    expect(await opened.call("describeMissing")).toBe(66);
    expect(await opened.call("count")).toBe(1);
    expect(await opened.call("multiply")).toEqual(PRODUCT);
    expect(await opened.call("check")).toEqual(["passed", "skipped"]);
    expect(await opened.call("learn")).toEqual(LEARNED);
    expect(opened.faults).toEqual([]);
  } finally {
    await opened.close();
  }
});

test("the program answers --help and --version without Dawn", async () => {
  const dawn = join(consumer, "node_modules/webgpu");
  await rm(dawn);
  try {
    const run = (...args: string[]): string =>
      execFileSync(process.execPath, [join(consumer, "node_modules/cytonet/dist/cli/main.js"), ...args], { encoding: "utf8" });
    expect(run("--version").trim()).toBe(VERSION);
    expect(run("--help")).toContain("Usage: cytonet");
    expect(run("--help", "exit-codes")).toMatch(/69 {2}unavailable/);
  } finally {
    await symlink(join(projectRoot, "node_modules/webgpu"), dawn);
  }
});
