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
  70: "a fault of cytonet, or training gave NaN or infinities",
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

const WIDTH = 80;

/** Rows as columns with two spaces between and before them; the last one is broken at spaces, so that no line is wider than a terminal of 80. */
function formatColumns(rows: readonly (readonly string[])[]): string {
  const count = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: count - 1 }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const left = widths.reduce((sum, width) => sum + width + 2, 2);
  return rows
    .map((row) => {
      const head = widths.map((width, i) => `  ${(row[i] ?? "").padEnd(width)}`).join("");
      return breakLines(row[count - 1] ?? "", WIDTH - left).map((line, i) => `${i === 0 ? head : " ".repeat(left - 2)}  ${line}`.trimEnd()).join("\n");
    })
    .map((text) => `${text}\n`)
    .join("");
}

/** A text in lines of at most `width`, but for words that are longer. */
function breakLines(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

async function describeSettings(): Promise<string> {
  const { FIELDS } = await import("../model/config.ts");
  const rows = Object.entries(FIELDS).map(([key, { value, doc }]) => [key, JSON.stringify(value), doc]);
  return `Settings of \`cytonet train\`, by --set KEY=VALUE, with their defaults:\n${formatColumns(rows)}`;
}

async function describeEnvironmentVariables(): Promise<string> {
  const { DEBUG_SWITCHES } = await import("../engine/debug.ts");
  const variables = [
    ["CYTONET_ADAPTER", "part of an adapter's name, as --adapter"],
    ["CYTONET_CACHE", "folder for the CPU adapter that comes along, once unpacked (default: the user's cache folder)"],
    ["CYTONET_TUNED", "file with tuned choices, or off (default: tuned.json in the cache folder)"],
    ["NO_COLOR, CI, TERM=dumb", "no colour; with the last two no line that is redrawn either"],
    ["CYTONET_DEBUG", "switches, separated by commas:"],
    ...Object.entries(DEBUG_SWITCHES).map(([name, doc]) => [`  ${name}`, doc]),
  ];
  return formatColumns(variables);
}

/** What `cytonet --help TOPIC` prints, by topic. */
export const TOPICS: Readonly<Record<string, () => string | Promise<string>>> = {
  "exit-codes": describeExitCodes,
  settings: describeSettings,
  environment: describeEnvironmentVariables,
};
