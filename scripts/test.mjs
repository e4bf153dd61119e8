// All tests: build, oracles, typecheck, Vitest. Ends with the line `N passed, N failed[, N skipped]`, and fails where a test does, or none ran.
// Arguments are handed to Vitest; CYTONET_ADAPTER chooses the adapter (by default the embedded one).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tally = { passed: 0, failed: 0, skipped: 0 };

function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, stdio: "inherit", ...options }).status === 0;
}

/** A step without which the tests mean nothing: one failure, and the end. */
function need(what, ok) {
  if (ok) return;
  console.error(`tests: ${what} failed (see above)`);
  tally.failed++;
  finish();
}

/** Installs the oracles where the installed ones are not those of the lock file. */
function installOracles() {
  const folder = join(root, "test/oracles");
  const wanted = createHash("sha256").update(readFileSync(join(folder, "package-lock.json"))).digest("hex");
  const stamp = join(folder, "node_modules/.installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true;
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  if (!run(npm, ["ci", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error"], { shell: process.platform === "win32" })) return false;
  writeFileSync(stamp, wanted);
  return true;
}

function finish() {
  if (tally.passed === 0 && tally.failed === 0) {
    console.error("tests: none ran, expected some");
    tally.failed++;
  }
  const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : "";
  console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
  process.exit(tally.failed === 0 ? 0 : 1);
}

need("the build", run(process.execPath, ["scripts/build.mjs"]));
need("the installation of the oracles", installOracles());

if (run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"])) tally.passed++;
else tally.failed++;

const folder = mkdtempSync(join(tmpdir(), "cytonet-test-"));
const report = join(folder, "report.json");
try {
  const env = { CYTONET_ADAPTER: "swiftshader", ...process.env };
  const args = ["node_modules/vitest/vitest.mjs", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)];
  const ok = run(process.execPath, args, { env });
  const counts = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : undefined;
  if (counts !== undefined) {
    tally.passed += counts.numPassedTests;
    tally.failed += counts.numFailedTests;
    tally.skipped += counts.numPendingTests + counts.numTodoTests;
  }
  // A file that does not load, an error outside of a test, a crash: Vitest fails without a failed test.
  if (!ok && (counts?.numFailedTests ?? 0) === 0) tally.failed++;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
finish();
