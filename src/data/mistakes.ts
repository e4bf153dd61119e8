// Collects all mistakes of an input, so that a person sees them at once instead of one by one.
import { EXIT_CODES, suggest, UserError } from "../errors.ts";

/** So many are printed; the rest is counted. */
const SHOWN = 40;

export interface Mistakes {
  /** Adds one: where (`file` or `file:line`), what was found and expected, and what to do. */
  add(where: string, what: string, remedy: string): void;
  /** Adds a file that is not there. */
  addMissing(where: string, what: string, remedy: string): void;
  /** Adds an error met on the way; anything but a UserError is thrown on. */
  addError(error: unknown): void;
  readonly count: number;
  /** Throws a UserError if there are any: 66 where all are missing files, else 65. `note` is a last line: what was not looked at. */
  check(subject: string, note?: string): void;
}

export function collectMistakes(): Mistakes {
  const lines: string[] = [];
  let count = 0;
  let missing = 0;
  const push = (line: string): void => {
    count += 1;
    if (lines.length < SHOWN) lines.push(line);
  };
  return {
    add: (where, what, remedy) => push(`${where}: ${what}; ${remedy}`),
    addMissing(where, what, remedy) {
      missing += 1;
      push(`${where}: ${what}; ${remedy}`);
    },
    addError(error) {
      if (!(error instanceof UserError) || (error.exitCode !== EXIT_CODES.badData && error.exitCode !== EXIT_CODES.inputMissing)) throw error;
      if (error.exitCode === EXIT_CODES.inputMissing) missing += 1;
      push(error.message);
      lines.push(...error.notes.slice(0, SHOWN));
    },
    get count() {
      return count;
    },
    check(subject, note) {
      if (count === 0) return;
      const code = missing === count ? EXIT_CODES.inputMissing : EXIT_CODES.badData;
      const notes = [...lines, ...(count > lines.length ? [`and ${count - lines.length} more`] : []), ...(note === undefined ? [] : [note])];
      if (count === 1) throw new UserError(code, notes[0] ?? subject, notes.slice(1));
      throw new UserError(code, `${subject}: ${count} mistakes`, notes);
    },
  };
}

/** ` (did you mean "layer"?)` or nothing. */
export function didYouMean(wanted: string, known: Iterable<string>): string {
  const [nearest] = suggest(wanted, known);
  return nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
}
