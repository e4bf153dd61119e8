// An esbuild plugin: `import text from "./file?raw"` gives the file's text, as Vite and Vitest do.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";

export const rawPlugin = {
  name: "raw",
  setup(build) {
    build.onResolve({ filter: /\?raw$/ }, (args) => ({
      path: resolve(args.importer === "" ? args.resolveDir : dirname(args.importer), args.path.slice(0, -"?raw".length)),
      namespace: "raw",
    }));
    build.onLoad({ filter: /.*/, namespace: "raw" }, async (args) => ({
      contents: await readFile(args.path, "utf8"),
      loader: "text",
      watchFiles: [args.path],
    }));
  },
};
