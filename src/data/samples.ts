// Reads the table of sample positions against its manifest, row by row, collecting every mistake with its line.
import { describeNumber, isStorable, parseNumber, type Table } from "./csv.ts";
import { PLACE_COLUMNS, POSITION_COLUMNS, transformPoint, type Labels, type Manifest, type Samples, type Values } from "./dataset.ts";
import { didYouMean, type Mistakes } from "./mistakes.ts";

/** Tables are written with three decimals of a µm: a point on the far edge may round to that much beyond it. */
const ROUNDING_UM = 0.001;

/** Column name → field number. */
type Columns = ReadonlyMap<string, number>;

/** `readable`: whether rows can be read, whatever else is wrong with the columns. */
function checkColumns(table: Table, manifest: Manifest, mistakes: Mistakes): { columns: Columns; placed: boolean; readable: boolean } {
  const columns = new Map(table.header.map((name, i) => [name, i] as const));
  const where = `${table.name}:1`;
  const declared = [...(manifest.labels ?? []).map(({ column }) => ({ column, kind: "label" })), ...(manifest.values ?? []).map(({ column }) => ({ column, kind: "value" }))];
  const known = [...PLACE_COLUMNS, ...POSITION_COLUMNS, "id", ...declared.map(({ column }) => column)];
  for (const column of table.header) {
    if (!known.includes(column)) mistakes.add(where, `unknown column "${column}"${didYouMean(column, known.filter((name) => !columns.has(name)))}`, 'remove it, or declare it in dataset.json under "labels" (words) or "values" (numbers) as { "column": … }');
  }
  for (const column of PLACE_COLUMNS) if (!columns.has(column)) mistakes.add(where, `column "${column}" missing`, "add it");
  for (const { column, kind } of declared) {
    if (!columns.has(column)) mistakes.add(where, `${kind} column "${column}" missing${didYouMean(column, table.header)}`, `add it, or remove it from "${kind}s" in dataset.json`);
    if ([...PLACE_COLUMNS, ...POSITION_COLUMNS, "id"].some((name) => name === column)) mistakes.add(where, `${kind} column "${column}" has a reserved name`, "rename it");
  }
  const present = POSITION_COLUMNS.filter((column) => columns.has(column));
  if (present.length > 0 && present.length < 3) mistakes.add(where, `position columns ${present.join(", ")} alone`, `give all of ${POSITION_COLUMNS.join(", ")}, or none and a transform for each section`);
  if (present.length === 0) {
    const without = manifest.sections.find(({ transform }) => transform === undefined);
    if (without !== undefined) mistakes.add(where, `no position columns, and section "${without.id}" has no transform`, `add ${POSITION_COLUMNS.join(", ")} in mm, or a transform to each section in dataset.json`);
  }
  const readable = [...PLACE_COLUMNS, ...declared.map(({ column }) => column)].every((column) => columns.has(column)) && (present.length === 3 || present.length === 0);
  return { columns, placed: present.length === 3, readable };
}

/** Whether a row has the header's length; otherwise its cells are shifted, and its one mistake is that. */
function isWhole(table: Table, row: readonly string[]): boolean {
  return row.length === table.header.length;
}

/** Class names: those that the manifest fixes, or those found, sorted by code unit so that the order is the same everywhere. */
function readLabels(table: Table, column: string, at: number, fixed: readonly string[] | undefined, mistakes: Mistakes): Labels {
  const found = new Set<string>();
  for (const row of table.rows) {
    const value = (row[at] ?? "").trim();
    if (value !== "") found.add(value);
  }
  const names = fixed ?? [...found].sort();
  const codeOf = new Map(names.map((name, i) => [name, i] as const));
  const codes = new Int32Array(table.rows.length).fill(-1);
  table.rows.forEach((row, i) => {
    const value = (row[at] ?? "").trim();
    if (value === "") return;
    const code = codeOf.get(value);
    if (code === undefined && isWhole(table, row)) mistakes.add(`${table.name}:${table.lines[i]}`, `${column} "${value}" is not among the names in dataset.json${didYouMean(value, names)}`, 'correct it, or add it to "names"');
    codes[i] = code ?? -1;
  });
  return { names, codes };
}

/** Numbers of a value column: an empty cell is NaN, anything else must be a finite number. */
function readValues(table: Table, column: string, at: number, unit: string | undefined, mistakes: Mistakes): Values {
  const numbers = new Float64Array(table.rows.length).fill(Number.NaN);
  table.rows.forEach((row, i) => {
    const text = (row[at] ?? "").trim();
    if (text === "") return;
    const value = parseNumber(text);
    if (value === undefined && isWhole(table, row)) mistakes.add(`${table.name}:${table.lines[i]}`, `${column} ${JSON.stringify(text)}, expected a finite number, or nothing where it was not measured`, "correct it or empty the cell");
    numbers[i] = value ?? Number.NaN;
  });
  return { unit, numbers };
}

/** Checks and reads all rows. What is returned is only good if `mistakes` stays empty. `spaces` are the names in the order of their numbers. */
export function readSamples(table: Table, manifest: Manifest, spaces: readonly string[], mistakes: Mistakes): Samples {
  const { columns, placed, readable } = checkColumns(table, manifest, mistakes);
  const count = table.rows.length;
  const samples: Samples = {
    count,
    section: new Uint32Array(count),
    x: new Float64Array(count),
    y: new Float64Array(count),
    position: new Float32Array(3 * count),
    space: new Int32Array(count),
    labels: new Map(),
    values: new Map(),
    ids: undefined,
  };
  if (count === 0) mistakes.add(table.name, "no rows", "add the positions of samples");
  if (!readable) return samples;

  const sectionOf = new Map(manifest.sections.map(({ id }, i) => [id, i] as const));
  const spaceOf = new Map(spaces.map((name, i) => [name, i] as const));
  const at = (column: string): number => columns.get(column) ?? -1;
  const [sectionAt, xAt, yAt, idAt] = [at("section"), at("x_um"), at("y_um"), at("id")];
  const positionAt = POSITION_COLUMNS.map(at);
  const ids: string[] = [];
  const seen = new Map<string, number>();
  table.rows.forEach((row, i) => {
    const where = `${table.name}:${table.lines[i]}`;
    if (!isWhole(table, row)) {
      mistakes.add(where, `${row.length} fields, expected ${table.header.length} as in the header`, "correct the row; fields with commas need quotes");
      return;
    }
    const name = row[sectionAt] ?? "";
    const index = sectionOf.get(name);
    const section = manifest.sections[index ?? -1];
    if (section === undefined) mistakes.add(where, `unknown section ${JSON.stringify(name)}${didYouMean(name, sectionOf.keys())}`, "correct it, or add the section to dataset.json");
    const read = (column: string, field: number): number => {
      const value = parseNumber(row[field] ?? "");
      if (value !== undefined && isStorable(value)) return value;
      mistakes.add(where, `${column} ${JSON.stringify(row[field])}, ${describeNumber(value)}`, "correct or remove the row");
      return Number.NaN;
    };
    const x = read("x_um", xAt);
    const y = read("y_um", yAt);
    const checkInside = (column: string, value: number, pixels: number, side: string): void => {
      if (section !== undefined && (value < 0 || value > pixels * section.pixelSizeUm + ROUNDING_UM))
        mistakes.add(where, `${column} ${value}, expected 0 to ${pixels * section.pixelSizeUm} (the ${side} of section "${name}": ${pixels} px of ${section.pixelSizeUm} µm)`, "correct the row or the section's pixel size");
    };
    checkInside("x_um", x, section?.width ?? 0, "width");
    checkInside("y_um", y, section?.height ?? 0, "height");
    const position = placed ? POSITION_COLUMNS.map((column, k) => read(column, positionAt[k] ?? -1)) : section?.transform === undefined ? [] : transformPoint(section.transform, x, y);
    samples.section[i] = index ?? 0;
    samples.x[i] = x;
    samples.y[i] = y;
    samples.position.set(position, 3 * i);
    samples.space[i] = spaceOf.get(section?.space ?? "") ?? -1;
    if (idAt >= 0) {
      const id = row[idAt] ?? "";
      const first = seen.get(id);
      if (id === "") mistakes.add(where, "empty id", "give each sample an id, or remove the column");
      else if (first !== undefined) mistakes.add(where, `id "${id}" is already used on line ${first}`, "give each sample its own id");
      else seen.set(id, table.lines[i] ?? 0);
      ids.push(id);
    }
  });
  const labels = new Map((manifest.labels ?? []).map(({ column, names }) => [column, readLabels(table, column, at(column), names, mistakes)] as const));
  const values = new Map((manifest.values ?? []).map(({ column, unit }) => [column, readValues(table, column, at(column), unit, mistakes)] as const));
  return { ...samples, labels, values, ids: idAt >= 0 ? ids : undefined };
}
