// Run folders: refusals and remedies, metrics cut to the byte, and a run killed at every operation that ends with the same bytes.
import { describe, expect, test } from "vitest";
import { storeFloat32 } from "../../src/data/tensors.ts";
import { encodeScalars } from "../../src/data/tfevents.ts";
import { UserError } from "../../src/errors.ts";
import { canResume, createRun, openRun, readResumable, readRun, resumeRun } from "../../src/model/run.ts";
import type { RunOptions } from "../../src/model/run.ts";
import { checkContinuation } from "../../src/model/state.ts";
import type { Standing } from "../../src/model/state.ts";
import { decodeWeights, encodeWeights, readWeights, writeWeights } from "../../src/model/weights.ts";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.ts";
import { Killed, simulateFiles } from "./simulated-files.ts";
import type { Simulation } from "./simulated-files.ts";
import { trainSmall } from "./small-training.ts";

const path = "/out/run";
const options: RunOptions = { config: { preset: "tiny", offset: -0, rates: [], steps: 7 }, environment: { cytonet: "0.1.0" } };
const text = async (disk: Simulation, file: string): Promise<string> => new TextDecoder().decode(await disk.files.read(file));
const write = (disk: Simulation, file: string, content: string): Promise<void> => disk.files.writeAtomic(file, new TextEncoder().encode(content));

async function caught(promise: Promise<unknown>): Promise<UserError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("creating and opening", () => {
  test("what is created is opened, and read without the lock", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    expect(await readRun(disk.files, path)).toEqual({ config: options.config, environment: options.environment });
    expect((await caught(openRun(disk.files, path))).exitCode).toBe(75);
    await run.release();
    const again = await openRun(disk.files, path);
    expect(again.config).toEqual(options.config);
    expect(Object.is(again.config["offset"], -0)).toBe(true);
    expect(await text(disk, `${path}/config.json`)).toBe('{\n  "preset": "tiny",\n  "offset": -0,\n  "rates": [],\n  "steps": 7\n}\n');
    await again.release();
    expect(disk.paths()).toEqual([`${path}/config.json`, `${path}/environment.json`]);
  });

  test("a folder that holds a run is refused with the remedy, and the lock is not left behind", async () => {
    const disk = simulateFiles();
    await (await createRun(disk.files, path, options)).release();
    const error = await caught(createRun(disk.files, path, options));
    expect(error.exitCode).toBe(73);
    expect(error.message).toBe(`${path}: holds a run, expected a new or empty folder`);
    expect(error.notes.join()).toMatch(/--resume.*--force.*--out/);
    await (await openRun(disk.files, path)).release();
  });

  test("what a process killed while making the folder leaves is no obstacle", async () => {
    const whole = simulateFiles();
    await createRun(whole.files, path, options);
    for (let killAt = 0; killAt < whole.count(); killAt++) {
      const first = simulateFiles({ killAt });
      await expect(createRun(first.files, path, options)).rejects.toThrow(Killed);
      const next = first.restart("killed");
      const isRun = await readRun(next.files, path).then(() => true, () => false);
      expect(await canResume(next.files, path)).toBe(next.paths().some((name) => name.startsWith(`${path}/config.json`)));
      if (isRun) await openRun(next.files, path);
      else expect((await createRun(next.files, path, options)).config).toEqual(options.config);
    }
  });

  test.each(["killed", "power lost"] as const)("resumes wherever the process was %s while it made the folder, also over a run that --force replaces", async (loss) => {
    for (const force of [false, true]) {
      const before = async (disk: Simulation): Promise<void> => {
        if (!force) return;
        await trainSmall(disk.files, path, { steps: 3, size: 2, every: 1 });
        await write(disk, `${path}/checkpoints/mine.txt`, "mine");
      };
      const whole = simulateFiles();
      await before(whole);
      const from = whole.count();
      await createRun(whole.files, path, { ...options, force });
      for (let killAt = from; killAt < whole.count(); killAt++) {
        const first = simulateFiles({ killAt });
        await before(first);
        await expect(createRun(first.files, path, { ...options, force })).rejects.toThrow(Killed);
        const next = first.restart(loss);
        const made = (await next.files.size(path)) !== undefined;
        if (made) {
          const old = force && JSON.stringify(await readResumable(next.files, path)) !== JSON.stringify(options.config);
          const resumed = await resumeRun(next.files, path, options, () => undefined);
          expect(resumed.checkpoint?.state.step, `operation ${killAt}`).toBe(old ? 3 : undefined);
          if (!old) expect(next.paths().filter((name) => !/lock|mine/.test(name))).toEqual([`${path}/config.json`, `${path}/environment.json`]);
        }
        if (force) expect(await text(next, `${path}/checkpoints/mine.txt`)).toBe("mine");
      }
    }
  });

  test("a run that was killed before its first checkpoint begins anew with its own settings; one that lost its checkpoints does not", async () => {
    const disk = simulateFiles();
    await (await createRun(disk.files, path, options)).release();
    const refuse = (state: Standing): void => checkContinuation(state, { config: { preset: "other" }, hashes: { config: "", data: "", model: "" } });
    const error = await caught(resumeRun(disk.files, path, options, refuse));
    expect([error.exitCode, error.message]).toEqual([65, "resume: preset, offset, rates, steps differ from the run's config.json, expected the same"]);
    const { run, checkpoint } = await resumeRun(disk.files, path, options, () => undefined);
    expect(checkpoint).toBeUndefined();
    await run.appendMetrics([{ step: 1 }]);
    await run.release();
    const lost = await caught(resumeRun(disk.files, path, options, () => undefined));
    expect([lost.exitCode, lost.message]).toEqual([66, `${path}/checkpoints: no checkpoint, expected at least one`]);
  });

  test("a folder that never was a run is not resumed", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder(path);
    await write(disk, `${path}/notes.txt`, "mine");
    for (const folder of [path, "/out/none"]) expect((await caught(resumeRun(disk.files, folder, options, () => undefined))).message).toMatch(/no config\.json in it, expected a run folder/);
    expect(disk.paths()).toEqual([`${path}/notes.txt`]);
  });

  test.each(["model.safetensors", "environment.json", "metrics.jsonl", "checkpoints/mine.txt", "checkpoints/step-0000000009.safetensors"])("%s of somebody else is refused, also where a killed run's lock lies", async (name) => {
    const disk = simulateFiles();
    await disk.files.makeFolder(`${path}/checkpoints`);
    if (!name.startsWith("checkpoints")) await disk.files.remove(`${path}/checkpoints`);
    await write(disk, `${path}/${name}`, "mine");
    const error = await caught(createRun(disk.files, path, options));
    expect([error.exitCode, error.message]).toEqual([73, `${path}: holds 1 other files or folders (${JSON.stringify(name.split("/")[0])}), expected a new or empty folder`]);
    await disk.files.lock(`${path}/lock`);
    const killed = disk.restart("killed");
    expect((await caught(createRun(killed.files, path, options))).exitCode).toBe(73);
    expect((await caught(resumeRun(killed.files, path, options, () => undefined))).exitCode).toBe(66);
    expect(await text(killed, `${path}/${name}`)).toBe("mine");
    await (await createRun(killed.files, path, { ...options, force: true })).release();
    expect(killed.paths().filter((file) => file.endsWith("mine.txt"))).toEqual(name.endsWith("mine.txt") ? [`${path}/${name}`] : []);
    expect(killed.paths().some((file) => /step-/.test(file))).toBe(false);
  });

  test("a dataset's folder never becomes a run's, nor does a folder in a file's place go", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder(path);
    await write(disk, `${path}/dataset.json`, "{}");
    for (const force of [false, true]) expect((await caught(createRun(disk.files, path, { ...options, force }))).message).toBe(`${path}: holds a dataset (dataset.json), expected a new or empty folder`);
    await disk.files.makeFolder("/out/two/model.safetensors");
    await write(disk, "/out/two/model.safetensors/a", "mine");
    const error = await caught(createRun(disk.files, "/out/two", { ...options, force: true }));
    expect([error.exitCode, error.message]).toEqual([73, '/out/two: "model.safetensors" there is a folder, expected a new or empty folder']);
    expect(disk.paths()).toEqual([`${path}/dataset.json`, "/out/two/model.safetensors/a"]);
  });

  test("a run that goes on is told as such, not as one to replace", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    const error = await caught(createRun(disk.files, path, options));
    expect([error.exitCode, error.message]).toEqual([75, `${path}: another process trains there: ${path}/lock: held by process 1`]);
    await run.release();
  });

  test("force replaces a run and spares what is none of its", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    await run.appendMetrics([{ step: 1 }]);
    await disk.files.makeFolder(`${path}/checkpoints`);
    await write(disk, `${path}/checkpoints/step-0000000009.safetensors`, "old");
    await write(disk, `${path}/model.safetensors`, "old");
    await write(disk, `${path}/notes.txt`, "mine");
    await run.release();
    const next = await createRun(disk.files, path, { ...options, config: { preset: "other" }, force: true });
    expect(next.metricsSize).toBe(0);
    expect(disk.paths()).toEqual([`${path}/config.json`, `${path}/environment.json`, `${path}/lock`, `${path}/notes.txt`]);
    expect((await readRun(disk.files, path)).config).toEqual({ preset: "other" });
  });

  test("force does not take a run that another process holds", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    await run.appendMetrics([{ step: 1 }]);
    expect((await caught(createRun(disk.files, path, { ...options, force: true }))).exitCode).toBe(75);
    expect(await text(disk, `${path}/metrics.jsonl`)).toBe('{"step":1}\n');
  });

  test("a folder with other things in it is refused, and nothing is written there", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder(path);
    for (const name of ["a", "b", "c", "d"]) await write(disk, `${path}/${name}`, "x");
    const error = await caught(createRun(disk.files, path, options));
    expect(error.exitCode).toBe(73);
    expect(error.message).toMatch(/holds 4 other files or folders \("a", "b", "c", …\)/);
    expect(disk.paths().length).toBe(4);
  });

  test("a file in the place of the folder", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder("/out");
    await write(disk, path, "x");
    expect((await caught(createRun(disk.files, path, options))).exitCode).toBe(73);
  });

  test("no run is 66, damaged files are 65 with their name", async () => {
    const disk = simulateFiles();
    expect((await caught(openRun(disk.files, path))).exitCode).toBe(66);
    await (await createRun(disk.files, path, options)).release();
    for (const content of ["", "[]", "null", "{", "\ufffe"]) {
      await write(disk, `${path}/config.json`, content);
      const error = await caught(openRun(disk.files, path));
      expect([error.exitCode, error.message.startsWith(`${path}/config.json: `)]).toEqual([65, true]);
    }
    expect(disk.paths()).not.toContain(`${path}/lock`);
  });

  test("a configuration that JSON cannot hold leaves no folder", async () => {
    const disk = simulateFiles();
    expect((await caught(createRun(disk.files, path, { ...options, config: { rate: Infinity } }))).message).toMatch(/config\.rate: Infinity/);
    expect(disk.paths()).toEqual([]);
  });
});

test("absolute paths are blotted out of the environment, and nothing else", async () => {
  const disk = simulateFiles();
  const environment = {
    driver: "Mesa 25.0.7 (LLVM 19.1.7, 256 bits)",
    rate: "N/A or 3/4 of GL/ES; kernels/matmul.ts; https://example.org/a/b",
    icd: "/usr/share/vulkan/icd.d/lvp_icd.json",
    log: ["at /home/ann/x.ts:3", "C:\\Users\\ann\\x", "\\\\server\\share", "file:///home/ann/a", "~/models/ann", 'open "/home/ann" failed'],
    nested: { deep: ["--adapter=/home/ann/dev"] },
  };
  const run = await createRun(disk.files, path, { ...options, environment });
  expect(run.environment).toEqual({
    driver: environment.driver,
    rate: environment.rate,
    icd: "<path>",
    log: ["at <path>:3", "<path>", "<path>", "<path>", "<path>", 'open "<path>" failed'],
    nested: { deep: ["--adapter=<path>"] },
  });
  expect(JSON.parse(await text(disk, `${path}/environment.json`))).toEqual(run.environment);
});

describe("metrics", () => {
  test("are lines of JSON, non-finite numbers as strings, and counted in bytes", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    await run.appendMetrics([{ step: 1, loss: 0.1, note: "µ" }, { step: 2, loss: NaN, worst: -Infinity, skipped: true }]);
    await run.appendMetrics([]);
    const written = await text(disk, `${path}/metrics.jsonl`);
    expect(written).toBe('{"step":1,"loss":0.1,"note":"µ"}\n{"step":2,"loss":"NaN","worst":"-Infinity","skipped":true}\n');
    expect(run.metricsSize).toBe(new TextEncoder().encode(written).length);
  });

  test("are cut to the byte with the events", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    await run.cutTo(0, 0); // nothing is there yet
    await run.appendMetrics([{ step: 1 }]);
    await run.appendScalars(1, 10, new Map([["loss", 1]]));
    const size = run.metricsSize;
    const events = await disk.files.read(`${path}/events.out.tfevents.cytonet`);
    await run.appendMetrics([{ step: 2 }]);
    await run.appendScalars(2, 11, new Map([["loss", 2]]));
    await disk.files.append(`${path}/metrics.jsonl`, new TextEncoder().encode('{"st'));
    await disk.files.append(`${path}/events.out.tfevents.cytonet`, encodeScalars(1, 1, new Map()).subarray(0, 9));
    await run.release();
    const again = await openRun(disk.files, path);
    await again.cutTo(1, size);
    expect(again.metricsSize).toBe(size);
    expect(await text(disk, `${path}/metrics.jsonl`)).toBe('{"step":1}\n');
    expect(await disk.files.read(`${path}/events.out.tfevents.cytonet`)).toEqual(events);
  });

  test("that are not what the checkpoint counted are refused", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    await run.appendMetrics([{ step: 1 }]);
    expect((await caught(run.cutTo(2, 40))).message).toMatch(/metrics\.jsonl: 11 bytes, fewer than 40/);
    expect((await caught(run.cutTo(2, 5))).message).toMatch(/no line ends at byte 5/);
    expect(await text(disk, `${path}/metrics.jsonl`)).toBe('{"step":1}\n');
  });

  test("the last line is read back with its numbers", async () => {
    const disk = simulateFiles();
    const run = await createRun(disk.files, path, options);
    expect(await run.lastMetrics()).toBeUndefined();
    for (let step = 1; step <= 3000; step++) await run.appendMetrics([{ step, loss: step === 3000 ? NaN : 1, worst: -Infinity, skipped: false }]);
    expect(await run.lastMetrics()).toEqual({ step: 3000, loss: NaN, worst: -Infinity, skipped: false });
  });
});

test("a refused continuation changes nothing and gives the lock back", async () => {
  const disk = simulateFiles();
  await train(disk);
  const run = await openRun(disk.files, path);
  await run.appendMetrics([{ step: 8 }]);
  await run.release();
  const before = new Map<string, Uint8Array>();
  for (const file of disk.paths()) before.set(file, await disk.files.read(file));
  const refuse = (found: Standing): void => checkContinuation(found, { hashes: { config: "c", data: "d", model: "m" }, config: { preset: "other" } });
  const error = await caught(resumeRun(disk.files, path, options, refuse));
  expect(error.message).toMatch(/preset, size, steps differ from the checkpoint of step 7/);
  expect(disk.paths()).toEqual([...before.keys()]);
  for (const [file, bytes] of before) expect(await disk.files.read(file)).toEqual(bytes);
});

describe("weights", () => {
  const weights = { tensors: new Map([["w", storeFloat32(Float32Array.of(1, 2), [2])], ["b", storeFloat32(Float32Array.of(3), [1])]]), config: { preset: "tiny", seed: 2 }, step: 9 };
  test("stand alone and have the same bytes each time", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder("/out");
    await writeWeights(disk.files, "/out/model.safetensors", weights);
    expect(await readWeights(disk.files, "/out/model.safetensors")).toEqual(weights);
    expect(encodeWeights(decodeWeights(encodeWeights(weights), "w"))).toEqual(encodeWeights(weights));
  });
  test("every flipped bit is caught, or changes nothing; a file without a hash is taken as it is", () => {
    const bytes = encodeWeights(weights);
    let caught = 0;
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      try {
        // Only the word "sha256" itself can be lost unseen, with the rest as it was.
        expect(decodeWeights(bytes, "m"), `byte ${at}`).toEqual(weights);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(`${error.exitCode} ${error.message}`).toMatch(/^65 m: /);
        caught++;
      }
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
    }
    expect(caught).toBeGreaterThanOrEqual(bytes.length - "sha256".length);
    const bare = new Map([["format", "cytonet-weights"], ["version", "1"], ["step", "9"], ["config", JSON.stringify(weights.config)]]);
    expect(decodeWeights(writeSafetensors(weights.tensors, bare), "m")).toEqual(weights);
    // Another program may write the same metadata and tensors in another order.
    const whole = readSafetensors(bytes, "m");
    const reversed = writeSafetensors(new Map([...whole.tensors].reverse()), new Map([...whole.metadata].reverse()));
    expect(decodeWeights(reversed, "m").config).toEqual(weights.config);
  });
  test.each<[Record<string, string>, RegExp]>([
    [{}, /^m: format missing in the metadata, expected "cytonet-weights"$/],
    [{ format: "pt" }, /format "pt"/],
    [{ format: "cytonet-weights", version: "9" }, /version "9"/],
    [{ format: "cytonet-weights", version: "1", config: "{" }, /config "\{"/],
    [{ format: "cytonet-weights", version: "1", config: "[]" }, /config "\[\]" in the metadata, expected an object/],
    [{ format: "cytonet-weights", version: "1", config: "{}", step: "1.5" }, /step "1\.5"/],
  ])("metadata %j are refused", (metadata, message) => {
    const bytes = writeSafetensors(weights.tensors, new Map(Object.entries(metadata)));
    expect(() => decodeWeights(bytes, "m")).toThrow(message);
    expect(() => decodeWeights(bytes, "m")).toThrow(UserError);
  });
});

const train = (disk: Simulation): Promise<void> => trainSmall(disk.files, path, { steps: 7, size: 3, every: 2 });

describe.each(["killed", "power lost"] as const)("a run %s at every operation and continued", (loss) => {
  test("ends with the same weights, metrics and events, byte for byte", async () => {
    const whole = simulateFiles();
    await train(whole);
    const outputs = ["config.json", "environment.json", "metrics.jsonl", "events.out.tfevents.cytonet", "model.safetensors", "checkpoints/step-0000000007.safetensors"];
    expect((await text(whole, `${path}/metrics.jsonl`)).split("\n").length).toBe(8);
    const want = new Map<string, Uint8Array>();
    for (const name of outputs) want.set(name, await whole.files.read(`${path}/${name}`));
    const operations = whole.count() - outputs.length - 1;
    for (let killAt = 0; killAt < operations; killAt++) {
      const first = simulateFiles({ killAt });
      await expect(train(first), `operation ${killAt}`).rejects.toThrow(Killed);
      const second = first.restart(loss);
      await train(second);
      for (const [name, bytes] of want) expect(await second.files.read(`${path}/${name}`), `${name} after operation ${killAt}`).toEqual(bytes);
    }
  });

  test("and killed a second time while it continues", async () => {
    const whole = simulateFiles();
    await train(whole);
    const want = await whole.files.read(`${path}/model.safetensors`);
    const metrics = await whole.files.read(`${path}/metrics.jsonl`);
    const total = whole.count();
    for (let killAt = 5; killAt < total - 5; killAt += 7) {
      const first = simulateFiles({ killAt });
      await expect(train(first)).rejects.toThrow(Killed);
      for (const secondKill of [3, 11, 17, 29]) {
        const second = first.restart(loss, { killAt: secondKill });
        await train(second).catch((error: unknown) => {
          if (!(error instanceof Killed)) throw error;
        });
        const third = second.restart(loss);
        await train(third);
        expect(await third.files.read(`${path}/model.safetensors`)).toEqual(want);
        expect(await third.files.read(`${path}/metrics.jsonl`)).toEqual(metrics);
      }
    }
  });
});
