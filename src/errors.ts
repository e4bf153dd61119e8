// The errors that people meet: what happened, where, what to do about it, and the exit code a command ends with.

/** Exit codes of every command; `cytonet --help exit-codes` prints this table. */
export const EXIT_CODES = {
  ok: 0,
  checkFailed: 1,
  usage: 2,
  regression: 3,
  badData: 65,
  inputMissing: 66,
  unavailable: 69,
  internal: 70,
  cannotCreate: 73,
  io: 74,
  locked: 75,
  config: 78,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/**
 * An error meant for a person. The message is one line (`<where>: <what> <got>, expected <want>`);
 * `notes` are further lines: other mistakes of the same input, or the exact thing to do.
 */
export class UserError extends Error {
  readonly exitCode: ExitCode;
  readonly notes: readonly string[];
  constructor(exitCode: ExitCode, message: string, notes: readonly string[] = [], options?: ErrorOptions) {
    super(message, options);
    this.name = "UserError";
    this.exitCode = exitCode;
    this.notes = notes;
  }
}

/** A path or name as a POSIX shell takes it in a command that is suggested. */
export function quoteArgument(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The names in `known` that look like `wanted`, nearest first: for "did you mean". Case and small slips are forgiven. */
export function suggest(wanted: string, known: Iterable<string>): string[] {
  // A name of which every letter would have to change is no slip.
  const limit = Math.min(Math.max(2, Math.floor(wanted.length / 3)), wanted.length - 1);
  return [...known]
    .map((name) => ({ name, distance: editDistance(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((x, y) => x.distance - y.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
