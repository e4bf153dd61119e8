// Bad input to the built program: the message names file, row and remedy, the exit code is right, and nothing half done looks whole.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { encodePng } from "../../src/data/png.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { buildProgram, runProgram, type Ended, type RunOptions } from "../support/program.ts";

const SMALL = ["--preset", "tiny", "--steps", "2", "--set", "batch.groups=2", "--set", "batch.groupSize=2", "--set", "data.patch=32"];

let top = "";
let scans = "";
let dataset = "";
beforeAll(async () => {
  buildProgram();
  top = await mkdtemp(join(tmpdir(), "cytonet-bad-"));
  dataset = join(top, "dataset");
  await generateDataset({ seed: 1, brains: 1, sections: 1, truth: false, width: 256, height: 192, pixelSizeUm: 24 }, dataset, nodeFiles);
});
afterAll(() => rm(top, { recursive: true, force: true }));

/** 64 × 48 pixels with some contrast. */
function image(): Uint8Array {
  return encodePng({ width: 64, height: 48, channels: 1, data: Uint8Array.from({ length: 64 * 48 }, (_, i) => (i * 37) % 256) });
}

beforeEach(async () => {
  scans = await mkdtemp(join(top, "scans-"));
  await writeFile(join(scans, "a.png"), image());
  await writeFile(join(scans, "spots.csv"), "slide,x,y\na,10,10\na,20,10\na,30,40\n");
});

/** Imports the scans; `more` comes after what a right call needs. */
function importScans(out: string, more: readonly string[] = ["--pixel-size", "2"], options: RunOptions = {}): Promise<Ended> {
  return runProgram(["import", scans, "--out", out, "--table", "spots.csv", "--image", "{slide}.png", "--section", "slide", "--x", "x", "--y", "y", "--units", "px", ...more], options);
}

/** What stands beside the scans, hidden files too. */
async function besides(out: string): Promise<string[]> {
  return (await readdir(join(out, ".."))).filter((name) => name.includes("out"));
}

describe("import", () => {
  test("the right call works, and prints what it made", async () => {
    const out = join(scans, "out");
    const { code, stdout, stderr } = await importScans(out, ["--pixel-size", "2", "--format", "json"]);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schema: "cytonet-import/1", rows: [{ dataset: out, brains: 1, sections: 1, samples: 3 }] });
    expect(stderr).toContain(`cytonet train ${out}`);
  });

  test.each<[string, { readonly table?: string; readonly more?: readonly string[]; readonly code: number; readonly message: RegExp }]>([
    ["no pixel size", { more: [], code: 2, message: /--pixel-size UM or --pixel-size-column COLUMN is missing\n {2}Without the size of a pixel/ }],
    ["an empty pixel size", { table: "slide,x,y,um\na,10,10,\n", more: ["--pixel-size-column", "um"], code: 65, message: /spots\.csv:2: um "", expected a number.*; correct it/ }],
    ["a position outside the image", { table: "slide,x,y\na,10,10\na,64.5,10\n", code: 65, message: /spots\.csv:3: x 64\.5 px, expected 0 to 64 \(the width of section "a".*; correct the row/ }],
    ["NaN as a coordinate", { table: "slide,x,y\na,10,NaN\n", code: 65, message: /spots\.csv:2: y "NaN", expected a finite number; correct or remove the row/ }],
    ["infinity as a coordinate", { table: "slide,x,y\na,Infinity,1\n", code: 65, message: /spots\.csv:2: x "Infinity"/ }],
    ["a row that is too short", { table: "slide,x,y\na,10\n", code: 65, message: /spots\.csv:2: 2 fields, expected 3/ }],
    ["an image that is not there", { table: "slide,x,y\nb,10,10\n", code: 66, message: /b\.png/ }],
    ["a column that is not there", { more: ["--pixel-size", "2", "--label", "lyer"], code: 2, message: /--label: no column "lyer"/ }],
    ["a table that is not there", { more: ["--pixel-size", "2", "--table", "sports.csv"], code: 66, message: /sports\.csv: no such file/ }],
  ])("%s", async (_, { table, more, code, message }) => {
    if (table !== undefined) await writeFile(join(scans, "spots.csv"), table);
    const out = join(scans, "out");
    const ended = await importScans(out, more);
    expect(ended.stderr).toMatch(message);
    expect(ended).toMatchObject({ code, stdout: "" });
    expect(await besides(out)).toEqual([]);
  });

  test.each([
    ["a PNG that is cut off", (bytes: Uint8Array) => bytes.slice(0, bytes.length / 2)],
    ["a PNG of which one byte is wrong", (bytes: Uint8Array) => bytes.map((byte, i) => (i === bytes.length - 30 ? byte ^ 1 : byte))],
    ["an empty file", () => new Uint8Array()],
    ["a text", () => new TextEncoder().encode("no image")],
  ])("%s", async (_, damage) => {
    await writeFile(join(scans, "a.png"), damage(image()));
    const out = join(scans, "out");
    const { code, stderr } = await importScans(out);
    expect(stderr).toMatch(/a\.png/);
    expect(code).toBe(65);
    expect(await besides(out)).toEqual([]);
  });

  test("every mistake of a table is told at once", async () => {
    await writeFile(join(scans, "spots.csv"), "slide,x,y\na,NaN,10\na,10,-1\na,x,y\n");
    const { stderr } = await importScans(join(scans, "out"));
    for (const line of [2, 3, 4]) expect(stderr).toContain(`spots.csv:${line}:`);
  });

  test("an existing folder stays", async () => {
    const out = join(scans, "out");
    await mkdir(out);
    await writeFile(join(out, "mine.txt"), "mine");
    const [plain, forced] = [await importScans(out), await importScans(out, ["--pixel-size", "2", "--force"])];
    expect([plain.code, forced.code]).toEqual([73, 73]);
    expect(plain.stderr).toMatch(/exists already.*--force/);
    expect(forced.stderr).toMatch(/is no dataset/);
    expect(await readFile(join(out, "mine.txt"), "utf8")).toBe("mine");
  });

  test("a path that leads through a file", async () => {
    const { code, stderr } = await importScans(join(scans, "spots.csv", "out"));
    expect(code).toBe(73);
    expect(stderr).toMatch(/^error: .*spots\.csv/);
  });
});

describe("a dataset that was changed afterwards", () => {
  test("train says what is wrong, by file and row, and makes no run", async () => {
    const own = join(scans, "own");
    await generateDataset({ seed: 2, brains: 1, sections: 1, truth: false, width: 128, height: 96, pixelSizeUm: 48 }, own, nodeFiles);
    const table = await readFile(join(own, "samples.csv"), "utf8");
    await writeFile(join(own, "samples.csv"), table.replace(/\n([^,]+),[^,]+,/, "\n$1,nan,"));
    const run = join(scans, "run");
    const { code, stderr } = await runProgram(["train", own, "--out", run, ...SMALL]);
    expect(stderr).toMatch(/samples\.csv:2: x_um "nan"/);
    expect(code).toBe(65);
    expect(existsSync(run)).toBe(false);
  });
  test("embed names a truncated section", async () => {
    const own = join(scans, "own");
    await generateDataset({ seed: 2, brains: 1, sections: 1, truth: false, width: 128, height: 96, pixelSizeUm: 48 }, own, nodeFiles);
    const [name = ""] = await readdir(join(own, "images"));
    const file = join(own, "images", name);
    await writeFile(file, (await readFile(file)).subarray(0, 500));
    const { code, stderr } = await runProgram(["train", own, "--out", join(scans, "run"), ...SMALL]);
    expect(stderr).toContain(name);
    expect(code).toBe(65);
  });
});

describe("adapters", () => {
  test.each([["--adapter", {}], ["CYTONET_ADAPTER", { CYTONET_ADAPTER: "voodoo" }]])("one that does not exist, by %s: 69 with a list", async (_, env) => {
    const run = join(scans, "run");
    const { code, stderr } = await runProgram(["train", dataset, "--out", run, ...SMALL, ...("CYTONET_ADAPTER" in env ? [] : ["--adapter", "voodoo"])], { env });
    expect(stderr).toMatch(/no adapter matches "voodoo", expected part of the name/);
    expect(stderr).toMatch(/there is: .*SwiftShader/);
    expect(code).toBe(69);
    expect(existsSync(run)).toBe(false);
  });
  test("a slip in the name is forgiven with a suggestion", async () => {
    const { stderr } = await runProgram(["check", "scale", "--adapter", "swiftshadr"]);
    expect(stderr).toMatch(/did you mean "SwiftShader"\?/i);
  });
});

describe("a run folder", () => {
  let run = "";
  beforeAll(async () => {
    run = join(top, "run");
    const { code, stderr } = await runProgram(["train", dataset, "--out", run, ...SMALL]);
    expect(code, stderr).toBe(0);
  });
  const weights = () => readFile(join(run, "model.safetensors"));

  test("that is occupied is refused, and stays as it is", async () => {
    const before = await weights();
    const { code, stderr } = await runProgram(["train", dataset, "--out", run, ...SMALL]);
    expect(code).toBe(73);
    expect(stderr).toMatch(/holds a run.*\n.*--resume.*--force/);
    expect((await weights()).equals(before)).toBe(true);
  });

  test.each([
    ["other settings", ["--set", "loss.tau=0.3"], /tau/],
    ["another length", ["--steps", "5"], /steps/],
  ])("is not continued with %s", async (_, more, message) => {
    const { code, stderr } = await runProgram(["train", dataset, "--out", run, "--resume", ...more]);
    expect(stderr).toMatch(message);
    expect(code).toBe(65);
  });

  test("is not continued with other data", async () => {
    const other = join(scans, "other");
    await generateDataset({ seed: 9, brains: 1, sections: 1, truth: false, width: 256, height: 192, pixelSizeUm: 24 }, other, nodeFiles);
    const { code, stderr } = await runProgram(["train", other, "--out", run, "--resume"]);
    expect(stderr).toMatch(/data/);
    expect(code).toBe(65);
  });

  test("that another process holds is left alone", async () => {
    const lock = await nodeFiles.lock(join(run, "lock"));
    try {
      const { code, stderr } = await runProgram(["train", dataset, "--out", run, "--resume"]);
      expect(stderr).toContain(String(process.pid));
      expect(code).toBe(75);
    } finally {
      await lock.release();
    }
  });

  test("that is none cannot be continued", async () => {
    const { code, stderr } = await runProgram(["train", dataset, "--out", join(scans, "none"), "--resume"]);
    expect(stderr).toMatch(/no config\.json in it, expected a run folder/);
    expect(code).toBe(66);
  });

  test("cannot be made where a file is", async () => {
    const { code } = await runProgram(["train", dataset, "--out", join(scans, "spots.csv"), ...SMALL]);
    expect(code).toBe(73);
  });

  test("an unknown brain to hold out", async () => {
    const { code, stderr } = await runProgram(["train", dataset, "--out", join(scans, "r"), ...SMALL, "--hold-out", "phantom11"]);
    expect(stderr).toMatch(/unknown brain "phantom11".*phantom1/);
    expect(code).toBe(2);
  });

  describe("embed", () => {
    test.each<[string, () => readonly string[], number, RegExp]>([
      ["an image without a pixel size", () => [run, join(scans, "a.png"), "--out", join(scans, "f.csv")], 2, /the pixel size of .*a\.png is missing, expected --pixel-size/],
      ["an output that exists", () => [run, dataset, "--out", join(scans, "spots.csv")], 73, /spots\.csv: exists already.*--force/],
      ["an output in no folder", () => [run, dataset, "--out", join(scans, "no/f.npy")], 73, /there is no folder/],
      ["a model that is not there", () => [join(scans, "nothing"), dataset, "--out", join(scans, "f.npy")], 66, /nothing/],
      ["a model that is an image", () => [join(scans, "a.png"), dataset, "--out", join(scans, "f.npy")], 65, /a\.png/],
      ["a checkpoint", () => [join(run, "checkpoints/step-0000000002.safetensors"), dataset, "--out", join(scans, "f.npy")], 65, /This is a checkpoint/],
      ["a dataset that is not there", () => [run, join(scans, "nothing"), "--out", join(scans, "f.npy")], 66, /nothing/],
      ["a pixel size with a dataset", () => [run, dataset, "--out", join(scans, "f.npy"), "--pixel-size", "2"], 2, /expected only with an image/],
    ])("%s", async (_, args, code, message) => {
      const ended = await runProgram(["embed", ...args()]);
      expect(ended.stderr).toMatch(message);
      expect(ended).toMatchObject({ code, stdout: "" });
      expect(existsSync(join(scans, "f.npy"))).toBe(false);
    });

    test("maps where no folder can be", async () => {
      const ended = await runProgram(["embed", run, dataset, "--out", join(scans, "f.npy"), "--map", join(scans, "spots.csv/maps")]);
      expect(ended.stderr).toMatch(/--map .*spots\.csv: is no folder/);
      expect(ended).toMatchObject({ code: 73, stdout: "" });
      expect(existsSync(join(scans, "f.npy"))).toBe(false);
    });

    test("a flipped bit in the weights", async () => {
      const flipped = join(scans, "flipped.safetensors");
      const bytes = await weights();
      bytes[bytes.length - 100] = bytes[bytes.length - 100]! ^ 1;
      await writeFile(flipped, bytes);
      const { code, stderr } = await runProgram(["embed", flipped, dataset, "--out", join(scans, "f.npy")]);
      expect(stderr).toMatch(/flipped\.safetensors: SHA-256 of the content [0-9a-f]{64}, expected/);
      expect(code).toBe(65);
    });

    test("damaged weights", async () => {
      const damaged = join(scans, "damaged.safetensors");
      await writeFile(damaged, (await weights()).subarray(0, 5000));
      const { code, stderr } = await runProgram(["embed", damaged, dataset, "--out", join(scans, "f.npy")]);
      expect(stderr).toMatch(/damaged\.safetensors/);
      expect(code).toBe(65);
    });

    test("an image by bare weights works, and another pixel size than the trained one is told", async () => {
      const out = join(scans, "f.csv");
      const map = join(scans, "map");
      const { code, stderr, stdout } = await runProgram(["embed", join(run, "model.safetensors"), join(scans, "a.png"), "--pixel-size", "20", "--stride", "400", "--out", out, "--map", map, "--format", "json"]);
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/^warning: the section has 20 µm per pixel, the model was trained at 24: images are brought to that size first$/m);
      expect(stderr).toMatch(/^1 map in .*map; /m);
      expect(await readdir(map)).toEqual(["000-a.png"]);
      const rows = (await readFile(out, "utf8")).trim().split("\n");
      expect(JSON.parse(stdout)).toMatchObject({ rows: [{ out, patches: rows.length - 1, channels: 256 }] });
    });
  });
});

const canMount = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

describe.skipIf(!canMount)("disks (needs unshare with mount)", () => {
  test("a full disk: importing ends with 74 and leaves no dataset", async () => {
    let state = 1;
    const noise = Uint8Array.from({ length: 1024 * 1024 }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24); // does not compress
    await writeFile(join(scans, "a.png"), encodePng({ width: 1024, height: 1024, channels: 1, data: noise }));
    const shell = 'mount -t tmpfs -o size=256k none /mnt && "$@"; code=$?; ls -A /mnt; exit $code';
    const { code, stdout, stderr } = await importScans("/mnt/out", ["--pixel-size", "2"], { shell });
    expect(stderr).toMatch(/\/mnt\/.*the disk is full; free some space/);
    expect(code).toBe(74);
    expect(stdout).toBe("");
  });

  test("a full disk: training ends before its first step with 74", async () => {
    const shell = 'mount -t tmpfs -o size=1m none /mnt && "$@"; code=$?; ls /mnt/run; exit $code';
    const { code, stdout, stderr } = await runProgram(["train", dataset, "--out", "/mnt/run", ...SMALL], { shell });
    expect(stderr).toMatch(/^error: .*(no room|the disk is full)/m);
    expect(stderr).not.toMatch(/step 1\//);
    expect(code).toBe(74);
    expect(stdout).not.toMatch(/model\.safetensors/);
  });

  test.each([
    ["import", () => importScans("/mnt/out", undefined, { shell: READ_ONLY })],
    ["train", () => runProgram(["train", dataset, "--out", "/mnt/run", ...SMALL], { shell: READ_ONLY })],
    ["embed", () => runProgram(["embed", join(top, "run"), dataset, "--out", "/mnt/f.npy"], { shell: READ_ONLY })],
    ["embed with maps", () => runProgram(["embed", join(top, "run"), dataset, "--out", join(scans, "f.npy"), "--map", "/mnt/maps"], { shell: READ_ONLY })],
    ["check", () => runProgram(["check", "scale", "--output", "/mnt/check.json"], { shell: READ_ONLY })],
    ["demo", () => runProgram(["demo", "--out", "/mnt/demo"], { shell: READ_ONLY })],
  ])("a folder that cannot be written to: %s ends with 73", async (_, run) => {
    const { code, stdout, stderr } = await run();
    expect(stderr).toMatch(/^error: .*\/mnt.*(read-only|cannot be written to).*; /m);
    expect({ code, stdout }).toEqual({ code: 73, stdout: "" });
    expect(existsSync(join(scans, "f.npy"))).toBe(false);
  });
});

const READ_ONLY = 'mount -t tmpfs -o ro none /mnt && "$@"';
