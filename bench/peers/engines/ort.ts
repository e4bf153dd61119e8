// ONNX Runtime on its WebGPU or its CPU provider: inference only; every case is a model written on the spot.
import type { Case } from "../cases.ts";
import { Unsupported, type Engine, type Prepared } from "../engine.ts";
import { draw, inputsOf, ORDERS, permute, type HostTensor } from "../inputs.ts";
import { networkOf, type Algebra } from "../networks.ts";
import type { Ort } from "../peer-types.ts";
import { EPSILON, TAU } from "../truth.ts";
import { createGraph, type Edge, type Graph } from "./onnx.ts";

/** What of a case's inputs the model holds: everything, or the weights only, and the rest is handed over at each run. */
const RESIDENT = "operands in the model";
const HANDED = "operands handed over";
const FUSED = "MultiHeadAttention";

export async function openOrt(load: () => Promise<Ort>, provider: "webgpu" | "cpu"): Promise<Engine> {
  const ort = await load();
  return {
    description: `ONNX Runtime ${ort.env.versions.node ?? ort.env.versions.common ?? ""}, ${provider} provider`,
    forms({ kind, numbers }) {
      if (networkOf(kind, numbers)) return ["whole model"];
      const attention = kind === "attention" ? [`${FUSED}, ${HANDED}`, `${FUSED}, ${RESIDENT}`] : [];
      return [HANDED, RESIDENT, ...attention];
    },
    prepare(problem, form) {
      if (problem.pass !== "forward") throw new Unsupported("no gradients in its package for Node");
      return networkOf(problem.kind, problem.numbers) ? prepareNetwork(ort, provider, problem) : prepareOperation(ort, provider, problem, form);
    },
  };
}

/** The result of an operation. Attention takes [b, h, n, d], or [b, n, h·d] where it is fused. */
function compute(g: Graph, { kind, numbers }: Case, x: (name: string) => Edge, fused: boolean): Edge {
  const { n = 0, d = 0, h = 0, s = 1, p = 0, g: groups = 1 } = numbers;
  switch (kind) {
    case "matmul":
      return g.matmul(x("a"), x("b"));
    case "conv":
      return g.conv(x("x"), x("w"), s, p, groups);
    case "attention":
      return fused ? g.one("MultiHeadAttention", [x("q"), x("k"), x("v")], { num_heads: h }, { domain: "com.microsoft" }) : attend(g, x("q"), x("k"), x("v"), d);
    case "layer-norm":
      return g.one("LayerNormalization", [x("x"), x("gamma"), x("beta")], { axis: -1, epsilon: { float: EPSILON } });
    case "softmax":
      return g.softmax(x("x"));
    case "gelu":
      return g.one("Gelu", [x("x")], { approximate: "none" });
    default:
      return infoNce(g, x("z"), n, d);
  }
}

/** q, k, v [b, h, n, d]. */
function attend(g: Graph, q: Edge, k: Edge, v: Edge, d: number): Edge {
  return g.matmul(g.softmax(g.multiply(g.matmul(q, g.transpose(k, 0, 1, 3, 2)), g.number(1 / Math.sqrt(d)))), v);
}

function infoNce(g: Graph, z: Edge, n: number, d: number): Edge {
  const unit = g.one("Div", [z, g.one("ReduceL2", [z, g.integers(1)], { keepdims: 1 })]);
  const s = g.multiply(g.matmul(unit, g.transpose(unit, 1, 0)), g.number(1 / TAU));
  const itself = new Float32Array(n * n);
  for (let i = 0; i < n; i++) itself[i * n + i] = -1e9;
  const lse = g.one("ReduceLogSumExp", [g.add(s, g.constant({ shape: [n, n], data: itself })), g.integers(1)], { keepdims: 0 });
  const pairs = g.reshape(unit, n / 2, 2 * d);
  const half = (from: number) => g.one("Slice", [pairs, g.integers(from), g.integers(from + d), g.integers(1)]);
  const near = g.one("ReduceSum", [g.multiply(half(0), half(d))], { keepdims: 0 });
  return g.one("Sub", [g.one("ReduceMean", [lse], { keepdims: 0 }), g.multiply(near, g.number(2 / (n * TAU)))]);
}

const algebraOf = (g: Graph): Algebra<Edge> => ({
  conv: (x, w, bias, s, p) => g.conv(x, w, s, p, 1, bias),
  batchNorm: (x, gamma, beta, mean, variance) => g.one("BatchNormalization", [x, gamma, beta, mean, variance], { epsilon: { float: EPSILON } }),
  maxPool: (x) => g.one("MaxPool", [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  meanOverPlaces: (x) => g.one("Flatten", [g.one("GlobalAveragePool", [x])], { axis: 1 }),
  relu: (x) => g.one("Relu", [x]),
  gelu: (x) => g.one("Gelu", [x], { approximate: "none" }),
  add: g.add,
  linear: (x, w, bias) => g.add(g.matmul(x, w), bias),
  layerNorm: (x, gamma, beta) => g.one("LayerNormalization", [x, gamma, beta], { axis: -1, epsilon: { float: EPSILON } }),
  attention(q, k, v, { b, n, heads, d }) {
    const split = (x: Edge) => g.transpose(g.reshape(x, b, n, heads, d), 0, 2, 1, 3);
    return g.reshape(g.transpose(attend(g, split(q), split(k), split(v), d), 0, 2, 1, 3), b, n, heads * d);
  },
  tokens: (x, b, n, c) => g.transpose(g.reshape(x, b, c, n), 0, 2, 1),
  prepend: (token, x, b, c) => g.one("Concat", [g.one("Expand", [token, g.integers(b, 1, c)]), x], { axis: 1 }),
  first: (x, b, c) => g.reshape(g.one("Slice", [x, g.integers(0), g.integers(1), g.integers(1)]), b, c),
});

/** A session on the provider; without optimisation where the model holds its operands, which would be folded to the result. */
const openSession = (ort: Ort, provider: string, model: Uint8Array, optimised: boolean) =>
  ort.InferenceSession.create(model, { executionProviders: [provider], graphOptimizationLevel: optimised ? "all" : "disabled", logSeverityLevel: 3 });

/** An operand as the operation wants it. */
function layOut({ kind }: Case, name: string, host: HostTensor, fused: boolean): HostTensor {
  if (kind === "conv") return permute(host, name === "w" ? ORDERS.filterToFirst : ORDERS.toFirst);
  if (kind !== "attention" || !fused) return host;
  const { shape, data } = permute(host, ORDERS.heads);
  return { shape: [shape[0]!, shape[1]!, shape[2]! * shape[3]!], data };
}

/** A whole result back in the canonical layout. */
function layBack({ kind, numbers }: Case, data: Float32Array, shape: readonly number[], fused: boolean): Float32Array {
  const { b = 0, h = 0, n = 0, d = 0 } = numbers;
  if (kind === "conv") return permute({ shape, data }, ORDERS.toLast).data;
  return kind === "attention" && fused ? permute({ shape: [b, n, h, d], data }, ORDERS.heads).data : data;
}

/** Operands that are weights in practice. */
const WEIGHTS = ["b", "w", "gamma", "beta"];

async function prepareOperation(ort: Ort, provider: string, problem: Case, form: string): Promise<Prepared> {
  const [resident, fused] = [form.includes(RESIDENT), form.includes(FUSED)];
  const hosts = Object.fromEntries(Object.entries(inputsOf(problem)).map(([name, host]) => [name, layOut(problem, name, host, fused)]));
  const handed = Object.entries(hosts).filter(([name]) => !resident && !WEIGHTS.includes(name));
  const feeds = Object.fromEntries(handed.map(([name, { shape, data }]) => [name, new ort.Tensor("float32", data, shape)]));
  const write = (finish: (g: Graph, y: Edge) => Edge) => {
    const g = createGraph();
    const edges = new Map<string, Edge>();
    const find = (name: string): Edge => {
      const host = hosts[name]!;
      if (!edges.has(name)) edges.set(name, name in feeds ? g.input(name, host.shape) : g.constant(host));
      return edges.get(name)!;
    };
    const output = finish(g, compute(g, problem, find, fused));
    return { model: g.encode([output]), output };
  };
  const open = async (finish: (g: Graph, y: Edge) => Edge) => {
    const { model, output } = write(finish);
    const session = await openSession(ort, provider, model, !resident);
    return { session, run: async () => (await session.run(feeds))[output]! };
  };
  const name = problem.kind === "info-nce" ? "loss" : "y";
  const probe = await open((g, y) => (name === "loss" ? y : g.first(y)));
  return {
    async outputs() {
      const whole = await open((_, y) => y);
      const { data, dims } = await whole.run();
      const laid = layBack(problem, data, dims, fused);
      await whole.session.release();
      return { [name]: laid };
    },
    run: async () => [(await probe.run()).data[0] ?? NaN],
    dispose: () => probe.session.release(),
  };
}

async function prepareNetwork(ort: Ort, provider: string, problem: Case): Promise<Prepared> {
  const { kind, numbers } = problem;
  const g = createGraph();
  const image = permute(inputsOf(problem)["x"]!, ORDERS.toFirst);
  const output = networkOf<Edge>(kind, numbers)!(
    algebraOf(g),
    (name, shape, how) => {
      const host = draw(kind, name, shape, how);
      return g.constant(how.kind === "filter" ? permute(host, ORDERS.filterToFirst) : host);
    },
    g.input("x", image.shape),
  );
  const session = await openSession(ort, provider, g.encode([output]), true);
  const feeds = { x: new ort.Tensor("float32", image.data, image.shape) };
  const run = async (): Promise<Float32Array> => (await session.run(feeds))[output]!.data;
  return { outputs: async () => ({ y: await run() }), run: async () => [(await run())[0] ?? NaN], dispose: () => session.release() };
}
