// Plain JSON values: a text that depends on the value alone, hashes of it, and the differences of two values by key.
import { EXIT_CODES, UserError } from "../errors.ts";
import { sha256 } from "./sha256.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Deeper than anything that is written here, and far from where recursion would end a program. */
const MAX_DEPTH = 100;

/**
 * The value of a text that came from elsewhere: all that is given can be stored again by the functions here.
 *
 * @throws SyntaxError for what is no JSON, numbers beyond what a double holds (`1e999`), and nesting deeper than 100
 */
export function parseJson(text: string): Json {
  let [depth, quoted] = [0, false];
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (quoted && letter === "\\") i++;
    else if (letter === '"') quoted = !quoted;
    else if (!quoted && (letter === "[" || letter === "{") && ++depth > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} at character ${i}`);
    else if (!quoted && (letter === "]" || letter === "}")) depth--;
  }
  return JSON.parse(text, (key, value: Json) => {
    if (typeof value === "number" && !Number.isFinite(value)) throw new SyntaxError(`a number of ${JSON.stringify(key)} is larger than a double holds`);
    return value;
  }) as Json;
}

/**
 * JSON with sorted keys and no white space: equal values give equal texts, and parsing gives the value back, -0 included.
 *
 * @throws UserError 70 naming the key of a number that JSON cannot hold, or of a value that is none of JSON's
 */
export function canonicalJson(value: Json, key = "value"): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new UserError(EXIT_CODES.internal, `${key}: ${value} cannot be stored as JSON, expected a finite number`);
    return Object.is(value, -0) ? "-0" : JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (isList(value)) return `[${value.map((item, i) => canonicalJson(item, `${key}[${i}]`)).join(",")}]`;
  if (typeof value !== "object") throw new UserError(EXIT_CODES.internal, `${key}: ${typeof value} cannot be stored as JSON`);
  const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name]!, `${key}.${name}`)}`);
  return `{${fields.join(",")}}`;
}

/** JSON for people: two spaces a level, keys in their order; parsing gives the same value back. Errors as `canonicalJson`. */
export function prettyJson(value: Json, key = "value", indent = "\n"): string {
  const deeper = `${indent}  `;
  if (isList(value) && value.length > 0) return `[${value.map((item, i) => deeper + prettyJson(item, `${key}[${i}]`, deeper)).join(",")}${indent}]`;
  if (isObject(value) && Object.keys(value).length > 0) {
    const fields = Object.entries(value).map(([name, item]) => `${deeper}${JSON.stringify(name)}: ${prettyJson(item, `${key}.${name}`, deeper)}`);
    return `{${fields.join(",")}${indent}}`;
  }
  return canonicalJson(value, key);
}

/** SHA-256 of the canonical text. */
export function hashJson(value: Json): string {
  return sha256(new TextEncoder().encode(canonicalJson(value)));
}

export interface Difference {
  /** Dotted path, as `optimizer.rate` or `stages[2].width`. */
  readonly key: string;
  /** Both values as JSON; undefined where the key is absent. */
  readonly left: string | undefined;
  readonly right: string | undefined;
}

/** Every key whose value differs, in the order of `left`, then those that only `right` has. */
export function listDifferences(left: Json | undefined, right: Json | undefined, key = ""): Difference[] {
  if (isObject(left) && isObject(right)) {
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    return names.flatMap((name) => listDifferences(own(left, name), own(right, name), key === "" ? name : `${key}.${name}`));
  }
  if (isList(left) && isList(right) && left.length === right.length) return left.flatMap((item, i) => listDifferences(item, right[i], `${key}[${i}]`));
  const texts = [left, right].map((value) => (value === undefined ? undefined : canonicalJson(value, key)));
  return texts[0] === texts[1] ? [] : [{ key, left: texts[0], right: texts[1] }];
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !isList(value);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function own(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
