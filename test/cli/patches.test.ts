// Workers that cut patches: the same bits as in one thread, errors that name the section, and an end at a signal.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import type { PatchWorkers } from "../../src/data/patch-workers.ts";
import { cropWindows, loadSections } from "../../src/data/sections.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { patchWorkerHost } from "../../src/cli/patches.ts";
import { generateDataset } from "../../src/phantom/phantom.ts";
import { bundleForNode } from "../support/bundle.ts";

let top = "";
let script = "";
let dataset: Dataset;
let workers: PatchWorkers;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-patches-"));
  script = await bundleForNode("src/cli/patch-worker.ts");
  dataset = await generateDataset({ seed: 3, brains: 1, sections: 3, truth: false, width: 192, height: 144, pixelSizeUm: 24 }, join(top, "data"), nodeFiles);
  workers = patchWorkerHost(pathToFileURL(script)).start(dataset, 2);
});
afterAll(async () => {
  await workers?.dispose();
  await rm(script, { force: true });
  await rm(top, { recursive: true, force: true });
});

test("windows are those that one thread cuts, in the order of the samples, several requests at once", async () => {
  const { count } = dataset.samples;
  const lists = Array.from({ length: 4 }, (_, k) => Uint32Array.from({ length: 9 }, (_, i) => (i * 37 + k * 11) % count));
  expect(new Set(Array.from(lists[0]!, (i) => dataset.samples.section[i])).size).toBeGreaterThan(1);
  for (const options of [{ scale: "density" }, { scale: "grey", normalise: "section", pixelSizeUm: 30 }] as const) {
    const cache = loadSections(dataset, nodeFiles);
    const cut = await Promise.all(lists.map((list) => workers.cut(list, 40, options)));
    for (const [k, list] of lists.entries()) expect(Buffer.from(cut[k]!.buffer).equals(Buffer.from((await cropWindows(dataset, cache, list, 40, options)).buffer))).toBe(true);
  }
});

test("a section that cannot be read is named, and others are cut all the same", async () => {
  const own = patchWorkerHost(pathToFileURL(script)).start(dataset, 2);
  try {
    const file = join(dataset.path, dataset.sections[1]!.file);
    await writeFile(file, "no image");
    const of = (section: number) => Uint32Array.of(dataset.samples.section.indexOf(section));
    await expect(own.cut(of(1), 16, {})).rejects.toMatchObject({ name: "UserError", exitCode: 65, message: expect.stringContaining(file) as string });
    expect((await own.cut(of(0), 16, {})).length).toBe(256);
  } finally {
    await own.dispose();
  }
});

test("a signal ends the waiting, and a script that is none is told", async () => {
  const controller = new AbortController();
  const waiting = workers.cut(Uint32Array.of(0), 64, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await writeFile(join(top, "broken.mjs"), "throw new Error('no worker')");
  const broken = patchWorkerHost(pathToFileURL(join(top, "broken.mjs"))).start(dataset, 1);
  await expect(broken.cut(Uint32Array.of(0), 8, {})).rejects.toMatchObject({ exitCode: 70, message: expect.stringContaining("no worker") as string });
  await broken.dispose();
});
