// Unpacks what ships compressed inside npm packages into a cache folder: verified at each use, atomic, safe for two at once.
import { chmod, lstat, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { EXIT_CODES, UserError } from "../errors.ts";
import { makeFolders } from "./node-folder.ts";

/** A file to be written to the cache. */
export interface UnpackedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly executable?: boolean;
}

interface ManifestRow {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  /** What the file system said of the file when it was written: where it still says so, nobody has touched it since. */
  readonly stamp: string;
}

const MANIFEST = "manifest.json";

/**
 * The folder in the cache that holds `files()`, unpacking them where they are missing or damaged. `key` must change with
 * the contents (a hash of the archive). The user's cache folder is tried first, then the temporary folder.
 * Throws a UserError 73 where neither can be written.
 */
export async function unpackOnce(key: string, files: () => Promise<readonly UnpackedFile[]>): Promise<string> {
  const refused: string[] = [];
  for (const base of cacheFolders()) {
    const folders = places(base.path, key);
    if (await isPrivate(base)) {
      for (const folder of folders) if (await isIntact(folder)) return folder;
    }
    try {
      await makeFolders(base.path, 0o700);
      if (!(await isPrivate(base))) throw new Error("it belongs to another user, or others may write to it");
      return await install(folders, await files());
    } catch (error) {
      refused.push(`${base.path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new UserError(EXIT_CODES.cannotCreate, `cache: no folder to unpack ${key} into, expected one that can be written; set CYTONET_CACHE to one`, refused);
}

/** Folders that may hold the cache, best first. A shared one (the temporary folder) must prove to be this user's own. */
export function cacheFolders(): { readonly path: string; readonly shared: boolean }[] {
  const user = process.getuid?.() ?? "user";
  const chosen = process.env["CYTONET_CACHE"];
  const home = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return [
    ...(chosen ? [{ path: chosen, shared: false }] : []),
    { path: join(home, "cytonet"), shared: false },
    { path: join(tmpdir(), `cytonet-${user}`), shared: true },
  ];
}

/** Libraries are loaded from here: in a folder that everybody can write to, nobody else may have put them. */
export async function isPrivate(base: { readonly path: string; readonly shared: boolean }): Promise<boolean> {
  if (!base.shared) return true;
  const stat = await lstat(base.path).catch(() => undefined);
  if (stat === undefined || !stat.isDirectory()) return false;
  return process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o022) === 0);
}

/** Whether every file of the manifest is there as it was written, or at least with its size and hash. */
async function isIntact(folder: string): Promise<boolean> {
  try {
    const rows: unknown = JSON.parse(await readFile(join(folder, MANIFEST), "utf8"));
    if (!Array.isArray(rows) || rows.length === 0) return false;
    for (const row of rows as ManifestRow[]) {
      const path = join(folder, row.name);
      if ((await stampOf(path)) === row.stamp) continue;
      const bytes = await readFile(path);
      if (bytes.length !== row.size || (await sha256(bytes)) !== row.sha256) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * Where a set of files may lie: a damaged copy is left where it is and the next place is used, because another process
 * may be repairing or loading it at this moment.
 */
function places(base: string, key: string): string[] {
  return Array.from({ length: 8 }, (_, n) => join(base, n === 0 ? key : `${key}.${n}`));
}

/** Writes into a folder of its own, then renames: whoever looks sees all or nothing. Gives the place taken. */
async function install(folders: readonly string[], files: readonly UnpackedFile[]): Promise<string> {
  const fresh = await mkdtemp(`${folders[0] ?? ""}.new-`);
  try {
    for (const file of files) {
      const path = join(fresh, file.name);
      await makeFolders(dirname(path));
      await writeFile(path, file.bytes);
      if (file.executable) await chmod(path, 0o755);
    }
    const rows = await Promise.all(
      files.map(async ({ name, bytes }): Promise<ManifestRow> => ({ name, size: bytes.length, sha256: await sha256(bytes), stamp: await stampOf(join(fresh, name)) })),
    );
    await writeFile(join(fresh, MANIFEST), JSON.stringify(rows, null, 1));
    return await putInPlace(fresh, folders);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function putInPlace(fresh: string, folders: readonly string[]): Promise<string> {
  for (const folder of folders) {
    try {
      await rename(fresh, folder);
      return folder;
    } catch (error) {
      // Another process was first, and its copy is as good; or a damaged copy is in the way.
      if (await isIntact(folder)) return folder;
      if (!isOccupied(error)) throw error;
    }
  }
  throw new Error(`${folders.length} damaged copies lie there already; remove them`);
}

function isOccupied(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR";
}

/** Number, size and times of a file. The second time changes with each change to it, and no program can set it. */
async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [ino, size, mtimeNs, ctimeNs].join(" ");
}

/** Hex SHA-256 of some bytes. Loaded when needed: a start that finds all in place needs none. */
async function sha256(bytes: Uint8Array): Promise<string> {
  const { createHash } = await import("node:crypto");
  return createHash("sha256").update(bytes).digest("hex");
}

/** The regular files of a tar archive (ustar and old forms; names up to 255 bytes). */
export function readTar(tar: Uint8Array): UnpackedFile[] {
  const files: UnpackedFile[] = [];
  const text = (start: number, length: number): string =>
    new TextDecoder().decode(tar.subarray(start, start + length)).replace(/\0.*$/s, "").trim();
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    const kind = text(at + 156, 1);
    if (!Number.isInteger(size) || at + 512 + size > tar.length) throw new Error(`tar: damaged entry at byte ${at}`);
    const prefix = text(at + 345, 155);
    const name = (prefix === "" ? "" : `${prefix}/`) + text(at, 100);
    if (kind === "" || kind === "0") {
      const executable = (Number.parseInt(text(at + 100, 8), 8) & 0o100) !== 0;
      files.push({ name, bytes: tar.subarray(at + 512, at + 512 + size), executable });
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
