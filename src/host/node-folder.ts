// Folders in Node: made with their parents.
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and its parents; no error where it is there already, or where another process makes the same ones meanwhile. Node's own
 * `recursive` never returns where the file system answers ENOENT below a folder that exists, as /proc does.
 */
export async function makeFolders(path: string, mode?: number): Promise<void> {
  try {
    await makeFolder(path, mode);
  } catch (error) {
    if (!isCode(error, "ENOENT") || dirname(path) === path) throw error;
    if (!(await isFolder(dirname(path)))) await makeFolders(dirname(path), mode);
    // The parent is there by now, also where somebody else has made it since: once more decides.
    await makeFolder(path, mode);
  }
}

async function makeFolder(path: string, mode: number | undefined): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (!isCode(error, "EEXIST") || !(await isFolder(path))) throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
