// The program behind `npm run bench:peers`: reads its options, starts an engine a process, measures case by case, and tells the results.
import { writeFileSync, accessSync, constants } from "node:fs";
import { dirname, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { createProgress, formatSeconds } from "../../src/cli/progress.ts";
import { paint } from "../../src/cli/terminal.ts";
import { EXIT_CODES, UserError, type ExitCode } from "../../src/errors.ts";
import { benchCase } from "./bench.ts";
import { GROUPS, KINDS, selectCases } from "./cases.ts";
import { ENGINES, OURS, type EngineName } from "./engine.ts";
import { FORMATS, isOursBad, isUnjudged, needsAttention, renderRows, type Format, type Row } from "./table.ts";
import { createWorker, EngineFailure, type Worker } from "./worker.ts";

interface Options {
  readonly adapter?: string;
  readonly case: readonly string[];
  readonly cases: string;
  readonly engines: readonly string[];
  readonly seconds: number;
  readonly maxRun: number;
  readonly timeout: number;
  readonly work: number;
  readonly format: Format;
  readonly out?: string;
  readonly list?: boolean;
}

const usage = (message: string): UserError => new UserError(EXIT_CODES.usage, message);

function positive(name: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!(value > 0) || !Number.isFinite(value)) throw usage(`${name} ${JSON.stringify(text)}, expected a number above 0`);
    return value;
  };
}

const gather = (text: string, before: readonly string[]): string[] => [...before, text];

function readOptions(args: readonly string[]): Options {
  const kinds = Object.entries(KINDS).map(([name, { doc, numbers, passes }]) => `  ${name} ${Object.entries(numbers).map(([key, value]) => `${key}=${value < 0 ? "f/2" : value}`).join(" ")}${passes.length > 1 ? ` ${passes.join("|")}` : ""}\n      ${doc}`);
  const program = new Command("npm run bench:peers --")
    .description("Measures this engine beside TensorFlow.js, jax-js and ONNX Runtime on one adapter, in turns, each verified first.")
    .option("--adapter <name>", "part of the adapter's name: swiftshader, llvmpipe, a GPU's; otherwise as cytonet chooses")
    .option("--case <text>", "a case by its numbers, or words of standing cases' names; again for more", gather, [])
    .option("--cases <group>", `${Object.keys(GROUPS).join(" or ")}: which cases there are; models are the presets at 224 and 512 px, minutes each`, "standing")
    .option("--engines <names>", `some of ${ENGINES.join(",")}`, (text: string) => text.split(","), [...ENGINES])
    .option("--seconds <n>", "seconds of timing a case, all engines together", positive("--seconds"), 8)
    .option("--max-run <n>", "leaves out an engine where one run takes longer, in seconds", positive("--max-run"), 20)
    .option("--timeout <n>", "gives an engine up that does not answer for so many seconds", positive("--timeout"), 240)
    .option("--work <n>", "multiplications in f64 that verifying a case may take; beyond, parts are verified", positive("--work"), 6e9)
    .option("--format <format>", FORMATS.join(", "), "table")
    .option("--out <file>", "writes the results there instead of to stdout")
    .option("--list", "lists the cases")
    .addHelpText("after", `\nKinds of cases, with what their numbers are unless given:\n${kinds.join("\n")}\n\nExamples:\n  npm run bench:peers -- --adapter llvmpipe --case matmul --case 'conv 3'\n  npm run bench:peers -- --case 'matmul m=300 k=77 n=513' --case 'attention b=1 h=4 n=333 d=32 backward'\n  npm run bench:peers -- --adapter llvmpipe --cases models --seconds 60 --max-run 120\n  npm run --silent bench:peers -- --format json --adapter swiftshader > peers.json`)
    .exitOverride();
  program.parse([...args], { from: "user" });
  const options = program.opts<Options>();
  if (program.args.length > 0) throw usage(`argument ${JSON.stringify(program.args[0])}, expected options only; a case is --case ${JSON.stringify(program.args.join(" "))}`);
  if (!FORMATS.includes(options.format)) throw usage(`--format ${JSON.stringify(options.format)}, expected one of ${FORMATS.join(", ")}`);
  const unknown = options.engines.find((name) => !ENGINES.includes(name as EngineName));
  if (unknown !== undefined) throw usage(`--engines: no ${JSON.stringify(unknown)}, expected some of ${ENGINES.join(",")}`);
  return options;
}

/** A file that cannot be written is told at the start. */
function checkOut(out: string): void {
  try {
    accessSync(dirname(resolve(out)), constants.W_OK);
  } catch {
    throw new UserError(EXIT_CODES.cannotCreate, `--out ${out}: its folder cannot be written to, expected one that can`);
  }
}

async function main(args: readonly string[]): Promise<ExitCode> {
  const options = readOptions(args);
  const cases = selectCases(options.case, options.cases);
  if (options.list) {
    process.stdout.write(`${cases.map(({ name }) => name).join("\n")}\n`);
    return EXIT_CODES.ok;
  }
  if (options.out !== undefined) checkOut(options.out);
  const progress = createProgress();
  let adapter = options.adapter ?? "";
  // Ours goes first: it resolves the adapter's name, which all others are given.
  const names = [OURS, ...ENGINES.filter((name) => name !== OURS && options.engines.includes(name))];
  const workers = names.map((name) => createWorker(name, () => adapter));
  const judge = createWorker("judge", () => "");
  let signal: "SIGINT" | "SIGTERM" | undefined;
  const closeAll = () => [...workers, judge].forEach((worker) => worker.close());
  const onSignal = (which: "SIGINT" | "SIGTERM") => {
    signal = which;
    closeAll();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  const rows: Row[] = [];
  try {
    const present: Worker[] = [];
    for (const worker of workers) {
      try {
        const opened = await worker.start();
        if (worker.name === OURS) adapter = opened.adapter;
        progress.note(`${worker.name}: ${opened.description}${opened.adapter === "" ? "" : ` on ${opened.adapter}`}`);
        present.push(worker);
      } catch (error) {
        if (!(error instanceof EngineFailure)) throw error;
        if (worker.name === OURS) throw new UserError(EXIT_CODES.unavailable, error.message);
        progress.note(`${worker.name} is left out: ${error.message}`);
      }
    }
    await judge.start();
    const began = performance.now();
    for (const [i, problem] of cases.entries()) {
      const elapsed = (performance.now() - began) / 1e3;
      const left = i === 0 ? "" : `  about ${formatSeconds((elapsed / i) * (cases.length - i))} left`;
      const say = (text: string) => progress.update(`${i + 1}/${cases.length} ${text}${left}`);
      const row = await benchCase(problem, adapter, present, judge, { seconds: options.seconds, maxRunSeconds: options.maxRun, limitSeconds: options.timeout, work: options.work, stopped: () => signal !== undefined, say });
      if (signal !== undefined) break;
      rows.push(row);
      progress.note(`${i + 1}/${cases.length} ${tellRow(row)}`);
      // What is measured is kept, whatever becomes of the rest.
      if (options.out !== undefined) writeFileSync(options.out, renderRows(rows, options.format, (line) => line));
    }
  } catch (error) {
    // A signal ends the processes under whoever waits for one.
    if (signal === undefined) throw error;
  } finally {
    closeAll();
    progress.end("");
  }
  const text = renderRows(rows, options.format, (line) => paint("red", line, process.stdout));
  if (options.out === undefined && rows.length > 0) await new Promise<void>((done) => process.stdout.write(text, () => done()));
  if (signal !== undefined) return signal === "SIGINT" ? EXIT_CODES.interrupted : EXIT_CODES.terminated;
  if (rows.some(isOursBad)) return EXIT_CODES.checkFailed;
  return rows.some(isUnjudged) ? EXIT_CODES.internal : EXIT_CODES.ok;
}

function tellRow(row: Row): string {
  const peers = Object.entries(row.engines).map(([name, { verdict, ms }]) => `${name} ${verdict === "right" ? ms!.toPrecision(3) : verdict}`);
  const line = `${row.case}: ${peers.join(", ")}; ratio ${row.ratio?.toFixed(2) ?? "–"}`;
  return needsAttention(row) ? paint("red", line) : line;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_CODES.usage;
  else if (error instanceof UserError) {
    process.stderr.write(`${[`bench:peers: ${error.message}`, ...error.notes].join("\n")}\n`);
    process.exitCode = error.exitCode;
  } else {
    process.stderr.write(`bench:peers: ${error instanceof EngineFailure ? `the judge does not start: ${error.message}` : error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
    process.exitCode = EXIT_CODES.internal;
  }
}
