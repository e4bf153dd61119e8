// The promises of `Files`, kept alike by the disk and by memory.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { joinPath, type Files } from "../../src/files.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { nodeFiles } from "../../src/host/files-node.ts";

let disk = "";
beforeAll(async () => {
  disk = await mkdtemp(join(tmpdir(), "cytonet-files-"));
});
afterAll(() => rm(disk, { recursive: true, force: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

async function failure(action: () => Promise<unknown>): Promise<UserError> {
  const error: unknown = await action().then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof UserError)) throw new Error(`expected a UserError, got ${String(error)}`);
  return error;
}

const worlds: [string, () => Promise<{ files: Files; top: string }>][] = [
  ["disk", async () => ({ files: nodeFiles, top: await mkdtemp(join(disk, "case-")) })],
  [
    "memory",
    async () => {
      const files = createMemoryFiles();
      await files.makeFolder("/top");
      return { files, top: "/top" };
    },
  ],
];

describe.each(worlds)("%s", (_, world) => {
  test("many that make folders below the same missing ones all get theirs", async () => {
    const { files, top } = await world();
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 8 }, (_, i) => files.makeFolder(`${top}/${round}/b/c/${i % 4}`)));
      expect((await files.list(`${top}/${round}/b/c`)).map(({ name }) => name).sort()).toEqual(["0", "1", "2", "3"]);
    }
  });

  test("what is written is read again, whole and in ranges, and replaced as a whole", async () => {
    const { files, top } = await world();
    const path = joinPath(top, "a.bin");
    await files.writeAtomic(path, bytes("0123456789"));
    expect(text(await files.read(path))).toBe("0123456789");
    expect(text(await files.readRange(path, 3, 4))).toBe("3456");
    expect(text(await files.readRange(path, 8, 4))).toBe("89");
    expect(await files.readRange(path, 20, 4)).toHaveLength(0);
    await files.writeAtomic(path, bytes("ab"));
    expect(text(await files.read(path))).toBe("ab");
    expect(await files.size(path)).toBe(2);
    expect(await files.list(top)).toEqual([{ name: "a.bin", kind: "file" }]);
  });

  test("an empty file is a file", async () => {
    const { files, top } = await world();
    await files.writeAtomic(`${top}/empty`, new Uint8Array());
    expect(await files.read(`${top}/empty`)).toHaveLength(0);
    expect(await files.size(`${top}/empty`)).toBe(0);
  });

  test("what was read does not change with the file, nor the file with it", async () => {
    const { files, top } = await world();
    const given = bytes("abc");
    await files.writeAtomic(`${top}/a`, given);
    given[0] = 0;
    const got = await files.read(`${top}/a`);
    got[1] = 0;
    expect(text(await files.read(`${top}/a`))).toBe("abc");
  });

  test("append makes and lengthens, truncate cuts", async () => {
    const { files, top } = await world();
    const path = `${top}/log`;
    await files.append(path, bytes("one\n"));
    await files.append(path, bytes("two\n"));
    expect(text(await files.read(path))).toBe("one\ntwo\n");
    await files.truncate(path, 4);
    expect(text(await files.read(path))).toBe("one\n");
    await files.append(path, bytes("three\n"));
    expect(text(await files.read(path))).toBe("one\nthree\n");
  });

  test("folders are made with their parents, listed in order, renamed and removed with what they hold", async () => {
    const { files, top } = await world();
    await files.makeFolder(`${top}/x/y`);
    await files.makeFolder(`${top}/x/y`);
    await files.writeAtomic(`${top}/x/y/f`, bytes("f"));
    await files.writeAtomic(`${top}/x/b`, bytes("b"));
    await files.writeAtomic(`${top}/x/B`, bytes("B"));
    expect(await files.list(`${top}/x`)).toEqual([
      { name: "B", kind: "file" },
      { name: "b", kind: "file" },
      { name: "y", kind: "folder" },
    ]);
    await files.rename(`${top}/x`, `${top}/z`);
    expect(text(await files.read(`${top}/z/y/f`))).toBe("f");
    expect(await files.size(`${top}/x`)).toBeUndefined();
    await files.remove(`${top}/z`);
    await files.remove(`${top}/z`);
    expect(await files.list(top)).toEqual([]);
  });

  test("rename replaces a file", async () => {
    const { files, top } = await world();
    await files.writeAtomic(`${top}/new`, bytes("new"));
    await files.writeAtomic(`${top}/old`, bytes("old"));
    await files.rename(`${top}/new`, `${top}/old`);
    expect(text(await files.read(`${top}/old`))).toBe("new");
    expect(await files.list(top)).toHaveLength(1);
  });

  test("missing input is 66 and names the path", async () => {
    const { files, top } = await world();
    const path = `${top}/none`;
    expect(await files.size(path)).toBeUndefined();
    const actions = [() => files.read(path), () => files.readRange(path, 0, 1), () => files.list(path), () => files.truncate(path, 0), () => files.rename(path, `${top}/b`)];
    for (const action of actions) {
      const error = await failure(action);
      expect(error.exitCode).toBe(66);
      expect(error.message).toContain(path);
    }
    expect((await failure(() => files.read(top))).exitCode).toBe(66);
  });

  test("output that cannot be created is 73 and leaves nothing", async () => {
    const { files, top } = await world();
    await files.writeAtomic(`${top}/file`, bytes("x"));
    await files.makeFolder(`${top}/folder/inner`);
    const attempts = [
      () => files.writeAtomic(`${top}/none/a`, bytes("a")),
      () => files.append(`${top}/none/a`, bytes("a")),
      () => files.writeAtomic(`${top}/file/a`, bytes("a")),
      () => files.writeAtomic(`${top}/folder`, bytes("a")),
      () => files.makeFolder(`${top}/file`),
      () => files.makeFolder(`${top}/file/a`),
      () => files.rename(`${top}/file`, `${top}/folder`),
      () => files.lock(`${top}/none/lock`),
    ];
    for (const attempt of attempts) expect((await failure(attempt)).exitCode).toBe(73);
    expect((await files.list(top)).map(({ name }) => name)).toEqual(["file", "folder"]);
    expect(text(await files.read(`${top}/file`))).toBe("x");
  });

  test("a folder in a lock's place is told, not waited for", async () => {
    const { files, top } = await world();
    await files.makeFolder(`${top}/folder/lock`);
    expect((await failure(() => files.lock(`${top}/folder/lock`))).exitCode).toBe(73);
  });

  test("a lock is held once, and free again after its release", async () => {
    const { files, top } = await world();
    const first = await files.lock(`${top}/lock`);
    const error = await failure(() => files.lock(`${top}/lock`));
    expect(error.exitCode).toBe(75);
    expect(error.message).toContain("this process");
    await first.release();
    const second = await files.lock(`${top}/lock`);
    await first.release();
    expect((await failure(() => files.lock(`${top}/lock`))).exitCode).toBe(75);
    await second.release();
    expect(await files.list(top)).toEqual([]);
  });
});
