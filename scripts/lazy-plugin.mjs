// An esbuild plugin for Node: the functions of some packages load their package when they are first called, not when the library is.
import { createRequire } from "node:module";

/** Packages whose loading takes longer than a kernel's first result leaves, with what is used of them; all are called or constructed. */
const LATE = { "fflate/browser": ["Unzlib", "zlibSync"], "jpeg-js": ["decode"] };

const requireHere = createRequire(import.meta.url);

/** An import must name only what is listed above (the build fails otherwise), and the package must have it. */
export const lazyPlugin = {
  name: "lazy",
  setup(build) {
    build.onResolve({ filter: /^(fflate\/browser|jpeg-js)$/ }, ({ path }) => ({ path, namespace: "lazy" }));
    build.onLoad({ filter: /.*/, namespace: "lazy" }, ({ path }) => {
      const missing = LATE[path].filter((name) => typeof requireHere(path)[name] !== "function");
      if (missing.length > 0) throw new Error(`${path} has no function ${missing.join(", ")}`);
      const functions = LATE[path].map((name) => `export function ${name}(...given) { return new.target ? new (load().${name})(...given) : load().${name}(...given); }`);
      const load = `import { createRequire } from "node:module";\nlet loaded;\nconst load = () => (loaded ??= createRequire(import.meta.url)(${JSON.stringify(path)}));`;
      return { contents: [load, ...functions].join("\n"), loader: "js" };
    });
  },
};
