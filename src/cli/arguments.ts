// Reading arguments: numbers, formats and lists as typed on a command line; every mistake is a UserError 2 that names the option.
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { checkMemorySize } from "../model/memory-size.ts";

export const FORMATS = ["table", "json", "jsonl", "csv", "md"] as const;
export type Format = (typeof FORMATS)[number];

/** What `cytonet check` can do: run checks of both kinds or of one, or say what the device takes or how accurate it is. */
export const CHECK_MODES = ["test", "forward", "gradient", "support", "accuracy"] as const;
export type CheckMode = (typeof CHECK_MODES)[number];

function wrong(flag: string, text: string, expected: string, names: readonly string[] = []): UserError {
  const near = suggest(text, names)[0];
  return new UserError(EXIT_CODES.usage, `${flag}: ${JSON.stringify(text)}, expected ${expected}`, near === undefined ? [] : [`Did you mean ${near}?`]);
}

/** A parser of one of a few words. */
export function oneOf<const Name extends string>(flag: string, names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found === undefined) throw wrong(flag, text, `one of ${names.join(", ")}`, names);
    return found;
  };
}

/** A parser of a number above 0. */
export function positiveNumber(flag: string): (text: string) => number {
  return (text) => {
    const value = parse(text);
    if (!(value > 0 && Number.isFinite(value))) throw wrong(flag, text, "a number above 0");
    return value;
  };
}

/** A parser of a number from `least` to `most`. */
export function numberWithin(flag: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = parse(text);
    if (!(value >= least && value <= most)) throw wrong(flag, text, `a number from ${least} to ${most}`);
    return value;
  };
}

/** A parser of a whole number from `least`. */
export function wholeNumber(flag: string, least: number): (text: string) => number {
  return (text) => {
    const value = parse(text);
    if (!Number.isSafeInteger(value) || value < least) throw wrong(flag, text, `a whole number from ${least}${value > Number.MAX_SAFE_INTEGER ? ` to ${Number.MAX_SAFE_INTEGER}` : ""}`);
    return value;
  };
}

/** A parser of an amount of memory; gives the text, which is as good for a configuration. */
export function memorySize(flag: string): (text: string) => string {
  return (text) => {
    const problem = checkMemorySize(text);
    if (problem !== undefined) throw wrong(flag, text, problem.replace("expected ", ""));
    return text;
  };
}

/** A parser of words with commas between them, at least one, none of them empty. */
export function listOf(flag: string): (text: string) => readonly string[] {
  return (text) => {
    const words = text.split(",").map((part) => part.trim());
    if (words.includes("")) throw wrong(flag, text, "one or more words with commas between them");
    return words;
  };
}

/** A parser of whole numbers from 1 with commas between them. */
export function wholeNumbers(flag: string): (text: string) => readonly number[] {
  const list = listOf(flag);
  return (text) => list(text).map(wholeNumber(flag, 1));
}

/** A parser of a share from 0, written as `5%` or `0.05`. */
export function share(flag: string): (text: string) => number {
  return (text) => {
    const value = text.endsWith("%") ? parse(text.slice(0, -1)) / 100 : parse(text);
    if (!(value >= 0)) throw wrong(flag, text, "a share such as 5% or 0.05");
    return value;
  };
}

/** NaN for anything but a decimal number: `Number("")` is 0 and `Number("0x10")` is 16. */
function parse(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
}

/** What `--resume` takes: `must`, which is meant where it stands alone, wants a run to be there; `auto` begins one where there is none. */
export const RESUME_MODES = ["auto", "must"] as const;
export type ResumeMode = (typeof RESUME_MODES)[number];

/**
 * The command line with `--resume` joined to its word, and to `must` where none of its words follows: commander would take whatever follows, the
 * dataset too. What comes after `--` stays as it is.
 */
export function joinResume(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [word = "", next] = args.slice(i, i + 2);
    if (word !== "--resume" || (end >= 0 && i > end)) joined.push(word);
    else if (RESUME_MODES.some((mode) => mode === next)) joined.push(`${word}=${args[++i]}`);
    else joined.push(`${word}=must`);
  }
  return joined;
}

/** Collects an option that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
