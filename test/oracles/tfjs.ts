// TensorFlow.js on the CPU, the oracle for gradients: bundled once per version, loaded ready to use.
import { existsSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import type * as Tfjs from "./tfjs-entry.ts";

/** Loads TensorFlow.js with all gradients and its CPU backend active: f32, plain loops, no GPU. */
export async function loadTfjs(): Promise<typeof Tfjs> {
  const folder = dirname(fileURLToPath(import.meta.url));
  const manifest: unknown = JSON.parse(await readFile(join(folder, "node_modules/@tensorflow/tfjs-core/package.json"), "utf8"));
  const { version } = manifest as { version: string };
  const bundle = join(folder, `node_modules/.cache/tfjs-${version}.mjs`);
  if (!existsSync(bundle)) {
    await mkdir(dirname(bundle), { recursive: true });
    const part = `${bundle}.${process.pid}`;
    await build({
      entryPoints: [join(folder, "tfjs-entry.ts")],
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      // The field `main` leads to a build for Node that registers no gradients.
      mainFields: ["module", "main"],
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      outfile: part,
      logLevel: "error",
    });
    await rename(part, bundle);
  }
  const tf = (await import(/* @vite-ignore */ pathToFileURL(bundle).href)) as typeof Tfjs;
  // Otherwise it advises every test to install its native backend.
  tf.enableProdMode();
  await tf.setBackend("cpu");
  await tf.ready();
  return tf;
}
