// Datasets: what is good is read to the last number, every mistake is named by file, row and remedy.
import { describe, expect, test } from "vitest";
import { DATASET_SCHEMA, type Dataset } from "../../src/data/dataset.ts";
import { encodePng } from "../../src/data/png.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { formatManifest, formatTable, writeDataset, type DatasetParts } from "../../src/data/write-dataset.ts";
import { UserError } from "../../src/errors.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { createMemoryFiles } from "./memory-files.ts";

const png = (width: number, height: number, value = 0): Uint8Array => encodePng({ width, height, channels: 1, data: new Uint8Array(width * height).fill(value) });

type Json = Record<string, unknown>;

const section = (id: string, more: Json = {}): Json => ({ id, brain: "b1", file: `images/${id}.png`, width: 40, height: 20, pixelSizeUm: 10, space: "mni", ...more });

const manifest = (more: Json = {}): Json => ({
  schema: DATASET_SCHEMA,
  name: "two",
  brains: [{ id: "b1" }, { id: "b2", description: "the second" }],
  sections: [section("s1"), section("s2", { brain: "b2", pixelSizeUm: 5 }), section("s3", { space: "own" })],
  labels: [{ column: "layer" }],
  ...more,
});

const TABLE = "section,x_um,y_um,x_mm,y_mm,z_mm,layer\ns1,0,200,1,2,3,L1\ns2,12.5,1e1,-1,-2.5,.5,\ns3,400,0,7,8,9,WM\n";

function makeFiles(parts: { manifest?: Json | string; table?: string; images?: Record<string, Uint8Array> } = {}) {
  const json = parts.manifest ?? manifest();
  return createMemoryFiles({
    "d/dataset.json": typeof json === "string" ? json : JSON.stringify(json),
    "d/samples.csv": parts.table ?? TABLE,
    "d/images/s1.png": png(40, 20),
    "d/images/s2.png": png(40, 20, 9),
    "d/images/s3.png": png(40, 20),
    ...Object.fromEntries(Object.entries(parts.images ?? {}).map(([name, bytes]) => [`d/${name}`, bytes])),
  });
}

async function fail(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

const everything = (error: UserError): string => [error.message, ...error.notes].join("\n");

async function expectMistake(parts: Parameters<typeof makeFiles>[0], pattern: RegExp, code = 65): Promise<void> {
  const error = await fail(readDataset(makeFiles(parts), "d"));
  expect(everything(error)).toMatch(pattern);
  expect(error.exitCode).toBe(code);
}

describe("reading", () => {
  test("a good dataset, with its spaces, labels and missing labels", async () => {
    const dataset = await readDataset(makeFiles(), "d", { verify: "pixels" });
    expect(dataset.name).toBe("two");
    expect(dataset.spaces).toEqual(["mni", "own"]);
    expect([...dataset.samples.section]).toEqual([0, 1, 2]);
    expect([...dataset.samples.space]).toEqual([0, 0, 1]);
    expect([...dataset.samples.x]).toEqual([0, 12.5, 400]);
    expect([...dataset.samples.y]).toEqual([200, 10, 0]);
    expect([...dataset.samples.position]).toEqual([1, 2, 3, -1, -2.5, 0.5, 7, 8, 9]);
    expect(dataset.samples.labels.get("layer")).toEqual({ names: ["L1", "WM"], codes: Int32Array.of(0, -1, 1) });
  });

  test("columns of numbers: values, what was not measured, units", async () => {
    const values = [{ column: "depth_mm", unit: "mm" }, { column: "cells" }];
    const table = "section,x_um,y_um,x_mm,y_mm,z_mm,layer,cells,depth_mm\ns1,0,200,1,2,3,L1,1e3,-0.5\ns2,12.5,1e1,-1,-2.5,.5,,, \ns3,400,0,7,8,9,WM,7,2.25\n";
    const { samples } = await readDataset(makeFiles({ manifest: manifest({ values }), table }), "d");
    expect([...samples.values]).toEqual([
      ["depth_mm", { unit: "mm", numbers: Float64Array.of(-0.5, Number.NaN, 2.25) }],
      ["cells", { unit: undefined, numbers: Float64Array.of(1000, Number.NaN, 7) }],
    ]);
  });

  test("columns in any order, quotes, CRLF, a byte-order mark and ids", async () => {
    const table = '\ufeff"layer",id,z_mm,y_mm,x_mm,y_um,x_um,section\r\n"L1",a,3,2,1,200,0,"s1"\r\n\r\nWM,"b,1",3,2,1,0,0,s3';
    const { samples } = await readDataset(makeFiles({ table }), "d");
    expect(samples.ids).toEqual(["a", "b,1"]);
    expect([...samples.position]).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test("positions come from the sections' transforms where the table has none", async () => {
    const sections = [section("s1", { transform: [[0.001, 0, 1], [0, 0.002, 2], [0.001, 0.001, 3]] })];
    const { samples } = await readDataset(makeFiles({ manifest: manifest({ sections, labels: [] }), table: "section,x_um,y_um\ns1,100,50\n" }), "d");
    expect([...samples.position]).toEqual([1.1, 2.1, 3.15].map(Math.fround));
  });

  test("the hash follows every byte and not the folder's name", async () => {
    const first = await readDataset(makeFiles(), "d");
    expect(first.hash).toMatch(/^[0-9a-f]{64}$/);
    const moved = makeFiles();
    await moved.rename("d", "elsewhere/e");
    expect((await readDataset(moved, "elsewhere/e")).hash).toBe(first.hash);
    for (const parts of [{ table: TABLE.replace("L1", "L2") }, { images: { "images/s1.png": png(40, 20, 1) } }, { manifest: manifest({ name: "three" }) }]) expect((await readDataset(makeFiles(parts), "d")).hash).not.toBe(first.hash);
  });
});

describe("mistakes of the manifest", () => {
  const one = (more: Json): Json => manifest({ sections: [section("s1", more), section("s2", { brain: "b2" }), section("s3")] });
  test.each([
    ["pixel size missing", one({ pixelSizeUm: undefined }), /d\/dataset\.json: section "s1": pixel size missing, expected a number above 0 in µm; set "pixelSizeUm"/],
    ["pixel size 0", one({ pixelSizeUm: 0 }), /section "s1": pixel size 0, /],
    ["pixel size negative", one({ pixelSizeUm: -2 }), /pixel size -2, /],
    ["pixel size a text", one({ pixelSizeUm: "10" }), /pixel size "10", /],
    ["misspelt field", one({ pixelSizeUM: 3 }), /unknown field "pixelSizeUM" \(did you mean "pixelSizeUm"\?\)/],
    ["width not whole", one({ width: 1.5 }), /width 1.5, expected a whole number/],
    ["unknown brain", one({ brain: "b11" }), /unknown brain "b11" \(did you mean "b1"\?\)/],
    ["two sections of a name", one({ id: "s2" }), /two sections "s2"/],
    ["path upwards", one({ file: "../secret.png" }), /path inside the dataset's folder/],
    ["absolute path", one({ file: "/etc/passwd" }), /path inside/],
    ["drive path", one({ file: "C:/x.png" }), /path inside/],
    ["backslash", one({ file: "images\\s1.png" }), /path inside/],
    ["space missing", one({ space: undefined }), /space missing/],
    ["transform of a wrong shape", one({ transform: [[1, 2, 3]] }), /expected 3 rows of 3 numbers/],
    ["two brains of a name", manifest({ brains: [{ id: "b1" }, { id: "b1" }, { id: "b2" }] }), /two brains "b1"/],
    ["no sections", manifest({ sections: [] }), /sections \[\], expected a list of at least one/],
    ["another schema", manifest({ schema: "cytonet-dataset/9" }), /schema "cytonet-dataset\/9", expected "cytonet-dataset\/1"/],
    ["value with an unknown field", manifest({ values: [{ column: "depth", units: "mm" }] }), /value 0: unknown field "units" \(did you mean "unit"\?\)/],
    ["value without a column", manifest({ values: [{ unit: "mm" }] }), /value 0: column missing, expected a text/],
    ["column of labels and of values", manifest({ values: [{ column: "layer" }] }), /two columns of labels and values "layer"/],
    ["names repeated", manifest({ labels: [{ column: "layer", names: ["a", "a"] }] }), /list of different texts/],
    ["not an object", "[]", /expected an object/],
    ["not JSON", '{\n"schema": 1,\n}', /d\/dataset\.json:3: not valid JSON/],
    ["prototype names are ordinary", one({ __proto__x: 1, constructor: 2 }), /unknown field "constructor"/],
  ])("%s", async (_, json, pattern) => {
    await expectMistake({ manifest: json }, pattern);
  });

  test("all at once", async () => {
    const error = await fail(readDataset(makeFiles({ manifest: one({ pixelSizeUm: 0, width: -1, brain: "x", space: 3 }) }), "d"));
    expect(error.message).toBe("d: 4 mistakes");
    expect(error.notes).toHaveLength(5);
    expect(error.notes.at(-1)).toBe("samples.csv has not been looked at: it is read against dataset.json");
  });

  test("with those of the images, and no image outside the folder is opened", async () => {
    const files = makeFiles({ manifest: manifest({ sections: [section("s1", { pixelSizeUm: 0 }), section("s2", { width: 41 }), section("s3", { file: "../secret.png" })] }) });
    files.contents.set("secret.png", new TextEncoder().encode("secret"));
    const text = everything(await fail(readDataset(files, "d")));
    expect(text).toMatch(/section "s1": pixel size 0/);
    expect(text).toMatch(/image of 40 × 20 pixels, dataset\.json says 41 × 20 for section "s2"/);
    expect(text).toMatch(/section "s3": file "\.\.\/secret\.png", expected a path inside/);
    expect(text).not.toMatch(/secret\.png: /);
  });

  test("of the table: a column too many, an unknown section and a number in one row, and a short row, all at once", async () => {
    const table = TABLE.replace("layer\n", "layer,more\n").replaceAll(/(L1|WM|,)\n/g, "$1,\n").replace("s1,0,", "sX,zero,").replace("s3,400,0,7,8,9,WM,", "s3,400");
    const text = everything(await fail(readDataset(makeFiles({ table }), "d")));
    for (const pattern of [/:1: unknown column "more"/, /:2: unknown section "sX"/, /:2: x_um "zero", expected a finite number/, /:4: 2 fields, expected 8/]) expect(text).toMatch(pattern);
    expect(text).toMatch(/^d: 4 mistakes/);
  });
});

describe("mistakes of the table", () => {
  const rows = (...lines: string[]): { table: string } => ({ table: ["section,x_um,y_um,x_mm,y_mm,z_mm,layer", ...lines, ""].join("\n") });
  test.each([
    ["outside the image, right", rows("s1,400.1,0,1,2,3,L1"), /d\/samples\.csv:2: x_um 400\.1, expected 0 to 400 \(the width of section "s1": 40 px of 10 µm\); correct/],
    ["outside, below", rows("s1,0,0,1,2,3,L1", "s2,0,101,1,2,3,L1"), /samples\.csv:3: y_um 101, expected 0 to 100/],
    ["outside, negative", rows("s1,-1,0,1,2,3,"), /x_um -1, expected 0 to/],
    ["NaN", rows("s1,NaN,0,1,2,3,"), /samples\.csv:2: x_um "NaN", expected a finite number/],
    ["Inf", rows("s1,0,0,1,Infinity,3,"), /y_mm "Infinity"/],
    ["beyond f32", rows("s1,0,0,1,1e39,3,"), /y_mm "1e39"/],
    ["empty number", rows("s1,0,,1,2,3,"), /y_um "", expected/],
    ["hexadecimal", rows("s1,0x10,0,1,2,3,"), /x_um "0x10"/],
    ["unknown section", rows("s11,0,0,1,2,3,"), /unknown section "s11" \(did you mean "s1"\?\)/],
    ["too few fields", rows("s1,0,0,1,2,3"), /samples\.csv:2: 6 fields, expected 7/],
    ["too many fields", rows("s1,0,0,1,2,3,a,b"), /8 fields, expected 7/],
    ["open quote", rows("s1,0,0,1,2,3,L1", '"s1,0,0'), /samples\.csv:3: a quoted field is not closed/],
    ["line numbers count lines in quotes", rows('s1,0,0,1,2,3,"a\nb"', "s1,x,0,1,2,3,"), /samples\.csv:4: x_um "x"/],
    ["no rows", rows(), /no rows/],
    ["unknown column", { table: "section,x_um,y_um,x_mm,y_mm,z_m,layer\n" }, /unknown column "z_m" \(did you mean "z_mm"\?\)/],
    ["missing column", { table: "section,x_um,x_mm,y_mm,z_mm,layer\n" }, /column "y_um" missing/],
    ["missing label column", { table: "section,x_um,y_um,x_mm,y_mm,z_mm\n" }, /label column "layer" missing/],
    ["no positions at all", { table: "section,x_um,y_um,layer\ns1,0,0,a\n" }, /no position columns, and section "s1" has no transform/],
    ["two columns of a name", { table: "section,section,x_um\n" }, /two columns named "section"/],
    ["empty file", { table: "" }, /the table is empty/],
    ["duplicate ids", { table: "id,section,x_um,y_um,x_mm,y_mm,z_mm,layer\na,s1,0,0,1,2,3,\nb,s1,0,0,1,2,3,\na,s1,1,1,1,2,3,\n" }, /samples\.csv:4: id "a" is already used on line 2/],
    ["missing value column", { manifest: manifest({ values: [{ column: "depth" }] }) }, /samples\.csv:1: value column "depth" missing[^\n]*remove it from "values"/],
    ["value column with a reserved name", { manifest: manifest({ values: [{ column: "x_um" }] }) }, /value column "x_um" has a reserved name/],
    ["a value that is no number", { manifest: manifest({ values: [{ column: "depth" }] }), table: "section,x_um,y_um,x_mm,y_mm,z_mm,layer,depth\ns1,0,0,1,2,3,L1,0.5\ns1,0,0,1,2,3,L1,NaN\ns1,0,0,1,2,3,L1,deep\n" }, /samples\.csv:3: depth "NaN", expected a finite number[\s\S]*samples\.csv:4: depth "deep"/],
    ["label outside the fixed names", { ...rows("s1,0,0,1,2,3,L7"), manifest: manifest({ labels: [{ column: "layer", names: ["L1", "L2"] }] }) }, /layer "L7" is not among the names/],
  ])("%s", async (_, parts, pattern) => {
    await expectMistake(parts, pattern);
  });

  test("not UTF-8", async () => {
    const files = makeFiles();
    await files.writeAtomic("d/samples.csv", Uint8Array.of(0x73, 0xff, 0xfe));
    expect((await fail(readDataset(files, "d"))).message).toMatch(/samples\.csv: not UTF-8/);
  });

  test("a thousand mistakes are counted and forty shown", async () => {
    const error = await fail(readDataset(makeFiles(rows(...Array.from({ length: 1000 }, () => "s1,-1,0,1,2,3,"))), "d"));
    expect(error.message).toBe("d: 1000 mistakes");
    expect(error.notes).toHaveLength(41);
    expect(error.notes[40]).toBe("and 960 more");
  });
});

describe("mistakes of the images", () => {
  test("missing: 66", async () => {
    const files = makeFiles();
    await files.remove("d/images/s2.png");
    const error = await fail(readDataset(files, "d"));
    expect(error.message).toMatch(/d\/images\/s2\.png: no such file, the image of section "s2"/);
    expect(error.exitCode).toBe(66);
  });
  test("truncated", () => expectMistake({ images: { "images/s1.png": png(40, 20).subarray(0, 50) } }, /d\/images\/s1\.png: PNG truncated/));
  test("another size", () => expectMistake({ images: { "images/s1.png": png(40, 21) } }, /image of 40 × 21 pixels, dataset\.json says 40 × 20/));
  test("no image", () => expectMistake({ images: { "images/s1.png": new TextEncoder().encode("hello") } }, /unknown format/));
  test("folder, manifest or table missing: 66", async () => {
    expect((await fail(readDataset(makeFiles(), "nowhere"))).exitCode).toBe(66);
    for (const file of ["d/dataset.json", "d/samples.csv"]) {
      const files = makeFiles();
      await files.remove(file);
      const error = await fail(readDataset(files, "d"));
      expect(error.exitCode).toBe(66);
      expect(error.message).toContain(file);
    }
  });
});

test("damaged folders never give anything but a dataset or a UserError", async () => {
  const stream = randomStream(keyOfSeed(5), [0, 0, 0]);
  const json = JSON.stringify(manifest());
  const alphabet = '",\n\r0-.e[]{}:n\\ul\0é';
  let refused = 0;
  for (let round = 0; round < 1500; round++) {
    const mutate = (text: string): string => {
      let mutated = text;
      for (let k = 0; k <= stream.below(3); k++) {
        const at = stream.below(mutated.length + 1);
        const piece = alphabet[stream.below(alphabet.length)] ?? "";
        mutated = mutated.slice(0, at) + (stream.below(2) === 0 ? piece : "") + mutated.slice(at + stream.below(3));
      }
      return mutated;
    };
    const files = makeFiles(round % 2 === 0 ? { manifest: mutate(json) } : { table: mutate(TABLE) });
    const error = await readDataset(files, "d").then(
      (dataset) => {
        expect(dataset.samples.position.every(Number.isFinite)).toBe(true);
      },
      (reason: unknown) => reason,
    );
    if (error === undefined) continue;
    expect(error).toBeInstanceOf(UserError);
    expect([65, 66]).toContain((error as UserError).exitCode);
    refused += 1;
  }
  expect(refused).toBeGreaterThan(700);
});

describe("writing", () => {
  const parts = (): DatasetParts => ({
    manifest: { schema: DATASET_SCHEMA, name: "w", brains: [{ id: "b1" }], sections: [{ id: "a,b", brain: "b1", file: "images/a.png", width: 3, height: 2, pixelSizeUm: 1 / 3, space: "s" }], labels: [{ column: "layer" }] },
    rows: [
      { section: "a,b", xUm: 1, yUm: 2 / 3, position: [0.1234567, -5, 1e-7], labels: ['L"1'] },
      { section: "a,b", xUm: 0, yUm: 0, position: [0, 0, 0], labels: [""] },
    ],
    images: [{ file: "images/a.png", bytes: () => png(3, 2) }],
  });

  test("what is written is read back", async () => {
    const files = createMemoryFiles();
    const written = await writeDataset(files, "out/w", parts());
    const read: Dataset = await readDataset(files, "out/w");
    expect(read).toEqual(written);
    expect([...read.samples.position]).toEqual([0.123457, -5, 0, 0, 0, 0].map(Math.fround));
    expect(read.samples.labels.get("layer")?.names).toEqual(['L"1']);
    expect([...files.contents.keys()].sort()).toEqual(["out/w/dataset.json", "out/w/images/a.png", "out/w/samples.csv"]);
  });

  test("an existing folder is refused, replaced with force, and never replaced when it is no dataset", async () => {
    const files = createMemoryFiles({ "other/notes.txt": "mine" });
    await writeDataset(files, "w", parts());
    const error = await fail(writeDataset(files, "w", parts()));
    expect(error.exitCode).toBe(73);
    expect(error.message).toMatch(/exists already.*--force/);
    await writeDataset(files, "w", { ...parts(), rows: [...parts().rows].slice(0, 1) }, { force: true });
    expect((await readDataset(files, "w")).samples.count).toBe(1);
    expect((await fail(writeDataset(files, "other", parts(), { force: true }))).exitCode).toBe(73);
    expect(files.contents.has("other/notes.txt")).toBe(true);
  });

  test("force replaces what a dataset consists of, and refuses whatever else is in its folder, which stays as it is", async () => {
    for (const mine of ["notes.txt", "images/b.png", "truth/mine.txt", "run/model.safetensors", "images/deep/x"]) {
      const files = createMemoryFiles({ [`w/${mine}`]: "mine", "w/truth/a,b-layers.png": "truth" });
      const { manifest, rows, images } = parts();
      await files.writeAtomic("w/dataset.json", formatManifest(manifest));
      await files.writeAtomic("w/samples.csv", formatTable(manifest, rows));
      await files.writeAtomic("w/images/a.png", await images[0]!.bytes());
      const before = new Map(files.contents);
      const error = await fail(writeDataset(files, "w", parts(), { force: true }));
      expect(error.exitCode).toBe(73);
      expect(error.message).toContain(JSON.stringify(mine.replace(/^(run|images\/deep)\/.*/, "$1/")));
      expect(new Map(files.contents)).toEqual(before);
      await files.remove(`w/${mine}`);
      if (mine.startsWith("run")) await files.remove("w/run");
      if (mine.includes("deep")) await files.remove("w/images/deep");
      await writeDataset(files, "w", parts(), { force: true });
      expect([...files.contents.keys()].sort()).toEqual(["w/dataset.json", "w/images/a.png", "w/samples.csv"]);
    }
  });

  test("what is put into the folder while the new dataset is made is kept too", async () => {
    const files = createMemoryFiles();
    await writeDataset(files, "w", parts());
    const rename: typeof files.rename = (from, to) => {
      if (from === "w") files.contents.set("w/late.txt", new Uint8Array(1));
      return createdRename(from, to);
    };
    const createdRename = files.rename;
    const error = await fail(writeDataset({ ...files, rename }, "w", parts(), { force: true }));
    expect(error.message).toMatch(/^w: holds "late\.txt"/);
    expect([...files.contents.keys()].sort()).toEqual(["w/dataset.json", "w/images/a.png", "w/late.txt", "w/samples.csv"]);
  });

  test("a full disk at any write leaves the old dataset whole, and nothing that looks like a new one", async () => {
    for (let writes = 0; writes < 3; writes++) {
      for (const existing of [false, true]) {
        const files = createMemoryFiles();
        if (existing) await writeDataset(files, "w", parts());
        const before = existing ? (await readDataset(files, "w")).hash : undefined;
        files.writesLeft = writes;
        expect((await fail(writeDataset(files, "w", parts(), { force: true }))).exitCode).toBe(74);
        expect(await files.size("w")).toBe(existing ? 0 : undefined);
        if (before !== undefined) expect((await readDataset(files, "w")).hash).toBe(before);
        expect([...files.contents.keys()].filter((path) => path.includes("partial"))).toEqual([]);
        files.writesLeft = undefined;
        await writeDataset(files, "w", parts(), { force: true });
      }
    }
  });

  test("parts that are wrong are refused before anything stands at the place", async () => {
    const files = createMemoryFiles();
    const wrong = { ...parts(), images: [{ file: "images/a.png", bytes: () => png(3, 3) }] };
    expect((await fail(writeDataset(files, "w", wrong))).exitCode).toBe(65);
    expect(await files.size("w")).toBeUndefined();
    const held = await files.lock(".w.lock");
    expect((await fail(writeDataset(files, "w", parts()))).exitCode).toBe(75);
    await held.release();
  });
});
