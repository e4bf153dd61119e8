// jax-js on WebGPU: every case is one function under its `jit`, gradients by its `vjp`; images channels-first, as it wants them.
import type { Case } from "../cases.ts";
import type { Engine, Outputs, Prepared } from "../engine.ts";
import { draw, inputsOf, ORDERS, permute, sizeOf, type HostTensor } from "../inputs.ts";
import { ADAM, EMBEDDING, networkOf, parametersOf, type Algebra, type ParameterSpec } from "../networks.ts";
import type { Jax, JaxArray } from "../peer-types.ts";
import { EPSILON, TAU } from "../truth.ts";

export async function openJax(load: () => Promise<Jax>, version: string): Promise<Engine> {
  const jax = await load();
  const devices = await jax.init("webgpu");
  if (!devices.includes("webgpu")) throw new Error("it finds no WebGPU");
  jax.defaultDevice("webgpu");
  return {
    description: `jax-js ${version}`,
    forms: ({ kind }) => (kind === "attention" ? ["matmul", "dotProductAttention"] : ["jit"]),
    prepare: async (problem, form) => (problem.pass === "step" ? prepareStep(jax, problem) : networkOf(problem.kind, problem.numbers) ? prepareNetwork(jax, problem) : prepareOperation(jax, problem, form)),
  };
}

const upload = ({ numpy }: Jax, { data, shape }: HostTensor): JaxArray => numpy.array(data, { shape: [...shape] });

function layerNorm({ numpy }: Jax, x: JaxArray, gamma: JaxArray, beta: JaxArray): JaxArray {
  const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = numpy.square(centred.ref).mean(-1, { keepdims: true });
  return centred.div(numpy.sqrt(variance.add(EPSILON))).mul(gamma).add(beta);
}

/** q, k, v [b, h, n, d]. */
function attention({ numpy, nn }: Jax, q: JaxArray, k: JaxArray, v: JaxArray): JaxArray {
  const scale = 1 / Math.sqrt(q.shape.at(-1) ?? 1);
  const scores = numpy.matmul(q, numpy.swapaxes(k, -1, -2)).mul(scale);
  return numpy.matmul(nn.softmax(scores, -1), v);
}

/** z [n, d] → []. */
function infoNce({ numpy, nn }: Jax, z: JaxArray, n: number, d: number): JaxArray {
  const unit = z.ref.div(numpy.sqrt(numpy.square(z).sum(1, { keepdims: true })));
  const s = numpy.matmul(unit.ref, unit.ref.transpose([1, 0])).mul(1 / TAU);
  const others = s.sub(numpy.eye(n).mul(1e9));
  const pairs = unit.reshape([n / 2, 2 * d]);
  const near = pairs.ref.slice([], [0, d]).mul(pairs.slice([], [d, 2 * d])).sum();
  return nn.logsumexp(others, 1).mean().sub(near.mul(2 / (n * TAU)));
}

/** Networks use a tensor as often as they like: each use gets a reference of its own. Within `jit` nothing is held by those that are left over. */
function algebraOf(jax: Jax): Algebra<JaxArray> {
  const a = consumingAlgebra(jax);
  return {
    conv: (x, w, bias, s, p) => a.conv(x.ref, w.ref, bias?.ref, s, p),
    batchNorm: (x, gamma, beta, mean, variance) => a.batchNorm(x.ref, gamma.ref, beta.ref, mean.ref, variance.ref),
    maxPool: (x) => a.maxPool(x.ref),
    meanOverPlaces: (x) => a.meanOverPlaces(x.ref),
    relu: (x) => a.relu(x.ref),
    gelu: (x) => a.gelu(x.ref),
    add: (x, y) => a.add(x.ref, y.ref),
    linear: (x, w, bias) => a.linear(x.ref, w.ref, bias.ref),
    layerNorm: (x, gamma, beta) => a.layerNorm(x.ref, gamma.ref, beta.ref),
    attention: (q, k, v, sizes) => a.attention(q.ref, k.ref, v.ref, sizes),
    tokens: (x, b, n, c) => a.tokens(x.ref, b, n, c),
    prepend: (token, x, b, c) => a.prepend(token.ref, x.ref, b, c),
    first: (x, b, c) => a.first(x.ref, b, c),
  };
}

function consumingAlgebra(jax: Jax): Algebra<JaxArray> {
  const { numpy, nn, lax } = jax;
  const channels = (bias: JaxArray) => bias.reshape([1, -1, 1, 1]);
  return {
    conv(x, w, bias, s, p) {
      const y = lax.convGeneralDilated(x, w, [s, s], [[p, p], [p, p]], {});
      return bias ? y.add(channels(bias)) : y;
    },
    batchNorm(x, gamma, beta, mean, variance) {
      const factor = gamma.div(numpy.sqrt(variance.add(EPSILON)));
      return x.mul(channels(factor.ref)).add(channels(beta.sub(mean.mul(factor))));
    },
    // Padded with zeros, which win over nothing: this pooling follows a ReLU.
    maxPool: (x) => lax.reduceWindow(numpy.pad(x, [[0, 0], [0, 0], [1, 1], [1, 1]]), (window) => numpy.max(window), [3, 3], [2, 2]),
    meanOverPlaces: (x) => x.mean([2, 3]),
    relu: (x) => nn.relu(x),
    gelu: (x) => nn.gelu(x, { approximate: false }),
    add: (x, y) => x.add(y),
    linear: (x, w, bias) => numpy.matmul(x, w).add(bias),
    layerNorm: (x, gamma, beta) => layerNorm(jax, x, gamma, beta),
    attention(q, k, v, { b, n, heads, d }) {
      const split = (x: JaxArray) => x.reshape([b, n, heads, d]).transpose([0, 2, 1, 3]);
      return attention(jax, split(q), split(k), split(v)).transpose([0, 2, 1, 3]).reshape([b, n, heads * d]);
    },
    tokens: (x, b, n, c) => x.reshape([b, c, n]).transpose([0, 2, 1]),
    prepend: (token, x, b, c) => numpy.concatenate([numpy.broadcastTo(token, [b, 1, c]), x], 1),
    first: (x) => x.slice([], 0),
  };
}

/** A case as a function of its inputs, in the order in which they are given, with the names of what it gives. */
function compute(jax: Jax, { kind, pass, numbers }: Case, form: string): { f: (...x: JaxArray[]) => JaxArray[]; names: string[] } {
  const n = (name: string): number => numbers[name] ?? 0;
  const forward = pass === "forward";
  /** The gradients of `f` with respect to all of its arguments; the last argument given is dy. */
  const backward = (f: (...x: JaxArray[]) => JaxArray, names: string[]) => ({
    names: names.map((name) => `d${name}`),
    f: (...given: JaxArray[]) => {
      const dy = given.pop()!;
      const [y, back] = jax.vjp(f, given);
      y.dispose();
      const gradients = back(dy);
      back.dispose();
      return gradients;
    },
  });
  const either = (f: (...x: JaxArray[]) => JaxArray, names: string[]) => (forward ? { names: ["y"], f: (...x: JaxArray[]) => [f(...x)] } : backward(f, names));
  switch (kind) {
    case "matmul":
      return { names: ["y"], f: (a, b) => [jax.numpy.matmul(a!, b!)] };
    case "conv": {
      const { s = 1, p = 0, g = 1 } = numbers;
      const conv = (x: JaxArray, w: JaxArray) => jax.lax.convGeneralDilated(x, w, [s, s], [[p, p], [p, p]], { featureGroupCount: g });
      if (forward) return { names: ["y"], f: (x, w) => [conv(x!, w!)] };
      const wanted = pass === "dx" ? [n("b"), n("ci"), n("ih"), n("iw")] : [n("co"), n("ci") / g, n("f"), n("f")];
      return {
        names: [pass],
        f: (other, dy) => {
          const [y, back] = jax.vjp((x) => (pass === "dx" ? conv(x!, other!) : conv(other!, x!)), [jax.numpy.zeros(wanted)]);
          y.dispose();
          const gradients = back(dy!);
          back.dispose();
          return gradients;
        },
      };
    }
    case "attention":
      return either((q, k, v) => (form === "matmul" ? attention(jax, q!, k!, v!) : jax.nn.dotProductAttention(q!, k!, v!)), ["q", "k", "v"]);
    case "layer-norm":
      return either((x, gamma, beta) => layerNorm(jax, x!, gamma!, beta!), ["x", "gamma", "beta"]);
    case "softmax":
      return either((x) => jax.nn.softmax(x!, -1), ["x"]);
    case "gelu":
      return either((x) => jax.nn.gelu(x!, { approximate: false }), ["x"]);
    default: {
      const loss = (z: JaxArray) => infoNce(jax, z, n("n"), n("d"));
      if (forward) return { names: ["loss"], f: (z) => [loss(z!)] };
      return {
        names: ["loss", "dz"],
        f: (z) => {
          const [value, back] = jax.vjp((x) => loss(x!), [z!]);
          const [dz] = back(jax.numpy.zeros([]).add(1));
          back.dispose();
          return [value, dz!];
        },
      };
    }
  }
}

/** The layouts in which jax-js gets and gives tensors of a case, as orders of the canonical dimensions. */
function layoutOf({ kind }: Case, form: string, name: string): { readonly to: readonly number[]; readonly from: readonly number[] } | undefined {
  if (kind === "conv") return name === "w" || name === "dw" ? { to: ORDERS.filterToFirst, from: ORDERS.filterToLast } : { to: ORDERS.toFirst, from: ORDERS.toLast };
  return kind === "attention" && form === "dotProductAttention" ? { to: ORDERS.heads, from: ORDERS.heads } : undefined;
}

function prepareOperation(jax: Jax, problem: Case, form: string): Prepared {
  const x = Object.entries(inputsOf(problem)).map(([name, host]) => {
    const layout = layoutOf(problem, form, name);
    return upload(jax, layout ? permute(host, layout.to) : host);
  });
  const { f, names } = compute(jax, problem, form);
  const compiled = jax.jit(f as (...given: JaxArray[]) => JaxArray[]);
  const call = (): JaxArray[] => compiled(...x.map((one) => one.ref));
  return {
    async outputs(): Promise<Outputs> {
      const found: [string, Float32Array][] = [];
      for (const [i, y] of call().entries()) {
        const name = names[i]!;
        const layout = layoutOf(problem, form, name);
        const shape = [...y.shape];
        const data = await y.data();
        found.push([name, layout ? permute({ shape, data }, layout.from).data : data]);
      }
      return Object.fromEntries(found);
    },
    run() {
      const results = call();
      return Promise.all(results.map(async (y) => (await (sizeOf(y.shape) === 1 ? y : y.reshape([-1]).slice([0, 1])).data())[0] ?? NaN));
    },
    dispose() {
      for (const one of x) one.dispose();
      compiled.dispose();
    },
  };
}

/** A weight on the device; filters channels-first. */
const uploadWeight = (jax: Jax, kind: string, { name, shape, how }: ParameterSpec): JaxArray => {
  const host = draw(kind, name, shape, how);
  return upload(jax, how.kind === "filter" ? permute(host, ORDERS.filterToFirst) : host);
};

/** Looks weights up by name; each is used once in a network, which consumes it. */
const finder = (specs: readonly ParameterSpec[], weights: readonly JaxArray[]) => {
  const byName = new Map(specs.map(({ name }, i) => [name, weights[i]!]));
  return (name: string): JaxArray => byName.get(name)!;
};

function prepareNetwork(jax: Jax, problem: Case): Prepared {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  const weights = specs.map((spec) => uploadWeight(jax, kind, spec));
  const image = permute(inputsOf(problem)["x"]!, ORDERS.toFirst);
  const network = networkOf<JaxArray>(kind, numbers)!;
  const algebra = algebraOf(jax);
  const compiled = jax.jit((parameters: JaxArray[], x: JaxArray): JaxArray => network(algebra, finder(specs, parameters), x));
  const run = (): Promise<Float32Array> => compiled(weights.map((one) => one.ref), upload(jax, image)).data();
  return {
    outputs: async () => ({ y: await run() }),
    run: async () => [(await run())[0] ?? NaN],
    dispose() {
      for (const one of weights) one.dispose();
      compiled.dispose();
    },
  };
}

function prepareStep(jax: Jax, problem: Case): Prepared {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  const image = permute(inputsOf(problem)["x"]!, ORDERS.toFirst);
  const network = networkOf<JaxArray>(kind, numbers)!;
  const algebra = algebraOf(jax);
  const { learningRate, beta1, beta2, epsilon } = ADAM;
  let weights = specs.map((spec) => uploadWeight(jax, kind, spec));
  const zeros = () => weights.map(({ shape }) => jax.numpy.zeros(shape));
  let [m, v] = [zeros(), zeros()];
  let count = 0;
  const loss = (parameters: JaxArray[], x: JaxArray): JaxArray => infoNce(jax, network(algebra, finder(specs, parameters), x), numbers["b"] ?? 0, EMBEDDING);
  const step = jax.jit((parameters: JaxArray[], means: JaxArray[], squares: JaxArray[], x: JaxArray, corrections: JaxArray): JaxArray[] => {
    const [value, gradients] = jax.valueAndGrad(loss)(parameters.map((one) => one.ref), x);
    const newMeans = means.map((mean, i) => mean.mul(beta1).add(gradients[i]!.ref.mul(1 - beta1)));
    const newSquares = squares.map((square, i) => square.mul(beta2).add(jax.numpy.square(gradients[i]!).mul(1 - beta2)));
    const updated = parameters.map((parameter, i) => {
      const mean = newMeans[i]!.ref.div(corrections.ref.slice(0));
      const root = jax.numpy.sqrt(newSquares[i]!.ref.div(corrections.ref.slice(1)));
      return parameter.sub(mean.mul(learningRate).div(root.add(epsilon)));
    });
    corrections.dispose();
    return [value, ...updated, ...newMeans, ...newSquares];
  });
  const run = async (): Promise<number> => {
    count++;
    const corrections = jax.numpy.array(Float32Array.of(1 - beta1 ** count, 1 - beta2 ** count), { shape: [2] });
    const [value, ...rest] = step(weights, m, v, upload(jax, image), corrections);
    const n = specs.length;
    [weights, m, v] = [rest.slice(0, n), rest.slice(n, 2 * n), rest.slice(2 * n)];
    // A step ends when all of it is done: its last outputs are waited for with the loss.
    const [[read = NaN]] = await Promise.all([value!.data(), jax.blockUntilReady([weights.at(-1)!])]);
    return read;
  };
  return {
    async outputs() {
      const found: Record<string, Float32Array> = { loss: Float32Array.of(await run()) };
      for (const [i, { name, how }] of specs.entries()) {
        const read = async (x: JaxArray): Promise<Float32Array> => {
          const host = { shape: x.shape, data: await x.ref.data() };
          return how.kind === "filter" ? permute(host, ORDERS.filterToLast).data : host.data;
        };
        found[`gradient ${name}`] = (await read(m[i]!)).map((value) => value / (1 - beta1));
        found[`parameter ${name}`] = await read(weights[i]!);
      }
      return found;
    },
    run: async () => [await run()],
    dispose() {
      for (const one of [...weights, ...m, ...v]) one.dispose();
      step.dispose();
    },
  };
}
