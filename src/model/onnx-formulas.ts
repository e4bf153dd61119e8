// What the operators of an ONNX model compute between an encoder's weights: formulas that are equal however an exporter wrote them.
import type { OnnxModel, OnnxNode } from "../data/onnx.ts";
import { loadFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Link } from "./state-dict.ts";

/** A formula: an operation on formulas, or a leaf. Equal ones are one number in a table. */
interface Term {
  readonly op: string;
  readonly args: readonly number[];
  /** Which one, of leaves and of norms: the name of a weight or of a place. */
  readonly of: string;
  /** Of numbers and factors. */
  readonly value: number;
}

export interface Terms {
  make(op: string, args?: readonly number[], of?: string, value?: number): number;
  at(id: number): Term;
}

export function createTerms(): Terms {
  const list: Term[] = [];
  const known = new Map<string, number>();
  return {
    make(op, args = [], of = "", value = NaN) {
      // Numbers that were written in f32 and in f64 are the same one.
      const key = `${op}(${args.join()})${Number.isNaN(value) ? "" : value.toPrecision(6)} ${of}`;
      const found = known.get(key);
      if (found !== undefined) return found;
      known.set(key, list.length);
      return list.push({ op, args, of, value }) - 1;
    },
    at: (id) => list[id]!,
  };
}

/** An operation on the image in front of the encoder, by numbers or one number a channel. */
export interface FrontStep {
  readonly op: "Add" | "Sub" | "Mul" | "Div";
  /** The tensor's name. */
  readonly name: string;
  readonly values: readonly number[];
}

export interface Formulas {
  /** By the place of each convolution or product: what it works on, one for each operator that reads its weight. */
  readonly reads: ReadonlyMap<string, ReadonlySet<number>>;
  /** Every value of the graph, and which of them the model gives out. */
  readonly values: ReadonlySet<number>;
  readonly outputs: ReadonlySet<number>;
  /** What scores are multiplied by before softmax, where numbers say it: sizes that the model looks up itself do not. */
  readonly scales: ReadonlySet<number>;
  readonly front: readonly FrontStep[];
}

/** What a graph's weights are called, and which operator has which place. */
export interface Naming {
  /** Customary name of a tensor by the one in the file. */
  readonly nameOf: (name: string) => string | undefined;
  readonly placeOf: (node: OnnxNode) => string | undefined;
  readonly links: readonly Link[];
}

/** The weights of an interpolation that our exporter writes: they follow from two sizes. */
export const POSITIONS = "const_positions";

/** Operators that only arrange values. Which part of a tensor is taken, and how it is turned, is not looked at. */
const ARRANGING: ReadonlySet<string> = new Set(["Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Slice", "Gather", "Split"]);

/**
 * Reads the operators in their order. A place (a convolution or product with weights of its own) is a leaf for what comes behind it, so that a
 * difference shows where it is, and only there. Factors are drawn out of products, norms in parts and GELUs are put together again.
 */
export function readFormulas(terms: Terms, model: OnnxModel, source: ReadonlyMap<string, StoredTensor>, { nameOf, placeOf, links }: Naming): Formulas {
  const { make, at } = terms;
  const expected = new Set(links.map(({ theirs }) => theirs));
  const places = new Set(links.filter(({ theirs, layout }) => layout !== "same" && theirs.endsWith(".weight")).map(({ theirs }) => theirs.slice(0, -".weight".length)));
  const norms = new Map(links.flatMap(({ theirs, norm }) => (norm === undefined ? [] : [[theirs.slice(0, -".weight".length), norm] as const])));
  const sizes = make("sizes");
  const image = make("image");
  const inputs = new Set(model.inputs);
  const made = new Map<string, number>();
  const reads = new Map<string, Set<number>>();
  const values = new Set<number>();
  const scales = new Set<number>();
  const front: FrontStep[] = [];
  const nameOfTerm = new Map<number, string>();

  const number = (value: number) => make("number", [], "", value);
  const factor = (value: number, of: number): number => {
    const { op, args, value: inner } = at(of);
    if (op === "number") return number(value * inner);
    if (op === "factor") return factor(value * inner, args[0]!);
    return Number(value.toPrecision(6)) === 1 ? of : make("factor", [of], "", value);
  };
  /** A term without the factors in front of it, and these. */
  const split = (id: number): { readonly of: number; readonly value: number; readonly sized: boolean } => {
    const { op, args, value } = at(id);
    if (op !== "factor" && op !== "sized") return { of: id, value: 1, sized: false };
    const inner = split(args[0]!);
    return { of: inner.of, value: inner.value * (op === "factor" ? value : 1), sized: inner.sized || op === "sized" };
  };
  const join = (id: number, { value, sized }: { readonly value: number; readonly sized: boolean }): number => factor(value, sized ? make("sized", [id]) : id);
  const sized = (id: number): number => join(split(id).of, { ...split(id), sized: true });
  const both = (a: { value: number; sized: boolean }, b: { value: number; sized: boolean }) => ({ value: a.value * b.value, sized: a.sized || b.sized });
  const isConstant = (id: number): boolean => ["number", "weight", "constant"].includes(at(id).op);

  const stored = (name: string): number => {
    const tensor = source.get(name);
    const own = nameOf(name);
    const isWeight = own !== undefined && expected.has(own);
    const term = (): number => {
      if (isWeight || !tensor) return make("weight", [], own ?? name);
      const found = loadFloat32(tensor);
      if (!found) return sizes;
      return found.length === 1 ? number(found[0]!) : make("constant", [], name);
    };
    const id = term();
    if (!nameOfTerm.has(id)) nameOfTerm.set(id, name);
    return id;
  };
  const value = (name: string): number => {
    const id = made.get(name) ?? (source.has(name) ? stored(name) : inputs.has(name) ? (inputs.size === 1 ? image : make("input", [], name)) : make("unknown", [], name));
    made.set(name, id);
    return id;
  };

  const place = (path: string, x: number, bias: number | undefined): number => {
    const of = reads.get(path) ?? new Set();
    reads.set(path, of.add(x));
    // A norm folded into its convolution left a bias without a name.
    return bias === undefined ? make("product", [], path) : isBias(path, bias) || at(bias).op !== "weight" ? make("at", [], path) : make("Add", [make("product", [], path), bias]);
  };
  const isBias = (path: string, id: number): boolean => at(id).op === "weight" && at(id).of === `${path}.bias`;
  const weighed = (node: OnnxNode, args: readonly number[]): number | undefined => {
    const [x, w] = args;
    if (x === undefined || w === undefined) return undefined;
    const named = at(w).op === "weight" && at(w).of.endsWith(".weight") ? at(w).of.slice(0, -".weight".length) : undefined;
    const path = named ?? (isConstant(w) ? placeOf(node) : undefined);
    return path !== undefined && places.has(path) ? place(path, x, args[2]) : undefined;
  };

  const sum = (a: number, b: number): number => {
    const [x, y] = a < b ? [a, b] : [b, a];
    for (const [own, other] of [[at(x), y], [at(y), x]] as const) {
      if (own.op === "product" && isBias(own.of, other)) return make("at", [], own.of);
      if (own.op === "weighed norm" && isBias(own.of, other)) return make("layer norm", own.args, own.of);
      if (own.op === "number") return at(other).op === "number" ? number(own.value + at(other).value) : make("plus", [other], "", own.value);
    }
    return make("Add", [x, y]);
  };
  const product = (a: number, b: number): number => {
    for (const [one, other] of [[a, b], [b, a]] as const) {
      if (at(one).op === "number") return factor(at(one).value, other);
      if (one === sizes) return sized(other);
      if (at(one).op === "normed" && at(other).op === "weight" && at(other).of.endsWith(".weight")) return make("weighed norm", at(one).args, at(other).of.slice(0, -".weight".length));
    }
    const [x, y] = [split(a), split(b)];
    return join(x.of === y.of ? make("square", [x.of]) : make("Mul", x.of < y.of ? [x.of, y.of] : [y.of, x.of]), both(x, y));
  };
  const quotient = (a: number, b: number): number => {
    const [x, y] = [at(a), at(b)];
    if (y.op === "number") return factor(1 / y.value, a);
    if (b === sizes) return sized(a);
    if (x.op === "centred" && y.op === "deviation" && x.args[0] === y.args[0]) return make("normed", x.args);
    return make("Div", [a, b]);
  };
  const difference = (a: number, b: number): number => {
    const [x, y] = [at(a), at(b)];
    if (y.op === "number") return x.op === "number" ? number(x.value - y.value) : make("plus", [a], "", -y.value);
    return y.op === "mean" && y.args[0] === a ? make("centred", [a]) : make("Sub", [a, b]);
  };
  const root = (x: number): number => {
    const [shifted, mean, square, centred] = [at(x), at(at(x).args[0] ?? x), at(at(at(x).args[0] ?? x).args[0] ?? x), at(at(at(at(x).args[0] ?? x).args[0] ?? x).args[0] ?? x)];
    return shifted.op === "plus" && mean.op === "mean" && square.op === "square" && centred.op === "centred" ? make("deviation", centred.args) : make("Sqrt", [x]);
  };
  const gelu = (x: number): number => factor(0.5, product(x, make("plus", [make("Erf", [factor(Math.SQRT1_2, x)])], "", 1)));

  const compute = (node: OnnxNode, args: readonly number[]): number => {
    const { op, attributes } = node;
    const [a = sizes, b = sizes] = args;
    if (op === "Shape" || op === "Size" || (args.some((id) => id === sizes) && args.every((id) => id === sizes || at(id).op === "number"))) return sizes;
    if (ARRANGING.has(op)) return a;
    if ((op === "Add" || op === "Sub" || op === "Mul" || op === "Div") && (a === image || (b === image && (op === "Add" || op === "Mul")))) {
      const other = a === image ? b : a;
      const tensor = isConstant(other) ? source.get(nameOfTerm.get(other) ?? "") : undefined;
      const found = tensor && loadFloat32(tensor);
      if (found) {
        front.push({ op, name: nameOfTerm.get(other)!, values: [...found.subarray(0, 16)] });
        return image;
      }
    }
    switch (op) {
      case "Conv":
      case "Gemm":
        return weighed(node, args) ?? make(op, args);
      case "MatMul": {
        const product = weighed(node, args);
        if (product !== undefined) return product;
        if (nameOfTerm.get(a) === POSITIONS && at(a).op === "constant") return b;
        const [x, y] = [split(a), split(b)];
        return join(make("MatMul", [x.of, y.of]), both(x, y));
      }
      case "BatchNormalization": {
        const x = at(a);
        const own = ["weight", "bias", "running_mean", "running_var"].map((part) => make("weight", [], `${norms.get(x.of) ?? ""}.${part}`));
        return x.op === "product" && own.every((id, i) => args[i + 1] === id) ? make("at", [], x.of) : make(op, args);
      }
      case "LayerNormalization": {
        const [weight, bias] = [at(b), args[2]];
        const name = weight.of.replace(/\.weight$/, "");
        return weight.op === "weight" && bias !== undefined && isBias(name, bias) ? make("layer norm", [a], name) : make(op, args);
      }
      case "GlobalAveragePool":
      case "ReduceMean":
        return make("mean", [a]);
      case "AveragePool":
        return [attributes.get("pads") ?? []].flat().every((pad) => pad === 0) ? make("mean", [a]) : make(op, [a]);
      case "Add":
        return sum(a, b);
      case "Mul":
        return product(a, b);
      case "Div":
        return quotient(a, b);
      case "Sub":
        return difference(a, b);
      case "Pow":
        return at(b).op === "number" && at(b).value === 2 ? product(a, a) : make(op, args);
      case "Sqrt":
        return root(a);
      case "Gelu":
      case "com.microsoft::Gelu":
        return attributes.get("approximate") === "tanh" ? make("Gelu by tanh", [a]) : gelu(a);
      case "Softmax": {
        const { of, value: scale, sized } = split(a);
        if (!sized) scales.add(Number(scale.toPrecision(6)));
        const axis = attributes.get("axis") ?? -1;
        return make(axis === -1 || axis === 2 || axis === 3 ? op : `Softmax over axis ${String(axis)}`, [of]);
      }
      case "Concat": {
        const parts = [...new Set(args)];
        return parts.length === 1 ? a : make(op, args);
      }
      case "MaxPool":
        return make(op, [a]);
      default:
        return make(op, args);
    }
  };
  for (const node of model.nodes) {
    const [first = ""] = node.outputs;
    // Of a tensor that is kept once for several names, each keeps its own.
    const isAlias = node.op === "Constant" || (node.op === "Identity" && source.has(first));
    const id = isAlias && source.has(first) ? stored(first) : compute(node, node.inputs.filter((name) => name !== "").map(value));
    node.outputs.forEach((name, i) => made.set(name, i === 0 || ARRANGING.has(node.op) || id === sizes ? id : make(`${node.op} output ${i}`, [id])));
    values.add(id);
  }
  return { reads, values, outputs: new Set(model.outputs.map(value)), scales, front };
}

/** A formula for people: three operations deep, names cut where they are long. */
export function printTerm({ at }: Terms, id: number, depth = 3): string {
  const { op: whole, args, of: name, value } = at(id);
  const [op, of] = [whole, name].map((text) => (text.length > 80 ? `${text.slice(0, 80)}…` : text)) as [string, string];
  if (op === "at" || op === "product" || op === "weight" || op === "constant" || op === "input" || op === "unknown") return of;
  if (op === "number") return `${Number(value.toPrecision(6))}`;
  if (args.length === 0) return op;
  if (depth === 0) return "…";
  const inner = args.slice(0, 4).map((arg) => printTerm({ at } as Terms, arg, depth - 1));
  const shown = [...(Number.isNaN(value) ? [] : [`${Number(value.toPrecision(6))}`]), ...inner, ...(args.length > 4 ? ["…"] : [])].join(", ");
  return `${op === "layer norm" ? of : op}(${shown})`;
}
