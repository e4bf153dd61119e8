// The initialisers of an ONNX model under the names of the PyTorch model that it was exported from.
import type { OnnxModel, OnnxNode } from "../data/onnx.ts";
import { loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Architecture } from "./presets.ts";
import { linksOf, permute } from "./state-dict.ts";

/** What our batch norms add to variances: a folded norm gets the variance that makes the root 1. */
const EPSILON = 1e-5;

export interface Named {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What was done to find names: one line each. */
  readonly notes: readonly string[];
}

/**
 * Exporters keep most names, but give numbers to what they folded or transposed. Those are named by the place of the operator that reads
 * them: its own name (`/layer1/layer1.0/conv1/Conv`), the bias beside it, or, for a convolutional encoder without either, the
 * order of its convolutions. A batch norm folded into its convolution comes back as one that only adds the bias.
 */
export function nameInitialisers(model: OnnxModel, architecture: Architecture): Named {
  const links = linksOf(architecture);
  const expected = new Set(links.map(({ theirs }) => theirs));
  const norms = new Map(links.flatMap(({ theirs, norm }) => (norm === undefined ? [] : [[theirs.slice(0, -".weight".length), norm] as const])));
  const source = new Map(model.tensors);
  for (const { op, inputs, outputs } of model.nodes) {
    // Tensors of the same values are kept once and handed on under their other names.
    const same = op === "Identity" ? source.get(inputs[0] ?? "") : undefined;
    if (same && outputs[0] !== undefined && !source.has(outputs[0])) source.set(outputs[0], same);
  }
  const found = new Map<string, StoredTensor>();
  for (const [name, tensor] of source) if (!isAnonymous(name) || expected.has(name)) found.set(name, tensor);
  const used = new Set<string>();
  let folded = 0;
  const convolutions = model.nodes.filter(({ op, inputs }) => op === "Conv" && source.has(inputs[1] ?? ""));
  const order = links.filter(({ layout, norm }) => layout === "filter" && norm !== undefined).map(({ theirs }) => theirs.slice(0, -".weight".length));
  const byOrder = convolutions.length === order.length && convolutions.every((node) => pathOf(node, source) === undefined);
  for (const node of model.nodes) {
    const [, weight = "", bias = ""] = node.inputs;
    const tensor = source.get(weight);
    if (!tensor || !["Conv", "Gemm", "MatMul"].includes(node.op)) continue;
    const path = byOrder && node.op === "Conv" ? order[convolutions.indexOf(node)] : (pathOf(node, source) ?? besideBias(node, model.nodes, source));
    if (path === undefined) continue;
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
    if (shift && norm !== undefined && node.op === "Conv" && !expected.has(`${path}.bias`) && !found.has(`${norm}.weight`)) {
      const c = shift.shape[0] ?? 0;
      found.delete(`${path}.bias`);
      found.set(`${norm}.weight`, filled(c, 1)).set(`${norm}.bias`, shift).set(`${norm}.running_mean`, filled(c, 0)).set(`${norm}.running_var`, filled(c, 1 - EPSILON));
      folded++;
    } else if (shift && isAnonymous(bias) && !found.has(`${path}.bias`)) found.set(`${path}.bias`, shift);
  }
  const notes: string[] = [];
  if (used.size > 0) notes.push(`${used.size} weights without a name, named by ${byOrder ? "their order" : "their operators"}`);
  if (folded > 0) notes.push(`${folded} batch norms folded into their convolutions, taken as norms that add the bias`);
  return { tensors: found, notes };
}

/** Numbers, and names that exporters make up: `onnx::MatMul_1234`, `497`, `/blocks.0/Constant_output_0`. */
function isAnonymous(name: string): boolean {
  if (/^\d+$|^onnx::|^_?val_|^\/|^const|_output_\d+$/i.test(name)) return true;
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
function besideBias(node: OnnxNode, nodes: readonly OnnxNode[], source: ReadonlyMap<string, StoredTensor>): string | undefined {
  const sum = nodes.find(({ op, inputs }) => op === "Add" && inputs.includes(node.outputs[0] ?? ""));
  const bias = sum?.inputs.find((name) => name.endsWith(".bias") && source.has(name));
  return bias?.slice(0, -".bias".length);
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
