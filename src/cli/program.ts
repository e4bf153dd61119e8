// The command line of `cytonet`: hands over to one verb, and turns every error into a message and an exit code.
import { Command, CommanderError } from "commander";
import { EXIT_CODES, UserError } from "../errors.ts";
import { VERSION } from "../version.ts";

/** Builds the command line. Verbs load what they need when they run, so that `--help` answers at once. */
export function buildProgram(): Command {
  const program = new Command("cytonet")
    .description("WebGPU compute kernels that train and run foundation models of cortical microstructure")
    .version(VERSION)
    .option("--debug", "print stack traces with errors")
    .showSuggestionAfterError()
    .exitOverride();
  program
    .command("exit-codes")
    .description("list what the exit codes of every command mean")
    .action(() => void process.stdout.write(describeExitCodes()));
  return program;
}

/** One line per exit code: number and name. */
export function describeExitCodes(): string {
  return Object.entries(EXIT_CODES).map(([name, code]) => `${String(code).padStart(3)}  ${name}\n`).join("");
}

/** Runs one command line (without `node` and the script) and gives the exit code it ends with. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  if (args[0] === "--help" && args[1] === "exit-codes") {
    process.stdout.write(describeExitCodes());
    return EXIT_CODES.ok;
  }
  try {
    await buildProgram().parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT_CODES.ok;
  } catch (error) {
    return reportError(error, args.includes("--debug"));
  }
}

/** Prints an error for a person on stderr and gives the exit code that belongs to it. */
export function reportError(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
  if (error instanceof UserError) {
    process.stderr.write([`error: ${error.message}`, ...error.notes.map((note) => `  ${note}`), ""].join("\n"));
    if (debug) process.stderr.write(`${error.stack ?? ""}\n`);
    return error.exitCode;
  }
  const cause = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`internal error: ${cause.message} (this is a fault of cytonet; --debug shows where)\n`);
  if (debug) process.stderr.write(`${cause.stack ?? ""}\n`);
  return EXIT_CODES.internal;
}
