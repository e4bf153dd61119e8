// The importer: many tables become datasets by options alone; every mistake is named by file and row, and nothing half-made is left.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jpeg from "jpeg-js";
import { describe, expect, test } from "vitest";
import { importDataset } from "../../src/data/import-dataset.ts";
import type { ImportOptions } from "../../src/data/import-options.ts";
import { encodePng } from "../../src/data/png.ts";
import { readDataset } from "../../src/data/read-dataset.ts";
import { UserError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { createMemoryFiles } from "./memory-files.ts";

const png = (width: number, height: number, value = 0): Uint8Array => encodePng({ width, height, channels: 3, data: new Uint8Array(width * height * 3).fill(value) });

const SPOTS = ["slide,donor,col,row,um,layer", "A,d1,0,0,10,L1", "A,d1,20,10,10,NA", "B,d2,4.5,2,8,WM", ""].join("\n");
const SLIDES = ["name,note", "A,at position 0 µm", "B,at position 300 µm", ""].join("\n");

function makeSource(files: Record<string, Uint8Array | string> = {}) {
  return createMemoryFiles({ "in/spots.csv": SPOTS, "in/slides.csv": SLIDES, "in/A/scan.png": png(20, 10), "in/B/scan.png": png(30, 10, 9), ...files });
}

const OPTIONS: ImportOptions = {
  source: "in",
  table: "spots.csv",
  image: "{slide}/scan.png",
  section: "slide",
  brain: "donor",
  x: "col",
  y: "row",
  units: "px",
  pixelSizeColumn: "um",
  labels: ["layer"],
  missingLabels: ["NA"],
  sectionsTable: "slides.csv",
  sectionKey: "name",
  zFrom: "note:position (\\d+) µm",
  spaceBy: "section",
};

async function fail(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

async function expectRefused(options: Partial<ImportOptions>, pattern: RegExp, code: number, extra: Record<string, Uint8Array | string> = {}): Promise<void> {
  const files = makeSource(extra);
  const before = [...files.contents.keys()];
  const error = await fail(importDataset({ ...OPTIONS, ...options }, "out/set", files));
  expect([error.message, ...error.notes].join("\n")).toMatch(pattern);
  expect(error.exitCode).toBe(code);
  expect([...files.contents.keys()]).toEqual(before);
}

describe("importing", () => {
  test("pixels, pixel size per section, z by a pattern, labels with a word for none", async () => {
    const files = makeSource();
    const dataset = await importDataset(OPTIONS, "out/set", files);
    expect(dataset.sections).toEqual([
      { id: "A", brain: "d1", file: "images/A.png", width: 20, height: 10, pixelSizeUm: 10, space: "section A", transform: [[0.001, 0, 0], [0, 0.001, 0], [0, 0, 0]] },
      { id: "B", brain: "d2", file: "images/B.png", width: 30, height: 10, pixelSizeUm: 8, space: "section B", transform: [[0.001, 0, 0], [0, 0.001, 0], [0, 0, 0.3]] },
    ]);
    expect([...dataset.samples.x]).toEqual([0, 200, 36]);
    expect([...dataset.samples.y]).toEqual([0, 100, 16]);
    expect([...dataset.samples.position]).toEqual([0, 0, 0, 0.2, 0.1, 0, 0.036, 0.016, 0.3].map(Math.fround));
    expect(dataset.samples.labels.get("layer")).toEqual({ names: ["L1", "WM"], codes: Int32Array.of(0, -1, 1) });
    expect(files.contents.get("out/set/images/B.png")).toEqual(files.contents.get("in/B/scan.png"));
    expect((await readDataset(files, "out/set", { verify: "pixels" })).hash).toBe(dataset.hash);
    expect(dataset.name).toBe("set");
  });

  test("columns of numbers, from both tables, with cells that mean not measured", async () => {
    const files = makeSource({ "in/spots.csv": SPOTS.replace(",layer", ",layer,depth").replace("L1", "L1,0.25").replace(",NA", ",NA,NA").replace("WM", "WM,-3e-1"), "in/slides.csv": "name,note,age\nA,at position 0 µm,61\nB,at position 300 µm,\n" });
    const { samples } = await importDataset({ ...OPTIONS, values: ["depth", "age"] }, "out/set", files);
    expect([...samples.values].map(([column, { numbers }]) => [column, [...numbers]])).toEqual([["depth", [0.25, Number.NaN, -0.3]], ["age", [61, 61, Number.NaN]]]);
  });

  test("which sections share a space is a choice", async () => {
    const spots = SPOTS.replace("B,d2", "B,d1");
    const spaces = async (spaceBy: string): Promise<readonly string[]> => (await importDataset({ ...OPTIONS, spaceBy }, "o", makeSource({ "in/spots.csv": spots }))).spaces;
    expect(await spaces("section")).toEqual(["section A", "section B"]);
    expect(await spaces("brain")).toEqual(["brain d1"]);
    expect(await spaces("{brain}@{z}")).toEqual(["d1@0", "d1@0.3"]);
    expect(await spaces("{donor}")).toEqual(["d1"]);
  });

  test("the least: µm, one pixel size, no brain, no labels; positions in mm from columns; ids", async () => {
    const table = "id,s,x,y,px,py,pz\n1,A,200,100,-1,-2,-3\n2,A,0,0,4,5,6\n";
    const minimal: ImportOptions = { source: "in", table: "t.csv", image: "{section}/scan.png", section: "s", x: "x", y: "y", units: "um", pixelSizeUm: 10, id: "id", positionColumns: ["px", "py", "pz"], spaceBy: "brain", name: "least" };
    const dataset = await importDataset(minimal, "o", makeSource({ "in/t.csv": table }));
    expect([...dataset.samples.position]).toEqual([-1, -2, -3, 4, 5, 6]);
    expect(dataset.samples.ids).toEqual(["1", "2"]);
    expect(dataset.brains).toEqual([{ id: "least" }]);
    expect(dataset.sections[0]?.transform).toBeUndefined();
  });

  test("JPEG sections stay JPEG", async () => {
    const pixels = new Uint8Array(20 * 10 * 4).fill(90);
    const scan = new Uint8Array(jpeg.encode({ width: 20, height: 10, data: pixels }, 90).data);
    const options: ImportOptions = { source: "in", table: "t.csv", image: "{section}.JPG", section: "s", x: "x", y: "y", units: "px", pixelSizeUm: 2, spaceBy: "section" };
    const dataset = await importDataset(options, "o", makeSource({ "in/t.csv": "s,x,y\nC,20,10\n", "in/C.JPG": scan }));
    expect(dataset.sections[0]).toMatchObject({ file: "images/C.jpg", width: 20, height: 10 });
  });

  test("names of sections become harmless, distinct file names", async () => {
    const table = "s,x,y,file\n../a b,0,0,A\n..\\a b,0,0,B\n";
    const dataset = await importDataset({ source: "in", table: "t.csv", image: "{file}/scan.png", section: "s", x: "x", y: "y", units: "px", pixelSizeUm: 1, spaceBy: "section" }, "o", makeSource({ "in/t.csv": table }));
    expect(dataset.sections.map(({ file }) => file)).toEqual(["images/__a_b.png", "images/__a_b-2.png"]);
  });
});

describe("mistakes", () => {
  const spots = (text: string): Record<string, string> => ({ "in/spots.csv": text });
  test("options that name columns which are not there: all at once, with suggestions", () => expectRefused({ x: "colu", labels: ["layr"], image: "{slid}/a.png" }, /--x: no column "colu" \(did you mean "col"\?\)\n--label: no column "layr" \(did you mean "layer"\?\)\n--image: no column "slid" .*\ncolumns are slide, donor/, 2));
  test("pixel size missing", () => expectRefused({ pixelSizeColumn: undefined } as Partial<ImportOptions>, /pixel size must be given once; give --pixel-size/, 2));
  test("pixel size 0", () => expectRefused({ pixelSizeUm: 0, pixelSizeColumn: undefined } as Partial<ImportOptions>, /pixel size 0, expected/, 2));
  test("pixel size in the table 0", () => expectRefused({}, /in\/spots\.csv:4: um 0, expected a pixel size above 0/, 65, spots(SPOTS.replace(",8,", ",0,"))));
  test("pixel size that differs within a section", () => expectRefused({}, /in\/spots\.csv:3: um "11" differs from "10" on line 2/, 65, spots(SPOTS.replace("20,10,10,NA", "20,10,11,NA"))));
  test("space rule without a column", () => expectRefused({ spaceBy: "brains" }, /--space-by "brains"/, 2));
  test("a pattern without a group, or none at all", async () => {
    await expectRefused({ zFrom: "note:position \\d+" }, /has no group/, 2);
    await expectRefused({ zFrom: "note:(" }, /--z-from: Invalid regular expression/, 2);
  });
  test("a label named like a column of datasets", () => expectRefused({ labels: ["x_um"] }, /"x_um" is a column that datasets have themselves/, 2, spots(SPOTS.replace("layer", "x_um"))));
  test("a value that is no number, a column given twice", async () => {
    await expectRefused({ labels: [], values: ["layer"] }, /in\/spots\.csv:2: layer "L1", expected a number[\s\S]*in\/spots\.csv:4: layer "WM"/, 65);
    await expectRefused({ values: ["layer"] }, /--value: "layer" is given twice/, 2);
  });
  test("position outside the image", () => expectRefused({}, /in\/spots\.csv:3: col 20\.5 px, expected 0 to 20 \(the width of section "A": 20 px of 10 µm\)/, 65, spots(SPOTS.replace("A,d1,20", "A,d1,20.5"))));
  test("NaN coordinates", () => expectRefused({}, /in\/spots\.csv:4: col "NaN", expected a finite number/, 65, spots(SPOTS.replace("4.5", "NaN"))));
  test("missing image: 66", () => expectRefused({ image: "{slide}/other.png" }, /in\/A\/other\.png: no such image, for section "A" \(in\/spots\.csv:2\)[\s\S]*in\/B\/other\.png/, 66));
  test("truncated image", () => expectRefused({}, /in\/B\/scan\.png: PNG truncated/, 65, { "in/B/scan.png": png(30, 10).subarray(0, 60) }));
  test("damaged pixels behind good checksums are found, for images are decoded", async () => {
    const bad = encodePng({ width: 20, height: 10, channels: 1, data: new Uint8Array(200) });
    const files = makeSource({ "in/A/scan.png": Uint8Array.of(...bad.subarray(0, 16), ...png(21, 10).subarray(16, 33), ...bad.subarray(33)) });
    expect((await fail(importDataset(OPTIONS, "o", files))).message).toMatch(/in\/A\/scan\.png: PNG damaged/);
  });
  test("wrong number of fields", () => expectRefused({}, /in\/spots\.csv:3: 5 fields, expected 6/, 65, spots(SPOTS.replace(",NA", ""))));
  test("section without a row in the table of sections", () => expectRefused({}, /section "B" has no row in in\/slides\.csv[\s\S]*its note is needed/, 65, { "in/slides.csv": "name,note\nA,position 0 µm\n" }));
  test("a section twice in the table of sections", () => expectRefused({}, /in\/slides\.csv:4: section "A" is already on line 2/, 65, { "in/slides.csv": `${SLIDES}A,position 1 µm\n` }));
  test("a cell that does not match", () => expectRefused({}, /in\/slides\.csv:3: note "at 300" does not match/, 65, { "in/slides.csv": SLIDES.replace("at position 300 µm", "at 300") }));
  test("no section, no rows, no table, no folder", async () => {
    await expectRefused({}, /in\/spots\.csv:4: no section in column "slide"/, 65, spots(SPOTS.replace("B,d2", ",d2")));
    await expectRefused({}, /no rows/, 65, spots("slide,donor,col,row,um,layer\n"));
    await expectRefused({ table: "no.csv" }, /in\/no\.csv: no such file/, 66);
    await expectRefused({ source: "gone" }, /gone: no such folder/, 66);
  });
  test("of every kind at once: fields, sections, numbers, images, ids", async () => {
    const table = [SPOTS.trim(), "A,d1,1", ",d1,1,1,10,L1", "A,d1,x,1,10,L1", "A,d1,1,1e300,10,L1", "C,d2,1,1,9,L1", "D,d2,1,1,0,L1", ""].join("\n");
    const error = await fail(importDataset(OPTIONS, "o", makeSource({ "in/spots.csv": table, "in/B/scan.png": "none" })));
    const text = [error.message, ...error.notes].join("\n");
    for (const pattern of [/spots\.csv:5: 3 fields, expected 6/, /spots\.csv:6: no section/, /spots\.csv:7: col "x", expected a finite number/, /spots\.csv:8: row "1e300", expected a number within ±3\.4e38/, /section "C" has no row/, /spots\.csv:10: um 0, expected a pixel size above 0/, /in\/B\/scan\.png: .*unknown format/])
      expect(text).toMatch(pattern);
    expect(error.message).toMatch(/^in: \d+ mistakes/);
  });
  test.each([["..", "../out"], ["a folder up in between", "A/../../secret"], ["the root", "/etc"]])("cells that lead outside the source: %s", async (_, cell) => {
    const template = cell.startsWith("/") ? "{slide}/scan.png" : "x/{slide}/scan.png";
    await expectRefused({ sectionsTable: undefined, zFrom: undefined, image: template } as Partial<ImportOptions>, /spots\.csv:2: the image of section ".*" would be .*, expected a path inside in; correct the cells/, 65, spots(SPOTS.replaceAll("A,d1", `${cell},d1`)));
  });
  test("a template of one's own may lead anywhere", async () => {
    const files = makeSource({ "scans/A/scan.png": png(20, 10), "scans/B/scan.png": png(30, 10) });
    expect((await importDataset({ ...OPTIONS, image: "../scans/{slide}/scan.png" }, "o", createMemoryFiles(Object.fromEntries([...files.contents].map(([path, bytes]) => [path.replace(/^scans/, "in/../scans"), bytes]))))).sections).toHaveLength(2);
  });
  test("ids that repeat", () => expectRefused({ id: "donor" }, /in\/spots\.csv:3: donor "d1" is already used on line 2/, 65));
  test("existing target: 73, before any work", async () => {
    const files = makeSource({ "o/dataset.json": "{}" });
    expect((await fail(importDataset(OPTIONS, "o", files))).exitCode).toBe(73);
    await importDataset({ ...OPTIONS, force: true }, "o", files);
    expect((await readDataset(files, "o")).samples.count).toBe(3);
  });
  test("a full disk at any write leaves nothing at the target", async () => {
    for (let writes = 0; writes < 4; writes++) {
      const files = makeSource();
      files.writesLeft = writes;
      expect((await fail(importDataset(OPTIONS, "out/set", files))).exitCode).toBe(74);
      expect([...files.contents.keys()].filter((path) => path.startsWith("out"))).toEqual([]);
    }
  });
});

test("damaged tables never give anything but a dataset or a UserError, and nothing is left after an error", async () => {
  const stream = randomStream(keyOfSeed(6), [0, 0, 0]);
  const alphabet = '",\n\r0-.eABnN\0é ';
  let refused = 0;
  for (let round = 0; round < 600; round++) {
    const mutate = (text: string): string => {
      let mutated = text;
      for (let k = 0; k <= stream.below(3); k++) {
        const at = stream.below(mutated.length + 1);
        mutated = mutated.slice(0, at) + (stream.below(2) === 0 ? (alphabet[stream.below(alphabet.length)] ?? "") : "") + mutated.slice(at + stream.below(3));
      }
      return mutated;
    };
    const files = makeSource(round % 3 === 0 ? { "in/slides.csv": mutate(SLIDES) } : { "in/spots.csv": mutate(SPOTS) });
    const error = await importDataset(OPTIONS, "o", files).then(
      async () => void (await readDataset(files, "o")),
      (reason: unknown) => reason,
    );
    if (error === undefined) continue;
    expect(error).toBeInstanceOf(UserError);
    expect([2, 65, 66]).toContain((error as UserError).exitCode);
    expect([...files.contents.keys()].every((path) => path.startsWith("in/"))).toBe(true);
    refused += 1;
  }
  expect(refused).toBeGreaterThan(200);
});

const real = process.env["CYTONET_TEST_DATA"];
const source = real === undefined ? "" : `${real}/human_dlpfc_he`;

describe.skipIf(real === undefined || !existsSync(source))(`real cortex (human_dlpfc_he; set CYTONET_TEST_DATA to run)`, () => {
  test("33,317 labelled positions in eight sections of two donors", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cytonet-import-"));
    try {
      const dataset = await importDataset(
        {
          source, table: "spots.csv", image: "{sample}/tissue_lowres_image.png", section: "sample", brain: "donor", x: "x_lowres_px", y: "y_lowres_px", units: "px", pixelSizeColumn: "um_per_lowres_px",
          labels: ["layer"], sectionsTable: "sections.csv", sectionKey: "sample", zFrom: "description:position (\\d+) µm", spaceBy: "{brain}@{z}",
        },
        join(folder, "dlpfc"),
        nodeFiles,
      );
      expect(dataset.samples.count).toBe(33317);
      expect(dataset.sections).toHaveLength(8);
      expect(dataset.brains.map(({ id }) => id)).toEqual(["Br5292", "Br5595"]);
      expect(dataset.spaces).toEqual(["Br5292@0", "Br5292@0.3", "Br5595@0", "Br5595@0.3"]);
      const layer = dataset.samples.labels.get("layer");
      expect(layer?.names).toEqual(["L1", "L2", "L3", "L4", "L5", "L6", "WM"]);
      expect(layer?.codes.filter((code) => code === -1).length).toBe(231);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
