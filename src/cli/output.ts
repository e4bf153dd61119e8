// What commands print: data on stdout, or in a file written whole, in the format asked for.
import { constants } from "node:fs";
import { access, lstat, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EXIT_CODES, UserError } from "../errors.ts";
import { nodeFiles } from "../host/files-node.ts";
import { explainPrintError, isReaderGone } from "../host/node-stdout.ts";
import type { Format } from "./arguments.ts";

export type Cell = string | number | boolean | null;
export type Row = Readonly<Record<string, Cell>>;

/** What stands beside the rows of a document: `head` before them, `tail` after. */
export interface Surroundings {
  readonly head?: Readonly<Record<string, unknown>>;
  readonly tail?: Readonly<Record<string, unknown>>;
}

/**
 * Rows as text. JSON is one document `{ schema, …head, rows, …tail }`; JSON lines are a line a row and one more with head
 * and tail; in the others only the rows are shown.
 */
export function formatRows(format: Format, schema: string, rows: readonly Row[], { head = {}, tail = {} }: Surroundings = {}): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = () => [columns, ...rows.map((row) => columns.map((column) => formatCell(row[column])))];
  switch (format) {
    case "json":
      return `${JSON.stringify({ schema, ...head, rows, ...tail }, null, 2)}\n`;
    case "jsonl": {
      const rest = { ...head, ...tail };
      const lines = rows.map((row) => JSON.stringify({ schema, ...row }));
      if (Object.keys(rest).length > 0) lines.push(JSON.stringify({ schema, ...rest }));
      return lines.map((line) => `${line}\n`).join("");
    }
    case "csv": {
      const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      return cells().map((line) => `${line.map(quote).join(",")}\n`).join("");
    }
    case "md": {
      const [header = [], ...body] = cells();
      const line = (texts: readonly string[]) => `| ${texts.map((text) => text.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |\n`;
      return [line(header), line(header.map(() => "---")), ...body.map(line)].join("");
    }
    case "table": {
      const lines = cells();
      const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
      const isNumber = columns.map((column) => rows.every((row) => row[column] === undefined || row[column] === null || typeof row[column] === "number"));
      const pad = (text: string, i: number) => (isNumber[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0));
      return lines.map((line) => `${line.map(pad).join("  ").trimEnd()}\n`).join("");
    }
  }
}

/** Numbers keep five digits: enough to read, few enough to compare. */
function formatCell(value: Cell | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value);
}

/**
 * Prints to stdout, or writes the whole file or nothing where `output` names one (see `checkOutput`).
 * Errors: UserError 74 where the disk that either is on is full or fails.
 */
export async function emit(text: string, output?: string): Promise<void> {
  if (output !== undefined) return nodeFiles.writeAtomic(output, new TextEncoder().encode(text));
  await new Promise<void>((done, fail) =>
    // A reader that went away is dealt with where the program starts.
    process.stdout.write(text, (error) => (error && !isReaderGone(error) ? fail(explainPrintError(error)) : done())),
  );
}

/** The same file under another name, behind links included; files that do not exist yet are compared by their folders. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => stat(path).catch(() => undefined)));
  if (a && b) return a.dev === b.dev && a.ino === b.ino;
  if (a || b) return false;
  const [x, y] = await Promise.all([one, other].map(async (path) => join(await realpath(dirname(path)).catch(() => resolve(dirname(path))), basename(path))));
  return x === y;
}

/** Throws UserError 73 where writing `path` would replace one of the files that are read. */
export async function keepInputs(flag: string, path: string, inputs: readonly string[]): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  for (const input of inputs)
    if (await isSameFile(path, input)) throw new UserError(EXIT_CODES.cannotCreate, `${flag} ${path}: is ${path === input ? "" : `${input}, `}what is read, expected another file; choose another name`);
}

/**
 * Says before the work begins whether a file can be written at its end.
 * Errors: UserError 73 where it exists (unless `force`), is no file, or its folder is missing or not writable.
 */
export async function checkOutput(flag: string, path: string, force: boolean): Promise<void> {
  const refuse = (what: string, remedy: string) => new UserError(EXIT_CODES.cannotCreate, `${flag} ${path}: ${what}; ${remedy}`);
  const found = await lstat(path).catch(() => undefined);
  // Replacing a device or a link by a file, as an atomic write does, is never what was meant.
  if (found !== undefined && !found.isFile()) throw refuse(found.isDirectory() ? "is a folder, expected a file" : "is no regular file", "choose another name");
  if (found !== undefined && !force) throw refuse("exists already", "choose another name, or replace it with --force");
  const folder = dirname(path);
  if (!(await stat(folder).then((entry) => entry.isDirectory(), () => false))) throw refuse(`there is no folder ${folder}`, "make it, or choose another");
  await access(folder, constants.W_OK).catch(() => {
    throw refuse(`the folder ${folder} cannot be written to`, "change its permissions, or choose another");
  });
}

/**
 * Says before the work begins whether files can be written into a folder at its end; it is made then, with its parents.
 * Errors: UserError 73 where it, or what it would be made in, is no folder or not writable.
 */
export async function checkOutputFolder(flag: string, path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    const parent = dirname(path);
    if (["ENOENT", "ENOTDIR"].includes(found.code ?? "") && parent !== path) return checkOutputFolder(flag, parent);
    throw new UserError(EXIT_CODES.cannotCreate, `${flag} ${path}: cannot be looked at (${found.message}); choose another`);
  }
  if (!found.isDirectory()) throw new UserError(EXIT_CODES.cannotCreate, `${flag} ${path}: is no folder, expected one; choose another name`);
  await access(path, constants.W_OK).catch(() => {
    throw new UserError(EXIT_CODES.cannotCreate, `${flag} ${path}: the folder cannot be written to; change its permissions, or choose another`);
  });
}
