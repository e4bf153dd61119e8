// The rules of the house, read from the imports: who may know whom, and who may name the platform.
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "./support/bundle.ts";

/** The layers that each layer may import besides itself and the ground (`src/*.ts` that belong to all). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  kernel: [],
  kernels: ["kernel"],
  engine: ["kernel", "host-face"],
  ops: ["kernel", "kernels", "engine"],
  model: ["kernel", "engine", "ops", "data"],
  data: ["kernel"],
  phantom: ["kernel", "data"],
  analysis: ["kernel", "engine", "ops", "data", "model"],
  story: ["kernel", "engine", "data", "phantom", "model", "analysis"],
  report: ["data", "model", "analysis", "story"],
  bench: ["kernel", "kernels", "engine"],
  tune: ["kernel", "engine", "bench"],
  profile: ["kernel", "kernels", "engine", "data", "model", "bench", "report"],
  workbench: ["kernel", "kernels", "engine", "bench"],
  "host-face": [],
  host: ["host-face"],
  cli: ["kernel", "kernels", "engine", "ops", "model", "data", "phantom", "analysis", "story", "report", "bench", "tune", "profile", "workbench", "host", "host-face"],
  entry: ["kernel", "kernels", "engine", "ops", "model", "data", "phantom", "analysis", "story", "report", "bench", "tune", "profile", "workbench", "host", "host-face"],
};

/** Entries of the library stand above all layers; what else lies directly in `src` belongs to all of them. */
const ENTRIES = ["src/index.ts", "src/browser.ts", "src/library.ts", "src/core.ts", "src/core-node.ts", "src/core-browser.ts"];

function layerOf(file: string): string {
  if (file === "src/host/adapter.ts") return "host-face";
  if (ENTRIES.includes(file)) return "entry";
  if (file.startsWith("kernels/")) return "kernels";
  return /^src\/(\w+)\//.exec(file)?.[1] ?? "ground";
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function listSources(folder: string): Source[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .map((file) => {
      const text = readFileSync(join(projectRoot, file), "utf8");
      const found = text.matchAll(/(?:^|[\s;])(?:import|export)\s(?:[^"';]*?\sfrom\s)?\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/g);
      return { file, text, imports: [...found].map((match) => match[1] ?? match[2] ?? "") };
    });
}

const sources = [...listSources("src"), ...listSources("kernels")];

/** Text without comments and strings, in which a name is a use of it. */
function codeOf(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "").replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

const targetOf = (file: string, specifier: string): string => posix.join(posix.dirname(file), specifier);

test("the sources are found and their imports read", () => {
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.find(({ file }) => file === "src/index.ts")?.imports).toContain("./library.ts");
  expect(sources.find(({ file }) => file === "src/host/node.ts")?.imports).toContain("webgpu");
});

test("layers import downwards only", () => {
  const wrong: string[] = [];
  for (const { file, imports } of sources) {
    const from = layerOf(file);
    for (const specifier of imports.filter((name) => name.startsWith("."))) {
      const target = targetOf(file, specifier);
      const to = layerOf(target);
      const allowed = to === from || to === "ground" || (MAY_IMPORT[from] ?? []).includes(to);
      if (!allowed) wrong.push(`${file} (${from}) imports ${target} (${to})`);
    }
  }
  expect(wrong).toEqual([]);
});

test("every layer is known", () => {
  const unknown = sources.map(({ file }) => layerOf(file)).filter((layer) => layer !== "ground" && !(layer in MAY_IMPORT));
  expect(unknown).toEqual([]);
});

test("relative imports carry their extension", () => {
  const wrong = sources.flatMap(({ file, imports }) =>
    imports.filter((name) => name.startsWith(".") && !/\.(ts|(wgsl|json)\?raw)$/.test(name)).map((name) => `${file}: ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("only the Node host and the program import node: or Dawn", () => {
  const wrong = sources.flatMap(({ file, imports, text }) => {
    if (/^src\/host\/(files-)?node[\w-]*\.ts$/.test(file) || file.startsWith("src/cli/") || file === "src/index.ts") return [];
    const named = imports.filter((name) => name.startsWith("node:") || name === "webgpu");
    const globals = /\b(process|Buffer|__dirname|require)\b\s*[.(]/.exec(codeOf(text)) ?? [];
    return [...named, ...globals.slice(0, 1)].map((name) => `${file}: ${name}`);
  });
  expect(wrong).toEqual([]);
});

test("only the engine, the bench and the hosts name GPU types", () => {
  const wrong = sources
    .filter(({ file }) => !/^src\/(engine|bench|host)\//.test(file))
    .filter(({ text }) => /\bGPU[A-Z]\w*|\bnavigator\.gpu\b/.test(codeOf(text)))
    .map(({ file }) => file);
  expect(wrong).toEqual([]);
});

test("only hosts, the program and the page touch a document or a window", () => {
  const wrong = sources
    .filter(({ file }) => !/^src\/(host|cli)\//.test(file))
    .filter(({ text }) => /\b(document|localStorage|indexedDB|window\.(?:document|location|navigator))\./.test(codeOf(text)))
    .map(({ file }) => file);
  expect(wrong).toEqual([]);
});

test("nothing sets a global", () => {
  const wrong = sources.filter(({ text }) => /Object\.assign\(\s*globalThis|globalThis\.\w+\s*=[^=]/.test(codeOf(text))).map(({ file }) => file);
  expect(wrong).toEqual([]);
});

test("each file says in its first line what it is", () => {
  const wrong = sources.filter(({ text }) => !/^(#!.*\n)?\/\/ \S.*[.:]\s*\n/.test(text)).map(({ file }) => file);
  expect(wrong).toEqual([]);
});
