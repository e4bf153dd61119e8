// Whether the oracles are here: only `npm test` installs them, so a single test file run by hand may have to do without.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PACKAGES = ["@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-cpu", "onnxruntime-node"];

const missing = PACKAGES.filter((name) => !existsSync(fileURLToPath(new URL(`node_modules/${name}/package.json`, import.meta.url))));

/** True where an oracle is missing; tests that need one are then skipped, and one line says what would install it. */
export const oraclesMissing = missing.length > 0;

if (oraclesMissing) console.warn(`oracles: ${missing.join(", ")} not installed, tests that compare with them are skipped; \`npm test\` installs them, or \`npm ci --prefix test/oracles\``);
