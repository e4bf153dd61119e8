// `npm run bench:peers`: installs the peers where they are not those of the lock file, bundles the bench, and starts it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { rawPlugin } from "../../scripts/raw-plugin.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const out = join(here, "dist");

function install() {
  const wanted = createHash("sha256").update(readFileSync(join(here, "package-lock.json"))).digest("hex");
  const stamp = join(here, "node_modules/.installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  process.stderr.write("bench:peers: installing the peers into bench/peers (about 360 MB, once) …\n");
  const windows = process.platform === "win32";
  // What npm says goes to stderr: stdout is for results.
  const { status } = spawnSync(windows ? "npm.cmd" : "npm", ["ci", "--prefix", here, "--no-audit", "--no-fund", "--loglevel=error"], { stdio: ["ignore", 2, 2], shell: windows });
  if (status !== 0) {
    process.stderr.write("bench:peers: the peers could not be installed (see above), expected npm to reach a registry; nothing was measured\n");
    process.exit(69);
  }
  writeFileSync(stamp, wanted);
}

/** This project's library as it is built, not its sources: what its users get. */
const libraryPlugin = {
  name: "library",
  setup(of) {
    of.onResolve({ filter: /\/src\/index\.ts$/ }, () => ({ path: "../../../dist/index.js", external: true }));
  },
};

const common = { bundle: true, format: "esm", platform: "node", target: "node20", outdir: out, logLevel: "warning" };

async function bundle() {
  const entryPoints = ["main.ts", "child.ts"].map((file) => join(here, file));
  await build({ ...common, entryPoints, external: ["webgpu", "commander"], plugins: [libraryPlugin, rawPlugin] });
  const version = JSON.parse(readFileSync(join(here, "node_modules/@tensorflow/tfjs-core/package.json"), "utf8")).version;
  const stamp = join(out, "tfjs.version");
  if (existsSync(join(out, "tfjs.js")) && existsSync(stamp) && readFileSync(stamp, "utf8") === version) return;
  await build({
    ...common,
    entryPoints: { tfjs: join(here, "tfjs-entry.mjs") },
    // The field `main` leads to a build for Node that registers no gradients.
    mainFields: ["module", "main"],
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  writeFileSync(stamp, version);
}

if (!existsSync(join(root, "dist/index.js"))) {
  process.stderr.write("bench:peers: dist/index.js is missing, expected a build; run npm run build\n");
  process.exit(66);
}
install();
await bundle();
await import(pathToFileURL(join(out, "main.js")).href);
