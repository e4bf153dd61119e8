// Help on what is no verb: exit codes, settings, environment variables.
import { EXIT_CODES, type ExitCode } from "../errors.ts";

const MEANINGS: Record<ExitCode, string> = {
  0: "done",
  1: "a check failed",
  2: "the command line is wrong",
  3: "slower than allowed",
  65: "a dataset, image, model or checkpoint is wrong or damaged",
  66: "an input is missing",
  69: "no adapter that can be used, or it lacks a feature",
  70: "a fault of cytonet, or training gave numbers that are not finite",
  73: "an output cannot be created, or exists already",
  74: "reading or writing failed, or the disk is full",
  75: "another process holds it",
  78: "a setting is wrong",
  130: "stopped by Ctrl-C",
  143: "stopped by SIGTERM",
};

/** One line per exit code: number, name, meaning. */
export function describeExitCodes(): string {
  return Object.entries(EXIT_CODES)
    .map(([name, code]) => `${String(code).padStart(3)}  ${name.padEnd(12)}  ${MEANINGS[code]}\n`)
    .join("");
}

async function describeSettings(): Promise<string> {
  const { FIELDS } = await import("../model/config.ts");
  const rows = Object.entries(FIELDS).map(([key, { value, doc }]) => [key, JSON.stringify(value), doc] as const);
  const [keys, values] = [0, 1].map((i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return `Settings of \`cytonet train\`, by --set KEY=VALUE, with their defaults:\n${rows.map(([key, value, doc]) => `  ${key.padEnd(keys ?? 0)}  ${value.padEnd(values ?? 0)}  ${doc}\n`).join("")}`;
}

async function describeEnvironmentVariables(): Promise<string> {
  const { DEBUG_SWITCHES } = await import("../engine/debug.ts");
  const variables = [
    ["CYTONET_ADAPTER", "part of an adapter's name, as --adapter"],
    ["CYTONET_CACHE", "folder for the CPU adapter that comes along, once unpacked (default: the user's cache folder)"],
    ["CYTONET_TUNED", "file with tuned choices, or off (default: tuned.json in the cache folder)"],
    ["NO_COLOR, CI, TERM=dumb", "no colour; with the last two no line that is redrawn either"],
    ["CYTONET_DEBUG", "switches, separated by commas:"],
    ...Object.entries(DEBUG_SWITCHES).map(([name, doc]) => [`  ${name}`, doc] as const),
  ] as const;
  return variables.map(([name, doc]) => `  ${name.padEnd(24)}  ${doc}\n`).join("");
}

/** What `cytonet --help TOPIC` prints, by topic. */
export const TOPICS: Readonly<Record<string, () => string | Promise<string>>> = {
  "exit-codes": describeExitCodes,
  settings: describeSettings,
  environment: describeEnvironmentVariables,
};
