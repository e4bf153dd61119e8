// Builds dist/: the library for Node and for pages, the program, the page, and (unless --fast) the type declarations.
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { lazyPlugin } from "./lazy-plugin.mjs";
import { rawPlugin } from "./raw-plugin.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const fast = process.argv.includes("--fast");

const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  sourcemap: true,
  sourcesContent: false,
  write: false,
  logLevel: "warning",
  plugins: [rawPlugin],
};

/** Writes a file where it differs, at once: a program may be running from this folder at the same moment, or another build. */
async function place(path, contents) {
  const old = await readFile(path).catch(() => undefined);
  if (old?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, contents, { mode: path === join(dist, "cli/main.js") ? 0o755 : 0o644 });
  await rename(part, path);
}

const node = {
  ...common,
  platform: "node",
  target: "node20",
  // What is loaded at every start is bundled where it is small, other packages stay outside.
  external: ["webgpu", "commander", "yaml", "@sparticuz/chromium"],
  plugins: [rawPlugin, lazyPlugin],
};

/** Code that entries share lies in files of its own, which tell the same things to all of them. */
const split = { splitting: true, metafile: true, chunkNames: "chunks/[name]-[hash]", outdir: dist };

/** The library for Node, in as few files as its two entries allow: each file takes a moment to load. */
function buildLibrary() {
  return build({ ...node, ...split, outbase: join(root, "src"), entryPoints: ["src/index.ts", "src/core-node.ts"] });
}

/** The program: shared code is split so that verbs load lazily. */
function buildProgram() {
  return build({
    ...node,
    ...split,
    outbase: join(root, "src"),
    entryPoints: ["src/cli/main.ts", "src/host/node-serve.ts", "src/cli/patch-worker.ts"],
  });
}

/** Chunks carry hashes in their names: those of earlier builds would stay. A build that fails leaves the last one whole. */
async function removeOldChunks(builds) {
  const current = new Set(builds.flatMap(({ metafile }) => Object.keys(metafile.outputs)).map((path) => basename(path)));
  for (const name of await readdir(join(dist, "chunks")).catch(() => [])) {
    if (!current.has(name)) await rm(join(dist, "chunks", name));
  }
}

/** The library for pages: everything is in it; an import of `node:` fails the build. */
function buildForBrowser() {
  return build({ ...common, ...split, platform: "browser", target: "es2022", outbase: join(root, "src"), entryPoints: ["src/browser.ts", "src/core-browser.ts"] });
}

/** The page: index.html and its style beside its script. */
async function buildPage() {
  const built = await build({ ...common, platform: "browser", target: "es2022", minify: true, outdir: join(dist, "web"), entryPoints: ["web/main.ts"] });
  const plain = await Promise.all(["index.html", "style.css"].map(async (name) => ({ path: join(dist, "web", name), contents: await readFile(join(root, "web", name)) })));
  return { outputFiles: [...built.outputFiles, ...plain] };
}

/** Declarations by tsc; its import specifiers end in `.ts`, which a consumer's compiler refuses: they become `.js`. */
async function emitTypes() {
  await rm(join(dist, "types"), { recursive: true, force: true });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("the type declarations could not be written (see above)");
  for (const entry of await readdir(join(dist, "types"), { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith(".d.ts")) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(/((?:from|import)\s*\(?\s*")(\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"'));
  }
}

const builds = await Promise.all([buildProgram(), buildLibrary(), buildForBrowser()]);
const page = await buildPage();
// Chunks before what imports them.
const files = [...builds, page].flatMap(({ outputFiles }) => outputFiles).sort((a, b) => Number(b.path.includes("chunks")) - Number(a.path.includes("chunks")));
for (const { path, contents } of files) await place(path, contents);
await removeOldChunks(builds);
if (!fast) await emitTypes();
