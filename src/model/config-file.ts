// A configuration as a file: YAML or JSON → settings by dotted key, each with the line it stands in.
import type { Scalar, YAMLSeq } from "yaml";
import type { Json } from "../data/json.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { SETTING_GROUPS } from "./config.ts";

/** A file that says more by its aliases than this is made to fill the memory. */
const MOST_ALIASES = 100;

export interface FileSettings {
  readonly settings: ReadonlyMap<string, Json>;
  /** Where a key stands, as `run.yaml:7`; undefined for one that it has not. */
  whereIs(key: string): string | undefined;
}

/**
 * Reads settings out of a file's bytes: nested (`loss: {tau: 0.2}`), dotted (`loss.tau: 0.2`) or both; a run's config.json is one too.
 * `.yaml` and `.yml` are YAML 1.2, `.json` is JSON. What the values are is `resolveConfig`'s to judge.
 *
 * @param name how messages call the file; its ending decides what it is
 * @throws UserError 2 for another ending; 78 with every mistake and its line: syntax, keys that are no names, keys given twice
 */
export async function parseConfigFile(bytes: Uint8Array, name: string): Promise<FileSettings> {
  const ending = /\.(ya?ml|json)$/i.exec(name)?.[1]?.toLowerCase();
  if (ending === undefined) throw new UserError(EXIT_CODES.usage, `${name}: a configuration of an unknown kind, expected a file that ends in .yaml, .yml or .json`);
  const text = decodeText(bytes, name);
  if (ending === "json") checkJson(text, name);
  // JSON is YAML too, and read as such it has lines, and keys that are given twice are seen.
  const { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const lineAt = (offset: number | undefined) => lines.linePos(offset ?? 0).line;
  const mistakes = [...parsed.errors, ...parsed.warnings].map(({ pos, message }) => ({ line: lineAt(pos[0]), what: explain(message) }));
  const settings = new Map<string, Json>();
  const found = new Map<string, number>();

  const take = (key: string, value: Json, line: number): void => {
    const before = found.get(key);
    if (before !== undefined) mistakes.push({ line, what: `${key} is given twice, first in line ${before}` });
    else settings.set(key, value);
    found.set(key, line);
  };
  const toJson = (node: Scalar | YAMLSeq, line: number): Json => {
    try {
      return node.toJS(parsed, { maxAliasCount: MOST_ALIASES }) as Json;
    } catch (error) {
      mistakes.push({ line, what: explain(error instanceof Error ? error.message : String(error)) });
      return null;
    }
  };
  const walk = (node: unknown, prefix: string, at: number): void => {
    // An alias may stand for a value; groups within groups by alias could be endless.
    const target = isAlias(node) ? node.resolve(parsed) : node;
    if (isMap(target)) {
      if (isAlias(node)) mistakes.push({ line: at, what: `${prefix}: the alias of a group, expected its settings written out` });
      else for (const { key, value } of target.items) {
        const line = lineAt(isScalar(key) ? key.range?.[0] : undefined);
        if (isScalar(key) && typeof key.value === "string") walk(value, prefix === "" ? key.value : `${prefix}.${key.value}`, line);
        else mistakes.push({ line, what: `${prefix === "" ? "" : `${prefix}: `}the key ${String(key)}, expected a name` });
      }
      return;
    }
    const value = isScalar(target) || isSeq(target) ? toJson(target, at) : null;
    // `loss:` with nothing below it, or with all of it commented out.
    if (value === null && SETTING_GROUPS.has(prefix)) return;
    if (prefix === "") {
      if (value !== null) mistakes.push({ line: at, what: `${isSeq(target) ? "a list" : JSON.stringify(value)}, expected settings such as loss.tau: 0.2` });
    } else take(prefix, value, at);
  };
  if (parsed.errors.length === 0) walk(parsed.contents, "", 1);
  if (mistakes.length > 0) {
    const told = mistakes.sort((a, b) => a.line - b.line).map(({ line, what }) => `${name}:${line}: ${what}`);
    throw new UserError(EXIT_CODES.config, told.length === 1 ? told[0]! : `${name}: ${told.length} mistakes`, told.length === 1 ? [] : told);
  }
  return { settings, whereIs: (key) => (found.has(key) ? `${name}:${found.get(key)}` : undefined) };
}

function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(EXIT_CODES.config, `${name}: not UTF-8, expected a text; save it as UTF-8`);
  }
}

/** A file called JSON is held to JSON. */
function checkJson(text: string, name: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const at = / position (\d+)/.exec(message)?.[1];
    const line = at === undefined ? text.split("\n").length : text.slice(0, Number(at)).split("\n").length;
    throw new UserError(EXIT_CODES.config, `${name}:${line}: ${message.replace(/ in JSON at position.*$/, "")}, expected JSON`);
  }
}

/** The parser's words, without what it adds for programmers. */
function explain(message: string): string {
  return message.replace(/\s+/g, " ").replace(/ at line \d+.*$/, "").trim();
}
