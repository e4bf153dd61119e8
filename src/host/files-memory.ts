// Files in memory: for pages, which have no disk of their own, and for tests.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Entry, Files } from "../files.ts";

type Node = Uint8Array | "folder";

/**
 * An empty file system. Like on a disk, a file's folder must exist before the file is written, and what is read or
 * written is copied. Locks hold between users of the same object.
 */
export function createMemoryFiles(): Files {
  const nodes = new Map<string, Node>();
  const locks = new Set<string>();

  const missing = (path: string): UserError => new UserError(EXIT_CODES.inputMissing, `${path}: there is no such file or folder; check the path`);
  const blocked = (path: string, what: string): UserError => new UserError(EXIT_CODES.cannotCreate, `${path}: cannot write: ${what}; choose another path`);

  const look = (path: string): Node | undefined => (path === "" || path === "/" || path === "." ? "folder" : nodes.get(path));

  const fileAt = (path: string): Uint8Array => {
    const node = look(clean(path));
    if (node === undefined) throw missing(path);
    if (node === "folder") throw new UserError(EXIT_CODES.inputMissing, `${path}: got a folder, expected a file; check the path`);
    return node;
  };

  const put = (path: string, bytes: Uint8Array): void => {
    const key = clean(path);
    if (look(parentOf(key)) !== "folder") throw blocked(path, "its folder does not exist");
    if (look(key) === "folder") throw blocked(path, "a folder is in the way");
    nodes.set(key, bytes);
  };

  /** A node and everything below it. */
  const treeAt = (key: string): string[] => [...nodes.keys()].filter((other) => other === key || other.startsWith(`${key}/`));

  return {
    read: async (path) => fileAt(path).slice(),

    readRange: async (path, offset, length) => fileAt(path).slice(offset, offset + length),

    writeAtomic: async (path, bytes) => put(path, bytes.slice()),

    async append(path, bytes) {
      const before = look(clean(path));
      const old = before instanceof Uint8Array ? before : new Uint8Array();
      const joined = new Uint8Array(old.length + bytes.length);
      joined.set(old);
      joined.set(bytes, old.length);
      put(path, joined);
    },

    async truncate(path, size) {
      const cut = new Uint8Array(size);
      cut.set(fileAt(path).subarray(0, size));
      put(path, cut);
    },

    async size(path) {
      const node = look(clean(path));
      return node === undefined ? undefined : node === "folder" ? 0 : node.length;
    },

    async list(path) {
      const key = clean(path);
      const node = look(key);
      if (node === undefined) throw missing(path);
      if (node !== "folder") throw new UserError(EXIT_CODES.inputMissing, `${path}: got a file, expected a folder; check the path`);
      return [...nodes]
        .filter(([other]) => parentOf(other) === key)
        .map(([other, child]): Entry => ({ name: other.slice(other.lastIndexOf("/") + 1), kind: child === "folder" ? "folder" : "file" }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async makeFolder(path) {
      const parts = clean(path).split("/");
      for (let end = 1; end <= parts.length; end++) {
        const key = parts.slice(0, end).join("/");
        const node = look(key);
        if (node instanceof Uint8Array) throw blocked(path, "a file is in the way");
        if (node === undefined) nodes.set(key, "folder");
      }
    },

    async rename(from, to) {
      const [source, target] = [clean(from), clean(to)];
      const node = look(source);
      if (node === undefined) throw missing(from);
      if (look(parentOf(target)) !== "folder") throw blocked(to, "its folder does not exist");
      if (target === source) return;
      const there = look(target);
      if (node !== "folder" && there === "folder") throw blocked(to, "a folder is in the way");
      if (node === "folder" && there instanceof Uint8Array) throw blocked(to, "a file is in the way");
      if (node === "folder" && treeAt(target).length > 1) throw blocked(to, "a folder that is not empty is in the way");
      if (target.startsWith(`${source}/`)) throw blocked(to, "it lies inside of what is renamed");
      for (const key of treeAt(source)) {
        const moved = nodes.get(key);
        nodes.delete(key);
        if (moved !== undefined) nodes.set(target + key.slice(source.length), moved);
      }
    },

    async remove(path) {
      for (const key of treeAt(clean(path))) nodes.delete(key);
    },

    async lock(path) {
      const key = clean(path);
      if (locks.has(key)) throw new UserError(EXIT_CODES.locked, `${path}: locked by this process itself, expected nobody; wait for it`);
      put(path, new Uint8Array());
      locks.add(key);
      let held = true;
      return {
        async release() {
          if (!held) return;
          held = false;
          locks.delete(key);
          nodes.delete(key);
        },
      };
    },
  };
}

/** One spelling for a path: no doubled slashes, no `.` parts, no slash at the end. */
function clean(path: string): string {
  const parts = path.split("/").filter((part, index) => (part !== "" || index === 0) && part !== ".");
  return parts.join("/");
}

/** The folder that holds `key`; "" for the top, whether paths are absolute or relative. */
function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf("/")));
}
