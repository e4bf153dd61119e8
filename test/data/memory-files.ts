// Files in memory for tests of the data layer, with a fault to inject: the disk fills at the k-th write.
import { EXIT_CODES, UserError } from "../../src/errors.ts";
import type { Files } from "../../src/files.ts";

export interface MemoryFiles extends Files {
  /** Path → bytes of every file. */
  readonly contents: Map<string, Uint8Array>;
  /** Writes that succeed before the disk is full; undefined: no limit. */
  writesLeft: number | undefined;
}

export function createMemoryFiles(initial: Record<string, Uint8Array | string> = {}): MemoryFiles {
  const contents = new Map<string, Uint8Array>();
  const folders = new Set<string>();
  const locks = new Set<string>();
  const clean = (path: string): string => path.replace(/\/+$/, "");
  const addFolders = (path: string): void => {
    const parts = clean(path).split("/");
    for (let i = 1; i <= parts.length; i++) folders.add(parts.slice(0, i).join("/"));
  };
  const missing = (path: string): UserError => new UserError(EXIT_CODES.inputMissing, `${path}: no such file`);
  const write = (path: string, bytes: Uint8Array): void => {
    if (files.writesLeft !== undefined && files.writesLeft-- <= 0) throw new UserError(EXIT_CODES.io, `${path}: no space left on the disk`);
    addFolders(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    contents.set(path, bytes.slice());
  };
  const read = (path: string): Uint8Array => {
    const bytes = contents.get(path);
    if (bytes === undefined) throw missing(path);
    return bytes;
  };
  const under = (path: string): string[] => [...contents.keys(), ...folders].filter((key) => key === path || key.startsWith(`${path}/`));
  const files: MemoryFiles = {
    contents,
    writesLeft: undefined,
    read: async (path) => read(path).slice(),
    readRange: async (path, offset, length) => read(path).slice(offset, offset + length),
    writeAtomic: async (path, bytes) => write(path, bytes),
    append: async (path, bytes) => write(path, Uint8Array.of(...(contents.get(path) ?? []), ...bytes)),
    truncate: async (path, size) => write(path, read(path).slice(0, size)),
    size: async (path) => contents.get(clean(path))?.length ?? (folders.has(clean(path)) ? 0 : undefined),
    list: async (path) => {
      const names = new Map<string, "file" | "folder">();
      for (const key of under(clean(path))) {
        const [name, ...rest] = key.slice(clean(path).length + 1).split("/");
        if (name) names.set(name, rest.length > 0 || folders.has(key) ? "folder" : "file");
      }
      return [...names].map(([name, kind]) => ({ name, kind }));
    },
    makeFolder: async (path) => addFolders(path),
    async rename(from, to) {
      const keys = under(from);
      if (keys.length === 0) throw missing(from);
      for (const key of keys) {
        const target = to + key.slice(from.length);
        const bytes = contents.get(key);
        if (bytes === undefined) addFolders(target);
        else contents.set(target, bytes);
        contents.delete(key);
        folders.delete(key);
      }
    },
    async remove(path) {
      for (const key of under(path)) {
        contents.delete(key);
        folders.delete(key);
      }
    },
    async lock(path) {
      if (locks.has(path)) throw new UserError(EXIT_CODES.locked, `${path}: locked by another process`);
      locks.add(path);
      return { release: async () => void locks.delete(path) };
    },
  };
  for (const [path, bytes] of Object.entries(initial)) {
    addFolders(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    contents.set(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  }
  return files;
}
