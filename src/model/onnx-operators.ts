// Whether the operators of an ONNX model compute what an architecture does with the same weights: epsilons, windows, activations.
import type { OnnxModel, OnnxNode } from "../data/onnx.ts";
import { loadFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Architecture } from "./presets.ts";
import { customaryNames } from "./adopt.ts";
import { LEFT_OUT, linksOf, type Window } from "./state-dict.ts";

/** Added to variances by our batch norms. */
const BATCH_EPSILON = 1e-5;
/** Two writings of one number in f32 and f64 differ by less. */
const SAME = 1e-6;
/** Activations by name; a GELU is an Erf with arithmetic around it, or itself. */
const ACTIVATIONS: ReadonlySet<string> = new Set(["Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Mish", "Softplus", "Softsign", "ThresholdedRelu", "Tanh", "Erf", "Gelu"]);

/**
 * What differs, one line each. Compared are what weights do not show: the epsilon of every norm (also of layer norms in parts), strides,
 * dilations and padding of every convolution that has a place (`paths`) and of max pooling, and the kind of activation. How many heads share a
 * width is not looked at. Operators of heads that are left out do not count.
 */
export function listFaults(model: OnnxModel, source: ReadonlyMap<string, StoredTensor>, architecture: Architecture, paths: ReadonlyMap<OnnxNode, string>): string[] {
  const windows = new Map(linksOf(architecture).flatMap(({ theirs, window }) => (window ? [[theirs.slice(0, -".weight".length), window] as const] : [])));
  const names = customaryNames([...paths.values()].map((path) => `${path}.weight`)).map((name) => name.replace(/\.weight$/, ""));
  const scaled = [...paths].flatMap(([{ op, attributes }, path]) => ["alpha", "beta"].flatMap((key) => (op === "Gemm" && (attributes.get(key) ?? 1) !== 1 ? [`the product ${path} has ${key} ${String(attributes.get(key))}, expected 1`] : [])));
  const convolutions = [...paths.keys()].flatMap((node, i) => {
    const path = names[i] ?? "";
    const [window, shape] = [windows.get(path), source.get(node.inputs[1] ?? "")?.shape];
    return window && shape && node.op === "Conv" ? windowFaults(`the convolution ${path}`, node, window, shape.slice(2)) : [];
  });
  return [...epsilonFaults(model, source, architecture), ...convolutions, ...scaled, ...poolFaults(model, architecture), ...activationFaults(model, architecture)];
}

function epsilonFaults({ nodes }: OnnxModel, source: ReadonlyMap<string, StoredTensor>, architecture: Architecture): string[] {
  const layer = architecture.kind === "vit" ? architecture.epsilon : undefined;
  const made = new Map(nodes.map((node) => [node.outputs[0] ?? "", node]));
  /** The number that is added under a root: norms in parts, as exporters write them for older operator sets. */
  const underRoot = ({ op, inputs }: OnnxNode): number | undefined => {
    const sum = op === "Sqrt" ? made.get(inputs[0] ?? "") : undefined;
    const added = sum?.op === "Add" ? sum.inputs.map((name) => source.get(name)).find((tensor) => tensor !== undefined) : undefined;
    const values = added && loadFloat32(added);
    return values?.length === 1 ? values[0] : undefined;
  };
  const seen = nodes.flatMap((node): { what: string; got: number; want: number | undefined }[] => {
    if (LEFT_OUT.test(node.inputs[1] ?? "")) return [];
    const got = node.attributes.get("epsilon") ?? 1e-5; // the default of both
    if (typeof got === "number" && node.op === "BatchNormalization") return [{ what: "batch norm", got, want: BATCH_EPSILON }];
    if (typeof got === "number" && node.op === "LayerNormalization") return [{ what: "layer norm", got, want: layer }];
    const part = underRoot(node);
    return part === undefined ? [] : [{ what: "layer norm in parts", got: part, want: layer }];
  });
  const wrong = seen.filter(({ got, want }) => want === undefined || !(Math.abs(got - want) <= SAME * want));
  const kinds = new Map(wrong.map(({ what, got, want }) => [`${what} with epsilon ${Number(got.toPrecision(6))}, expected ${want === undefined ? "none" : want}`, 0]));
  for (const kind of kinds.keys()) kinds.set(kind, wrong.filter(({ what, got }) => kind.startsWith(`${what} with epsilon ${Number(got.toPrecision(6))},`)).length);
  return [...kinds].map(([kind, count]) => `${count} × ${kind}`);
}

function windowFaults(what: string, node: OnnxNode, { stride, dilation, padding }: Window, filter: readonly number[]): string[] {
  const list = (name: string, otherwise: readonly number[]): readonly number[] => {
    const value = node.attributes.get(name);
    return Array.isArray(value) ? (value as readonly number[]) : otherwise;
  };
  const pads = filter.map((extent) => (padding === "same" ? dilation * Math.floor(extent / 2) : 0));
  const automatic = node.attributes.get("auto_pad");
  const same = filter.map(() => 0);
  // Automatic padding of even strides hangs on the image; with stride 1 and odd filters it is the same on both sides.
  const given = automatic === undefined || automatic === "NOTSET" || automatic === "" ? list("pads", [...same, ...same]) : automatic === "VALID" ? [...same, ...same] : stride === 1 ? [...pads, ...pads] : [NaN];
  const compare = (name: string, got: readonly number[], want: readonly number[]): string[] =>
    got.length === want.length && got.every((value, i) => value === want[i]) ? [] : [`${what} has ${name} ${got.some(Number.isNaN) ? String(automatic) : `[${got.join(", ")}]`}, expected [${want.join(", ")}]`];
  return [
    ...compare("strides", list("strides", filter.map(() => 1)), filter.map(() => stride)),
    ...compare("dilations", list("dilations", filter.map(() => 1)), filter.map(() => dilation)),
    ...compare("pads", given, [...pads, ...pads]),
  ];
}

function poolFaults({ nodes }: OnnxModel, architecture: Architecture): string[] {
  const trunk = architecture.kind === "resnet" ? architecture : architecture.kind === "vit" ? architecture.trunk : undefined;
  const pool = trunk?.stem.pool;
  const pools = nodes.filter(({ op }) => op === "MaxPool");
  if (!pool) return pools.length > 0 ? [`${pools.length} max poolings, expected none`] : [];
  return pools.flatMap((node) => {
    const sides = node.attributes.get("kernel_shape");
    const filter = Array.isArray(sides) ? (sides as readonly number[]) : [];
    const other = filter.length === 2 && filter.every((side) => side === pool.window) ? [] : [`the max pooling has windows [${filter.join(", ")}], expected [${pool.window}, ${pool.window}]`];
    return [...other, ...windowFaults("the max pooling", node, { stride: pool.stride, dilation: 1, padding: "same" }, [pool.window, pool.window])];
  });
}

function activationFaults({ nodes }: OnnxModel, architecture: Architecture): string[] {
  const usual = architecture.kind !== "vit" ? ["Relu"] : architecture.trunk ? ["Relu", "Erf", "Gelu"] : ["Erf", "Gelu"];
  const counts = new Map<string, number>();
  for (const { op, attributes } of nodes) {
    const name = op === "Gelu" && attributes.get("approximate") === "tanh" ? "Gelu by tanh" : op;
    if (ACTIVATIONS.has(op) && !usual.includes(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // One alone may stand behind the features.
  return [...counts].flatMap(([name, count]) => (count > 1 ? [`${count} × ${name}, expected ${architecture.kind === "vit" ? "the exact GELU" : "Relu"} as the activation`] : []));
}
