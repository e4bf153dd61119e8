// The tutorial, done by its own text: every block of docs/add-a-kernel.md is applied to a copy of the sources, which must then pass its checks.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, expect, test } from "vitest";
import { rawPlugin } from "../scripts/raw-plugin.mjs";
import { projectRoot } from "./support/bundle.ts";

// Inside the project, so that packages are found.
const folder = join(projectRoot, "node_modules/.cache/cytonet-test", `tutorial-${process.pid}`);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One block: a whole file, a line added behind the imports and exports of one, or put behind, or in place of, the line that holds some words. */
interface Block {
  readonly kind: "file" | "add" | "after" | "replace";
  readonly file: string;
  readonly words: string;
  readonly text: string;
}

function readBlocks(markdown: string): Block[] {
  return [...markdown.matchAll(/^```\w+ (.+)\n([\s\S]*?)^```$/gm)].map(([, info = "", text = ""]) => {
    const [, kind, quoted, plain = ""] = /(file|add|after|replace)=(?:"([^"]*)"|(\S+))/.exec(info) ?? [];
    const file = /\bin=(\S+)/.exec(info)?.[1] ?? plain;
    return { kind: kind as Block["kind"], file, words: quoted ?? "", text };
  });
}

function apply({ kind, file, words, text }: Block): void {
  const path = join(folder, file);
  if (kind === "file") return writeFileSync(path, text);
  const lines = readFileSync(path, "utf8").split("\n");
  const isHead = (line: string) => /^(import|export) .* from /.test(line);
  const at = kind === "add" ? lines.findLastIndex(isHead) : lines.findIndex((line) => line.includes(words));
  expect(at, `${file}: a line with ${words}`).toBeGreaterThanOrEqual(0);
  lines.splice(kind === "replace" ? at : at + 1, kind === "replace" ? 1 : 0, text.trimEnd());
  writeFileSync(path, lines.join("\n"));
}

const ENTRY = `
import { softsign } from "./kernels/index.ts";
import { createEngine } from "./src/engine/engine.ts";
import { listChecks, runCheck } from "./src/engine/check.ts";
import { openAdapter } from "./src/host/node.ts";
import { lintTemplate } from "./src/kernel/layout.ts";
import { GRADIENT_CASES } from "./src/ops/cases.ts";
import { checkGradient } from "./src/ops/gradcheck.ts";
const handle = await openAdapter({ log: () => undefined });
const engine = await createEngine(handle);
const results = [];
for (const check of listChecks(softsign, { ragged: true, traits: engine.device.traits })) if (check.dtype === "f32") results.push({ variant: check.variant, ...(await runCheck(engine, check)) });
const gradients = [];
for (const one of GRADIENT_CASES) if (one.name === "softsign") gradients.push(await checkGradient(engine, one, 1));
process.stdout.write(JSON.stringify({ results, gradients, lint: Object.keys(softsign.variants).flatMap((name) => lintTemplate(softsign, name)) }) + "\\n", () => process.exit(0));
`;

test("a kernel with gradient and a second variant, by copying the blocks", async () => {
  const markdown = readFileSync(join(projectRoot, "docs/add-a-kernel.md"), "utf8");
  const blocks = readBlocks(markdown);
  expect(blocks.length).toBeGreaterThan(8);
  mkdirSync(folder, { recursive: true });
  for (const name of ["src", "kernels"]) cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
  blocks.forEach(apply);
  // The one edit that the text describes in words.
  expect(markdown).toContain("put `...softsignCases` into the list `GRADIENT_CASES`");
  const cases = join(folder, "src/ops/cases.ts");
  writeFileSync(cases, readFileSync(cases, "utf8").replace(/(GRADIENT_CASES: readonly GradientCase\[\] = \[)/, "$1...softsignCases, "));

  writeFileSync(join(folder, "entry.ts"), ENTRY);
  const outfile = join(folder, "entry.mjs");
  await build({ entryPoints: [join(folder, "entry.ts")], bundle: true, format: "esm", platform: "node", target: "node20", packages: "external", outfile, plugins: [rawPlugin], logLevel: "error" });
  const { stdout } = await promisify(execFile)(process.execPath, [outfile], { env: { CYTONET_ADAPTER: "swiftshader", ...process.env } });
  const { results, gradients, lint } = JSON.parse(stdout) as { results: { variant: string; status: string; reason?: string }[]; gradients: { status: string }[]; lint: string[] };
  expect(lint).toEqual([]);
  expect(results.filter(({ status }) => status === "failed")).toEqual([]);
  for (const variant of ["naive", "vector"]) expect(results.filter((one) => one.variant === variant && one.status === "passed").length).toBeGreaterThan(2);
  expect(gradients.map(({ status }) => status)).toEqual(["passed"]);
});
