// A program for tests: one operation on a file, its outcome as JSON on stdout. Usage: files.ts OPERATION PATH [BYTES]
import { UserError } from "../../../src/errors.ts";
import { nodeFiles } from "../../../src/host/files-node.ts";

const [operation = "", path = "", count = "0"] = process.argv.slice(2);
const bytes = new Uint8Array(Number(count)).fill(120);

// Without a listener the signal of `ulimit -f` ends the process before the write can fail.
process.on("SIGXFSZ", () => undefined);

/** A lock whose owner stays until it is killed. */
async function holdLock(): Promise<void> {
  await nodeFiles.lock(path);
  process.stdout.write("held\n");
  await new Promise(() => setInterval(() => undefined, 1000));
}

/** Takes the lock, adds one to the number in a file without any other protection, and leaves. */
async function countUnderLock(): Promise<void> {
  const counter = `${path}.count`;
  for (;;) {
    const lock = await nodeFiles.lock(path).catch(() => undefined);
    if (lock === undefined) {
      await new Promise((done) => setTimeout(done, 2));
      continue;
    }
    const before = (await nodeFiles.size(counter)) === undefined ? 0 : Number(new TextDecoder().decode(await nodeFiles.read(counter)));
    await nodeFiles.writeAtomic(counter, new TextEncoder().encode(String(before + 1)));
    await lock.release();
    return;
  }
}

try {
  if (operation === "writeAtomic") await nodeFiles.writeAtomic(path, bytes);
  else if (operation === "append") await nodeFiles.append(path, bytes);
  else if (operation === "hold") await holdLock();
  else if (operation === "count") await countUnderLock();
  else throw new Error(`no operation "${operation}"`);
  process.stdout.write(JSON.stringify({ exitCode: 0 }));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stdout.write(JSON.stringify({ exitCode: error.exitCode, message: error.message }));
}
