// What commands print: data on stdout in the format asked for, everything else on stderr.
import { writeFile, rename } from "node:fs/promises";
import { EXIT_CODES, UserError } from "../errors.ts";

export const FORMATS = ["table", "json", "jsonl", "csv", "md"] as const;
export type Format = (typeof FORMATS)[number];
export type Cell = string | number | boolean | null;
export type Row = Readonly<Record<string, Cell>>;

/** Parses --format. Throws a UserError 2 for another name. */
export function parseFormat(text: string): Format {
  const format = FORMATS.find((name) => name === text);
  if (!format) throw new UserError(EXIT_CODES.usage, `--format: ${JSON.stringify(text)}, expected one of ${FORMATS.join(", ")}`);
  return format;
}

/** Rows as text. JSON is one document `{ schema, rows, … }`, with `extra` beside the rows. */
export function formatRows(format: Format, schema: string, rows: readonly Row[], extra: Readonly<Record<string, unknown>> = {}): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const text = (value: Cell | undefined) => (value === undefined || value === null ? "" : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value));
  switch (format) {
    case "json":
      return `${JSON.stringify({ schema, ...extra, rows }, null, 2)}\n`;
    case "jsonl":
      return [...rows.map((row) => JSON.stringify({ schema, ...row })), ...(Object.keys(extra).length ? [JSON.stringify({ schema, ...extra })] : [])].map((line) => `${line}\n`).join("");
    case "csv": {
      const quote = (value: string) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
      return [columns, ...rows.map((row) => columns.map((c) => text(row[c])))].map((cells) => `${cells.map(quote).join(",")}\n`).join("");
    }
    case "md": {
      const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
      return [line(columns), line(columns.map(() => "---")), ...rows.map((row) => line(columns.map((c) => text(row[c]))))].join("");
    }
    case "table": {
      const cells = [columns, ...rows.map((row) => columns.map((c) => text(row[c])))];
      const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
      const right = columns.map((c) => rows.every((row) => row[c] === undefined || row[c] === null || typeof row[c] === "number"));
      return cells.map((line) => `${line.map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd()}\n`).join("");
    }
  }
}

/** Prints to stdout, or writes the whole file or nothing where `output` names one. */
export async function emit(text: string, output?: string): Promise<void> {
  if (output === undefined) {
    await new Promise<void>((done) => process.stdout.write(text, () => done()));
    return;
  }
  const temporary = `${output}.${process.pid}.part`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, output);
  } catch (cause) {
    throw new UserError(EXIT_CODES.cannotCreate, `--output ${output}: cannot be written (${cause instanceof Error ? cause.message : String(cause)})`, ["Choose a folder that exists and can be written."]);
  }
}
