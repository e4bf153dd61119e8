// The file system as the rest of the code sees it: few verbs, injected by the host, so that the same code runs in browsers.

/** A file or a folder in a listing. */
export interface Entry {
  readonly name: string;
  readonly kind: "file" | "folder" | "other";
}

/**
 * Paths are strings of the host's form; `/` joins. Every failure is a UserError that names the path:
 * 66 missing, 73 cannot be created, 74 I/O or disk full.
 */
export interface Files {
  /** The bytes of a file. */
  read(path: string): Promise<Uint8Array>;
  /** `length` bytes from `offset`; fewer only where the file ends. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
  /** Writes the whole file or nothing: temporary file in the same folder, fsync, rename, fsync of the folder. */
  writeAtomic(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends and flushes to the disk. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Cuts a file to `size` bytes. */
  truncate(path: string, size: number): Promise<void>;
  /** Size in bytes, or undefined where there is no such file or folder. */
  size(path: string): Promise<number | undefined>;
  list(path: string): Promise<Entry[]>;
  makeFolder(path: string): Promise<void>;
  /** Renames a file or a folder, replacing a file. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a folder with all it holds; no error where there is none. */
  remove(path: string): Promise<void>;
  /** Takes an exclusive lock file holding the owner's process; a second taker gets a UserError 75 that names the holder. */
  lock(path: string): Promise<{ release(): Promise<void> }>;
}

/** Joins path parts with single slashes. */
export function joinPath(...parts: string[]): string {
  return parts.filter((part) => part !== "").join("/").replace(/(?<!^)\/{2,}/g, "/");
}
