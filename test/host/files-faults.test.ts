// The disk at its worst: full, limited, read-only, killed writers, dead and living lock holders.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { bundleForNode } from "../support/bundle.ts";

let top = "";
let program = "";
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-faults-"));
  program = await bundleForNode("test/host/programs/files.ts");
});
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
  await rm(program, { force: true });
});

/** Runs shell text in which `files` is the test program; gives the last line of stdout as JSON. */
function runShell(script: string): { exitCode: number; message?: string } {
  const { stdout, stderr } = spawnSync("bash", ["-c", `files() { "${process.execPath}" "${program}" "$@"; }; ${script}`], { encoding: "utf8" });
  const last = stdout.trim().split("\n").at(-1) ?? "";
  if (!last.startsWith("{")) throw new Error(`no outcome: ${stdout}${stderr}`);
  return JSON.parse(last) as { exitCode: number; message?: string };
}

const canUnshare = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

test.skipIf(process.platform !== "linux")("appending to a full device is 74", async () => {
  const error: unknown = await nodeFiles.append("/dev/full", new Uint8Array(10)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  expect(error).toMatchObject({ exitCode: 74, message: expect.stringContaining("/dev/full") as string });
});

test.skipIf(process.platform !== "linux")("folders that can never be made are 73 at once", async () => {
  const error: unknown = await nodeFiles.makeFolder("/proc/none/at/all").catch((reason: unknown) => reason);
  expect(error).toMatchObject({ exitCode: 73 });
});

test("a write beyond the allowed file size is 74 and leaves the old file and no part", async () => {
  const folder = await mkdtemp(join(top, "limit-"));
  await writeFile(join(folder, "a"), "old");
  const outcome = runShell(`ulimit -f 8; files writeAtomic "${folder}/a" 1000000`);
  expect(outcome.exitCode).toBe(74);
  expect(outcome.message).toContain(`${folder}/a`);
  expect(await readFile(join(folder, "a"), "utf8")).toBe("old");
  expect(await readdir(folder)).toEqual(["a"]);
});

test("an append that fails midway leaves the file as it was", async () => {
  const folder = await mkdtemp(join(top, "append-"));
  await writeFile(join(folder, "log"), "line\n");
  const outcome = runShell(`ulimit -f 8; files append "${folder}/log" 1000000`);
  expect(outcome.exitCode).toBe(74);
  expect(await readFile(join(folder, "log"), "utf8")).toBe("line\n");
});

test.skipIf(!canUnshare)("a full disk is 74, with the old file whole and nothing beside it", async () => {
  const folder = await mkdtemp(join(top, "full-"));
  const inside = `mount -t tmpfs -o size=256k none "${folder}" && printf old > "${folder}/a" && "${process.execPath}" "${program}" writeAtomic "${folder}/a" 1000000 > "${folder}.out"; cat "${folder}/a" > "${folder}.old"; ls -A "${folder}" > "${folder}.ls"`;
  const { status, stderr } = spawnSync("unshare", ["-rm", "bash", "-c", inside], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  expect(JSON.parse(await readFile(`${folder}.out`, "utf8"))).toMatchObject({ exitCode: 74, message: expect.stringContaining("disk is full") as string });
  expect(await readFile(`${folder}.old`, "utf8")).toBe("old");
  expect(await readFile(`${folder}.ls`, "utf8")).toBe("a\n");
});

test.skipIf(!canUnshare)("a read-only file system is 73", async () => {
  const folder = await mkdtemp(join(top, "ro-"));
  const inside = `mount -t tmpfs -o ro none "${folder}"; "${process.execPath}" "${program}" writeAtomic "${folder}/a" 10`;
  const { stdout } = spawnSync("unshare", ["-rm", "bash", "-c", inside], { encoding: "utf8" });
  expect(JSON.parse(stdout)).toMatchObject({ exitCode: 73, message: expect.stringContaining("read-only") as string });
});

test("the part of a killed writer is removed by the next one, that of a living one is not", async () => {
  const folder = await mkdtemp(join(top, "parts-"));
  const path = join(folder, "a");
  // A writer is stopped in the middle of a large file, when its part lies there.
  const writer = spawn(process.execPath, [program, "writeAtomic", path, "600000000"], { stdio: "ignore" });
  const parts = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith(".part"));
  while ((await parts()).length === 0 && writer.exitCode === null) await new Promise((done) => setTimeout(done, 2));
  expect(await parts()).toHaveLength(1);
  process.kill(writer.pid ?? 0, "SIGSTOP");
  await nodeFiles.writeAtomic(path, new Uint8Array([1]));
  expect(await parts()).toHaveLength(1);
  writer.kill("SIGKILL");
  await new Promise((done) => writer.once("exit", done));
  await nodeFiles.writeAtomic(path, new Uint8Array([2]));
  expect(await readdir(folder)).toEqual(["a"]);
  expect([...(await nodeFiles.read(path))]).toEqual([2]);
});

test("a living holder's lock is refused with its number; a killed holder's lock is taken over", async () => {
  const path = join(await mkdtemp(join(top, "lock-")), "lock");
  const holder = spawn(process.execPath, [program, "hold", path], { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((done) => holder.stdout.once("data", done));
  const refused: unknown = await nodeFiles.lock(path).catch((reason: unknown) => reason);
  expect(refused).toMatchObject({ exitCode: 75, message: expect.stringContaining(`process ${holder.pid}`) as string });
  holder.kill("SIGKILL");
  await new Promise((done) => holder.once("exit", done));
  const lock = await nodeFiles.lock(path);
  await lock.release();
  expect(await nodeFiles.size(path)).toBeUndefined();
});

test("a lock whose process number was given to another process is taken over", async () => {
  const path = join(await mkdtemp(join(top, "reuse-")), "lock");
  const first = await nodeFiles.lock(path);
  const holder: unknown = JSON.parse(await readFile(path, "utf8"));
  await first.release();
  await writeFile(path, JSON.stringify({ ...(holder as object), start: "1" }));
  const second = await nodeFiles.lock(path);
  await second.release();
});

test("a lock of another machine is never taken over", async () => {
  const path = join(await mkdtemp(join(top, "other-")), "lock");
  await writeFile(path, JSON.stringify({ pid: 1, start: "1", boot: "b", machine: "m" }));
  expect(await nodeFiles.lock(path).catch((reason: unknown) => reason)).toMatchObject({ exitCode: 75, message: expect.stringContaining("another machine") as string });
});

test("many that find a dead holder's lock at once take it one after the other", async () => {
  const path = join(await mkdtemp(join(top, "many-")), "lock");
  const dead = spawnSync(process.execPath, ["-e", "process.stdout.write(String(process.pid))"], { encoding: "utf8" }).stdout;
  const first = await nodeFiles.lock(path);
  const holder: unknown = JSON.parse(await readFile(path, "utf8"));
  await first.release();
  await writeFile(path, JSON.stringify({ ...(holder as object), pid: Number(dead) }));
  const users = Array.from({ length: 12 }, () => spawn(process.execPath, [program, "count", path], { stdio: "ignore" }));
  await Promise.all(users.map((user) => new Promise((done) => user.once("exit", done))));
  expect(await readFile(`${path}.count`, "utf8")).toBe("12");
  expect(await readdir(join(path, ".."))).toEqual(["lock.count"]);
});
