// export, inspect and verify as people run them: data on stdout, the rest on stderr, exit codes.
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JsonObject } from "../../src/data/json.ts";
import { encodePng } from "../../src/data/png.ts";
import { storeFloat32 } from "../../src/data/tensors.ts";
import { sizeOf } from "../../src/engine/trace.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { describePreset } from "../../src/model/embed.ts";
import { presetOf } from "../../src/model/presets.ts";
import { encodeWeights } from "../../src/model/weights.ts";
import { buildProgram, runProgram } from "../support/program.ts";

let folder: string;

beforeAll(async () => {
  buildProgram();
  folder = await mkdtemp(join(tmpdir(), "cytonet-weights-"));
  const config = resolveConfig({ "data.mean": 0.5, "data.deviation": 0.2 });
  const { parameters, statistics } = describePreset(presetOf(config), 64);
  const tensors = new Map([...parameters, ...statistics].map(({ name, shape }) => [name, storeFloat32(new Float32Array(sizeOf(shape)).fill(0.5), shape)]));
  await writeFile(join(folder, "w.safetensors"), encodeWeights({ tensors, config: JSON.parse(JSON.stringify(config)) as JsonObject, step: 3 }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (...args: string[]) => runProgram(args, { cwd: folder });

test("weights go out as ONNX and as a state dict, and come back the same", async () => {
  const [onnx, timm] = await Promise.all([run("export", "w.safetensors", "--out", "w.onnx", "--print", "json"), run("export", "w.safetensors", "--format", "timm", "--out", "timm.safetensors")]);
  expect([onnx.code, timm.code, onnx.stderr, timm.stderr]).toEqual([0, 0, "", ""]);
  expect(JSON.parse(onnx.stdout)).toMatchObject({ schema: "cytonet-export/1", rows: [{ format: "onnx", preset: "tiny", step: 3 }] });
  const back = await Promise.all([run("export", "w.onnx", "--out", "a.safetensors"), run("export", "timm.safetensors", "--out", "b.safetensors")]);
  expect(back.map(({ code }) => code)).toEqual([0, 0]);
  expect((await readFile(join(folder, "a.safetensors"))).equals(await readFile(join(folder, "b.safetensors")))).toBe(true);
  const again = await run("export", "w.safetensors", "--out", "w.onnx");
  expect([again.code, again.stderr]).toEqual([73, expect.stringContaining("--force")]);
});

test("no output replaces what is read, whatever it is called", async () => {
  const before = await readFile(join(folder, "w.safetensors"));
  await symlink(folder, join(folder, "elsewhere"));
  await writeFile(join(folder, "grey.png"), encodePng({ width: 64, height: 64, channels: 1, data: new Uint8Array(64 * 64) }));
  const runs = await Promise.all([
    run("export", "w.safetensors", "--out", "elsewhere/w.safetensors", "--force"),
    run("embed", "w.safetensors", "grey.png", "--pixel-size", "1", "--out", "elsewhere/w.safetensors", "--force"),
    run("embed", "w.safetensors", "grey.png", "--pixel-size", "1", "--out", "new.safetensors", "--attention", "elsewhere/new.safetensors"),
    run("inspect", "w.safetensors", "--output", "elsewhere/w.safetensors", "--force"),
    run("verify", "elsewhere/w.safetensors", "--output", "w.safetensors", "--force"),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([73, 73, 2, 73, 73]);
  for (const { stderr } of [runs[0]!, runs[1]!]) expect(stderr).toMatch(/--out elsewhere\/w\.safetensors: is w\.safetensors, what is read, expected another file/);
  expect((await readFile(join(folder, "w.safetensors"))).equals(before)).toBe(true);
});

test("inspect prints one document; verify tells whole from damaged with 65", async () => {
  const bytes = await readFile(join(folder, "w.safetensors"));
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(join(folder, "damaged.safetensors"), bytes);
  const [inspected, whole, damaged] = await Promise.all([run("inspect", "w.safetensors", "--format", "json"), run("verify", "w.safetensors", "--format", "json"), run("verify", "damaged.safetensors", "--format", "json")]);
  expect(JSON.parse(inspected.stdout)).toMatchObject({ schema: "cytonet-inspect/1", kind: "weights", step: 3, config: { preset: "tiny" } });
  expect([inspected.code, whole.code, damaged.code]).toEqual([0, 0, 65]);
  expect(JSON.parse(whole.stdout)).toMatchObject({ rows: [{ what: "weights", whole: true }] });
  expect(JSON.parse(damaged.stdout)).toMatchObject({ rows: [{ whole: false, found: expect.stringContaining("SHA-256") as string }] });
  expect(damaged.stderr).toMatch(/^error: damaged\.safetensors: 1 of 1 file is damaged/);
});
