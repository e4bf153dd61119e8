// The filter on stderr: harmless warnings go, everything else stays, in order, wherever stderr leads.
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleForNode } from "../support/bundle.ts";

const REST = "before\nWarning: something else\nafter\nlast words\ndeliberate failure\nend\n";

let top = "";
let program = "";
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-stderr-test-"));
  program = await bundleForNode("test/host/programs/stderr.ts");
});
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
  await rm(program, { force: true });
});

function shell(redirection: string): { stdout: string; status: number | null } {
  const script = `set -o pipefail; "${process.execPath}" "${program}" ${redirection}`;
  return spawnSync("bash", ["-c", script], { cwd: top, env: { ...process.env, TMPDIR: top }, encoding: "utf8", timeout: 60_000 });
}

describe.skipIf(process.platform !== "linux")("stderr", () => {
  test("through a pipe, the harmless warnings are gone", () => {
    expect(shell("2>&1 >/dev/null | cat").stdout).toBe(REST);
  });

  test("at the end of a file that is appended to, too, and stdout may share it", async () => {
    shell("2>>both.txt >>both.txt");
    expect(await readFile(join(top, "both.txt"), "utf8")).toBe(`${REST}7\n`);
  });

  test("in a plain file nothing is filtered and nothing lost", async () => {
    shell(">plain.txt 2>&1");
    const text = await readFile(join(top, "plain.txt"), "utf8");
    expect(text).toContain("artificially reduced");
    expect(text.split("\n").filter((line) => !line.includes("artificially reduced")).join("\n")).toBe(`${REST}7\n`);
  });

  test("a pipe that nobody reads does not hold the program up", () => {
    const { status, stdout } = shell("2> >(true)");
    expect({ status, stdout }).toEqual({ status: 0, stdout: "7\n" });
  });

  test("a closed stderr does no harm, and no temporary file stays", async () => {
    expect(shell("2>&-").stdout).toBe("7\n");
    expect((await readdir(top)).filter((name) => name.startsWith("cytonet-stderr-"))).toEqual([]);
  });
});
