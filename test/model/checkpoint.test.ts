// Checkpoints: exact round trip, every flipped bit caught, and a whole one left wherever the process or the power dies.
import { beforeAll, describe, expect, test } from "vitest";
import { hashJson } from "../../src/data/json.ts";
import { writeSafetensors } from "../../src/data/safetensors.ts";
import { storeFloat32 } from "../../src/data/tensors.ts";
import type { StoredTensor } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";
import { checkpointName, listCheckpoints, loadCheckpoint, openLatest, saveCheckpoint, startCheckpoints } from "../../src/model/checkpoint.ts";
import { checkContinuation, decodeState, encodeState } from "../../src/model/state.ts";
import type { TrainState } from "../../src/model/state.ts";
import { Killed, simulateFiles } from "./simulated-files.ts";
import type { Simulation } from "./simulated-files.ts";

const folder = "/run/checkpoints";
const config = { model: { preset: "tiny", width: 32 }, rate: 0.001, offset: -0, stages: [1, 2], steps: 100 };

function stateAt(step: number): TrainState {
  return {
    step,
    tensors: new Map<string, StoredTensor>([
      ["encoder.0.weight", storeFloat32(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i + step)), [8, 8])],
      ["moments.__proto__", storeFloat32(Float32Array.of(step, NaN, Infinity, -0), [4])],
      ["control.scale", { dtype: "U32", shape: [2], data: Uint8Array.of(0, 0, 1, 0, step & 255, 0, 0, 0) }],
    ]),
    config,
    hashes: { config: hashJson(config), data: "d".repeat(64), model: "e".repeat(64) },
    rng: { seed: 42, draws: step * 3 },
    cursor: { epoch: Math.floor(step / 10), index: step % 10 },
    skippedInARow: step % 3,
    metricsOffset: step * 17,
    blueprints: ["matmul/tiled?f32", "attention/flash"],
    environment: { cytonet: "0.1.0", adapter: { vendor: "none" } },
  };
}

async function caught(promise: Promise<unknown>): Promise<UserError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

async function withSteps(...steps: number[]): Promise<Simulation> {
  const disk = simulateFiles();
  await disk.files.makeFolder(folder);
  for (const step of steps) await saveCheckpoint(disk.files, folder, stateAt(step), 10);
  return disk;
}

const pathOf = (step: number): string => `${folder}/${checkpointName(step)}`;

describe("one file", () => {
  test("comes back exactly, and encodes to the same bytes again", async () => {
    const state = stateAt(7);
    const bytes = await encodeState(state);
    const back = await decodeState(bytes, "c");
    expect({ ...back, tensors: [...back.tensors] }).toEqual({ ...state, tensors: [...state.tensors] });
    expect(Object.is(back.config["offset"], -0)).toBe(true);
    expect(await encodeState(back)).toEqual(bytes);
  });

  test("every single flipped bit is caught", async () => {
    const bytes = await encodeState(stateAt(7));
    for (let at = 0; at < bytes.length; at++) {
      const bit = 1 << (at % 8);
      bytes[at] = bytes[at]! ^ bit;
      let message = "accepted";
      try {
        await decodeState(bytes, "c");
      } catch (error) {
        if (!(error instanceof UserError) || error.exitCode !== 65) throw error;
        message = error.message;
      }
      expect(message, `bit ${bit} of byte ${at}`).toMatch(/^c: /);
      bytes[at] = bytes[at]! ^ bit;
    }
    await expect(decodeState(bytes, "c")).resolves.toBeDefined();
  });

  test("a flipped bit in a tensor is called damage, with both hashes", async () => {
    const bytes = await encodeState(stateAt(7));
    bytes[bytes.length - 1]! ^= 1;
    await expect(decodeState(bytes, "c")).rejects.toThrow(/^c: the content's SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}; the checkpoint is damaged$/);
  });

  test("every truncation is refused", async () => {
    const bytes = await encodeState(stateAt(7));
    for (let length = 0; length < bytes.length; length += 3) await expect(decodeState(bytes.subarray(0, length), "c")).rejects.toThrow(UserError);
  });

  test("weights, another version and a forged field are refused", async () => {
    const weights = new Map([["a", storeFloat32(Float32Array.of(1), [1])]]);
    await expect(decodeState(writeSafetensors(weights), "c")).rejects.toThrow(/format "none" in the metadata/);
    await expect(decodeState(writeSafetensors(weights, new Map([["format", "cytonet-checkpoint"], ["version", "2"]])), "c")).rejects.toThrow(/version "2"/);
    await expect(decodeState(writeSafetensors(weights, new Map([["format", "cytonet-checkpoint"], ["version", "1"], ["sha256", "0"]])), "c")).rejects.toThrow(/not where it is written/);
    const forged: TrainState = { ...stateAt(1), step: -1 };
    await expect(decodeState(await encodeState(forged), "c")).rejects.toThrow(/step "-1" in the metadata, expected a non-negative integer/);
  });

  test("a number that JSON cannot hold is refused by its key", async () => {
    await expect(encodeState({ ...stateAt(1), config: { optimizer: { rate: NaN } } })).rejects.toThrow(/config\.optimizer\.rate: NaN/);
  });
});

describe("the folder", () => {
  test("keeps the newest and nothing else", async () => {
    const disk = simulateFiles();
    await startCheckpoints(disk.files, folder, stateAt(0), 2);
    for (const step of [5, 10, 15]) await saveCheckpoint(disk.files, folder, stateAt(step), 2);
    expect(disk.paths()).toEqual([`${folder}/latest`, pathOf(10), pathOf(15)]);
    const { state, path, skipped } = await openLatest(disk.files, folder);
    expect([state.step, path, skipped]).toEqual([15, pathOf(15), []]);
  });

  test("falls back past damaged ones and says so", async () => {
    const disk = await withSteps(1, 2, 3);
    disk.edit(pathOf(3), (bytes) => bytes.subarray(0, bytes.length - 5));
    disk.edit(pathOf(2), (bytes) => bytes.fill(7, 900, 901));
    const { state, skipped } = await openLatest(disk.files, folder);
    expect(state.step).toBe(1);
    expect(skipped).toEqual([expect.stringContaining(checkpointName(3)), expect.stringContaining(checkpointName(2))]);
  });

  test("a missing, damaged or lying pointer", async () => {
    for (const text of ["", "../../etc/passwd\n", "step-9.safetensors\n", checkpointName(3)]) {
      const disk = await withSteps(1, 3);
      disk.edit(`${folder}/latest`, () => new TextEncoder().encode(text));
      const { state, skipped } = await openLatest(disk.files, folder);
      expect([state.step, skipped.length]).toEqual([3, 1]);
    }
    const gone = await withSteps(1, 3);
    await gone.files.remove(`${folder}/latest`);
    expect((await openLatest(gone.files, folder)).state.step).toBe(3);
    const missing = await withSteps(1, 3);
    await missing.files.remove(pathOf(3));
    expect((await openLatest(missing.files, folder)).state.step).toBe(1);
  });

  test("the pointer wins over a later step: the run was turned back", async () => {
    const disk = await withSteps(1, 2);
    disk.edit(`${folder}/latest`, () => new TextEncoder().encode(`${checkpointName(1)}\n`));
    expect((await openLatest(disk.files, folder)).state.step).toBe(1);
  });

  test("a renamed checkpoint is not taken for another step", async () => {
    const disk = await withSteps(1, 2);
    await disk.files.rename(pathOf(1), pathOf(9));
    disk.edit(`${folder}/latest`, () => new TextEncoder().encode(`${checkpointName(9)}\n`));
    const { state, skipped } = await openLatest(disk.files, folder);
    expect(state.step).toBe(2);
    expect(skipped[0]).toMatch(/holds step 1, expected step 9/);
  });

  test("saving after a fall-back removes what lies ahead", async () => {
    const disk = await withSteps(1, 2, 3);
    await saveCheckpoint(disk.files, folder, stateAt(2), 10);
    expect(await listCheckpoints(disk.files, folder)).toEqual([2, 1]);
  });

  test("none is 66, all damaged is 65 with every reason", async () => {
    const empty = simulateFiles();
    expect((await caught(openLatest(empty.files, folder))).exitCode).toBe(66);
    const disk = await withSteps(1, 2);
    for (const step of [1, 2]) disk.edit(pathOf(step), (bytes) => bytes.fill(0));
    const error = await caught(openLatest(disk.files, folder));
    expect(error.exitCode).toBe(65);
    expect(error.notes.length).toBe(3);
  });

  test("no fewer than one may be kept", async () => {
    const disk = simulateFiles();
    await disk.files.makeFolder(folder);
    expect((await caught(saveCheckpoint(disk.files, folder, stateAt(1), 0))).exitCode).toBe(78);
  });
});

describe("disks that fail", () => {
  let size = 0;
  beforeAll(async () => {
    size = (await encodeState(stateAt(0))).length;
  });

  test("one too small for the run fails at the start with 74, and leaves no trial behind", async () => {
    const disk = simulateFiles({ capacity: Math.floor(3.5 * size) });
    const error = await caught(startCheckpoints(disk.files, folder, stateAt(0), 3));
    expect(error.exitCode).toBe(74);
    expect(error.message).toMatch(/no room for 4 checkpoints/);
    expect(disk.paths()).toEqual([`${folder}/latest`, pathOf(0)]);
    const tiny = simulateFiles({ capacity: size - 1 });
    expect((await caught(startCheckpoints(tiny.files, folder, stateAt(0), 1))).exitCode).toBe(74);
    expect(tiny.paths()).toEqual([]);
  });

  test("one that passed the start never fills up", async () => {
    const disk = simulateFiles({ capacity: 4 * size + 2048 });
    await startCheckpoints(disk.files, folder, stateAt(0), 3);
    for (let step = 1; step < 12; step++) await saveCheckpoint(disk.files, folder, stateAt(step), 3);
    expect(await listCheckpoints(disk.files, folder)).toEqual([11, 10, 9]);
  });

  test("one that fills up later leaves the last checkpoint as it was", async () => {
    const disk = simulateFiles({ capacity: 2 * size + 100 });
    await disk.files.makeFolder(folder);
    await saveCheckpoint(disk.files, folder, stateAt(1));
    await saveCheckpoint(disk.files, folder, stateAt(2));
    expect((await caught(saveCheckpoint(disk.files, folder, stateAt(3)))).exitCode).toBe(74);
    expect((await openLatest(disk.files, folder)).state.step).toBe(2);
    expect(disk.paths()).toEqual([`${folder}/latest`, pathOf(1), pathOf(2)]);
  });

  test("one that holds other bytes than it was given is found out before the rename", async () => {
    let lying = false;
    const disk = simulateFiles({ corrupt: (_, bytes) => (lying && bytes.length > 100 ? bytes.slice().fill(1, 500, 501) : bytes) });
    await disk.files.makeFolder(folder);
    await saveCheckpoint(disk.files, folder, stateAt(1), 1);
    lying = true;
    const error = await caught(saveCheckpoint(disk.files, folder, stateAt(2), 1));
    expect(error.exitCode).toBe(74);
    expect(error.message).toMatch(/first at byte 500/);
    expect((await openLatest(disk.files, folder)).state.step).toBe(1);
    expect(await listCheckpoints(disk.files, folder)).toEqual([1]);
  });
});

describe.each(["killed", "power lost"] as const)("%s at every operation", (loss) => {
  test.each([1, 2])("keeping %i: the last or the new checkpoint loads, bit for bit, and the run goes on", async (keep) => {
    const ends: number[] = []; // operations done when each save had returned, in the run that nobody kills
    const save = async (disk: Simulation): Promise<void> => {
      for (const step of [3, 3, 6]) {
        await saveCheckpoint(disk.files, folder, stateAt(step), keep);
        ends.push(disk.count());
      }
    };
    const start = simulateFiles();
    await startCheckpoints(start.files, folder, stateAt(0), keep);
    const content = { files: await snapshot(start), folders: new Set(["", "/run", folder]) };
    const whole = simulateFiles({ before: content });
    await save(whole);
    const [first = NaN, second = NaN] = ends;
    const seen = new Set<number>();
    for (let killAt = 0; killAt < whole.count(); killAt++) {
      const disk = simulateFiles({ before: content, killAt });
      await expect(save(disk)).rejects.toThrow(Killed);
      const next = disk.restart(loss);
      const { state } = await openLatest(next.files, folder);
      seen.add(state.step);
      expect(await encodeState(state)).toEqual(await encodeState(stateAt(state.step)));
      // Once a save has returned its state is never lost again, not even while the same step is written a second time.
      const legal = killAt < first ? [0, 3] : killAt < second ? [3] : [3, 6];
      expect(legal).toContain(state.step);
      await saveCheckpoint(next.files, folder, stateAt(9), keep);
      expect((await openLatest(next.files, folder)).state.step).toBe(9);
      expect((await listCheckpoints(next.files, folder)).length).toBeLessThanOrEqual(keep);
      expect(next.paths().filter((path) => !/\/(latest|step-\d{10}\.safetensors)$/.test(path))).toEqual([]);
    }
    expect([...seen].sort()).toEqual([0, 3, 6]);
  });

  test("during the very first checkpoint: there is none, or a whole one", async () => {
    const whole = simulateFiles();
    await startCheckpoints(whole.files, folder, stateAt(0), 2);
    for (let killAt = 0; killAt < whole.count(); killAt++) {
      const disk = simulateFiles({ killAt });
      await expect(startCheckpoints(disk.files, folder, stateAt(0), 2)).rejects.toThrow(Killed);
      const next = disk.restart(loss);
      const opened = await openLatest(next.files, folder).catch((error: unknown) => error);
      if (opened instanceof UserError) expect(opened.exitCode).toBe(66);
      else expect(opened).toMatchObject({ state: { step: 0 } });
    }
  });
});

async function snapshot(disk: Simulation): Promise<Map<string, Uint8Array>> {
  const content = new Map<string, Uint8Array>();
  for (const path of disk.paths()) content.set(path, await disk.files.read(path));
  return content;
}

describe("continuing", () => {
  const now = { config, hashes: stateAt(0).hashes };
  test("the same run", () => {
    expect(() => checkContinuation(stateAt(3), now)).not.toThrow();
  });
  test("names every differing key with both values", () => {
    const other = { config: { ...config, rate: 0.01, model: { preset: "tiny", depth: 3 }, steps: 200 }, hashes: { ...now.hashes, data: "f".repeat(64) } };
    const error = (() => {
      try {
        checkContinuation(stateAt(3), other, ["steps"]);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    if (!(error instanceof UserError)) throw new Error("no UserError");
    expect(error.exitCode).toBe(65);
    expect(error.message).toBe("resume: model.width, model.depth, rate, data differ from the checkpoint of step 3, expected the same");
    expect(error.notes.slice(0, 4)).toEqual([
      "model.width: 32 in the checkpoint, absent now",
      "model.depth: absent in the checkpoint, 3 now",
      "rate: 0.001 in the checkpoint, 0.01 now",
      `data: the dataset is another than the run began with, or its manifest, table or images were changed since (SHA-256 ${"d".repeat(64)} in the checkpoint, ${"f".repeat(64)} now)`,
    ]);
  });
  test("a free key frees what is below it, and nothing that only starts alike", () => {
    const longer = { ...now, config: { ...config, stages: [1, 3] } };
    expect(() => checkContinuation(stateAt(3), longer, ["stages"])).not.toThrow();
    expect(() => checkContinuation(stateAt(3), longer, ["stage"])).toThrow(/stages\[1\]/);
  });
});

test("a checkpoint is opened by its path", async () => {
  const disk = await withSteps(4);
  expect((await loadCheckpoint(disk.files, pathOf(4))).cursor).toEqual({ epoch: 0, index: 4 });
  expect((await caught(loadCheckpoint(disk.files, pathOf(5)))).exitCode).toBe(66);
});
