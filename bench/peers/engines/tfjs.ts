// TensorFlow.js on its WebGPU backend: operations run eagerly, gradients by its own differentiation or, of convolutions, by its kernels for them.
import type { Case } from "../cases.ts";
import { Unsupported, type Engine, type Outputs, type Prepared } from "../engine.ts";
import { draw, inputsOf, type HostTensor } from "../inputs.ts";
import { ADAM, networkOf, parametersOf, type Algebra } from "../networks.ts";
import type { Tf, TfTensor } from "../peer-types.ts";
import { EPSILON, TAU } from "../truth.ts";

export async function openTfjs(load: () => Promise<Tf>): Promise<Engine> {
  const tf = await load();
  tf.enableProdMode();
  await tf.setBackend("webgpu");
  await tf.ready();
  if (tf.getBackend() !== "webgpu") throw new Error(`the backend is ${tf.getBackend()}, expected webgpu`);
  return {
    description: `TensorFlow.js ${tf.version_core}, WebGPU backend`,
    forms: () => ["eager"],
    prepare: async (problem) => (problem.pass === "step" ? prepareStep(tf, problem) : networkOf(problem.kind, problem.numbers) ? prepareNetwork(tf, problem) : prepareOperation(tf, problem)),
  };
}

const upload = (tf: Tf, { data, shape }: HostTensor): TfTensor => tf.tensor(data, shape);

const gelu = (tf: Tf, x: TfTensor): TfTensor => tf.mul(tf.mul(x, tf.scalar(0.5)), tf.add(tf.erf(tf.mul(x, tf.scalar(Math.SQRT1_2))), tf.scalar(1)));

function layerNorm(tf: Tf, x: TfTensor, gamma: TfTensor, beta: TfTensor): TfTensor {
  const axis = [x.shape.length - 1];
  const centred = tf.sub(x, tf.mean(x, axis, true));
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), axis, true), tf.scalar(EPSILON)));
  return tf.add(tf.mul(tf.mul(centred, inverse), gamma), beta);
}

/** q, k, v [b, h, n, d]. */
function attention(tf: Tf, q: TfTensor, k: TfTensor, v: TfTensor): TfTensor {
  const scores = tf.matMul(tf.mul(q, tf.scalar(1 / Math.sqrt(q.shape.at(-1) ?? 1))), k, false, true);
  return tf.matMul(tf.softmax(scores), v);
}

function infoNce(tf: Tf, z: TfTensor): TfTensor {
  const [n = 0, d = 0] = z.shape;
  const unit = tf.mul(z, tf.rsqrt(tf.sum(tf.square(z), [1], true)));
  const s = tf.mul(tf.matMul(unit, unit, false, true), tf.scalar(1 / TAU));
  const others = tf.sub(s, tf.mul(tf.eye(n), tf.scalar(1e9)));
  const pairs = tf.reshape(unit, [n / 2, 2 * d]);
  const near = tf.sum(tf.mul(tf.slice(pairs, [0, 0], [n / 2, d]), tf.slice(pairs, [0, d], [n / 2, d])));
  return tf.sub(tf.mean(tf.logSumExp(others, 1)), tf.mul(near, tf.scalar(2 / (n * TAU))));
}

function algebraOf(tf: Tf): Algebra<TfTensor> {
  return {
    conv(x, w, bias, stride, padding) {
      const y = tf.conv2d(x, w, stride, padding, "NHWC", 1, "floor");
      return bias ? tf.add(y, bias) : y;
    },
    batchNorm: (x, gamma, beta, mean, variance) => tf.batchNorm(x, mean, variance, beta, gamma, EPSILON),
    maxPool: (x) => tf.maxPool(x, 3, 2, 1, "floor"),
    meanOverPlaces: (x) => tf.mean(x, [1, 2]),
    relu: (x) => tf.relu(x),
    gelu: (x) => gelu(tf, x),
    add: (x, y) => tf.add(x, y),
    linear(x, w, bias) {
      const [k = 0, n = 0] = w.shape;
      return tf.reshape(tf.add(tf.matMul(tf.reshape(x, [-1, k]), w), bias), [...x.shape.slice(0, -1), n]);
    },
    layerNorm: (x, gamma, beta) => layerNorm(tf, x, gamma, beta),
    attention(q, k, v, { b, n, heads, d }) {
      const split = (x: TfTensor) => tf.transpose(tf.reshape(x, [b, n, heads, d]), [0, 2, 1, 3]);
      return tf.reshape(tf.transpose(attention(tf, split(q), split(k), split(v)), [0, 2, 1, 3]), [b, n, heads * d]);
    },
    tokens: (x, b, n, c) => tf.reshape(x, [b, n, c]),
    prepend: (token, x, b) => tf.concat([tf.tile(token, [b, 1, 1]), x], 1),
    first: (x, b, c) => tf.reshape(tf.slice(x, [0, 0, 0], [b, 1, c]), [b, c]),
  };
}

/** The operation of a case; called inside of a tidy. */
function compute(tf: Tf, { kind, pass, numbers }: Case, x: Readonly<Record<string, TfTensor>>): Record<string, TfTensor> {
  const t = (name: string): TfTensor => x[name]!;
  const differentiate = (wanted: readonly string[], f: (...x: TfTensor[]) => TfTensor) => {
    const { grads } = tf.valueAndGrads(f)(wanted.map(t), t("dy"));
    return Object.fromEntries(grads.map((gradient, i) => [`d${wanted[i]}`, gradient]));
  };
  const forward = pass === "forward";
  switch (kind) {
    case "matmul":
      return { y: tf.matMul(t("a"), t("b")) };
    case "conv":
      return { [forward ? "y" : pass]: convolve(tf, pass, numbers, x) };
    case "attention":
      return forward ? { y: attention(tf, t("q"), t("k"), t("v")) } : differentiate(["q", "k", "v"], (q, k, v) => attention(tf, q!, k!, v!));
    case "layer-norm":
      return forward ? { y: layerNorm(tf, t("x"), t("gamma"), t("beta")) } : differentiate(["x", "gamma", "beta"], (a, gamma, beta) => layerNorm(tf, a!, gamma!, beta!));
    case "softmax":
      return forward ? { y: tf.softmax(t("x")) } : differentiate(["x"], (a) => tf.softmax(a!));
    case "gelu":
      return forward ? { y: gelu(tf, t("x")) } : differentiate(["x"], (a) => gelu(tf, a!));
    default: {
      if (forward) return { loss: infoNce(tf, t("z")) };
      const { value, grads } = tf.valueAndGrads((z) => infoNce(tf, z!))([t("z")]);
      return { loss: value, dz: grads[0]! };
    }
  }

  /** Gradients by the kernels that its differentiation would call, without the forward pass that it would run first. */
  function convolve(f: Tf, which: string, sizes: Case["numbers"], given: Readonly<Record<string, TfTensor>>): TfTensor {
    const { b = 0, ih = 0, iw = 0, ci = 0, co = 0, f: side = 0, s = 1, p = 0, g = 1 } = sizes;
    const depthwise = g > 1 && g === ci && g === co;
    if (g > 1 && !depthwise) throw new Unsupported("no grouped convolution on its WebGPU backend");
    // Filters of one input channel a group lie in memory like [f, f, channels, 1].
    const filter = () => (depthwise ? f.reshape(given["w"]!, [side, side, co, 1]) : given["w"]!);
    if (which === "forward") return (depthwise ? f.depthwiseConv2d : f.conv2d)(given["x"]!, filter(), s, p, "NHWC", 1, "floor");
    const common = { strides: [s, s], dilations: [1, 1], pad: p, dataFormat: "NHWC", dimRoundingMode: "floor" };
    if (which === "dx") {
      const inputs = { dy: given["dy"]!, filter: filter() };
      return f.engine().runKernel(depthwise ? "DepthwiseConv2dNativeBackpropInput" : "Conv2DBackpropInput", inputs, { ...common, inputShape: [b, ih, iw, ci] });
    }
    const inputs = { x: given["x"]!, dy: given["dy"]! };
    return f.engine().runKernel(depthwise ? "DepthwiseConv2dNativeBackpropFilter" : "Conv2DBackpropFilter", inputs, { ...common, filterShape: depthwise ? [side, side, co, 1] : [side, side, ci, co] });
  }
}

/** Computes, waits for what `read` makes of the results, and frees everything. */
async function evaluate<R>(tf: Tf, make: () => Record<string, TfTensor>, read: (y: TfTensor) => TfTensor, take: (name: string, data: Float32Array) => R): Promise<R[]> {
  const made = tf.tidy(() => Object.entries(make()).map(([name, y]) => ({ name, y, small: read(y) })) as unknown as TfTensor[]) as unknown as { name: string; y: TfTensor; small: TfTensor }[];
  const results = await Promise.all(made.map(async ({ name, small }) => take(name, await small.data())));
  tf.dispose(made.flatMap(({ y, small }) => [y, small]));
  return results;
}

function prepareOperation(tf: Tf, problem: Case): Prepared {
  const x = Object.fromEntries(Object.entries(inputsOf(problem)).map(([name, host]) => [name, upload(tf, host)]));
  return {
    outputs: async (): Promise<Outputs> => Object.fromEntries(await evaluate(tf, () => compute(tf, problem, x), (y) => tf.reshape(y, y.shape), (name, data) => [name, data] as const)),
    run: () => evaluate(tf, () => compute(tf, problem, x), (y) => tf.slice(tf.reshape(y, [-1]), [0], [1]), (_, data) => data[0] ?? NaN),
    dispose: () => tf.dispose(Object.values(x)),
  };
}

function prepareNetwork(tf: Tf, problem: Case): Prepared {
  const { kind, numbers } = problem;
  const weights = new Map(parametersOf(kind, numbers).map(({ name, shape, how }) => [name, upload(tf, draw(kind, name, shape, how))]));
  const image = inputsOf(problem)["x"]!;
  const network = networkOf<TfTensor>(kind, numbers)!;
  const algebra = algebraOf(tf);
  const run = async (): Promise<Float32Array> => {
    const y = tf.tidy(() => network(algebra, (name) => weights.get(name)!, upload(tf, image)));
    const data = await y.data();
    tf.dispose([y]);
    return data;
  };
  return { outputs: async () => ({ y: await run() }), run: async () => [(await run())[0] ?? NaN], dispose: () => tf.dispose([...weights.values()]) };
}

function prepareStep(tf: Tf, problem: Case): Prepared {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  // Names of variables are unique in a process, and a case may be prepared again.
  const tag = `${kind}-${performance.now()}`;
  const weights = new Map(specs.map(({ name, shape, how }) => [name, tf.tidy(() => tf.variable(upload(tf, draw(kind, name, shape, how)), true, `${tag}/${name}`))]));
  const optimizer = tf.train.adam(ADAM.learningRate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
  const image = inputsOf(problem)["x"]!;
  const network = networkOf<TfTensor>(kind, numbers)!;
  const algebra = algebraOf(tf);
  const variables = [...weights.values()];
  const run = async (): Promise<number> => {
    const cost = tf.tidy(() => optimizer.minimize(() => infoNce(tf, network(algebra, (name) => weights.get(name)!, upload(tf, image))), true, variables));
    const [value = NaN] = await cost.data();
    tf.dispose([cost]);
    return value;
  };
  return {
    async outputs() {
      const found: Record<string, Float32Array> = { loss: Float32Array.of(await run()) };
      // The count of steps, then all first moments, then all second ones, each in the order of the variables.
      const moments = (await optimizer.getWeights()).slice(1, 1 + specs.length);
      for (const [i, { name }] of specs.entries()) {
        found[`gradient ${name}`] = (await moments[i]!.tensor.data()).map((value) => value / (1 - ADAM.beta1));
        found[`parameter ${name}`] = await variables[i]!.data();
      }
      return found;
    },
    run: async () => [await run()],
    dispose() {
      optimizer.dispose();
      tf.dispose(variables);
    },
  };
}

