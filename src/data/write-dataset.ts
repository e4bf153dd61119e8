// Writes a dataset folder as one act: built beside its place, read back and checked, then moved there.
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { formatCsvRow } from "./csv.ts";
import { MANIFEST_FILE, PLACE_COLUMNS, POSITION_COLUMNS, TABLE_FILE, TRUTH_FOLDER, TRUTH_KINDS, type Dataset, type Manifest } from "./dataset.ts";
import { parseManifest } from "./manifest.ts";
import { collectMistakes } from "./mistakes.ts";
import { readDataset } from "./read-dataset.ts";

/** One row of the table. */
export interface SampleRow {
  readonly section: string;
  readonly xUm: number;
  readonly yUm: number;
  /** [x, y, z] in mm. */
  readonly position: readonly [number, number, number];
  readonly id?: string;
  /** One per label column of the manifest, "" where missing. */
  readonly labels: readonly string[];
  /** One per value column of the manifest, NaN where missing. */
  readonly values?: readonly number[];
}

/** A dataset before it is written: images, and files that lie beside them, are produced one at a time. */
export interface DatasetParts {
  readonly manifest: Manifest;
  readonly rows: Iterable<SampleRow>;
  readonly images: readonly { readonly file: string; bytes(): Promise<Uint8Array> | Uint8Array }[];
}

export interface WriteOptions {
  /** Replaces a dataset that is there. A folder that is no dataset, or holds anything besides one, is never replaced. */
  readonly force?: boolean;
  /** Reports each image written; what it returns is awaited, so that a page can be drawn in between. */
  readonly onImage?: (done: number, total: number, file: string) => void | Promise<void>;
}

/** Numbers in tables: µm with 3 and mm with 6 decimals (a nanometre), without trailing zeros. */
function formatNumber(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}

function formatValue(value: number): string {
  return Number.isNaN(value) ? "" : formatNumber(value, 6);
}

export function formatTable(manifest: Manifest, rows: Iterable<SampleRow>): Uint8Array {
  const labels = (manifest.labels ?? []).map(({ column }) => column);
  const values = (manifest.values ?? []).map(({ column }) => column);
  const all = [...rows];
  const withIds = all.some(({ id }) => id !== undefined);
  const lines = [formatCsvRow([...(withIds ? ["id"] : []), ...PLACE_COLUMNS, ...POSITION_COLUMNS, ...labels, ...values])];
  for (const row of all) {
    const place = [row.section, formatNumber(row.xUm, 3), formatNumber(row.yUm, 3), ...row.position.map((value) => formatNumber(value, 6))];
    lines.push(formatCsvRow([...(withIds ? [row.id ?? ""] : []), ...place, ...row.labels, ...values.map((_, i) => formatValue(row.values?.[i] ?? Number.NaN))]));
  }
  return new TextEncoder().encode(lines.join(""));
}

export function formatManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
}

/** Paths, relative to the folder, of all that a dataset there consists of: what its manifest names, and the truth of its sections. */
async function listOwnFiles(files: Files, folder: string): Promise<{ own: ReadonlySet<string>; readable: boolean }> {
  const own = new Set<string>([MANIFEST_FILE, TABLE_FILE]);
  const path = joinPath(folder, MANIFEST_FILE);
  const mistakes = collectMistakes();
  try {
    for (const { id, file } of parseManifest(await files.read(path), path, mistakes).sections) {
      own.add(file);
      for (const kind of TRUTH_KINDS) own.add(joinPath(TRUTH_FOLDER, `${id}-${kind}`));
    }
    return { own, readable: true };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { own, readable: false };
  }
}

/** What lies in a folder besides `own`, folders as a whole where nothing of `own` is in them. */
async function listOthers(files: Files, folder: string, own: ReadonlySet<string>, within = ""): Promise<string[]> {
  const others: string[] = [];
  for (const { name, kind } of await files.list(joinPath(folder, within))) {
    const path = joinPath(within, name);
    if (kind !== "folder") {
      if (!own.has(path)) others.push(path);
    } else if ([...own].some((file) => file.startsWith(`${path}/`))) others.push(...(await listOthers(files, folder, own, path)));
    else others.push(`${path}/`);
  }
  return others;
}

/** Replacing takes a whole folder away, so nothing may be in it that is not the dataset\x27s. Errors: UserError 73 that names what is. */
async function refuseOthers(files: Files, folder: string, out: string): Promise<void> {
  const { own, readable } = await listOwnFiles(files, folder);
  const others = await listOthers(files, folder, own);
  if (others.length === 0) return;
  const shown = others.slice(0, 3).map((name) => JSON.stringify(name)).join(", ");
  throw new UserError(EXIT_CODES.cannotCreate, `${out}: holds ${shown}${others.length > 3 ? ` and ${others.length - 3} more` : ""} besides the dataset, which --force alone replaces; move ${others.length === 1 ? "it" : "them"} away, or choose another --out`, [
    ...(readable ? [] : [`Its ${MANIFEST_FILE} cannot be read, so that nothing is known to belong to it but that and ${TABLE_FILE}.`]),
  ]);
}

/** Says at once whether `out` may be written. Errors: UserError 73. */
export async function checkTarget(files: Files, out: string, force: boolean): Promise<void> {
  if ((await files.size(out)) === undefined) return;
  if (!force) throw new UserError(EXIT_CODES.cannotCreate, `${out}: exists already, expected a new folder; choose another --out, or replace it with --force`);
  if ((await files.size(joinPath(out, MANIFEST_FILE))) === undefined)
    throw new UserError(EXIT_CODES.cannotCreate, `${out}: exists and is no dataset (it has no ${MANIFEST_FILE}), so --force does not replace it; choose another --out`);
  await refuseOthers(files, out, out);
}

function splitPath(path: string): { parent: string; base: string } {
  const clean = path.replace(/\/+$/, "");
  const slash = clean.lastIndexOf("/");
  return { parent: slash < 0 ? "" : clean.slice(0, slash) || "/", base: clean.slice(slash + 1) };
}

/**
 * Writes and reads back. Until all is there and checked, everything lies in `.NAME.partial` beside `out`, without a manifest until the last
 * moment: what a crash leaves never looks like a dataset. Errors: UserError 73 (exists, cannot create), 74 (I/O), 75 (another is writing it), 65 (parts are wrong).
 */
export async function writeDataset(files: Files, out: string, parts: DatasetParts, options: WriteOptions = {}): Promise<Dataset> {
  await checkTarget(files, out, options.force ?? false);
  const { parent, base } = splitPath(out);
  if (parent !== "" && (await files.size(parent)) === undefined) await files.makeFolder(parent);
  const partial = joinPath(parent, `.${base}.partial`);
  const replaced = joinPath(parent, `.${base}.replaced`);
  const lock = await files.lock(joinPath(parent, `.${base}.lock`));
  try {
    await files.remove(partial);
    await files.makeFolder(partial);
    const folders = new Set(parts.images.map(({ file }) => splitPath(file).parent).filter((folder) => folder !== ""));
    for (const folder of folders) await files.makeFolder(joinPath(partial, folder));
    for (const [i, image] of parts.images.entries()) {
      await files.writeAtomic(joinPath(partial, image.file), await image.bytes());
      await options.onImage?.(i + 1, parts.images.length, image.file);
    }
    await files.writeAtomic(joinPath(partial, TABLE_FILE), formatTable(parts.manifest, parts.rows));
    await files.writeAtomic(joinPath(partial, MANIFEST_FILE), formatManifest(parts.manifest));
    const dataset = await readDataset(files, partial);
    await checkTarget(files, out, options.force ?? false);
    if ((await files.size(replaced)) !== undefined) {
      await refuseOthers(files, replaced, replaced);
      await files.remove(replaced);
    }
    if ((await files.size(out)) !== undefined) {
      await files.rename(out, replaced);
      // Whoever put a file there since has it still.
      await refuseOthers(files, replaced, out).catch(async (error: unknown) => {
        await files.rename(replaced, out);
        throw error;
      });
    }
    await files.rename(partial, out);
    await files.remove(replaced);
    return { ...dataset, path: out };
  } catch (error) {
    // The first error is the one to report, whether or not the rest can be cleared away.
    await files.remove(partial).catch(() => undefined);
    throw error;
  } finally {
    await lock.release();
  }
}
