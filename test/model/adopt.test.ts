// Weights of others: names and layouts there and back to the bit, and every misfit told at once.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sha256 } from "../../src/data/sha256.ts";
import { readOnnx, type OnnxModel, type OnnxNode } from "../../src/data/onnx.ts";
import { createOnnxGraph } from "../../src/data/onnx-graph.ts";
import { loadFloat32, storeFloat32, type StoredTensor } from "../../src/data/tensors.ts";
import { sizeOf } from "../../src/engine/trace.ts";
import { UserError } from "../../src/errors.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { adoptWeights } from "../../src/model/adopt.ts";
import { resolveConfig, type TrainConfig } from "../../src/model/config.ts";
import { describePreset } from "../../src/model/embed.ts";
import { encodeEncoder } from "../../src/model/onnx-export.ts";
import { nameInitialisers } from "../../src/model/onnx-names.ts";
import { frontFaults } from "../../src/model/onnx-operators.ts";
import { resamplePositions } from "../../src/model/positions.ts";
import { presetOf, PRESETS, type Preset } from "../../src/model/presets.ts";
import { linksOf, permute, toStateDict } from "../../src/model/state-dict.ts";
import { findTestData, ULTRAFACE } from "../support/test-data.ts";

const settings = (preset: string, more: Record<string, unknown> = {}): TrainConfig => resolveConfig({ preset, "data.patch": 64, ...more });

/** A state dict of random values with the names and shapes that PyTorch's model has, for images of `channels`. */
function draw(config: TrainConfig, channels = 1): Map<string, StoredTensor> {
  const random = randomStream(keyOfSeed(5), [1, 2, 3]);
  const preset = presetOf(config);
  const spec = describePreset(preset, config.data.patch);
  const tensors = new Map([...spec.parameters, ...spec.statistics].map(({ name, shape }) => [name, storeFloat32(Float32Array.from({ length: sizeOf(shape) }, () => random.uniform() + 0.1), shape)]));
  const theirs = toStateDict(tensors, preset.architecture);
  if (channels === 3) {
    const [name, first] = [...theirs].find(([, { shape }]) => shape.length === 4)!;
    const shape = [first.shape[0]!, 3, ...first.shape.slice(2)];
    theirs.set(name, storeFloat32(Float32Array.from({ length: sizeOf(shape) }, () => random.uniform()), shape));
  }
  return theirs;
}

const adoptFault = (theirs: ReadonlyMap<string, StoredTensor>, config: TrainConfig): UserError => {
  try {
    adoptWeights(theirs, config, "given.safetensors");
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("accepted");
};

/** Tensors as text, by name: comparing bytes one by one takes minutes. */
const texts = (tensors: ReadonlyMap<string, StoredTensor>) => new Map([...tensors].map(([name, { dtype, shape, data }]) => [name, `${dtype} ${shape.join()} ${sha256(data)}`] as const).sort(([a], [b]) => (a < b ? -1 : 1)));

describe("state dicts", () => {
  test.each(Object.keys(PRESETS))("%s: every tensor of the encoder has one counterpart", (preset) => {
    for (const more of preset.startsWith("vit") ? [{}, { "model.registers": 4 }] : preset === "hybrid" || preset === "rfb" ? [{}] : [{}, { "model.pool": "attention" }]) {
      const config = settings(preset, more);
      const { parameters, statistics } = describePreset(presetOf(config), 64);
      const ours = linksOf(presetOf(config).architecture).flatMap((link) => link.ours);
      expect([...ours].sort()).toEqual([...parameters, ...statistics].map(({ name }) => name).filter((name) => name.startsWith("encoder.")).sort());
    }
  });

  test.each([
    ["tiny", { "model.pool": "attention" }, ["conv1.weight", [16, 1, 5, 5]]],
    ["vit-tiny", { "model.registers": 4 }, ["blocks.3.attn.qkv.weight", [288, 96]]],
    ["rfb", {}, ["base_net.7.branch2.3.conv.weight", [16, 16, 3, 3]]],
  ] as const)("%s there and back, bit for bit", (preset, more, [name, shape]) => {
    const config = settings(preset, more);
    const theirs = draw(config);
    expect(theirs.get(name)?.shape).toEqual(shape);
    const { weights, report } = adoptWeights(theirs, config, "x");
    expect(report).toMatchObject({ matched: theirs.size, changed: [], leftOut: [] });
    expect(report.first.every((one) => one.startsWith("projection."))).toBe(true);
    expect(texts(toStateDict(weights.tensors, presetOf(config).architecture))).toEqual(texts(theirs));
  });

  test("fused qkv is split by rows and turned", () => {
    const config = settings("vit-tiny");
    const theirs = draw(config);
    const { weights } = adoptWeights(theirs, config, "x");
    const [fused, key] = [loadFloat32(theirs.get("blocks.2.attn.qkv.weight")!)!, loadFloat32(weights.tensors.get("encoder.block2.attention.key.weight")!)!];
    for (const [i, o] of [[0, 0], [5, 17], [95, 95]] as const) expect(key[i * 96 + o]).toBe(fused[(96 + o) * 96 + i]);
  });

  test("classifiers and counters are left out, colours summed up, positions resampled, halves widened; each is told", () => {
    const config = settings("vit-tiny");
    const theirs = draw(resolveConfig({ preset: "vit-tiny", "data.patch": 96 }), 3);
    theirs.set("head.weight", storeFloat32(new Float32Array(96), [1, 96]));
    theirs.set("norm.weight", { dtype: "BF16", shape: [96], data: new Uint8Array(192).fill(0x3f) });
    const prefixed = new Map([...theirs].map(([name, tensor]) => [`module.model.${name}`, tensor]));
    const { weights, report } = adoptWeights(prefixed, config, "x");
    expect(report.leftOut).toEqual(["head.weight"]);
    expect(report.changed).toEqual(["patch_embed.proj.weight: filters over three colours summed up for grey images", "pos_embed: positions resampled from 12 × 12 to 8 × 8"]);
    const [rgb, grey] = [loadFloat32(theirs.get("patch_embed.proj.weight")!)!, loadFloat32(weights.tensors.get("encoder.embed.weight")!)!];
    expect(grey[3 * 96 + 2]).toBe(Math.fround(rgb[6 * 64 + 3]! + rgb[7 * 64 + 3]! + rgb[8 * 64 + 3]!));
    const positions = loadFloat32(theirs.get("pos_embed")!)!;
    expect(loadFloat32(weights.tensors.get("encoder.positions")!)!.subarray(96)).toEqual(resamplePositions(positions.subarray(96), [12, 12], [8, 8], 96));
    expect(new Set(loadFloat32(weights.tensors.get("encoder.norm.weight")!)!)).toEqual(new Set([0.746_093_75]));
  });

  test("torchvision's names of a vision transformer", () => {
    const config = settings("vit-tiny");
    const theirs = draw(config);
    const back: readonly (readonly [RegExp, string])[] = [[/^patch_embed\.proj/, "conv_proj"], [/^cls_token/, "class_token"], [/^pos_embed/, "encoder.pos_embedding"], [/^norm\./, "encoder.ln."], [/^blocks\.(\d)\./, "encoder.layers.encoder_layer_$1."], [/norm(\d)\./, "ln_$1."], [/attn\.qkv\./, "self_attention.in_proj_"], [/attn\.proj/, "self_attention.out_proj"], [/mlp\.fc1/, "mlp.0"], [/mlp\.fc2/, "mlp.3"]];
    const renamed = new Map([...theirs].map(([name, tensor]) => [back.reduce((at, [from, to]) => at.replace(from, to), name), tensor]));
    renamed.set("heads.head.weight", storeFloat32(new Float32Array(96), [1, 96]));
    expect(renamed.has("encoder.layers.encoder_layer_3.self_attention.in_proj_weight")).toBe(true);
    expect(texts(adoptWeights(renamed, config, "x").weights.tensors)).toEqual(texts(adoptWeights(theirs, config, "x").weights.tensors));
  });

  test("all misfits at once, with exit code 65", () => {
    const config = settings("tiny");
    const theirs = draw(config);
    theirs.delete("bn1.bias");
    theirs.set("layer1.0.conv1.weight", storeFloat32(new Float32Array(16), [1, 16, 1, 1]));
    theirs.set("layer1.0.bn1.weight", { dtype: "I64", shape: [8], data: new Uint8Array(64) });
    theirs.set("layer1.0.bn2.weight", storeFloat32(Float32Array.from({ length: 8 }, (_, i) => (i === 3 ? NaN : 1)), [8]));
    theirs.set("layer1.0.bn3.running_var", storeFloat32(Float32Array.from({ length: 32 }, (_, i) => (i === 2 ? -1e-3 : 1)), [32]));
    theirs.set("layer9.0.conv1.weight", storeFloat32(new Float32Array(1), [1]));
    theirs.set("../../etc/passwd", storeFloat32(new Float32Array(1), [1]));
    theirs.set("__proto__", storeFloat32(new Float32Array(1), [1]));
    const error = adoptFault(theirs, config);
    expect(error.exitCode).toBe(65);
    expect(error.message).toMatch(/^given\.safetensors: 8 tensors do not fit the encoder of tiny \(\d+ fit, 1 missing, 3 unexpected\)/);
    expect(error.notes.slice(0, 8)).toEqual([
      "missing: bn1.bias",
      "layer1.0.conv1.weight: shape [1, 16, 1, 1], expected [8, 16, 1, 1]",
      "layer1.0.bn1.weight: I64, expected F32, F16, BF16 or F64",
      "layer1.0.bn2.weight: value 3 is NaN, expected finite numbers",
      `layer1.0.bn3.running_var: value 2 is ${Math.fround(-1e-3)}, expected variances from 0`,
      "unexpected: layer9.0.conv1.weight",
      'unexpected: "../../etc/passwd", which is no name of a weight',
      'unexpected: "__proto__", which is no name of a weight',
    ]);
  });

  test("weights without attention pooling say how to take them", () => {
    expect(adoptFault(draw(settings("tiny")), settings("tiny", { "model.pool": "attention" })).notes).toEqual(["missing: attn_pool.query", "missing: attn_pool.key.weight", "missing: attn_pool.value.weight", expect.stringContaining("--set model.pool=average")]);
  });

  test("weights of another architecture name what is missing, and count what is too much to list", () => {
    const error = adoptFault(draw(settings("vit-tiny")), settings("tiny"));
    expect(error.notes).toContain("missing: conv1.weight");
    expect(error.notes.find((line) => /^and \d+ more that are unexpected$/.test(line))).toBeDefined();
  });
});

const ultraface = findTestData(ULTRAFACE) ?? "";
test.skipIf(ultraface === "")("UltraFace's own file: every tensor of the backbone is taken, bit for bit, and the heads are left out", () => {
  const config = settings("rfb");
  const model = readOnnx(new Uint8Array(readFileSync(ultraface)), ultraface);
  expect([model.tensors.size, model.opset, model.inputs, model.outputs]).toEqual([275, 9, ["input"], ["scores", "boxes"]]);
  const { tensors, notes, faults } = nameInitialisers(model, presetOf(config).architecture);
  const { weights, report } = adoptWeights(tensors, config, ultraface, notes);
  expect(report).toMatchObject({ matched: 175, changed: [...notes, "base_net.0.0.weight: filters over three colours summed up for grey images"] });
  // The places that its heads propose lie in the graph.
  expect([notes, faults]).toEqual([[expect.stringMatching(/^3 tensors without a place, left out: "465" F32\[1, 4420, 2\]/)], []]);
  expect(report.leftOut.every((name) => /num_batches_tracked|headers|extras/.test(name))).toBe(true);
  const back = texts(toStateDict(weights.tensors, presetOf(config).architecture));
  const theirs = texts(model.tensors);
  for (const [name, text] of back) if (name !== "base_net.0.0.weight") expect(theirs.get(name), name).toBe(text);
});

describe("names of an exported model's initialisers", () => {
  /** What exporters make of a state dict: linear weights turned and numbered, convolutions numbered, their norms folded. */
  function exported(theirs: ReadonlyMap<string, StoredTensor>, config: TrainConfig, named: boolean): Uint8Array {
    const g = createOnnxGraph();
    let x = "x";
    const place = (path: string, op: string, inputs: string[]) => {
      const parts = path.split(".");
      const walk = parts.flatMap((part, i) => (/^\d+$/.test(part) ? [] : [/^\d+$/.test(parts[i + 1] ?? "") ? [part, `${part}.${parts[i + 1]}`] : [part]])).flat();
      x = named ? walk.reduceRight<() => string>((build, part) => () => g.within(part, build), () => g.apply(op, inputs))() : g.apply(op, inputs);
    };
    let count = 400;
    for (const { theirs: name, layout, norm } of linksOf(presetOf(config).architecture)) {
      const tensor = theirs.get(name)!;
      const path = name.replace(/\.(weight|bias)$/, "");
      if (layout === "filter" && norm !== undefined) place(path, "Conv", [x, g.initialiser(`onnx::Conv_${count++}`, tensor), g.initialiser(`onnx::Conv_${count++}`, theirs.get(`${norm}.bias`)!)]);
      else if (layout === "linear") {
        const turned = permute(loadFloat32(tensor)!, tensor.shape, [1, 0]);
        place(path, "MatMul", [x, g.initialiser(`onnx::MatMul_${count++}`, storeFloat32(turned.values, turned.shape))]);
        if (theirs.has(`${path}.bias`)) x = g.apply("Add", [g.initialiser(`${path}.bias`, theirs.get(`${path}.bias`)!), x]);
      } else if (!/(bn|downsample\.1|base_net).*\.(weight|bias|running_\w+)$/.test(name)) g.initialiser(name, tensor);
    }
    g.integers(0, -1);
    return g.encode({ inputs: { x: [1] }, outputs: { y: { value: x, shape: [1] } }, metadata: new Map(), doc: "", producer: ["pytorch", "2"] });
  }
  test.each([
    ["vit-tiny", true],
    ["vit-tiny", false],
    ["tiny", true],
    ["tiny", false],
  ] as const)("%s, operators with names: %s", (preset, named) => {
    const config = settings(preset);
    const { architecture } = presetOf(config);
    const theirs = draw(config);
    // A folded norm comes back as one that adds the bias and does nothing else.
    for (const { norm } of linksOf(architecture)) if (norm !== undefined) for (const [part, value] of [["weight", 1], ["running_mean", 0], ["running_var", 1 - 1e-5]] as const) theirs.set(`${norm}.${part}`, storeFloat32(new Float32Array(theirs.get(`${norm}.${part}`)!.shape[0]!).fill(value), theirs.get(`${norm}.${part}`)!.shape));
    const { tensors, notes } = nameInitialisers(readOnnx(exported(theirs, config, named), "x"), architecture);
    expect(notes.length).toBeGreaterThan(0);
    const { weights, report } = adoptWeights(tensors, config, "x", notes);
    expect(report.changed).toEqual(notes);
    expect(texts(weights.tensors)).toEqual(texts(adoptWeights(theirs, config, "x").weights.tensors));
  });
});

describe("operators that weights do not show", () => {
  const hybrid: Preset = { ...PRESETS["hybrid"]!, architecture: { kind: "vit", patch: 16, width: 8, depth: 1, heads: 2, expansion: 4, epsilon: 1e-6, registers: 0, grid: null, trunk: { stem: { filter: 7, stride: 2, channels: 4, pool: { window: 3, stride: 2 } }, stages: [{ blocks: 1, planes: 2, stride: 1 }, { blocks: 2, planes: 2, stride: 2 }], expansion: 4 } } };
  const written = (preset: Preset): OnnxModel => {
    const { parameters, statistics } = describePreset(preset, 64);
    const tensors = new Map([...parameters, ...statistics].map(({ name, shape }) => [name, storeFloat32(new Float32Array(sizeOf(shape)).fill(0.5), shape)]));
    return readOnnx(encodeEncoder(tensors, { preset, patch: 64, mean: 0, deviation: 1, step: 0, config: {} }), "x");
  };
  const models = { mean: written(presetOf(settings("tiny"))), hybrid: written(hybrid), tiny: written(presetOf(settings("tiny", { "model.pool": "attention" }))), rfb: written(PRESETS["rfb"]!), grid: written(presetOf(settings("vit-tiny", { "model.grid": 5, "model.registers": 2 }))) };
  const architectures = { mean: presetOf(settings("tiny")).architecture, hybrid: hybrid.architecture, tiny: presetOf(settings("tiny", { "model.pool": "attention" })).architecture, rfb: PRESETS["rfb"]!.architecture, grid: presetOf(settings("vit-tiny", { "model.grid": 5, "model.registers": 2 })).architecture };
  const judge = (name: keyof typeof models, change: (node: OnnxNode, index: number) => OnnxNode | readonly OnnxNode[] = (node) => node, more: Readonly<Record<string, StoredTensor>> = {}) =>
    nameInitialisers({ ...models[name], tensors: new Map([...models[name].tensors, ...Object.entries(more)]), nodes: models[name].nodes.flatMap(change) }, architectures[name]);
  const having = (op: string, attributes: OnnxNode["attributes"] extends ReadonlyMap<string, infer V> ? Record<string, V> : never, when: (node: OnnxNode) => boolean = () => true) => (node: OnnxNode): OnnxNode =>
    node.op === op && when(node) ? { ...node, attributes: new Map([...node.attributes, ...Object.entries(attributes)]) } : node;

  test("what was exported here has nothing strange", () => {
    for (const name of ["mean", "hybrid", "tiny", "rfb", "grid"] as const) expect([name, judge(name).faults, judge(name).notes]).toEqual([name, [], []]);
  });

  test.each<[string, readonly string[], ReturnType<typeof judge>]>([
    ["batch norms of another epsilon", ["12 × batch norm with epsilon 0.001, expected 0.00001"], judge("hybrid", having("BatchNormalization", { epsilon: Math.fround(1e-3) }))],
    ["layer norms of another epsilon", ["3 × layer norm with epsilon 0.00001, expected 0.000001"], judge("hybrid", having("LayerNormalization", { epsilon: Math.fround(1e-5) }))],
    ["layer norms that leave theirs to the default", ["3 × layer norm with epsilon 0.00001, expected 0.000001"], judge("hybrid", (node) => (node.op === "LayerNormalization" ? { ...node, attributes: new Map() } : node))],
    ["a layer norm in parts", ["1 × layer norm in parts with epsilon 0.001, expected 0.000001"], judge("hybrid", (node, i) => (i > 0 ? node : [{ ...node, op: "Add", name: "", inputs: ["variance", "897"], outputs: ["sum"], attributes: new Map() }, { ...node, op: "Sqrt", name: "", inputs: ["sum"], outputs: ["root"], attributes: new Map() }, node]), { "897": storeFloat32(Float32Array.of(1e-3), []) })],
    ["a stride on the other convolution, as in the first ResNets", ["the convolution patch_embed.backbone.layer2.0.conv1 has strides [2, 2], expected [1, 1]", "the convolution patch_embed.backbone.layer2.0.conv2 has strides [1, 1], expected [2, 2]"], judge("hybrid", (node) => having("Conv", { strides: [1, 1] }, ({ inputs }) => inputs[1]!.endsWith("layer2.0.conv2.weight"))(having("Conv", { strides: [2, 2] }, ({ inputs }) => inputs[1]!.endsWith("layer2.0.conv1.weight"))(node)))],
    ["padding as TensorFlow has it", ["the convolution conv1 has pads SAME_UPPER, expected [2, 2, 2, 2]"], judge("tiny", having("Conv", { auto_pad: "SAME_UPPER" }, ({ inputs }) => inputs[1] === "conv1.weight"))],
    ["another dilation", ["the convolution base_net.7.branch1.2.conv has dilations [2, 2], expected [3, 3]"], judge("rfb", having("Conv", { dilations: [2, 2] }, ({ inputs }) => inputs[1] === "base_net.7.branch1.2.conv.weight"))],
    ["max pooling without padding", ["the max pooling has pads [0, 0, 0, 0], expected [1, 1, 1, 1]"], judge("hybrid", having("MaxPool", { pads: [0, 0, 0, 0] }))],
    ["another activation", ["layer1.0.conv2 works on HardSwish(layer1.0.conv1), expected Relu(layer1.0.conv1)", "layer1.0.conv3 works on HardSwish(layer1.0.conv2), expected Relu(layer1.0.conv2)", "layer2.0.downsample.0 works on HardSwish(Add(layer1.0.downsample.0, layer1.0.conv3)), expected Relu(Add(layer1.0.downsample.0, layer1.0.conv3))", expect.stringMatching(/^and \d+ more places/) as string], judge("tiny", (node, i) => (node.op === "Relu" && i > 4 ? { ...node, op: "HardSwish" } : node))],
    ["one activation of another kind", ["layer3.0.conv2 works on Elu(layer3.0.conv1), expected Relu(layer3.0.conv1)"], judge("tiny", (node) => (node.op === "Relu" && node.name.includes("layer3/0/conv1") ? { ...node, op: "Elu" } : node))],
    ["an operator of another domain", ["layer3.0.conv2 works on com.example::Relu(layer3.0.conv1), expected Relu(layer3.0.conv1)"], judge("tiny", (node) => (node.op === "Relu" && node.name.includes("layer3/0/conv1") ? { ...node, op: "com.example::Relu" } : node))],
    ["a convolution of another domain", ["layer3.0.conv2 is used by no operator that could be its own", expect.stringMatching(/^layer3.0.conv3 works on Relu\(BatchNormalization\(com.example::Conv\(/) as string], judge("tiny", (node) => (node.op === "Conv" && node.inputs[1] === "layer3.0.conv2.weight" ? { ...node, op: "com.example::Conv" } : node))],
    ["no max pooling", [expect.stringMatching(/layer1.0.downsample.0 works on Relu\(patch_embed.backbone.conv1\), expected MaxPool\(Relu\(/) as string, expect.stringMatching(/layer1.0.conv1/) as string], judge("hybrid", (node) => (node.op === "MaxPool" ? { ...node, op: "Identity" } : node))],
    ["max pooling that rounds up", ["the max pooling rounds the number of its windows up, expected down"], judge("hybrid", having("MaxPool", { ceil_mode: 1 }))],
    ["a shortcut left out", ["layer4.0.conv1 works on Relu(layer3.0.conv3), expected Relu(Add(layer3.0.downsample.0, layer3.0.conv3))", "layer4.0.downsample.0 works on Relu(layer3.0.conv3), expected Relu(Add(layer3.0.downsample.0, layer3.0.conv3))"].sort().reverse(), judge("tiny", (node) => (node.op === "Add" && /^\/Add_/.test(node.name) && node.inputs[0] === models.tiny.nodes.find(({ inputs }) => inputs[1] === "layer3.0.bn3.weight")!.outputs[0] ? { ...node, op: "Identity", inputs: [node.inputs[0]!] } : node))],
    ["a norm's mean and bias exchanged", ["layer2.0.conv2 works on Relu(BatchNormalization(layer2.0.conv1, layer2.0.bn1.weight, layer2.0.bn1.running_mean, layer2.0.bn1.bias, …)), expected Relu(layer2.0.conv1)"], judge("tiny", (node) => (node.inputs[1] === "layer2.0.bn1.weight" ? { ...node, inputs: [node.inputs[0]!, node.inputs[1], node.inputs[3]!, node.inputs[2]!, node.inputs[4]!] } : node))],
    ["numbers of a formula that are several", ["unexpected: \"onnx::Mul_9\" F32[4], read by Mul", "layer2.0.conv2 works on Mul(Relu(layer2.0.conv1), onnx::Mul_9), expected Relu(layer2.0.conv1)"], judge("tiny", (node) => (node.inputs[1] === "layer2.0.conv2.weight" ? [{ ...node, op: "Mul", name: "", inputs: [node.inputs[0]!, "onnx::Mul_9"], outputs: ["scaled"], attributes: new Map() }, { ...node, inputs: ["scaled", node.inputs[1]] }] : node), { "onnx::Mul_9": storeFloat32(new Float32Array(4), [4]) })],
    ["another number of heads", ["scores of attention are multiplied by 0.25, expected 0.176777: another number of heads"], judge("grid", undefined, { [`const_f32_${1 / Math.sqrt(32)}`]: storeFloat32(Float32Array.of(0.25), []) })],
    ["features that are no mean", ["nothing in it is the features, mean(Relu(Add(layer4.0.downsample.0, layer4.0.conv3)))"], judge("mean", (node) => (node.op === "GlobalAveragePool" ? { ...node, op: "GlobalMaxPool" } : node))],
  ])("%s", (_, faults, got) => {
    expect(got.faults).toEqual(faults);
  });

  test("the same formulas as others write them: norms and GELU in parts, as one operator, heads' sizes looked up, products with their bias", () => {
    const node = (op: string, inputs: readonly string[], output: string): OnnxNode => ({ op, name: "", inputs, outputs: [output], attributes: new Map() });
    const parts = ({ op, inputs, outputs }: OnnxNode): readonly OnnxNode[] => {
      const [x = "", gamma = "", beta = ""] = inputs;
      const [y = ""] = outputs;
      return op !== "LayerNormalization" ? [] : [node("ReduceMean", [x], `${y}.m`), node("Sub", [x, `${y}.m`], `${y}.c`), node("Pow", [`${y}.c`, "two"], `${y}.s`), node("ReduceMean", [`${y}.s`], `${y}.v`), node("Add", [`${y}.v`, "tiny"], `${y}.e`), node("Sqrt", [`${y}.e`], `${y}.d`), node("Div", [`${y}.c`, `${y}.d`], `${y}.n`), node("Mul", [`${y}.n`, gamma], `${y}.w`), node("Add", [`${y}.w`, beta], y)];
    };
    const numbers = { two: storeFloat32(Float32Array.of(2), []), tiny: storeFloat32(Float32Array.of(1e-6), []) };
    const inParts = judge("hybrid", (one) => (one.op === "LayerNormalization" ? parts(one) : one), numbers);
    expect(inParts.faults).toEqual([]);
    // GELU is x/√2 → erf → + 1 → · x → · 1/2 here: its last product becomes the operator, what is before it nobody reads.
    const half = models.hybrid.nodes.filter(({ op, inputs }) => op === "Mul" && inputs[1] === "const_f32_0.5" && models.hybrid.nodes.some((other) => other.op === "Mul" && other.outputs[0] === inputs[0] && other !== undefined));
    const erf = models.hybrid.nodes.find(({ op }) => op === "Erf")!;
    const x = models.hybrid.nodes.find(({ outputs }) => outputs[0] === erf.inputs[0])!.inputs[0]!;
    expect(half).toHaveLength(1);
    expect(judge("hybrid", (one) => (one === half[0] ? node("Gelu", [x], one.outputs[0]!) : one)).faults).toEqual([]);
    expect(judge("hybrid", (one) => (one === half[0] ? { ...node("Gelu", [x], one.outputs[0]!), attributes: new Map([["approximate", "tanh"]]) } : one)).faults).toEqual([expect.stringMatching(/^blocks.0.mlp.fc2 works on Gelu by tanh\(blocks.0.mlp.fc1\), expected 0?/) as string]);
    const softmax = models.hybrid.nodes.find(({ op }) => op === "Softmax")!;
    const scaled = models.hybrid.nodes.find(({ outputs }) => outputs[0] === softmax.inputs[0])!;
    expect(judge("hybrid", (one) => (one === scaled ? [node("Shape", [scaled.inputs[0]!], "shape"), node("Cast", ["shape"], "size"), node("Sqrt", ["size"], "root"), node("Div", [scaled.inputs[0]!, "root"], scaled.outputs[0]!)] : one)).faults).toEqual([]);
    const bias = models.hybrid.nodes.find(({ op, inputs }) => op === "Add" && inputs[1] === "blocks.0.mlp.fc1.bias")!;
    const product = models.hybrid.nodes.find(({ outputs }) => outputs[0] === bias.inputs[0])!;
    expect(judge("hybrid", (one) => (one === product ? [] : one === bias ? node("Gemm", [...product.inputs, "blocks.0.mlp.fc1.bias"], bias.outputs[0]!) : one)).faults).toEqual([]);
  });

  test("what is done to intensities in front is what the settings say, or a fault", () => {
    const vector = (name: string, ...values: number[]) => ({ [name]: storeFloat32(Float32Array.from(values), [1, values.length, 1, 1]) });
    const front = judge("tiny", (node) => (node.inputs[0] === "images" ? [{ ...node, op: "Div", inputs: ["images", "white"], outputs: ["unit"] }, { ...node, inputs: ["unit", "means"] }] : node.op === "Div" ? { ...node, inputs: [node.inputs[0]!, "spread"] } : node), { ...vector("white", 255), ...vector("means", 0.25, 0.25), ...vector("spread", 0.5) });
    expect([front.faults, frontFaults(front.front, 0.25, 0.5)]).toEqual([[], []]);
    expect(frontFaults(front.front, 0.449, 0.226)).toEqual(["it brings intensities to (x − 63.75) / 127.5 in one of 2 channels itself, expected (x − 0.449) / 0.226, as the settings data.mean and data.deviation say"]);
    expect(frontFaults([], 0.449, 0.226)).toEqual([]);
    for (const value of [0, NaN]) expect(frontFaults([{ op: "Mul", name: "x", values: [value] }], 0, 1)).toHaveLength(1);
  });

  test("a weight of one word inside the encoder, a numbered one, and one that nobody reads", () => {
    const scale = (name: string) => (node: OnnxNode): readonly OnnxNode[] => (node.op === "Conv" && node.inputs[1] === "layer1.0.conv2.weight" ? [{ ...node, op: "Mul", name: "", inputs: [node.inputs[0]!, name], outputs: ["scaled"], attributes: new Map() }, { ...node, inputs: ["scaled", ...node.inputs.slice(1)] }] : [node]);
    const four = storeFloat32(new Float32Array(4), [4]);
    for (const name of ["gamma", "1234", "onnx::Mul_77"]) {
      expect(judge("tiny", scale(name), { [name]: four }).faults).toEqual([`unexpected: "${name}" F32[4], read by Mul`, expect.stringMatching(/^layer1.0.conv2 works on Mul\(/)]);
      expect(judge("tiny", undefined, { [name]: four }).faults).toEqual([`unexpected: "${name}" F32[4], read by nothing`]);
    }
    // Behind the features it changes none of them, and one number is a part of a formula; a learned one, by its name, is told.
    const behind = judge("tiny", (node) => (node.outputs[0] === "h" ? [node, { ...node, op: "Mul", name: "", inputs: ["h", "gamma"], outputs: ["scores"], attributes: new Map() }] : node), { gamma: four });
    expect([behind.faults, behind.notes]).toEqual([[], ['1 tensor without a place, left out: "gamma" F32[4]']]);
    const one = storeFloat32(Float32Array.of(2), []);
    expect(judge("tiny", scale("55"), { "55": one }).faults).toEqual(["layer1.0.conv2 works on factor(2, Relu(layer1.0.conv1)), expected Relu(layer1.0.conv1)"]);
    expect(judge("tiny", scale("temperature"), { temperature: one }).notes).toEqual(['1 tensor without a place, left out: "temperature" F32[]']);
  });
});
