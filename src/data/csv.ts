// Comma-separated tables with line numbers: RFC 4180 read strictly, so that every mistake can be named by file and row.
import { EXIT_CODES, UserError } from "../errors.ts";

/** A table as text. Lines count from 1 (the header), as editors show them. */
export interface Table {
  readonly name: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The line of the file on which each row starts. */
  readonly lines: Uint32Array;
}

function badTable(name: string, line: number, what: string, remedy: string): UserError {
  return new UserError(EXIT_CODES.badData, `${name}:${line}: ${what}; ${remedy}`);
}

/** Decodes UTF-8 strictly; a byte-order mark is dropped. */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(EXIT_CODES.badData, `${name}: not UTF-8 text; save the file as UTF-8`);
  }
}

/**
 * Parses comma-separated values with a header line. Fields may be quoted (`"a, ""b"""`), lines end in LF or CRLF, empty lines are skipped.
 * The number of fields of each row is left to the caller. Errors: UserError 65 with file and line.
 */
export function parseCsv(bytes: Uint8Array, name: string): Table {
  const text = decodeText(bytes, name);
  const rows: string[][] = [];
  const lines: number[] = [];
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const start = line;
    const row: string[] = [];
    for (;;) {
      if (text[at] === '"') {
        let field = "";
        const opened = line;
        at += 1;
        for (;;) {
          const quote = text.indexOf('"', at);
          if (quote < 0) throw badTable(name, opened, "a quoted field is not closed", 'close it with "');
          const piece = text.slice(at, quote);
          field += piece;
          for (let i = piece.indexOf("\n"); i >= 0; i = piece.indexOf("\n", i + 1)) line += 1;
          at = quote + 1;
          if (text[at] !== '"') break;
          field += '"';
          at += 1;
        }
        if (at < text.length && text[at] !== "," && text[at] !== "\n" && !(text[at] === "\r" && text[at + 1] === "\n"))
          throw badTable(name, line, `text after a closing quote: ${JSON.stringify(text.slice(at, at + 10))}`, 'double the quotes inside a quoted field ("")');
        row.push(field);
      } else {
        let end = at;
        for (; end < text.length; end++) {
          const code = text.charCodeAt(end);
          if (code === 44 || code === 10) break;
        }
        const cut = text[end] !== "," && text[end - 1] === "\r" && end > at ? end - 1 : end;
        const field = text.slice(at, cut);
        if (field.includes('"')) throw badTable(name, line, `a quote inside an unquoted field ${JSON.stringify(field)}`, "quote the whole field");
        row.push(field);
        at = cut;
      }
      if (text[at] === ",") {
        at += 1;
        continue;
      }
      if (text[at] === "\r") at += 1;
      if (text[at] === "\n") at += 1;
      line += 1;
      break;
    }
    if (row.length > 1 || row[0] !== "") {
      rows.push(row);
      lines.push(start);
    }
  }
  const header = rows.shift();
  lines.shift();
  if (header === undefined) throw badTable(name, 1, "the table is empty, expected a header line", "write the column names into the first line");
  const names = header.map((column) => column.trim());
  names.forEach((column, i) => {
    if (column === "") throw badTable(name, 1, `column ${i + 1} has no name`, "name it or remove it");
    if (names.indexOf(column) !== i) throw badTable(name, 1, `two columns named "${column}"`, "rename one of them");
  });
  return { name, header: names, rows, lines: Uint32Array.from(lines) };
}

/** One line of a table; fields are quoted where they must be. */
export function formatCsvRow(fields: readonly string[]): string {
  return `${fields.map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",")}\n`;
}

/** Whether f32, in which positions are kept, can hold a number. */
export function isStorable(value: number): boolean {
  return Number.isFinite(Math.fround(value));
}

/** What was expected instead of a number that is none, or that is beyond f32. */
export function describeNumber(value: number | undefined): string {
  return value === undefined ? "expected a finite number" : "expected a number within ±3.4e38";
}

/** A decimal number in the usual notation, or undefined; "nan", "inf", "0x10" and "" are none. */
export function parseNumber(text: string): number | undefined {
  if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}
