// Files in memory that die at the k-th operation: killed with what the system had been told, or by power loss with what was flushed.
import { EXIT_CODES, UserError } from "../../src/errors.ts";
import type { Entry, Files } from "../../src/files.ts";

/** The process is gone; nothing catches this as a UserError. */
export class Killed extends Error {}

export interface Simulation {
  readonly files: Files;
  /** Operations begun so far. */
  readonly count: () => number;
  /** What a new process finds; locks are gone, as their holder is dead. */
  readonly restart: (loss: "killed" | "power lost", faults?: Faults) => Simulation;
  readonly paths: () => string[];
  /** Changes bytes behind the code's back. */
  readonly edit: (path: string, change: (bytes: Uint8Array) => Uint8Array) => void;
}

export interface Faults {
  /** Dies at this operation, counted from 0, in the middle of writing where it writes. */
  readonly killAt?: number;
  /** Bytes that fit on the disk. */
  readonly capacity?: number;
  /** Called on what is written: a disk that lies. */
  readonly corrupt?: (path: string, bytes: Uint8Array) => Uint8Array;
  readonly before?: { readonly files: ReadonlyMap<string, Uint8Array>; readonly folders: ReadonlySet<string> };
}

export function simulateFiles(faults: Faults = {}): Simulation {
  const folders = new Set(faults.before?.folders ?? ["", "/"]);
  let files = new Map(faults.before?.files ?? []);
  let durable = new Map(files); // as a flush of the folder left it
  let operations = 0;
  let dead = false;
  const held = new Set<string>();

  /** One operation of the system. `torn` runs instead of it when the process dies here. */
  const step = (torn?: () => void): void => {
    if (dead) throw new Killed("used after its death");
    if (operations++ !== faults.killAt) return;
    torn?.();
    dead = true;
    throw new Killed(`killed at operation ${faults.killAt}`);
  };
  const put = (path: string, bytes: Uint8Array): void => {
    let used = bytes.length;
    for (const [other, content] of files) if (other !== path) used += content.length;
    if (used > (faults.capacity ?? Infinity)) throw new UserError(EXIT_CODES.io, `${path}: no space left on the disk`);
    files.set(path, faults.corrupt?.(path, bytes) ?? bytes);
  };
  const need = (path: string): Uint8Array => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such file`);
    return bytes;
  };
  const parent = (path: string): string => path.slice(0, path.lastIndexOf("/"));
  const needFolder = (path: string): void => {
    if (!folders.has(path)) throw new UserError(EXIT_CODES.cannotCreate, `${path}: no such folder`);
  };
  const within = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);

  return {
    count: () => operations,
    paths: () => [...files.keys()].sort(),
    edit: (path, change) => void files.set(path, change(need(path).slice())),
    restart(loss, next = {}) {
      const kept = loss === "killed" ? files : durable;
      return simulateFiles({ ...next, before: { files: new Map(kept), folders } });
    },
    files: {
      async read(path) {
        step();
        return need(path).slice();
      },
      async readRange(path, offset, length) {
        step();
        return need(path).slice(offset, offset + length);
      },
      async writeAtomic(path, bytes) {
        needFolder(parent(path));
        const temporary = `${parent(path)}/.${path.slice(parent(path).length + 1)}.1-ab.part`;
        const content = bytes.slice();
        try {
          step(() => put(temporary, new Uint8Array(0)));
          put(temporary, new Uint8Array(0));
          step(() => put(temporary, content.slice(0, content.length >> 1)));
          put(temporary, content);
        } catch (error) {
          if (!dead) files.delete(temporary);
          throw error;
        }
        step();
        files.set(path, need(temporary));
        files.delete(temporary);
        step();
        durable = new Map(files);
      },
      async append(path, bytes) {
        needFolder(parent(path));
        const old = files.get(path) ?? new Uint8Array(0);
        const joined = new Uint8Array(old.length + bytes.length);
        joined.set(old);
        joined.set(bytes, old.length);
        step(() => put(path, joined.slice(0, old.length + (bytes.length >> 1))));
        put(path, joined);
        durable.set(path, need(path));
      },
      async truncate(path, size) {
        step();
        files.set(path, need(path).slice(0, size));
        durable.set(path, need(path));
      },
      async size(path) {
        step();
        return folders.has(path) ? 0 : files.get(path)?.length;
      },
      async list(path) {
        step();
        if (!folders.has(path)) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such folder`);
        const entries = new Map<string, Entry>();
        for (const file of files.keys()) if (parent(file) === path) entries.set(file, { name: file.slice(path.length + 1), kind: "file" });
        for (const folder of folders) if (folder !== path && parent(folder) === path) entries.set(folder, { name: folder.slice(path.length + 1), kind: "folder" });
        return [...entries.values()];
      },
      async makeFolder(path) {
        step();
        for (let at = path; at !== ""; at = parent(at)) folders.add(at);
      },
      async rename(from, to) {
        step();
        files.set(to, need(from));
        files.delete(from);
      },
      async remove(path) {
        step();
        files = new Map([...files].filter(([file]) => file !== path && !within(file, path)));
        for (const folder of [...folders]) if (folder === path || within(folder, path)) folders.delete(folder);
      },
      async lock(path) {
        step();
        needFolder(parent(path));
        if (held.has(path)) throw new UserError(EXIT_CODES.locked, `${path}: held by process 1`);
        held.add(path);
        put(path, Uint8Array.of(49));
        return {
          release: async () => {
            step();
            held.delete(path);
            files.delete(path);
          },
        };
      },
    },
  };
}
