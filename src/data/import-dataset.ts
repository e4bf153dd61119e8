// Turns a folder of images and a CSV of positions into a dataset; everything particular to one set is in the options.
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { describeNumber, isStorable, parseCsv, parseNumber, type Table } from "./csv.ts";
import { DATASET_SCHEMA, PLACE_COLUMNS, POSITION_COLUMNS, type Dataset, type Manifest, type Section } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import type { ImportOptions } from "./import-options.ts";
import { collectMistakes, didYouMean, type Mistakes } from "./mistakes.ts";
import { checkTarget, writeDataset, type SampleRow } from "./write-dataset.ts";

/** One section while it is put together: `cell` reads a column for it. */
interface Draft {
  readonly id: string;
  /** Where the section is first named: file:line. */
  readonly where: string;
  readonly rows: number[];
  brain: string;
  pixelSizeUm: number;
  zMm: number;
  source: string;
  file: string;
  space: string;
  width: number;
  height: number;
}

interface Tables {
  readonly positions: Table;
  readonly sections: Table | undefined;
  /** Section name → row of the table of sections. */
  readonly sectionRows: ReadonlyMap<string, number>;
}

function usage(what: string, remedy: string): UserError {
  return new UserError(EXIT_CODES.usage, `import: ${what}; ${remedy}`);
}

function templateColumns(template: string): string[] {
  return [...template.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1] ?? "");
}

async function readTable(files: Files, path: string): Promise<Table> {
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such file, expected a CSV table; correct the path`);
  return parseCsv(await files.read(path), path);
}

/** Leaves out rows of a wrong length, each with its mistake: their cells are shifted, and would be blamed on the wrong columns. */
function keepWholeRows(table: Table, mistakes: Mistakes): Table {
  const whole = table.rows.flatMap((row, i) => {
    if (row.length === table.header.length) return [i];
    mistakes.add(`${table.name}:${table.lines[i]}`, `${row.length} fields, expected ${table.header.length} as in the header`, "correct the row; fields with commas need quotes");
    return [];
  });
  return { ...table, rows: whole.map((i) => table.rows[i]!), lines: Uint32Array.from(whole, (i) => table.lines[i]!) };
}

async function readTables(files: Files, options: ImportOptions, mistakes: Mistakes): Promise<Tables> {
  const read = async (name: string): Promise<Table> => keepWholeRows(await readTable(files, joinPath(options.source, name)), mistakes);
  const positions = await read(options.table);
  const sections = options.sectionsTable === undefined ? undefined : await read(options.sectionsTable);
  const sectionRows = new Map<string, number>();
  if (sections !== undefined) {
    const key = options.sectionKey ?? options.section;
    const at = sections.header.indexOf(key);
    if (at < 0) throw usage(`${sections.name} has no column "${key}"${didYouMean(key, sections.header)}`, "name the column with the sections' names by --section-key");
    sections.rows.forEach((row, i) => {
      const name = row[at] ?? "";
      const first = sectionRows.get(name);
      if (first !== undefined) mistakes.add(`${sections.name}:${sections.lines[i]}`, `section "${name}" is already on line ${sections.lines[first]}`, "keep one row a section");
      else sectionRows.set(name, i);
    });
  }
  return { positions, sections, sectionRows };
}

/** Every column that the options name must be somewhere: all that are not are reported at once. */
function checkColumns(options: ImportOptions, { positions, sections }: Tables): void {
  const both = [...positions.header, ...(sections?.header ?? [])];
  const wrong: string[] = [];
  const need = (flag: string, column: string | undefined, known: readonly string[], builtin: readonly string[] = []): void => {
    if (column !== undefined && !known.includes(column) && !builtin.includes(column)) wrong.push(`${flag}: no column "${column}"${didYouMean(column, known)}`);
  };
  need("--section", options.section, positions.header);
  need("--x", options.x, positions.header);
  need("--y", options.y, positions.header);
  need("--id", options.id, positions.header);
  for (const label of options.labels ?? []) need("--label", label, both);
  for (const value of options.values ?? []) need("--value", value, both);
  for (const column of options.positionColumns ?? []) need("--position", column, positions.header);
  const reserved: readonly string[] = ["id", ...PLACE_COLUMNS, ...POSITION_COLUMNS];
  const columns = [...(options.labels ?? []).map((column) => ({ flag: "--label", column })), ...(options.values ?? []).map((column) => ({ flag: "--value", column }))];
  columns.forEach(({ flag, column }, i) => {
    if (reserved.includes(column)) wrong.push(`${flag}: "${column}" is a column that datasets have themselves; rename it in the table`);
    if (columns.findIndex((other) => other.column === column) !== i) wrong.push(`${flag}: "${column}" is given twice`);
  });
  need("--brain", options.brain, both);
  need("--pixel-size-column", options.pixelSizeColumn, both);
  need("--z-from", options.zFrom?.split(":")[0], both);
  for (const column of templateColumns(options.image)) need("--image", column, both, ["section", "brain", "z"]);
  for (const column of templateColumns(options.spaceBy)) need("--space-by", column, both, ["section", "brain", "z"]);
  if (wrong.length > 0) {
    const [first = "", ...others] = [...wrong, `columns are ${both.join(", ")}`];
    throw new UserError(EXIT_CODES.usage, `import: ${first}`, others);
  }
  if ((options.pixelSizeUm === undefined) === (options.pixelSizeColumn === undefined)) throw usage("the pixel size must be given once", "give --pixel-size with the width of a pixel in µm, or --pixel-size-column with the column that has it");
  if (options.pixelSizeUm !== undefined && !(options.pixelSizeUm > 0 && Number.isFinite(options.pixelSizeUm))) throw usage(`pixel size ${options.pixelSizeUm}, expected a number of µm above 0`, "correct --pixel-size");
  if (!["section", "brain"].includes(options.spaceBy) && templateColumns(options.spaceBy).length === 0) throw usage(`--space-by "${options.spaceBy}"`, 'give section, brain, or a template with columns in braces, as "{brain}@{z}"');
}

/** Groups rows by section and reads what belongs to a section as a whole: it must be the same on all of the section's rows. */
function draftSections(options: ImportOptions, tables: Tables, datasetName: string, mistakes: Mistakes): Draft[] {
  const { positions, sections, sectionRows } = tables;
  const drafts = new Map<string, Draft>();
  const sectionAt = positions.header.indexOf(options.section);
  positions.rows.forEach((row, i) => {
    const id = (row[sectionAt] ?? "").trim();
    const where = `${positions.name}:${positions.lines[i]}`;
    if (id === "") {
      mistakes.add(where, `no section in column "${options.section}"`, "fill it in or remove the row");
      return;
    }
    const draft = drafts.get(id);
    if (draft !== undefined) draft.rows.push(i);
    else drafts.set(id, { id, where, rows: [i], brain: datasetName, pixelSizeUm: options.pixelSizeUm ?? 0, zMm: 0, source: "", file: "", space: "", width: 0, height: 0 });
  });

  for (const draft of drafts.values()) {
    const cell = (column: string): { value: string; where: string } => {
      const at = positions.header.indexOf(column);
      const first = draft.rows[0] ?? 0;
      if (at >= 0) {
        const value = (positions.rows[first]?.[at] ?? "").trim();
        const other = draft.rows.find((i) => (positions.rows[i]?.[at] ?? "").trim() !== value);
        if (other !== undefined)
          mistakes.add(`${positions.name}:${positions.lines[other]}`, `${column} "${positions.rows[other]?.[at]}" differs from "${value}" on line ${positions.lines[first]} of the same section "${draft.id}"`, "a section has one; correct the rows or split the section");
        return { value, where: draft.where };
      }
      const row = sectionRows.get(draft.id);
      const name = sections?.name ?? "";
      if (sections === undefined || row === undefined) {
        mistakes.add(draft.where, `section "${draft.id}" has no row in ${name}${didYouMean(draft.id, sectionRows.keys())}`, `add it there: its ${column} is needed`);
        return { value: "", where: draft.where };
      }
      return { value: (sections.rows[row]?.[sections.header.indexOf(column)] ?? "").trim(), where: `${name}:${sections.lines[row]}` };
    };
    const number = (column: string, text: string, where: string): number => {
      const value = parseNumber(text);
      if (value === undefined) mistakes.add(where, `${column} ${JSON.stringify(text)}, expected a number (section "${draft.id}")`, "correct it");
      return value ?? Number.NaN;
    };
    const before = mistakes.count;
    if (options.brain !== undefined) {
      const { value, where } = cell(options.brain);
      if (value === "") mistakes.add(where, `no brain in column "${options.brain}" for section "${draft.id}"`, "fill it in");
      draft.brain = value;
    }
    if (options.pixelSizeColumn !== undefined) {
      const { value, where } = cell(options.pixelSizeColumn);
      draft.pixelSizeUm = number(options.pixelSizeColumn, value, where);
      if (draft.pixelSizeUm <= 0) mistakes.add(where, `${options.pixelSizeColumn} ${value}, expected a pixel size above 0 in µm (section "${draft.id}")`, "correct it");
    }
    if (options.zFrom !== undefined) {
      const [column = "", ...pattern] = options.zFrom.split(":");
      const { value, where } = cell(column);
      const text = pattern.length === 0 ? value : compile(pattern.join(":")).exec(value)?.[1];
      if (text === undefined) mistakes.add(where, `${column} ${JSON.stringify(value)} does not match ${pattern.join(":")}`, "correct the cell or --z-from");
      else draft.zMm = number(column, text, where) / (options.zUnits === "mm" ? 1 : 1000);
    }
    if (mistakes.count > before) continue;
    const fill = (template: string): string =>
      template.replace(/\{([^{}]*)\}/g, (_, column: string) => {
        if (positions.header.includes(column) || sections?.header.includes(column)) return cell(column).value;
        return column === "section" ? draft.id : column === "brain" ? draft.brain : String(draft.zMm);
      });
    const image = fill(options.image);
    // The template is the user's own and may lead anywhere; the cells of a table from elsewhere may not.
    const outside = (path: string): number => path.split(/[/\\]/).filter((part) => part === "..").length;
    if (outside(image) > outside(options.image) || /^([/\\]|[A-Za-z]:)/.test(image) !== /^([/\\]|[A-Za-z]:)/.test(options.image)) {
      mistakes.add(draft.where, `the image of section "${draft.id}" would be ${image}, expected a path inside ${options.source}`, "correct the cells that --image takes");
      continue;
    }
    draft.source = joinPath(options.source, image);
    // Names stay apart whatever rule made them: a brain called like a section shares no space with it.
    draft.space = options.spaceBy === "section" ? `section ${draft.id}` : options.spaceBy === "brain" ? `brain ${draft.brain}` : fill(options.spaceBy);
  }
  return [...drafts.values()];
}

function compile(pattern: string): RegExp {
  let compiled: RegExp;
  try {
    compiled = new RegExp(pattern, "u");
  } catch (error) {
    throw usage(`--z-from: ${error instanceof Error ? error.message : String(error)}`, "correct the regular expression");
  }
  if (!/\((?!\?)/.test(pattern)) throw usage(`--z-from: "${pattern}" has no group`, "put the number in parentheses, as (\\d+)");
  return compiled;
}

/** A file name in the dataset: the section's name with doubtful characters replaced, made unique. */
function nameFiles(drafts: readonly Draft[]): void {
  const taken = new Set<string>();
  for (const draft of drafts) {
    const extension = /\.(png|jpe?g)$/i.exec(draft.source)?.[0].toLowerCase() ?? "";
    const stem = draft.id.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "_");
    let file = `images/${stem}${extension}`;
    for (let n = 2; taken.has(file.toLowerCase()); n++) file = `images/${stem}-${n}${extension}`;
    taken.add(file.toLowerCase());
    draft.file = file;
  }
}

/** Decodes every image once: a dataset never holds one that cannot be read. Sections whose image is not known have their mistake already. */
async function measureImages(files: Files, drafts: readonly Draft[], mistakes: Mistakes): Promise<void> {
  for (const draft of drafts) {
    if (draft.source === "") continue;
    try {
      if ((await files.size(draft.source)) === undefined) {
        mistakes.addMissing(draft.source, `no such image, for section "${draft.id}" (${draft.where})`, "correct --image or put the file there");
        continue;
      }
      const { width, height } = decodeImage(await files.read(draft.source), draft.source);
      draft.width = width;
      draft.height = height;
    } catch (error) {
      mistakes.addError(error);
    }
  }
}

function readRows(options: ImportOptions, { positions, sections, sectionRows }: Tables, drafts: readonly Draft[], mistakes: Mistakes): SampleRow[] {
  const rows: SampleRow[] = [];
  const columnAt = (name: string): number => positions.header.indexOf(name);
  const missing = new Set(["", ...(options.missingLabels ?? [])]);
  const labels = options.labels ?? [];
  const seen = new Map<string, number>();
  for (const draft of drafts) {
    const toUm = options.units === "px" ? draft.pixelSizeUm : 1;
    for (const i of draft.rows) {
      const row = positions.rows[i] ?? [];
      const where = `${positions.name}:${positions.lines[i]}`;
      const number = (column: string): number => {
        const text = row[columnAt(column)] ?? "";
        const value = parseNumber(text);
        if (value === undefined || !isStorable(value)) mistakes.add(where, `${column} ${JSON.stringify(text)}, ${describeNumber(value)}`, "correct or remove the row");
        return value ?? Number.NaN;
      };
      const inside = (column: string, pixels: number, side: string): number => {
        const value = number(column);
        const limit = (pixels * draft.pixelSizeUm) / toUm;
        // Where the image or its pixel size is wrong, the position cannot be judged.
        if (draft.width > 0 && draft.pixelSizeUm > 0 && (value < 0 || value > limit))
          mistakes.add(where, `${column} ${value} ${options.units}, expected 0 to ${limit} (the ${side} of section "${draft.id}": ${pixels} px of ${draft.pixelSizeUm} µm)`, "correct the row, --units or the pixel size");
        return value * toUm;
      };
      const xUm = inside(options.x, draft.width, "width");
      const yUm = inside(options.y, draft.height, "height");
      const given = options.positionColumns?.map(number);
      const position = [given?.[0] ?? xUm / 1000, given?.[1] ?? yUm / 1000, given?.[2] ?? draft.zMm] as const;
      const read = (column: string): string => {
        const at = columnAt(column);
        const cell = (at >= 0 ? row[at] : sections?.rows[sectionRows.get(draft.id) ?? -1]?.[sections.header.indexOf(column)]) ?? "";
        return missing.has(cell.trim()) ? "" : cell.trim();
      };
      const values = (options.values ?? []).map((column) => {
        const text = read(column);
        const value = text === "" ? Number.NaN : parseNumber(text);
        if (value === undefined) mistakes.add(where, `${column} ${JSON.stringify(text)}, expected a number`, "correct it, empty the cell, or name the word by --missing-label");
        return value ?? Number.NaN;
      });
      const id = options.id === undefined ? undefined : (row[columnAt(options.id)] ?? "");
      if (id !== undefined) {
        const first = seen.get(id);
        if (id === "" || first !== undefined) mistakes.add(where, id === "" ? `empty ${options.id}` : `${options.id} "${id}" is already used on line ${first}`, "give each row its own, or leave out --id");
        else seen.set(id, positions.lines[i] ?? 0);
      }
      rows.push({ section: draft.id, xUm, yUm, position, labels: labels.map(read), values, ...(id === undefined ? {} : { id }) });
    }
  }
  return rows;
}

/** A section's x and y as a transform into its space, where positions are made from them: then any point can be placed. */
function placeSection({ zMm }: Draft): Section["transform"] {
  return [[0.001, 0, 0], [0, 0.001, 0], [0, 0, zMm]];
}

/**
 * Imports images and a CSV of positions as a dataset at `out`. Images are decoded once as a check and copied byte by byte.
 * Registration between sections is not guessed: `spaceBy` says which sections may be compared (docs/dataset.md).
 * Errors: UserError 2 (options), 65 or 66 with every mistake by file and row, 73 (`out` exists or cannot be created), 74, 75. Nothing is left at `out` then.
 */
export async function importDataset(options: ImportOptions, out: string, files: Files): Promise<Dataset> {
  await checkTarget(files, out, options.force ?? false);
  if ((await files.size(options.source)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${options.source}: no such folder, expected images and a table; correct the path`);
  const folder = out.replace(/\/+$/, "").split("/").pop() ?? "";
  const name = options.name ?? (/^\.*$/.test(folder) ? "dataset" : folder);
  const mistakes = collectMistakes();
  const tables = await readTables(files, options, mistakes);
  checkColumns(options, tables);
  if (tables.positions.rows.length === 0 && mistakes.count === 0) mistakes.add(tables.positions.name, "no rows", "add positions");
  const drafts = draftSections(options, tables, name, mistakes);
  nameFiles(drafts);
  await measureImages(files, drafts, mistakes);
  const rows = readRows(options, tables, drafts, mistakes);
  mistakes.check(options.source);

  const manifest: Manifest = {
    schema: DATASET_SCHEMA,
    name,
    ...(options.licence === undefined ? {} : { licence: options.licence }),
    brains: [...new Set(drafts.map(({ brain }) => brain))].map((id) => ({ id })),
    sections: drafts.map((draft) => {
      const { id, brain, file, width, height, pixelSizeUm, space } = draft;
      const transform = options.positionColumns === undefined ? placeSection(draft) : undefined;
      return { id, brain, file, width, height, pixelSizeUm, space, ...(transform === undefined ? {} : { transform }) };
    }),
    labels: (options.labels ?? []).map((column) => ({ column })),
    ...(options.values === undefined ? {} : { values: options.values.map((column) => ({ column })) }),
  };
  const images = drafts.map(({ file, source }) => ({ file, bytes: () => files.read(source) }));
  return writeDataset(files, out, { manifest, rows, images }, { force: options.force ?? false, ...(options.onImage === undefined ? {} : { onImage: options.onImage }) });
}
