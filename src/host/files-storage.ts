// Files in a browser's storage: small ones that outlive the page, such as tuned choices.
import type { Files } from "../files.ts";
import { createMemoryFiles } from "./files-memory.ts";

/** What is needed of `localStorage`. */
export type KeyStorage = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">;

/**
 * Files of one folder, `folder`, in a storage of text. They are read once and written at every change; another page that writes at the
 * same time is not seen until then. A full storage throws the browser's own QuotaExceededError, and the file keeps what it had.
 */
export async function createStorageFiles(folder: string, storage: KeyStorage = globalThis.localStorage): Promise<Files> {
  const files = createMemoryFiles();
  await files.makeFolder(folder);
  const names = Array.from({ length: storage.length }, (_, i) => storage.key(i) ?? "").filter((key) => key.startsWith(`${folder}/`));
  for (const path of names) await files.writeAtomic(path, decode(storage.getItem(path) ?? ""));
  const store = async (path: string, bytes: Uint8Array) => {
    storage.setItem(path, encode(bytes));
    await files.writeAtomic(path, bytes);
  };
  return {
    ...files,
    writeAtomic: store,
    async append(path, bytes) {
      const old = (await files.size(path)) === undefined ? new Uint8Array() : await files.read(path);
      const joined = new Uint8Array(old.length + bytes.length);
      joined.set(old);
      joined.set(bytes, old.length);
      await store(path, joined);
    },
    async truncate(path, size) {
      await files.truncate(path, size);
      storage.setItem(path, encode(await files.read(path)));
    },
    async rename(from, to) {
      const bytes = await files.read(from);
      await files.rename(from, to);
      storage.setItem(to, encode(bytes));
      storage.removeItem(from);
    },
    async remove(path) {
      await files.remove(path);
      storage.removeItem(path);
    },
  };
}

/** One character a byte: storages keep text, not bytes. */
function encode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function decode(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
