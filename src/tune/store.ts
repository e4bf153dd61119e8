// Where tuned choices are kept: one JSON file behind the `Files` interface, so on disks and in browsers alike.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { printKey, type TunedEntry } from "../kernel/tuning.ts";

const SCHEMA = "cytonet-tuned/1";

/** The entries of a store; none where there is no file. Errors: UserError 65 where it is no store. */
export async function readStore(files: Files, path: string): Promise<TunedEntry[]> {
  if ((await files.size(path)) === undefined) return [];
  return parseStore(path, new TextDecoder().decode(await files.read(path)));
}

/** The entries in a store's text. Those that do not hold together are left out: nothing tuned is better than nonsense. */
export function parseStore(where: string, text: string): TunedEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notAStore(where, cause);
  }
  const { schema, entries } = (value ?? {}) as { schema?: unknown; entries?: unknown };
  if (schema !== SCHEMA || !Array.isArray(entries)) throw notAStore(where);
  return entries.filter(isEntry);
}

function notAStore(where: string, cause?: unknown): UserError {
  return new UserError(EXIT_CODES.badData, `${where}: no table of tuned choices, expected ${SCHEMA}; remove it with \`cytonet tune --clear\`, or name another with --store`, [], { cause });
}

function isEntry(value: unknown): value is TunedEntry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Partial<Record<keyof TunedEntry, unknown>>;
  const texts = [entry.kernel, entry.source, entry.device, entry.bucket, entry.adapter, entry.driver, entry.date];
  const choice = entry.choice as { variant?: unknown; params?: unknown } | undefined;
  return (
    texts.every((text) => typeof text === "string") &&
    (entry.dtype === "f32" || entry.dtype === "f16") &&
    Array.isArray(entry.flags) &&
    typeof choice?.variant === "string" &&
    (choice.params === undefined || (typeof choice.params === "object" && choice.params !== null && Object.values(choice.params).every((one) => typeof one === "number"))) &&
    [entry.ratio, entry.milliseconds].every((one) => typeof one === "number" && one > 0)
  );
}

/** Entries as the text of a store. */
export function printStore(entries: readonly TunedEntry[]): string {
  const sorted = [...entries].sort((x, y) => (printKey(x) < printKey(y) ? -1 : 1));
  return `{"schema":${JSON.stringify(SCHEMA)},"entries":[\n${sorted.map((entry) => JSON.stringify(entry)).join(",\n")}\n]}\n`;
}

/** Adds entries to a store, each in place of an older one with its key. */
export async function addToStore(files: Files, path: string, added: readonly TunedEntry[]): Promise<void> {
  const entries = new Map((await readStore(files, path)).map((entry) => [printKey(entry), entry]));
  for (const entry of added) entries.set(printKey(entry), entry);
  await files.writeAtomic(path, new TextEncoder().encode(printStore([...entries.values()])));
}
