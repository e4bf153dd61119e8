// The command line of `cytonet`: hands over to one verb, and turns every error into a message and an exit code.
import { Command, CommanderError } from "commander";
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { VERSION } from "../version.ts";
import { joinResume } from "./arguments.ts";
import { addVerbs, formatExamples } from "./commands.ts";
import { TOPICS } from "./help.ts";

const EXAMPLES = ["cytonet doctor", "cytonet demo", "cytonet train brains --preset tiny --steps 1000 --out runs/first", "cytonet embed runs/first brains --out features.safetensors"];

/** Builds the command line. Verbs load what they need when they run. */
export function buildProgram(): Command {
  const program = new Command("cytonet")
    .description("WebGPU compute kernels that train and run foundation models of cortical microstructure")
    .version(VERSION)
    .option("--debug", "print stack traces with errors")
    .addHelpText("before", formatExamples(EXAMPLES))
    .addHelpText("after", `\nMore help: ${Object.keys(TOPICS).map((topic) => `cytonet --help ${topic}`).join(", ")}`)
    .helpCommand("help [verb]", "show the help of a verb");
  addVerbs(program);
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    // What is wrong with a command line is told like any other error; commander's own printing is silenced.
    command.configureOutput({ outputError: () => undefined });
    command.exitOverride((error) => {
      throw explainUsage(command, error);
    });
  }
  return program;
}

/** Commander's complaint in the form of ours: what is wrong where, and what to do. */
function explainUsage(command: Command, error: CommanderError): Error {
  if (error.exitCode === 0 || error.code === "commander.help") return error;
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const words: string[] = [];
  for (let at: Command | null = command; at; at = at.parent) words.unshift(at.name());
  const name = words.join(" ");
  const notes = rest.map((line) => line.replace(/^\((.*)\)$/, "$1")).filter((line) => line !== "");
  return new UserError(EXIT_CODES.usage, `${name}: ${first}`, [...notes, `\`${name} --help\` shows examples and options.`]);
}

/** Runs one command line (without `node` and the script) and gives the exit code it ends with. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const debug = args.includes("--debug");
  try {
    const program = buildProgram();
    const [first = "", topic, ...more] = args;
    if (["--help", "-h", "help"].includes(first) && topic !== undefined && !topic.startsWith("-")) {
      process.stdout.write(await describeTopic(program, topic, more));
      return EXIT_CODES.ok;
    }
    await program.parseAsync(joinResume(args), { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT_CODES.ok;
  } catch (error) {
    return reportError(error, debug);
  }
}

async function describeTopic(program: Command, topic: string, more: readonly string[]): Promise<string> {
  const print = TOPICS[topic];
  if (print && Object.hasOwn(TOPICS, topic) && more.length === 0) return print();
  const verb = program.commands.find((command) => command.name() === topic);
  if (verb) {
    let text = "";
    verb.configureOutput({ writeOut: (part) => void (text += part) });
    verb.outputHelp();
    return text;
  }
  const known = [...program.commands.map((command) => command.name()), ...Object.keys(TOPICS)];
  const near = suggest(topic, known)[0];
  throw new UserError(EXIT_CODES.usage, `cytonet --help: no topic ${JSON.stringify([topic, ...more].join(" "))}, expected one of ${known.join(", ")}`, near === undefined ? [] : [`Did you mean ${near}?`]);
}

/** Prints an error for a person on stderr and gives the exit code that belongs to it. */
export function reportError(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
  if (error instanceof UserError) {
    const stopped = error.exitCode === EXIT_CODES.interrupted || error.exitCode === EXIT_CODES.terminated;
    process.stderr.write([`${stopped ? "" : "error: "}${error.message}`, ...error.notes.map((note) => `  ${note}`), ""].join("\n"));
    if (debug) process.stderr.write(`${describeStack(error)}\n`);
    return error.exitCode;
  }
  const cause = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`internal error: ${cause.message.split("\n")[0] ?? ""} (a fault of cytonet${debug ? "" : "; --debug shows where"})\n`);
  if (debug) process.stderr.write(`${describeStack(cause)}\n`);
  return EXIT_CODES.internal;
}

function describeStack(error: Error): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error ? `${own}\ncaused by ${describeStack(error.cause)}` : own;
}
