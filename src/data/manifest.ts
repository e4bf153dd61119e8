// Reads dataset.json strictly: every field is known, typed and in range, and every mistake is collected with its place.
import { EXIT_CODES, UserError } from "../errors.ts";
import { decodeText } from "./csv.ts";
import { DATASET_SCHEMA, type Brain, type Manifest, type Section, type SectionTransform } from "./dataset.ts";
import { didYouMean, type Mistakes } from "./mistakes.ts";

type Json = Record<string, unknown>;

const FIELDS = ["schema", "name", "description", "licence", "brains", "sections", "labels", "values"];
const BRAIN_FIELDS = ["id", "description"];
const SECTION_FIELDS = ["id", "brain", "file", "width", "height", "pixelSizeUm", "space", "transform"];
const LABEL_FIELDS = ["column", "names"];
const VALUE_FIELDS = ["column", "unit"];

interface Reader {
  readonly name: string;
  readonly mistakes: Mistakes;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return value === undefined ? "missing" : (JSON.stringify(value) ?? String(value)).slice(0, 60);
}

function checkFields({ name, mistakes }: Reader, place: string, object: Json, known: readonly string[]): void {
  for (const field of Object.keys(object)) {
    if (!known.includes(field)) mistakes.add(name, `${place}unknown field "${field}"${didYouMean(field, known)}`, `remove it; known are ${known.join(", ")}`);
  }
}

function readText({ name, mistakes }: Reader, place: string, object: Json, field: string): string {
  const value = object[field];
  if (typeof value === "string" && value.trim() !== "" && value === value.trim()) return value;
  mistakes.add(name, `${place}${field} ${show(value)}, expected a text without spaces around it`, `set "${field}"`);
  return "";
}

function readOptionalText(reader: Reader, place: string, object: Json, field: string): string | undefined {
  const value = object[field];
  if (value === undefined || typeof value === "string") return value;
  reader.mistakes.add(reader.name, `${place}${field} ${show(value)}, expected a text`, `correct "${field}"`);
  return undefined;
}

function readObjects({ name, mistakes }: Reader, object: Json, field: string, required: boolean): Json[] {
  const value = object[field];
  if (value === undefined && !required) return [];
  if (!Array.isArray(value) || (required && value.length === 0)) {
    mistakes.add(name, `${field} ${show(value)}, expected a list of ${required ? "at least one" : "any number of"} ${field}`, `add "${field}"`);
    return [];
  }
  return value.flatMap((entry: unknown, i) => {
    if (isObject(entry)) return [entry];
    mistakes.add(name, `${field}[${i}] ${show(entry)}, expected an object`, "write it as { … }");
    return [];
  });
}

/** A relative path of plain names: nothing outside the folder can be reached. */
function isInside(file: string): boolean {
  return !/^[a-zA-Z]:|[\\\0]/.test(file) && file.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function readTransform(reader: Reader, place: string, value: unknown): SectionTransform | undefined {
  if (value === undefined) return undefined;
  const rows = Array.isArray(value) ? value : [];
  const good = rows.length === 3 && rows.every((row) => Array.isArray(row) && row.length === 3 && row.every((x) => typeof x === "number" && Number.isFinite(x)));
  if (!good) {
    reader.mistakes.add(reader.name, `${place}transform ${show(value)}, expected 3 rows of 3 numbers`, "write [[ax, bx, cx], [ay, by, cy], [az, bz, cz]] with position in mm = a·x_um + b·y_um + c");
    return undefined;
  }
  return rows.map((row: number[]) => [row[0] ?? 0, row[1] ?? 0, row[2] ?? 0] as const);
}

function readSection(reader: Reader, entry: Json, i: number, brains: ReadonlySet<string>): Section {
  const { name, mistakes } = reader;
  const place = `section ${typeof entry["id"] === "string" ? `"${entry["id"]}"` : i}: `;
  checkFields(reader, place, entry, SECTION_FIELDS);
  const id = readText(reader, place, entry, "id");
  const brain = readText(reader, place, entry, "brain");
  if (brain !== "" && !brains.has(brain)) mistakes.add(name, `${place}unknown brain "${brain}"${didYouMean(brain, brains)}`, 'add it to "brains" or correct the name');
  const file = readText(reader, place, entry, "file");
  const inside = isInside(file);
  if (file !== "" && !inside) mistakes.add(name, `${place}file "${file}", expected a path inside the dataset's folder, with / between folders`, "put the image into the folder");
  const size = (field: string): number => {
    const value = entry[field];
    if (typeof value === "number" && Number.isInteger(value) && value >= 1) return value;
    mistakes.add(name, `${place}${field} ${show(value)}, expected a whole number of pixels from 1`, `set "${field}" to the size of the image`);
    return 0;
  };
  const width = size("width");
  const height = size("height");
  const pixelSize = entry["pixelSizeUm"];
  const pixelSizeGood = typeof pixelSize === "number" && Number.isFinite(pixelSize) && pixelSize > 0;
  if (!pixelSizeGood) mistakes.add(name, `${place}pixel size ${show(pixelSize)}, expected a number above 0 in µm`, 'set "pixelSizeUm" to the width of a pixel in µm');
  const space = readText(reader, place, entry, "space");
  const transform = readTransform(reader, place, entry["transform"]);
  // A path that leads elsewhere is not followed, not even to check the image.
  return { id, brain, file: inside ? file : "", width, height, pixelSizeUm: pixelSizeGood ? pixelSize : 0, space, ...(transform === undefined ? {} : { transform }) };
}

function checkUnique({ name, mistakes }: Reader, what: string, ids: readonly string[]): void {
  const seen = new Set<string>();
  for (const id of ids) {
    if (id !== "" && seen.has(id)) mistakes.add(name, `two ${what} "${id}"`, "give each its own name");
    seen.add(id);
  }
}

/** JSON with the line of a syntax error. */
export function parseJson(bytes: Uint8Array, name: string): unknown {
  const text = decodeText(bytes, name);
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = /position (\d+)/.exec(message)?.[1];
    const line = position === undefined ? "" : `:${text.slice(0, Number(position)).split("\n").length}`;
    throw new UserError(EXIT_CODES.badData, `${name}${line}: not valid JSON (${message.replaceAll("\n", " ")}); correct the syntax`);
  }
}

/** Reads and checks the manifest. Mistakes are collected; what is returned is only good if there are none. `name` stands in messages. */
export function parseManifest(bytes: Uint8Array, name: string, mistakes: Mistakes): Manifest {
  const json = parseJson(bytes, name);
  const reader: Reader = { name, mistakes };
  const empty: Manifest = { schema: DATASET_SCHEMA, name: "", brains: [], sections: [] };
  if (!isObject(json)) {
    mistakes.add(name, `${show(json)}, expected an object`, "see docs/dataset.md");
    return empty;
  }
  if (json["schema"] !== DATASET_SCHEMA) {
    mistakes.add(name, `schema ${show(json["schema"])}, expected "${DATASET_SCHEMA}"`, `set "schema", or use the version of cytonet that wrote this folder`);
    return empty;
  }
  checkFields(reader, "", json, FIELDS);
  const brains = readObjects(reader, json, "brains", true).map((entry, i): Brain => {
    const place = `brain ${typeof entry["id"] === "string" ? `"${entry["id"]}"` : i}: `;
    checkFields(reader, place, entry, BRAIN_FIELDS);
    const description = readOptionalText(reader, place, entry, "description");
    return { id: readText(reader, place, entry, "id"), ...(description === undefined ? {} : { description }) };
  });
  checkUnique(reader, "brains", brains.map(({ id }) => id));
  const known = new Set(brains.map(({ id }) => id));
  const sections = readObjects(reader, json, "sections", true).map((entry, i) => readSection(reader, entry, i, known));
  checkUnique(reader, "sections", sections.map(({ id }) => id));
  const labels = readObjects(reader, json, "labels", false).map((entry, i) => {
    const place = `label ${i}: `;
    checkFields(reader, place, entry, LABEL_FIELDS);
    const names: unknown = entry["names"];
    const good = names === undefined || (Array.isArray(names) && names.length > 0 && names.every((x) => typeof x === "string" && x !== "") && new Set(names).size === names.length);
    if (!good) mistakes.add(name, `${place}names ${show(names)}, expected a list of different texts`, 'correct "names" or leave it out');
    return { column: readText(reader, place, entry, "column"), ...(good && names !== undefined ? { names: names as string[] } : {}) };
  });
  const values = readObjects(reader, json, "values", false).map((entry, i) => {
    const place = `value ${i}: `;
    checkFields(reader, place, entry, VALUE_FIELDS);
    const unit = readOptionalText(reader, place, entry, "unit");
    return { column: readText(reader, place, entry, "column"), ...(unit === undefined ? {} : { unit }) };
  });
  checkUnique(reader, "columns of labels and values", [...labels, ...values].map(({ column }) => column));
  const description = readOptionalText(reader, "", json, "description");
  const licence = readOptionalText(reader, "", json, "licence");
  return {
    schema: DATASET_SCHEMA,
    name: readText(reader, "", json, "name"),
    ...(description === undefined ? {} : { description }),
    ...(licence === undefined ? {} : { licence }),
    brains,
    sections,
    labels,
    values,
  };
}
