// Looking into weights and runs, and telling whole ones from damaged ones; weights opened from every kind of file.
import { beforeAll, describe, expect, test } from "vitest";
import { canonicalJson, hashJson, type Json, type JsonObject } from "../../src/data/json.ts";
import { encodeEmbeddings } from "../../src/data/embeddings.ts";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.ts";
import { sha256 } from "../../src/data/sha256.ts";
import { storeFloat32, type StoredTensor } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";
import type { Files } from "../../src/files.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { writeCard } from "../../src/model/card.ts";
import { cardName, checkpointName, saveCheckpoint } from "../../src/model/checkpoint.ts";
import { flattenSettings, resolveConfig } from "../../src/model/config.ts";
import { printFacts, readContents } from "../../src/model/contents.ts";
import { describePreset } from "../../src/model/embed.ts";
import { exportOnnx } from "../../src/model/onnx-export.ts";
import { openWeights } from "../../src/model/open-weights.ts";
import { initialValues } from "../../src/model/parameters.ts";
import { presetOf } from "../../src/model/presets.ts";
import { createRun } from "../../src/model/run.ts";
import { failureName } from "../../src/model/run-folder.ts";
import { toStateDict } from "../../src/model/state-dict.ts";
import { verify, type Verdict } from "../../src/model/verify.ts";
import { encodeWeights, type Weights } from "../../src/model/weights.ts";
import { sizeOf } from "../../src/engine/trace.ts";

const config = JSON.parse(JSON.stringify(resolveConfig({ "data.mean": 0.2, "data.deviation": 0.3, "model.pool": "attention", steps: 4, holdOut: ["B"] }))) as JsonObject;
const tensors = new Map<string, StoredTensor>();
let weights: Weights;
let files: Files;

beforeAll(async () => {
  const { parameters, statistics } = describePreset(presetOf(resolveConfig({ "model.pool": "attention" })), 64);
  parameters.forEach((spec, i) => tensors.set(spec.name, storeFloat32(initialValues(spec, 1, i), spec.shape)));
  for (const { name, shape, fill } of statistics) tensors.set(name, storeFloat32(new Float32Array(sizeOf(shape)).fill(fill), shape));
  weights = { tensors, config, step: 4 };
  files = createMemoryFiles();
  const run = await createRun(files, "run", { config, environment: { cytonet: "0.1.0" } });
  await run.appendMetrics([1, 2, 3, 4].map((step) => ({ step, loss: 1 / step })));
  await files.makeFolder(run.checkpoints);
  for (const step of [0, 2, 4]) {
    const card = writeCard({ config, step, environment: { cytonet: "0.1.0" }, metrics: { loss: 0.5 } });
    await saveCheckpoint(files, run.checkpoints, { step, tensors: new Map([...tensors, ["optimizer.control", storeFloat32(Float32Array.of(NaN), [1])]]), config, hashes: { config: hashJson(config), data: "", model: "" }, rng: { seed: 1 }, cursor: { epoch: 0, index: 0 }, skippedInARow: 0, metricsOffset: 0, blueprints: [], environment: {} }, 2, card);
  }
  await files.writeAtomic(run.weights, encodeWeights(weights));
  await run.release();
  await files.writeAtomic("w.onnx", exportOnnx(weights, { maps: true }));
  await files.writeAtomic("timm.safetensors", writeSafetensors(toStateDict(tensors, presetOf(resolveConfig({ "model.pool": "attention" })).architecture), new Map([["format", "pt"]])));
});

const change = async (path: string, to: string, edit: (bytes: Uint8Array) => void): Promise<void> => {
  const bytes = (await files.read(path)).slice();
  edit(bytes);
  await files.writeAtomic(to, bytes);
};
/** Comparing bytes one by one takes minutes. */
const print = (tensor: StoredTensor | undefined) => tensor && `${tensor.dtype} ${tensor.shape.join()} ${sha256(tensor.data)}`;
const caught = async (promise: Promise<unknown>): Promise<UserError> => {
  const error = await promise.then(() => undefined, (reason: unknown) => reason);
  if (error instanceof UserError) return error;
  throw new Error("nothing was refused");
};

describe("whole ones", () => {
  test("a run: every file by itself, with its hash", async () => {
    const verdicts = await verify(files, "run");
    expect(verdicts.map(({ file, what, whole }) => [file.slice(4), what, whole])).toEqual([
      ["config.json", "configuration", true],
      ["metrics.jsonl", "metrics", true],
      [`checkpoints/${checkpointName(2)}`, "checkpoint", true],
      [`checkpoints/${checkpointName(4)}`, "checkpoint", true],
      ["model.safetensors", "weights", true],
    ]);
    expect(verdicts.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256))).toBe(true);
  });

  test("what is in them", async () => {
    const { facts, rows } = await readContents(files, "run", { values: true });
    expect(facts).toMatchObject({ kind: "run", finished: true, step: 4, checkpoints: [4, 2], config: { preset: "tiny" } });
    expect(rows.find(({ name }) => name === "encoder.stem.conv.weight")).toMatchObject({ dtype: "F32", shape: "5×5×1×16", values: 400, bytes: 1600, notFinite: 0 });
    expect((await readContents(files, "w.onnx")).facts).toMatchObject({ kind: "onnx", inputs: ["images"], outputs: ["h", "maps"], metadata: { "cytonet.step": 4 } });
    expect((await readContents(files, "timm.safetensors")).facts).toMatchObject({ kind: "state dict", metadata: { format: "pt" } });
    expect((await readContents(files, "run/model.safetensors")).facts).toMatchObject({ kind: "weights", step: 4, config: { preset: "tiny" }, metadata: { format: "cytonet-weights" } });
  });

  test("features are no state dict", async () => {
    await files.writeAtomic("features.safetensors", encodeEmbeddings({ values: Float32Array.of(1, 2), count: 1, channels: 2, metadata: new Map([["dataset", "abc"]]) }, "safetensors"));
    expect((await readContents(files, "features.safetensors")).facts).toMatchObject({ kind: "features", tensors: 1, metadata: { dataset: "abc" } });
    expect(await verify(files, "features.safetensors")).toMatchObject([{ what: "features", whole: true }]);
    expect(await caught(openWeights(files, "features.safetensors", { preset: "tiny" }))).toMatchObject({ exitCode: 65, message: expect.stringMatching(/: features, which/) as string });
  });

  test("metadata of others pass for nothing that was found, and none of it ends the program", async () => {
    const metadata = new Map([["kind", "run"], ["tensors", "9"], ["big", "1e999"], ["list", '{"a":[1e999]}'], ["deep", "[".repeat(1e5)], ["deeper", '{"a":'.repeat(1e4)], ["plain", '{"a":-0}'], ["bell", "a\u0007\u009b2J"]]);
    await files.writeAtomic("foreign.safetensors", writeSafetensors(new Map([["w", storeFloat32(Float32Array.of(1), [1])]]), metadata));
    const { facts } = await readContents(files, "foreign.safetensors");
    expect(facts).toMatchObject({ kind: "state dict", tensors: 1, metadata: { kind: "run", tensors: 9, big: "1e999", list: '{"a":[1e999]}', plain: { a: -0 } } });
    expect(printFacts(facts)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(() => canonicalJson(facts)).not.toThrow();
  });

  test("a card lies beside each checkpoint that is kept, and says what it must", async () => {
    const names = (await files.list("run/checkpoints")).map(({ name }) => name).sort();
    expect(names).toEqual(["latest", cardName(2), checkpointName(2), cardName(4), checkpointName(4)].sort());
    const card = new TextDecoder().decode(await files.read(`run/checkpoints/${cardName(2)}`));
    for (const words of ["# Model card: tiny, 2 of 4 steps", "no parity with its figures is claimed", "Held out: \"B\"", "loss: 0.5 at step 2", "not for diagnosis", "none is granted"]) expect(card).toContain(words);
    // What it says of the configuration builds the same one.
    expect(resolveConfig(JSON.parse(/```json\n([^]*?)```/.exec(card)![1]!) as JsonObject)).toEqual(resolveConfig(flattenSettings(config)));
  });

  test("weights out of a run, a checkpoint, a file of ours, ONNX and a state dict are the same encoder", async () => {
    const settings: Record<string, Json> = { preset: "tiny", "model.pool": "attention", "data.patch": 64 };
    for (const [path, given] of [["run", {}], [`run/checkpoints/${checkpointName(4)}`, {}], ["run/model.safetensors", {}], ["w.onnx", {}], ["timm.safetensors", settings]] as const) {
      const opened = await openWeights(files, path, given);
      for (const [name, tensor] of tensors) if (name.startsWith("encoder.")) expect(print(opened.weights.tensors.get(name)), `${path} ${name}`).toBe(print(tensor));
      expect([path, opened.weights.step, (opened.weights.config["data"] as JsonObject)["mean"]]).toEqual([path, path === "timm.safetensors" ? 0 : 4, path === "timm.safetensors" ? 0.449 : 0.2]);
    }
  });
});

describe("damaged ones, and others", () => {
  const damagedIn = (verdicts: readonly Verdict[]) => verdicts.filter(({ whole }) => !whole).map(({ file, found }) => `${file}: ${found}`);

  test("settings that may change at resume, and those that an older run does not have, are no damage", async () => {
    const name = "run/model.safetensors";
    const saved = (await files.read(name)).slice();
    const { ema: _, ...older } = config;
    for (const other of [{ ...config, memory: "8GiB", checkpoint: { every: 7, keep: 1 } }, older]) {
      await files.writeAtomic(name, encodeWeights({ ...weights, config: other }));
      expect(damagedIn(await verify(files, "run"))).toEqual([]);
    }
    await files.writeAtomic(name, saved);
  });

  test("everything wrong in a run is found at once", async () => {
    const saved = new Map<string, Uint8Array>();
    for (const name of ["run/metrics.jsonl", `run/checkpoints/${checkpointName(2)}`, "run/model.safetensors"]) saved.set(name, (await files.read(name)).slice());
    await change("run/metrics.jsonl", "run/metrics.jsonl", (bytes) => bytes.set([0x7b, 0x7b], 0));
    await change(`run/checkpoints/${checkpointName(2)}`, `run/checkpoints/${checkpointName(2)}`, (bytes) => (bytes[bytes.length - 5]! ^= 1));
    await files.writeAtomic("run/model.safetensors", encodeWeights({ ...weights, config: { ...config, seed: 9 } }));
    const found = damagedIn(await verify(files, "run"));
    expect(found).toHaveLength(3);
    expect(found.join("\n")).toMatch(/metrics\.jsonl: line 1: no JSON[\s\S]*SHA-256[\s\S]*seed is other than in config\.json/);
    for (const [name, bytes] of saved) await files.writeAtomic(name, bytes);
  });

  test("what a run left where it gave up is looked at too", async () => {
    const name = `run/${failureName(5)}`;
    const last = await files.read(`run/checkpoints/${checkpointName(4)}`);
    await files.writeAtomic(name, last);
    expect((await verify(files, "run")).find(({ file }) => file === name)).toMatchObject({ what: "checkpoint", whole: true });
    await files.writeAtomic(`run/${failureName(7)}`, last);
    await change(name, name, (bytes) => (bytes[bytes.length - 5]! ^= 1));
    expect(damagedIn(await verify(files, "run")).join("\n")).toMatch(/failed-step-0000000005[^]*SHA-256[^]*failed-step-0000000007[^]*it holds step 4, expected step 6/);
    for (const step of [5, 7]) await files.remove(`run/${failureName(step)}`);
  });

  test("numbers that are none, tensors that are missing or of another shape, a flipped bit", async () => {
    const broken = (name: string, tensor: StoredTensor | undefined) => {
      const some = new Map(tensors);
      if (tensor) some.set(name, tensor);
      else some.delete(name);
      return encodeWeights({ ...weights, tensors: some });
    };
    for (const [bytes, message] of [
      [broken("encoder.stem.norm.bias", storeFloat32(new Float32Array(16).fill(NaN), [16])), /"encoder.stem.norm.bias": value 0 is NaN/],
      [broken("encoder.stem.norm.running_var", storeFloat32(new Float32Array(16).fill(-1), [16])), /encoder\.stem\.norm\.running_var": value 0 is -1, expected variances from 0/],
      [broken("encoder.stem.norm.bias", { dtype: "I32", shape: [16], data: new Uint8Array(64) }), /encoder\.stem\.norm\.bias is I32\[16\], expected F32/],
      [broken("encoder.stem.norm.bias", storeFloat32(new Float32Array(16), [4, 4])), /is F32\[4, 4\], expected F32\[16\]/],
      [broken("encoder.stem.norm.bias", undefined), /encoder\.stem\.norm\.bias is missing/],
      [broken("encoder.stem.norm.bias", storeFloat32(new Float32Array(8), [8])), /is F32\[8\], expected F32\[16\]/],
    ] as const) {
      await files.writeAtomic("broken.safetensors", bytes);
      expect(damagedIn(await verify(files, "broken.safetensors")).join()).toMatch(message);
      expect(await caught(openWeights(files, "broken.safetensors"))).toMatchObject({ exitCode: 65, message: expect.stringMatching(message) as string });
    }
    for (const name of ["run/model.safetensors", "timm.safetensors"]) {
      await change(name, "flipped", (bytes) => (bytes[20]! ^= 0x80));
      expect(damagedIn(await verify(files, "flipped")), name).toHaveLength(1);
    }
    await files.writeAtomic("short.onnx", (await files.read("w.onnx")).slice(0, -1));
    expect(damagedIn(await verify(files, "short.onnx"))).toHaveLength(1);
  });

  test("what cannot be read is not called damaged; a configuration that builds no model is damage of its file", async () => {
    for (const [exitCode, path] of [[74, "run/model.safetensors"], [66, "run/metrics.jsonl"], [74, "run/config.json"], [74, `run/checkpoints/${checkpointName(4)}`]] as const) {
      const failing: Files = { ...files, read: async (name) => (name === path ? Promise.reject(new UserError(exitCode, `${name}: cannot read: the disk failed`)) : files.read(name)) };
      expect((await caught(verify(failing, "run"))).exitCode, path).toBe(exitCode);
    }
    for (const wrong of [{ preset: "r51" }, { "model.pool": "max" }, { "data.patch": 63 }, { nonsense: 1 }] as readonly JsonObject[]) {
      const own: JsonObject = { ...config, ...wrong };
      await files.writeAtomic("strange.safetensors", encodeWeights({ ...weights, config: own }));
      await files.writeAtomic("strange.pt.safetensors", writeSafetensors(toStateDict(tensors, presetOf(resolveConfig({ "model.pool": "attention" })).architecture), new Map([["cytonet.config", canonicalJson(own)]])));
      expect(damagedIn(await verify(files, "strange.safetensors")).join()).toMatch(/strange\.safetensors: its configuration builds no model: /);
      for (const path of ["strange.safetensors", "strange.pt.safetensors"]) expect([wrong, (await caught(openWeights(files, path))).exitCode]).toEqual([wrong, 65]);
    }
  });

  test("a header whose length begins like a pickle is one of safetensors all the same", async () => {
    const plain = await files.read("run/model.safetensors");
    const length = new DataView(plain.buffer, plain.byteOffset).getUint32(0, true);
    const padded = 0x80 + 65536 * Math.ceil(length / 65536);
    const bytes = new Uint8Array(plain.length + padded - length).fill(0x20);
    bytes.set(plain.subarray(0, 8 + length));
    bytes.set(plain.subarray(8 + length), 8 + padded);
    new DataView(bytes.buffer).setUint32(0, padded, true);
    expect([...bytes.subarray(0, 2)]).toEqual([0x80, 0]);
    await files.writeAtomic("padded.safetensors", bytes);
    expect((await openWeights(files, "padded.safetensors")).kind).toBe("weights");
  });

  test("pickles, other files and nothing are told apart", async () => {
    await files.writeAtomic("model.pth", Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0));
    await files.writeAtomic("text", new TextEncoder().encode("hello, this is no model"));
    const [pickle, text, missing, unnamed, twice] = await Promise.all([
      caught(openWeights(files, "model.pth")),
      caught(openWeights(files, "text")),
      caught(verify(files, "nowhere")),
      caught(openWeights(files, "timm.safetensors")),
      caught(openWeights(files, "run", { preset: "r50" })),
    ]);
    expect([pickle, text, missing, unnamed, twice].map(({ exitCode }) => exitCode)).toEqual([65, 65, 66, 2, 2]);
    expect(pickle.message).toMatch(/pickle/);
    expect(pickle.notes.join()).toMatch(/safetensors\.torch\.save_file/);
    expect(unnamed.message).toMatch(/--preset/);
    expect(readSafetensors(await files.read("timm.safetensors"), "x").tensors.size).toBeGreaterThan(50);
  });
});
