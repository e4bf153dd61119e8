// The cache folder: the first of those that may hold it in which files can be made.
import { constants } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { dirname } from "node:path";
import { cacheFolders, isPrivate } from "./node-unpack.ts";
import { makeFolders } from "./node-folder.ts";

/** Whether files can be made in a folder, or where it is not there yet, in the nearest one above it. */
export async function isWritable(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await lstat(folder).catch(() => undefined);
    if (found) return access(folder, constants.W_OK).then(() => true, () => false);
    if (dirname(folder) === folder) return false;
  }
}

/** The folder that caches are read from: the first that is there and this user's own. */
export async function findReadableCache(): Promise<string | undefined> {
  for (const base of cacheFolders()) {
    const found = await lstat(base.path).catch(() => undefined);
    if (found && (await isPrivate(base)) && (await isWritable(base.path))) return base.path;
  }
  return undefined;
}

/** The folder that caches are written to, made where it is missing; undefined where none can be. */
export async function openCache(): Promise<string | undefined> {
  for (const base of cacheFolders()) {
    if (!(await isWritable(base.path))) continue;
    await makeFolders(base.path, 0o700);
    if (await isPrivate(base)) return base.path;
  }
  return undefined;
}
