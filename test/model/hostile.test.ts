// Weights that somebody spoilt on purpose: each is refused with exit code 65 and a reason by all that opens weights, at once and in little memory.
import { beforeAll, describe, expect, test } from "vitest";
import { createOnnxGraph } from "../../src/data/onnx-graph.ts";
import { joinPieces, writeBytes, writeFloat, writeInteger, writeText, type Pieces } from "../../src/data/protobuf.ts";
import { writeSafetensors } from "../../src/data/safetensors.ts";
import { storeFloat32, type ElementType, type StoredTensor } from "../../src/data/tensors.ts";
import { UserError } from "../../src/errors.ts";
import { createMemoryFiles } from "../../src/host/files-memory.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { readContents } from "../../src/model/contents.ts";
import { describePreset } from "../../src/model/embed.ts";
import { encodeEncoder } from "../../src/model/onnx-export.ts";
import { openWeights } from "../../src/model/open-weights.ts";
import { presetOf } from "../../src/model/presets.ts";
import { toStateDict } from "../../src/model/state-dict.ts";
import { verify } from "../../src/model/verify.ts";
import { sizeOf } from "../../src/engine/trace.ts";

const SETTINGS = { preset: "tiny", "data.patch": 32 };
const config = resolveConfig(SETTINGS);
const own = new Map<string, StoredTensor>();
let theirs: ReadonlyMap<string, StoredTensor>;
let onnx: Uint8Array;
const files = createMemoryFiles();

beforeAll(() => {
  const { parameters, statistics } = describePreset(presetOf(config), 32);
  for (const { name, shape } of [...parameters, ...statistics]) own.set(name, storeFloat32(new Float32Array(sizeOf(shape)).fill(0.5), shape));
  theirs = toStateDict(own, presetOf(config).architecture);
  onnx = encodeEncoder(own, { preset: presetOf(config), patch: 32, mean: 0.449, deviation: 0.226, step: 0, config: JSON.parse(JSON.stringify({ ...config, data: { ...config.data, mean: 0.449, deviation: 0.226 } })) });
});

/** What opening, looking and verifying say: error and exit code, or "taken". */
async function outcomes(bytes: Uint8Array, settings: Readonly<Record<string, string | number>> = SETTINGS): Promise<readonly (UserError | "taken")[]> {
  await files.writeAtomic("strange", bytes);
  const told = (promise: Promise<unknown>) => promise.then(() => "taken" as const, (error: unknown) => {
    if (error instanceof UserError) return error;
    throw error;
  });
  const [opened, looked] = [await told(openWeights(files, "strange", settings)), await told(readContents(files, "strange", { values: true }))];
  const verdicts = await verify(files, "strange");
  return [opened, looked, verdicts.every(({ whole }) => whole) ? "taken" : new UserError(65, verdicts[0]!.found)];
}

function expectRefusal(error: UserError | "taken" | undefined, message?: RegExp): void {
  if (!(error instanceof UserError)) throw new Error("it was taken");
  expect(error.exitCode).toBe(65);
  const text = [error.message, ...error.notes].join("\n");
  expect(text).toMatch(/^strange: /);
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  expect(text.length).toBeLessThan(4000);
  if (message) expect(text).toMatch(message);
}

const changed = (edit: (tensors: Map<string, StoredTensor>) => void, metadata?: Map<string, string>): Uint8Array => {
  const some = new Map(theirs);
  edit(some);
  return writeSafetensors(some, metadata);
};
const set = (name: string, tensor: StoredTensor) => () => changed((some) => some.set(name, tensor));
const floats = (shape: readonly number[], fill = 0.5): StoredTensor => storeFloat32(new Float32Array(sizeOf(shape)).fill(fill), shape);
const typed = (dtype: ElementType, shape: readonly number[], data: Uint8Array): StoredTensor => ({ dtype, shape, data });
const doubles = (count: number, value: number) => new Uint8Array(new Float64Array(count).fill(value).buffer);
const said = (key: string, value: string) => () => changed(() => undefined, new Map([[key, value]]));

describe("state dicts, and metadata that lie", () => {
  test("the one that all are made of is taken", async () => {
    expect(await outcomes(changed(() => undefined))).toEqual(["taken", "taken", "taken"]);
    expect(await outcomes(onnx, {})).toEqual(["taken", "taken", "taken"]);
  });

  test.each<[string, () => Uint8Array, RegExp]>([
    ["nothing in it", () => writeSafetensors(new Map()), /missing: conv1.weight/],
    ["a tensor left out", () => changed((some) => some.delete("layer4.0.bn3.running_mean")), /missing: layer4.0.bn3.running_mean/],
    ["one too many", set("layer9.0.conv1.weight", floats([1])), /unexpected: layer9/],
    ["__proto__", set("__proto__", floats([1])), /unexpected: "__proto__", which is no name/],
    ["a path", set("../../../etc/passwd", floats([1])), /which is no name of a weight/],
    ["a name of a megabyte", set("module.".repeat(150_000), floats([1])), /which is no name of a weight/],
    ["all names behind a thousand beginnings", () => writeSafetensors(new Map([...theirs].map(([name, tensor]) => [`${"module.".repeat(1000)}${name}`, tensor]))), /missing/],
    ["one name under two beginnings", () => changed((some) => [...theirs].forEach(([name, tensor]) => some.set(`module.${name}`, tensor))), /unexpected: module.conv1/],
    ["a transposed filter", set("conv1.weight", floats([5, 5, 1, 16])), /conv1.weight: shape \[5, 5, 1, 16\], expected \[16, 1, 5, 5\]/],
    ["as many values in another shape", set("bn1.weight", floats([4, 4])), /bn1.weight: shape \[4, 4\]/],
    ["a tensor of no values", set("bn1.weight", floats([0])), /bn1.weight: shape \[0\]/],
    ["a tensor of no values in many dimensions", set("conv1.weight", floats([16, 0, 5, 5])), /conv1.weight: shape \[16, 0, 5, 5\]/],
    ["a scalar", set("bn1.weight", floats([])), /bn1.weight: shape \[\]/],
    ["integers", set("bn1.weight", typed("I64", [16], new Uint8Array(128))), /bn1.weight: I64/],
    ["truth values", set("bn1.weight", typed("BOOL", [16], new Uint8Array(16))), /bn1.weight: BOOL/],
    ["NaN", set("bn1.weight", floats([16], NaN)), /bn1.weight: value 0 is NaN/],
    ["infinity", set("bn1.bias", floats([16], -Infinity)), /bn1.bias: value 0 is -Infinity/],
    ["doubles that floats do not hold", set("bn1.bias", typed("F64", [16], doubles(16, 1e300))), /bn1.bias: value 0 is Infinity/],
    ["halves that are infinite", set("bn1.bias", typed("F16", [16], new Uint8Array(32).fill(0x7c))), /bn1.bias: value 0 is NaN/],
    ["bf16 that is none", set("bn1.bias", typed("BF16", [16], new Uint8Array(32).fill(0xff))), /bn1.bias: value 0 is NaN/],
    ["a variance below 0", set("bn1.running_var", floats([16], -1e-6)), /variances from 0/],
    ["a configuration that is no JSON", said("cytonet.config", "{"), /is no JSON/],
    ["a configuration that is a list", said("cytonet.config", "[]"), /is no object/],
    ["a configuration of depth 50,000", said("cytonet.config", '{"a":'.repeat(50_000)), /is no JSON/],
    ["a configuration of another preset", said("cytonet.config", '{"preset":"r51"}'), /builds no model/],
    ["a configuration of __proto__", said("cytonet.config", '{"__proto__":{"preset":"tiny"}}'), /builds no model/],
    ["a configuration of a patch of 10^9", said("cytonet.config", '{"preset":"tiny","data":{"patch":1000000000}}'), /builds no model/],
    ["a configuration of an interpolation of 17 GB", said("cytonet.config", '{"preset":"vit-s","data":{"patch":4096},"model":{"grid":255}}'), /builds no model[^]*model.grid/],
    ["weights of ours without a configuration", said("format", "cytonet-weights"), /version missing/],
    ["weights of ours that are another model's", () => changed(() => undefined, new Map([["format", "cytonet-weights"], ["version", "1"], ["step", "1"], ["config", '{"preset":"tiny"}']])), /is missing, expected F32/],
    ["a checkpoint that is none", said("format", "cytonet-checkpoint"), /checkpoint version/],
  ])("%s", async (_, make, message) => {
    const bytes = make();
    const { metadata } = { metadata: new TextDecoder().decode(bytes.subarray(8, 60)) };
    expectRefusal((await outcomes(bytes, /cytonet-(weights|checkpoint)/.test(metadata) ? {} : SETTINGS))[0], message);
  });
});

describe("ONNX", () => {
  const model = (...graph: Pieces[]): Uint8Array => joinPieces([...writeInteger(1, 8), ...writeBytes(7, ...graph.flat()), ...writeBytes(8, ...writeInteger(2, 17))]);
  const node = (op: string, inputs: readonly string[], outputs: readonly string[], ...more: Pieces[]): Pieces => writeBytes(1, ...inputs.flatMap((name) => writeText(1, name)), ...outputs.flatMap((name) => writeText(2, name)), ...writeText(4, op), ...more.flat());
  const attribute = (...fields: Pieces[]): Pieces => writeBytes(5, ...fields.flat());
  const tensor = (name: string, ...fields: Pieces[]): Pieces => writeBytes(5, ...fields.flat(), ...writeText(8, name));
  const values = (...numbers: number[]) => new Uint8Array(Float32Array.from(numbers).buffer);
  const input = writeBytes(11, ...writeText(1, "x"));
  const spoilt = (at: number, value: number) => () => {
    const bytes = onnx.slice();
    bytes[at] = value;
    return bytes;
  };

  test.each<[string, () => Uint8Array, RegExp]>([
    ["cut in the middle", () => onnx.slice(0, onnx.length >> 1), /cut short|ends inside/],
    ["cut by a byte", () => onnx.slice(0, -1), /cut short|ends inside/],
    ["twice", () => joinPieces([onnx, onnx]), /a second version of the format/],
    ["a graph twice", () => joinPieces([onnx, ...writeBytes(7)]), /a second graph/],
    ["a million fields that nobody knows", () => joinPieces([onnx, new Uint8Array(2 ** 21 + 2).map((_, i) => (i % 2 ? 1 : 0x78))]), /more than 1048576 fields/],
    ["text behind it", () => joinPieces([onnx, new TextEncoder().encode("garbage")]), /byte \d+/],
    ["zeros behind it", () => joinPieces([onnx, new Uint8Array(4)]), /field number 0/],
    ["a version of the format of none", spoilt(1, 0x00), /neither safetensors nor ONNX/],
    ["a length of 2^62", () => Uint8Array.of(0x08, 8, 0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40), /of 4611686018427387904 bytes/],
    ["a number of eleven bytes", () => Uint8Array.of(0x08, 8, 0x10, ...new Array<number>(11).fill(0x80), 0), /more than 64 bits/],
    ["a dimension of -1", () => model(tensor("w", writeInteger(1, -1), writeInteger(2, 1), writeBytes(9))), /a dimension of -1/],
    ["a dimension of 2^62", () => model(tensor("w", writeInteger(1, 2n ** 62n), writeInteger(2, 1), writeBytes(9))), /a dimension of 4611686018427387904/],
    ["a million dimensions", () => model(tensor("w", writeBytes(1, new Uint8Array(1_000_000).fill(1)), writeInteger(2, 1))), /more than 8 dimensions/],
    ["10^12 integers out of one byte", () => model(tensor("w", writeInteger(1, 1e12), writeInteger(2, 7), writeBytes(7, Uint8Array.of(1)))), /8 bytes of values, expected 8000000000000/],
    ["more integers than the shape", () => model(tensor("w", writeInteger(1, 2), writeInteger(2, 7), writeBytes(7, new Uint8Array(1_000_000)))), /24 bytes of values, expected 16/],
    ["floats one by one, and too many", () => model(tensor("w", writeInteger(1, 70_000), writeInteger(2, 1), [joinPieces(Array.from({ length: 70_000 }, () => writeFloat(4, 0)).flat())])), /more than 65536 values one by one/],
    ["float 8", () => model(tensor("w", writeInteger(1, 1), writeInteger(2, 17), writeBytes(9, Uint8Array.of(0)))), /float8/],
    ["values in a file outside", () => model(tensor("w", writeInteger(1, 1), writeInteger(2, 1), writeBytes(13, ...writeText(1, "location"), ...writeText(2, "/etc/passwd")), writeInteger(14, 1))), /keeps its values in another file/],
    ["a tensor twice", () => model(tensor("w", writeInteger(2, 1), writeBytes(9, values(1))), tensor("w", writeInteger(2, 1), writeBytes(9, values(1)))), /a second initialiser "w"/],
    ["a node without an operator", () => model(writeBytes(1, ...writeText(2, "y"))), /without an operator/],
    ["an operator that commands a terminal", () => model(node("Re\u001b[2Jlu", [], ["y"])), /"Re\\u001b\[2Jlu" has a control character/],
    ["a node of two operators", () => model(node("Relu", [], [], writeText(4, "Elu"))), /a second operator/],
    ["a node that reads what nothing makes", () => model(node("Relu", ["nowhere"], ["y"])), /"Relu" reads "nowhere", which nothing before it makes/],
    ["a circle", () => model(node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])), /reads "b", which nothing/],
    ["nodes out of order", () => model(input, node("Relu", ["a"], ["b"]), node("Relu", ["x"], ["a"])), /reads "a", which nothing/],
    ["a value made twice", () => model(input, node("Relu", ["x"], ["y"]), node("Elu", ["x"], ["y"])), /makes "y", which is made already/],
    ["a node that makes an initialiser", () => model(tensor("w", writeInteger(2, 1), writeBytes(9, values(1))), node("Relu", ["w"], ["w"])), /makes "w", which is made already/],
    ["an output that nobody makes", () => model(writeBytes(12, ...writeText(1, "h"))), /the output "h" is made by nothing/],
    ["an attribute twice", () => model(node("Conv", [], [], attribute(writeText(1, "group"), writeInteger(3, 1)), attribute(writeText(1, "group"), writeInteger(3, 2)))), /a second attribute "group"/],
    ["an attribute without a name", () => model(node("Conv", [], [], attribute(writeInteger(3, 1)))), /an attribute without a name/],
    ["an attribute of two kinds", () => model(node("Conv", [], [], attribute(writeText(1, "group"), writeInteger(3, 1), writeFloat(2, 1)))), /values of two kinds/],
    ["an attribute of two values", () => model(node("Conv", [], [], attribute(writeText(1, "group"), writeInteger(3, 1), writeInteger(3, 2)))), /a second value of an attribute "group"/],
    ["an attribute that is not what it says", () => model(node("Conv", [], [], attribute(writeText(1, "group"), writeInteger(3, 1), writeInteger(20, 1)))), /a value of kind 2, expected 1/],
    ["an attribute of a million numbers", () => model(node("Conv", [], [], attribute(writeText(1, "pads"), writeBytes(8, new Uint8Array(1_000_000))))), /more than 65536 numbers/],
    ["half a float in an attribute", () => model(node("Constant", [], ["y"], attribute(writeText(1, "value_floats"), writeBytes(7, Uint8Array.of(1, 2))))), /2 bytes of an attribute's floats/],
    ["a Constant of a damaged tensor", () => model(node("Constant", [], ["y"], attribute(writeText(1, "value"), writeBytes(5, ...writeInteger(1, 5), ...writeInteger(2, 1))))), /0 bytes of values, expected 20/],
    ["an operator set twice", () => joinPieces([model(), ...writeBytes(8, ...writeText(1, "ai.onnx"), ...writeInteger(2, 9))]), /operator set "" a second time/],
    ["ONNX's own operator as a function", () => joinPieces([model(), ...writeBytes(25, ...writeText(1, "Relu"))]), /a function "Relu" among ONNX's own/],
    ["200,000 nodes", () => model([joinPieces(Array.from({ length: 140_000 }, () => Uint8Array.of(0x0a, 3, 0x22, 1, 88)))]), /more than 131072 nodes/],
    ["graphs in graphs, 10,000 deep", () => {
      let inner: Pieces = writeText(2, "g");
      for (let i = 0; i < 10_000; i++) inner = [joinPieces(writeBytes(1, ...writeText(4, "If"), ...attribute(writeText(1, "b"), writeBytes(6, ...inner))))];
      return model(inner);
    }, /missing: conv1.weight/],
  ])("%s", async (_, make, message) => {
    const [opened, looked, verified] = await outcomes(make());
    expectRefusal(opened, message);
    // What only does not fit is no damage.
    if (!/missing/.test(message.source)) for (const other of [looked, verified]) expectRefusal(other, message);
  });

  test("floats of Constants are read however they are written, and their wholes too", async () => {
    const g = createOnnxGraph();
    expect(g.number(1)).toBe("const_f32_1");
    const constant = (name: string, field: Pieces) => node("Constant", [], [name], attribute(writeText(1, name), field));
    await files.writeAtomic("constants", model(constant("value_float", writeFloat(2, 1.5)), constant("value_floats", writeBytes(7, values(1, 2))), constant("value_int", writeInteger(3, -1)), constant("value_ints", writeBytes(8, Uint8Array.of(3, 4))), constant("value_string", writeText(4, "a"))));
    const { rows } = await readContents(files, "constants");
    expect(rows.map(({ name, dtype, shape }) => `${String(name)} ${String(dtype)} ${String(shape)}`)).toEqual(["value_float F32 scalar", "value_floats F32 2", "value_int I64 scalar", "value_ints I64 2"]);
  });

  test("every hundredth byte of the nodes spoilt: refused with 65, or one that says nothing of what is computed", async () => {
    let refused = 0;
    // Nodes come first, then initialisers with their values, which may be any; what is behind them is little.
    const nodes = 5_000;
    for (let at = 0; at < nodes; at += 101) {
      await files.writeAtomic("strange", spoilt(at, onnx[at]! ^ 0x80)());
      await openWeights(files, "strange").then(() => undefined, (error: unknown) => {
        if (!(error instanceof UserError) || error.exitCode !== 65) throw error;
        refused++;
      });
    }
    expect(refused).toBeGreaterThan(25);
  });
});
