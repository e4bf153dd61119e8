// The tuner's journal: a line before and a line after each candidate, so that a tuner killed at any moment goes on where it was.
import type { Files } from "../files.ts";
import type { Outcome } from "./measure.ts";

export interface Journal {
  /** What became of a candidate in an earlier or in this run. */
  find(key: string): Outcome | undefined;
  /** Says that a candidate is tried now. */
  begin(key: string): Promise<void>;
  end(key: string, outcome: Outcome): Promise<void>;
  /** Everything is in the store: nothing is left to go on with. */
  remove(): Promise<void>;
}

type Line = { readonly begin: string } | { readonly end: string; readonly outcome: Outcome };

/** Times that a candidate may take the whole tuner with it before it counts as crashed: the first may have been somebody's kill. */
const MOST_BEGINNINGS = 2;

/** Opens the journal of an earlier run, or an empty one. A line that a kill cut short counts for nothing. */
export async function openJournal(files: Files, path: string): Promise<Journal> {
  const outcomes = new Map<string, Outcome>();
  const begun = new Map<string, number>();
  const text = (await files.size(path)) === undefined ? "" : new TextDecoder().decode(await files.read(path));
  for (const line of text.split("\n")) {
    const parsed = parse(line);
    if (parsed === undefined) continue;
    if ("begin" in parsed) begun.set(parsed.begin, (begun.get(parsed.begin) ?? 0) + 1);
    else outcomes.set(parsed.end, parsed.outcome);
  }
  const write = (line: Line | undefined) => files.append(path, new TextEncoder().encode(line === undefined ? "\n" : `${JSON.stringify(line)}\n`));
  if (text !== "" && !text.endsWith("\n")) await write(undefined);
  return {
    find(key) {
      const outcome = outcomes.get(key);
      if (outcome) return outcome;
      return (begun.get(key) ?? 0) >= MOST_BEGINNINGS ? { status: "crashed", reason: `the tuner ended ${MOST_BEGINNINGS} times while it was measured` } : undefined;
    },
    begin: (key) => write({ begin: key }),
    async end(key, outcome) {
      outcomes.set(key, outcome);
      await write({ end: key, outcome });
    },
    remove: () => files.remove(path),
  };
}

function parse(line: string): Line | undefined {
  try {
    const value = JSON.parse(line) as Partial<{ begin: unknown; end: unknown; outcome: Partial<Outcome> }> | null;
    if (typeof value?.begin === "string") return { begin: value.begin };
    if (typeof value?.end === "string" && typeof value.outcome?.status === "string") return { end: value.end, outcome: value.outcome as Outcome };
  } catch {
    // cut short
  }
  return undefined;
}
