// The initialisers of an ONNX model under the names of the PyTorch model that it was exported from.
import type { OnnxModel, OnnxNode } from "../data/onnx.ts";
import { countElements, loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import { customaryNames, LINES } from "./adopt.ts";
import { POSITIONS, type FrontStep } from "./onnx-formulas.ts";
import { listFaults } from "./onnx-operators.ts";
import type { Architecture } from "./presets.ts";
import { linksOf, permute } from "./state-dict.ts";

/** What our batch norms add to variances: a folded norm gets the variance that makes the root 1. */
const EPSILON = 1e-5;

export interface Named {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What was done to find names, and what was left out: one line each. */
  readonly notes: readonly string[];
  /** Operators that compute something else than the architecture's: one line each. */
  readonly faults: readonly string[];
  /** What the model does to the image in front of the encoder. */
  readonly front: readonly FrontStep[];
}

/**
 * Exporters keep most names, but give numbers to what they folded or transposed. Those are named by the place of the operator that reads
 * them: its own name (`/layer1/layer1.0/conv1/Conv`), the bias beside it, or, for a convolutional encoder without either, the
 * order of its convolutions. A batch norm folded into its convolution comes back as one that only adds the bias. Floats that have no place are
 * told: as faults where the encoder reads them or nobody does, as notes where only what stands behind it does.
 */
export function nameInitialisers(model: OnnxModel, architecture: Architecture): Named {
  const links = linksOf(architecture);
  const expected = new Set(links.map(({ theirs }) => theirs));
  const norms = new Map(links.flatMap(({ theirs, norm }) => (norm === undefined ? [] : [[theirs.slice(0, -".weight".length), norm] as const])));
  const source = new Map(model.tensors);
  const taken = new Set<string>();
  for (const { op, inputs, outputs } of model.nodes) {
    // Tensors of the same values are kept once and handed on under their other names.
    const same = op === "Identity" ? source.get(inputs[0] ?? "") : undefined;
    if (!same || outputs[0] === undefined || source.has(outputs[0])) continue;
    source.set(outputs[0], same);
    if (!isAnonymous(outputs[0])) taken.add(inputs[0] ?? "");
  }
  const found = new Map<string, StoredTensor>();
  for (const [name, tensor] of source) if (!isAnonymous(name) || expected.has(name)) found.set(name, tensor);
  const given = [...found.keys()];
  const places = new Set(customaryNames(given).flatMap((name, i) => (expected.has(name) ? [given[i]!] : [])));
  const used = new Set<string>();
  const paths = new Map<OnnxNode, string>();
  let folded = 0;
  const convolutions = model.nodes.filter(({ op, inputs }) => op === "Conv" && source.has(inputs[1] ?? ""));
  const order = links.filter(({ layout, norm }) => layout === "filter" && norm !== undefined).map(({ theirs }) => theirs.slice(0, -".weight".length));
  const byOrder = convolutions.length === order.length && convolutions.every((node) => pathOf(node, source) === undefined);
  const biasBeside = findBiases(model.nodes, source);
  for (const node of model.nodes) {
    const [, weight = "", bias = ""] = node.inputs;
    const tensor = source.get(weight);
    if (!tensor || !["Conv", "Gemm", "MatMul"].includes(node.op)) continue;
    const path = byOrder && node.op === "Conv" ? order[convolutions.indexOf(node)] : (pathOf(node, source) ?? biasBeside(node));
    if (path === undefined) continue;
    paths.set(node, path);
    const full = `${path}.weight`;
    if (isAnonymous(weight) && !found.has(full)) {
      const isLinear = node.op === "MatMul" || (node.op === "Gemm" && (node.attributes.get("transB") ?? 0) === 0);
      const turned = isLinear ? transposed(tensor) : tensor;
      if (turned) {
        found.set(full, turned);
        used.add(weight);
      }
    }
    const shift = source.get(bias);
    const norm = norms.get(path);
    if (expected.has(full)) places.add(weight);
    if (shift && norm !== undefined && node.op === "Conv" && isAnonymous(bias)) taken.add(bias);
    if (shift && norm !== undefined && node.op === "Conv" && !expected.has(`${path}.bias`) && !found.has(`${norm}.weight`)) {
      const c = shift.shape[0] ?? 0;
      found.delete(`${path}.bias`);
      found.set(`${norm}.weight`, filled(c, 1)).set(`${norm}.bias`, shift).set(`${norm}.running_mean`, filled(c, 0)).set(`${norm}.running_var`, filled(c, 1 - EPSILON));
      folded++;
    } else if (shift && isAnonymous(bias) && !found.has(`${path}.bias`)) {
      found.set(`${path}.bias`, shift);
      taken.add(bias);
    }
  }
  const strange = [...model.tensors].filter(([name, tensor]) => !found.has(name) && !used.has(name) && !taken.has(name) && isFloat(tensor) && name !== POSITIONS);
  const notes: string[] = [];
  if (used.size > 0) notes.push(`${used.size} weights without a name, named by ${byOrder ? "their order" : "their operators"}`);
  if (folded > 0) notes.push(`${folded} batch norms folded into their convolutions, taken as norms that add the bias`);
  const operators = listFaults(model, source, architecture, paths, [...found.keys()].filter((name) => source.has(name)));
  const { leftOut, faults } = judgeStrange(model, strange, places, new Set(operators.front.map(({ name }) => name)));
  if (leftOut.length > 0) notes.push(`${leftOut.length} ${leftOut.length === 1 ? "tensor" : "tensors"} without a place, left out: ${leftOut.slice(0, 3).join(", ")}${leftOut.length > 3 ? ", …" : ""}`);
  return { tensors: found, notes, faults: [...faults, ...operators.faults], front: operators.front };
}

/**
 * What floats without a place mean. One number is a part of a formula, and what only stands in front of the encoder is judged as such; anything else
 * is a weight, which changes what the encoder computes unless all that reads it stands behind the encoder's last weight.
 */
function judgeStrange({ nodes, constants }: OnnxModel, strange: readonly (readonly [string, StoredTensor])[], places: ReadonlySet<string>, front: ReadonlySet<string>): { leftOut: readonly string[]; faults: readonly string[] } {
  const made = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const inside = new Set<OnnxNode>();
  for (const stack = nodes.filter(({ inputs }) => inputs.some((name) => places.has(name))); stack.length > 0; ) {
    const node = stack.pop()!;
    if (inside.has(node)) continue;
    inside.add(node);
    for (const name of node.inputs) {
      const from = made.get(name);
      if (from) stack.push(from);
    }
  }
  const readersOf = new Map<string, OnnxNode[]>(strange.map(([name]) => [name, []]));
  for (const node of nodes) for (const name of new Set(node.inputs)) readersOf.get(name)?.push(node);
  const leftOut: string[] = [];
  const faults: string[] = [];
  for (const [name, { dtype, shape }] of strange) {
    const isOne = countElements(shape) === 1;
    if (front.has(name) || (isOne && (isNumbered(name) || constants.has(name)))) continue;
    const readers = readersOf.get(name) ?? [];
    const told = `${JSON.stringify(name.slice(0, 100))} ${dtype}[${shape.join(", ")}]`;
    if (isOne || (readers.length > 0 && readers.every((node) => !inside.has(node)))) leftOut.push(told);
    else faults.push(`unexpected: ${told}, read by ${[...new Set(readers.map(({ op }) => op.slice(0, 80)))].slice(0, 5).join(", ") || "nothing"}`);
  }
  return { leftOut, faults: faults.length > LINES ? [...faults.slice(0, LINES), `and ${faults.length - LINES} more that are unexpected`] : faults };
}

const isFloat = ({ dtype }: StoredTensor): boolean => dtype === "F32" || dtype === "F16" || dtype === "BF16" || dtype === "F64";

/** Numbers, and names that exporters make up: `onnx::MatMul_1234`, `497`, `/blocks.0/Constant_output_0`. */
const isNumbered = (name: string): boolean => /^\d+$|^onnx::|^_?val_|^\/|^const|_output_\d+$/i.test(name);

function isAnonymous(name: string): boolean {
  if (isNumbered(name)) return true;
  // A path of modules, or what vision transformers keep beside theirs: a parameter, whether or not the preset has a place for it.
  return !/^[a-z_]\w*(\.\w+)+$/i.test(name) && !/(token|embed)$/.test(name);
}

/** The module whose operator a node is: by its weight's name, or by its own. */
function pathOf(node: OnnxNode, source: ReadonlyMap<string, StoredTensor>): string | undefined {
  const weight = node.inputs[1] ?? "";
  if (weight.endsWith(".weight") && source.has(weight)) return weight.slice(0, -".weight".length);
  const parts = node.name.split("/").slice(0, -1).filter((part) => part !== "");
  if (!node.name.startsWith("/") || parts.length === 0) return undefined;
  // Members of a list stand behind it under their whole name: blocks, blocks.0.
  return parts.filter((part, i) => !parts[i + 1]?.startsWith(`${part}.`)).join(".");
}

/** Of a product whose result a named bias is added to: the bias's module. */
function findBiases(nodes: readonly OnnxNode[], source: ReadonlyMap<string, StoredTensor>): (node: OnnxNode) => string | undefined {
  const modules = new Map<string, string>();
  for (const { op, inputs } of nodes) {
    const bias = op === "Add" ? inputs.find((name) => name.endsWith(".bias") && source.has(name)) : undefined;
    if (bias !== undefined) for (const name of inputs) if (!modules.has(name)) modules.set(name, bias.slice(0, -".bias".length));
  }
  return ({ outputs }) => modules.get(outputs[0] ?? "");
}

function transposed(tensor: StoredTensor): StoredTensor | undefined {
  const values = loadFloat32(tensor);
  if (!values || tensor.shape.length !== 2) return undefined;
  const turned = permute(values, tensor.shape, [1, 0]);
  return storeFloat32(turned.values, turned.shape);
}

function filled(c: number, value: number): StoredTensor {
  return storeFloat32(new Float32Array(c).fill(value), [c]);
}
