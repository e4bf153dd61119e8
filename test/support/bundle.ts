// Bundles TypeScript of this project into a file that plain Node or a page can run: for tests that need a process or a page.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { rawPlugin } from "../../scripts/raw-plugin.mjs";

export const projectRoot = resolve(fileURLToPath(import.meta.url), "../../..");

/** Bundles `entry` (relative to the project) for Node and gives the path of the script; packages stay outside. */
export async function bundleForNode(entry: string): Promise<string> {
  // Inside the project, so that the script finds its packages; named by process, so that test files do not meet.
  const folder = join(projectRoot, "node_modules/.cache/cytonet-test");
  await mkdir(folder, { recursive: true });
  const outfile = join(folder, `${entry.replace(/[^\w]+/g, "-")}-${process.pid}.mjs`);
  await build({ entryPoints: [join(projectRoot, entry)], bundle: true, format: "esm", platform: "node", target: "node20", packages: "external", outfile, plugins: [rawPlugin], logLevel: "error" });
  return outfile;
}

/** Bundles `entry` for a page, everything inside; gives the script's text. */
export async function bundleForPage(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [resolve(projectRoot, entry)],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    plugins: [rawPlugin],
    logLevel: "error",
  });
  return outputFiles[0]?.text ?? "";
}
