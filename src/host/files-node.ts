// The file system in Node: whole files or none, flushed to the disk, with errors that say what to do.
import { createHash, randomBytes } from "node:crypto";
import { open, readdir, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Entry, Files } from "../files.ts";
import { explain } from "./node-errors.ts";
import { makeFolders } from "./node-folder.ts";
import { isProcessAlive, takeLock } from "./node-lock.ts";

/** Node refuses reads and writes of 2 GiB and more at once. */
const CHUNK = 256 * 1024 * 1024;

/** The files of this machine. Paths are relative to the working folder or absolute. */
export const nodeFiles: Files = {
  read: (path) => explain("read", path, () => readWhole(path)),

  readRange: (path, offset, length) =>
    explain("read", path, () => withFile(path, "r", (file) => readAt(file, offset, length))),

  writeAtomic: (path, bytes) =>
    explain("write", path, async () => {
      await removeAbandonedParts(path);
      const part = join(dirname(path), `${partPrefix(path)}${process.pid}-${randomBytes(4).toString("hex")}.part`);
      try {
        await withFile(part, "wx", async (file) => {
          await writeAll(file, bytes);
          await file.sync();
        });
        await rename(part, path);
      } catch (error) {
        await rm(part, { force: true }).catch(() => undefined);
        throw error;
      }
      await syncFolder(dirname(path));
    }),

  append: (path, bytes) =>
    explain("write", path, () =>
      withFile(path, "a", async (file) => {
        const { size } = await file.stat();
        try {
          await writeAll(file, bytes);
          await file.sync();
        } catch (error) {
          // Half a line is worse than none: readers would take it for damage. Devices and pipes cannot be cut.
          await file.truncate(size).catch(() => undefined);
          throw error;
        }
      }),
    ),

  truncate: (path, size) =>
    explain("cut", path, () =>
      withFile(path, "r+", async (file) => {
        await file.truncate(size);
        await file.sync();
      }),
    ),

  size: (path) =>
    explain("read", path, async () => {
      try {
        const found = await stat(path);
        return found.isDirectory() ? 0 : found.size;
      } catch (error) {
        if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
        throw error;
      }
    }),

  list: (path) =>
    explain("read", path, async () => {
      const names = (await readdir(path)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      return Promise.all(names.map(async (name): Promise<Entry> => ({ name, kind: await kindOf(join(path, name)) })));
    }),

  makeFolder: (path) => explain("make folder", path, () => makeFolders(path)),

  rename: (from, to) =>
    explain("rename", from, async () => {
      await rename(from, to);
      await syncFolder(dirname(to));
      if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
    }),

  remove: (path) => explain("remove", path, () => rm(path, { recursive: true, force: true })),

  lock: (path) => takeLock(path),
};

/** Reads a file of any size; pipes and other sources without a size are read to their end. */
async function readWhole(path: string): Promise<Uint8Array> {
  return withFile(path, "r", async (file) => {
    const found = await file.stat();
    if (!found.isFile() || found.size === 0) return new Uint8Array(await readFile(file));
    return readAt(file, 0, found.size);
  });
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const left = Math.max(0, (await file.stat()).size - offset);
  const bytes = new Uint8Array(Math.min(length, left));
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK, bytes.length - at), offset + at);
    if (bytesRead === 0) return bytes.slice(0, at);
    at += bytesRead;
  }
  return bytes;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, Math.min(CHUNK, bytes.length - at))).bytesWritten;
  }
}

async function withFile<T>(path: string, flags: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** A rename lasts through a power cut only once its folder is on the disk. Windows cannot open folders. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await withFile(path, "r", (folder) => folder.sync());
}

/** Parts carry this machine's mark and the writer's process, so that those of killed writers can be told and removed. */
function partPrefix(path: string): string {
  const machine = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
  return `.${basename(path)}.${machine}-`;
}

async function removeAbandonedParts(path: string): Promise<void> {
  const [folder, prefix] = [dirname(path), partPrefix(path)];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(".part")) continue;
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (Number.isInteger(pid) && !isProcessAlive(pid)) await rm(join(folder, name), { force: true });
  }
}

async function kindOf(path: string): Promise<Entry["kind"]> {
  try {
    const found = await stat(path);
    return found.isFile() ? "file" : found.isDirectory() ? "folder" : "other";
  } catch {
    return "other";
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
