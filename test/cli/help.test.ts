// Help: examples first, at once, without a GPU; every mistake on the command line says what, where and what to do.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { buildProgram as declareProgram } from "../../src/cli/program.ts";
import { printCompletion } from "../../src/cli/completion.ts";
import { EXIT_CODES } from "../../src/errors.ts";
import { FIELDS } from "../../src/model/config.ts";
import { chooseDemoSteps } from "../../src/model/demo.ts";
import { PRESETS } from "../../src/model/presets.ts";
import { projectRoot } from "../support/bundle.ts";
import { buildProgram, runProgram } from "../support/program.ts";

beforeAll(buildProgram);

const program = declareProgram();
const verbs = program.commands.map((command) => command.name());

test("the verbs that others build on are there", () => {
  expect(verbs).toEqual(expect.arrayContaining(["doctor", "import", "train", "embed", "probe", "check", "bench", "tune", "demo", "completion"]));
});

/** Everything that a command line loads, and the text of what is our own. */
async function traceLoads(args: readonly string[], expected: number = EXIT_CODES.ok): Promise<{ urls: string[]; own: string }> {
  const hook = join(projectRoot, "test/cli/programs/name-loads.mjs");
  const { code, stderr } = await runProgram(args, { node: ["--import", hook] });
  expect(code).toBe(expected);
  const urls = [...stderr.matchAll(/^loaded (\S+)$/gm)].map((match) => match[1] ?? "");
  const own = urls.filter((url) => url.includes("/dist/")).map((url) => readFileSync(fileURLToPath(url), "utf8")).join("\n");
  return { urls, own };
}

test.each([[["--help"]], ...verbs.map((verb) => [[verb, "--help"]]), [["--version"]], [["--help", "exit-codes"]], [["completion", "bash"]]])("%j loads neither Dawn, nor the engine, nor a kernel", async (args) => {
  const { urls, own } = await traceLoads(args);
  expect(urls.some((url) => url.endsWith("/dist/cli/main.js"))).toBe(true);
  const packages = new Set(urls.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []));
  expect([...packages]).toEqual(["commander"]);
  expect(own).not.toMatch(/requestDevice|@compute|requestAdapter/);
});

test("the trace would see Dawn", async () => {
  const { urls, own } = await traceLoads(["check", "scale"]);
  expect(urls.some((url) => url.includes("node_modules/webgpu/"))).toBe(true);
  expect(own).toMatch(/requestDevice/);
});

test.each(verbs)("%s --help begins with examples, which the program accepts", (verb) => {
  const command = program.commands.find((one) => one.name() === verb);
  let text = "";
  command?.configureOutput({ writeOut: (part) => void (text += part) });
  command?.outputHelp();
  expect(text).toMatch(/^Examples:\n {2}(source <\()?cytonet /);
  const options = [...text.slice(0, text.indexOf("Usage:")).matchAll(/ (--[a-z-]+)/g)].map((match) => match[1]);
  const known = [...(command?.options ?? []), ...(command?.commands ?? []).flatMap(({ options: own }) => own), ...program.options].map(({ long }) => long);
  expect(known).toEqual(expect.arrayContaining(options));
});

test("help names every preset, and defaults that other files hold", async () => {
  const helpOf = async (verb: string) => (await runProgram([verb, "--help"])).stdout.replace(/\s+/g, " ");
  const [train, demo] = [await helpOf("train"), await helpOf("demo")];
  expect(train).toContain(`model: ${Object.keys(PRESETS).join(", ")} (default: ${FIELDS.preset.value})`);
  expect(train).toContain(`optimizer steps (default: ${FIELDS.steps.value})`);
  expect(train).toContain(`augmentation (default: ${FIELDS.seed.value})`);
  expect(demo).toContain(`optimizer steps (default: ${chooseDemoSteps("a GPU")}, on SwiftShader ${chooseDemoSteps("SwiftShader")})`);
});

describe("topics", () => {
  test("exit codes, all of them", async () => {
    const { stdout, code } = await runProgram(["--help", "exit-codes"]);
    expect(code).toBe(0);
    for (const [name, number] of Object.entries(EXIT_CODES)) expect(stdout).toMatch(new RegExp(`^ *${number} {2}${name} `, "m"));
  });
  test("settings with their defaults", async () => {
    const { stdout, code } = await runProgram(["help", "settings"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}loss\.tau +0\.1 +temperature$/m);
  });
  test.each(["settings", "environment", "exit-codes"])("%s fits 80 columns", async (topic) => {
    const { stdout } = await runProgram(["--help", topic]);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });
  test("a verb by its name", async () => {
    const [byTopic, byFlag] = await Promise.all([runProgram(["--help", "train"]), runProgram(["train", "--help"])]);
    expect(byTopic.stdout).toBe(byFlag.stdout);
  });
});

test.each<[string[], RegExp]>([
  [["trian"], /^error: cytonet: unknown command 'trian'\n {2}Did you mean train\?\n {2}`cytonet --help`/],
  [["train", "d", "--out", "r", "--stpes", "3"], /^error: cytonet train: unknown option '--stpes'\n {2}Did you mean --steps\?/],
  [["train", "d", "--stpes", "3"], /unknown option '--stpes'/],
  [["train", "d"], /^error: cytonet train: --out RUN is missing\n/],
  [["train"], /^error: cytonet train: missing required argument 'dataset'/],
  [["train", "d", "--out", "r", "--steps", "many"], /^error: --steps: "many", expected a whole number from 1/],
  [["train", "d", "--out", "r", "--steps", "0x10"], /^error: --steps: "0x10"/],
  [["train", "d", "--out", "r", "--set", "loss.tau"], /^error: --set: "loss.tau", expected key=value/],
  [["train", "d", "--out", "r", "--preset", "tinny"], /^error: preset: no "tinny", expected one of tiny, vit-tiny, r50, vit-s, vit-b, hybrid, rfb\n {2}Did you mean tiny\?/],
  [["train", "d", "--out", "r", "--preset", "tiny", "--set", "preset=tiny"], /preset is given twice/],
  [["train", "d", "--out", "r", "--resume", "--force"], /--resume and --force, expected at most one/],
  [["train", "d", "--out", "r", "--resume=always"], /--resume: "always", expected one of auto, must/],
  [["embed", "r", "d"], /^error: cytonet embed: --out FILE is missing/],
  [["embed", "r", "d", "--out", "f.txt"], /f\.txt/],
  [["check", "matmull"], /nothing is called "matmull".*\n {2}Did you mean matmul\?/],
  [["check", "--format", "jsn"], /^error: --format: "jsn", expected one of table, json, jsonl, csv, md\n {2}Did you mean json\?/],
  [["bench", "--variant", "niave"], /--variant: no "niave".*\n {2}Did you mean naive\?/],
  [["bench", "matmul", "--set", "mm=64"], /^error: --set mm: matmul has no such size or constant.*\n {2}Did you mean m\?/],
  [["bench", "compare", "before.json"], /^error: cytonet bench compare: missing required argument 'after'/],
  [["tune", "--list", "--clear"], /^error: cytonet tune: --list with --clear/],
  [["completion", "tcsh"], /^error: completion: "tcsh", expected one of bash, zsh, fish/],
  [["--help", "exti-codes"], /no topic "exti-codes".*\n {2}Did you mean exit-codes\?/],
  [["import", "s", "--x", "a"], /^error: cytonet import: options are missing\n {2}--out DIR\n {2}--table FILE\n {2}--image TEMPLATE\n {2}--section COLUMN\n {2}--y COLUMN\n {2}--units px\|um\n {2}--pixel-size UM or --pixel-size-column COLUMN\n/],
])("usage: %j", async (args, message) => {
  const { code, stdout, stderr } = await runProgram(args);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(EXIT_CODES.usage);
  expect(stderr).not.toMatch(/\n {4}at /); // no stack trace
});

test("wrong settings are told all at once, with 78", async () => {
  const { code, stderr } = await runProgram(["train", "d", "--out", "r", "--set", "loss.tua=0.2", "--set", "loss.sigmaMm=-1", "--set", "optimizer.name=adam"]);
  expect(code).toBe(EXIT_CODES.config);
  expect(stderr).toMatch(/3 settings are wrong\n {2}loss\.tua: there is no such setting; did you mean loss\.tau\?\n/);
  expect(stderr).toMatch(/loss\.sigmaMm: -1, expected/);
  expect(stderr).toMatch(/optimizer\.name: "adam", expected one of adamw, sgd/);
});

test("a configuration file: its mistakes and those of the command line at once, with lines; only with one is its parser loaded", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cytonet-config-"));
  const file = join(folder, "run.yaml");
  const args = ["train", join(folder, "no-dataset"), "--out", join(folder, "r"), "--set", "loss.tau=0.3"];
  try {
    writeFileSync(file, "loss:\n  tua: 0.2\nsteps: 0\n");
    const wrong = await runProgram([...args, "--config", file, "--set", "seed=-1"]);
    expect(wrong.code).toBe(EXIT_CODES.config);
    expect(wrong.stderr).toContain(`3 settings are wrong\n  ${file}:2: loss.tua: there is no such setting; did you mean loss.tau?\n  ${file}:3: steps: 0, expected`);
    expect(wrong.stderr).toMatch(/\n {2}seed: -1, expected a whole number/);
    // What is given on the command line goes before the file, mistakes there too.
    writeFileSync(file, "loss:\n  tau: far\n");
    const loadsParser = async (more: readonly string[]) => (await traceLoads([...args, ...more], EXIT_CODES.inputMissing)).urls.some((url) => url.includes("/node_modules/yaml/"));
    expect([await loadsParser(["--config", file]), await loadsParser([])]).toEqual([true, false]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("--debug adds a stack trace", async () => {
  const { stderr } = await runProgram(["train", "nowhere", "--out", "r", "--debug"]);
  expect(stderr).toMatch(/^error: nowhere/);
  expect(stderr).toMatch(/\n {4}at /);
});

describe("completion", () => {
  const complete = (...words: string[]): string[] => {
    const script = `${printCompletion(program, "bash")}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cytonet; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" }).stdout.split("\n").filter((word) => word !== "");
  };
  test("bash: verbs, options, values, topics", () => {
    expect(complete("cytonet", "d")).toEqual(["doctor", "demo"]);
    expect(complete("cytonet", "train", "--res")).toEqual(["--resume"]);
    expect(complete("cytonet", "train", "data", "--preset", "v")).toEqual(["vit-tiny"]);
    expect(complete("cytonet", "check", "--format", "js")).toEqual(["json", "jsonl"]);
    expect(complete("cytonet", "--help", "exit")).toEqual(["exit-codes"]);
    expect(complete("cytonet", "completion", "z")).toEqual(["zsh"]);
  });
  test.each(["zsh", "fish"] as const)("%s knows every verb and option", (shell) => {
    const script = printCompletion(program, shell);
    for (const command of program.commands) {
      expect(script).toContain(command.name());
      for (const { long } of command.options) expect(script).toContain(shell === "fish" ? `-l ${long?.slice(2)} ` : `${long}[`);
    }
  });
});
