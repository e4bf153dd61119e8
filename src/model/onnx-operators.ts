// Whether the operators of an ONNX model compute what an architecture does with the same weights: formulas, epsilons, windows.
import { readOnnx, type OnnxModel, type OnnxNode } from "../data/onnx.ts";
import { loadFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Architecture } from "./presets.ts";
import { customaryNames } from "./adopt.ts";
import { writeFormulas } from "./onnx-export.ts";
import { createTerms, printTerm, readFormulas, type FrontStep } from "./onnx-formulas.ts";
import { LEFT_OUT, linksOf, type Window } from "./state-dict.ts";

/** Added to variances by our batch norms. */
const BATCH_EPSILON = 1e-5;
/** Two writings of one number in f32 and f64 differ by less. */
const SAME = 1e-6;
/** Most differences of formulas that are told: what comes behind one often differs too. */
const TOLD = 3;

/**
 * What differs, one line each, and what is done to the image in front of the encoder. Compared are what weights do not show: what every convolution and product
 * that has a place works on, formulas that end in it included; the epsilon of every norm (also of layer norms in parts); strides,
 * dilations and padding of every convolution and of max pooling; what scores are multiplied by, and with it how many heads share a width.
 * Operators of heads that are left out do not count. `named` are the tensors' names in the file that mean weights.
 */
export function listFaults(model: OnnxModel, source: ReadonlyMap<string, StoredTensor>, architecture: Architecture, paths: ReadonlyMap<OnnxNode, string>, named: readonly string[]): { readonly faults: string[]; readonly front: readonly FrontStep[] } {
  const windows = new Map(linksOf(architecture).flatMap(({ theirs, window }) => (window ? [[theirs.slice(0, -".weight".length), window] as const] : [])));
  const names = customaryNames([...paths.values()].map((path) => `${path}.weight`)).map((name) => name.replace(/\.weight$/, ""));
  const scaled = [...paths].flatMap(([{ op, attributes }, path]) => ["alpha", "beta"].flatMap((key) => (op === "Gemm" && (attributes.get(key) ?? 1) !== 1 ? [`the product ${path.slice(0, 100)} has ${key} ${String(attributes.get(key))}, expected 1`] : [])));
  const convolutions = [...paths.keys()].flatMap((node, i) => {
    const path = names[i] ?? "";
    const [window, shape] = [windows.get(path), source.get(node.inputs[1] ?? "")?.shape];
    return window && shape && node.op === "Conv" ? windowFaults(`the convolution ${path}`, node, window, shape.slice(2)) : [];
  });
  const places = new Map([...paths.keys()].map((node, i) => [node, names[i]!]));
  const { faults, front } = formulaFaults(model, source, architecture, places, named);
  return { faults: [...epsilonFaults(model, source, architecture), ...convolutions, ...scaled, ...poolFaults(model, architecture), ...faults], front };
}

/** Compares what places work on, and the features behind them, with what our own exporter writes. */
function formulaFaults(model: OnnxModel, source: ReadonlyMap<string, StoredTensor>, architecture: Architecture, places: ReadonlyMap<OnnxNode, string>, named: readonly string[]): { faults: string[]; front: readonly FrontStep[] } {
  const terms = createTerms();
  const links = linksOf(architecture);
  const customary = new Map(customaryNames(named).map((name, i) => [named[i]!, name]));
  const own = readOnnx(writeFormulas(architecture), "the encoder");
  const ours = readFormulas(terms, own, own.tensors, { nameOf: (name) => name, placeOf: () => undefined, links });
  const theirs = readFormulas(terms, model, source, { nameOf: (name) => customary.get(name), placeOf: (node) => places.get(node), links });
  const faults: string[] = [];
  for (const [path, [want]] of [...ours.reads].map(([path, ids]) => [path, [...ids]] as const)) {
    const found = theirs.reads.get(path);
    if (!found) faults.push(`${path} is used by no operator that could be its own`);
    for (const id of found ?? []) if (id !== want) faults.push(`${path} works on ${printTerm(terms, id)}, expected ${printTerm(terms, want!)}`);
  }
  const [h] = ours.outputs;
  const { op, args } = terms.at(h!);
  // A detector has no features but its map, and a model may end in it; the mean is ours then.
  const isMap = op === "mean" && (architecture.kind === "mobile" ? theirs.values : theirs.outputs).has(args[0]!);
  if (faults.length === 0 && !theirs.values.has(h!) && !isMap) faults.push(`nothing in it is the features, ${printTerm(terms, h!)}`);
  const [scale = 1] = ours.scales;
  for (const found of theirs.scales) if (faults.length === 0 && Math.abs(found / scale - 1) > 1e-5) faults.push(`scores of attention are multiplied by ${found}, expected ${scale}: another number of heads`);
  const told = faults.length > TOLD + 1 ? [...faults.slice(0, TOLD), `and ${faults.length - TOLD} more places work on something else`] : faults;
  return { faults: told, front: theirs.front };
}

/**
 * Whether what a model does to intensities is what the settings say. Models of ours bring them to (x − mean) / deviation themselves, and embedding does it too, once;
 * others may take 0 to 255 instead of 0 to 1.
 */
export function frontFaults(front: readonly FrontStep[], mean: number | null, deviation: number | null): string[] {
  if (front.length === 0 || mean === null || deviation === null) return [];
  const channels = front.reduce((most, { values }) => Math.max(most, values.length), 0);
  const made = Array.from({ length: channels }, (_, c) =>
    front.reduce(
      ({ factor, shift }, { op, values }) => {
        const value = values[c % values.length]!;
        if (op === "Add" || op === "Sub") return { factor, shift: shift + (op === "Add" ? value : -value) };
        const by = op === "Mul" ? value : 1 / value;
        return { factor: factor * by, shift: shift * by };
      },
      { factor: 1, shift: 0 },
    ),
  ).map(({ factor, shift }) => ({ mean: -shift / factor, deviation: 1 / factor }));
  const near = (got: number, want: number) => Math.abs(got - want) <= 1e-5 * Math.max(1e-3, Math.abs(want));
  const fits = ({ mean: m, deviation: d }: { mean: number; deviation: number }) => [1, 255].some((white) => near(m, white * mean) && near(d, white * deviation));
  const print = (value: number) => Number(value.toPrecision(5));
  const wrong = made.find((one) => !fits(one));
  return wrong ? [`it brings intensities to (x − ${print(wrong.mean)}) / ${print(wrong.deviation)}${channels > 1 ? ` in one of ${channels} channels` : ""} itself, expected (x − ${mean}) / ${deviation}, as the settings data.mean and data.deviation say`] : [];
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
  const kinds = new Map<string, number>();
  for (const { what, got, want } of wrong) {
    const kind = `${what} with epsilon ${Number(got.toPrecision(6))}, expected ${want === undefined ? "none" : want}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
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
    const rounded = (node.attributes.get("ceil_mode") ?? 0) === 0 ? [] : ["the max pooling rounds the number of its windows up, expected down"];
    return [...other, ...rounded, ...windowFaults("the max pooling", node, { stride: pool.stride, dilation: 1, padding: "same" }, [pool.window, pool.window])];
  });
}
