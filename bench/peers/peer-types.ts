// What the bench uses of the peers, as types: so that it compiles where they are not installed.

/** A tensor of a peer; only its shape is looked at. */
export interface PeerTensor {
  readonly shape: number[];
}

export interface TfTensor extends PeerTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Pad = readonly [number, number];

/** TensorFlow.js: https://js.tensorflow.org/api/4.22.0. */
export interface Tf {
  readonly version_core: string;
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  getBackend(): string;
  engine(): { runKernel(name: string, inputs: Readonly<Record<string, TfTensor>>, attributes: object): TfTensor; startScope(): void; endScope(): void };
  tidy<R>(f: () => R): R;
  dispose(tensors: readonly TfTensor[]): void;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(value: TfTensor, trainable: boolean, name: string): TfTensor & { assign(value: TfTensor): void };
  scalar(value: number): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  conv2d(x: TfTensor, w: TfTensor, strides: number, pad: number, dataFormat: "NHWC", dilations: number, round: "floor"): TfTensor;
  depthwiseConv2d(x: TfTensor, w: TfTensor, strides: number, pad: number, dataFormat: "NHWC", dilations: number, round: "floor"): TfTensor;
  batchNorm(x: TfTensor, mean: TfTensor, variance: TfTensor, offset: TfTensor, scale: TfTensor, epsilon: number): TfTensor;
  maxPool(x: TfTensor, size: number, strides: number, pad: number, round: "floor"): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  concat(x: readonly TfTensor[], axis: number): TfTensor;
  tile(x: TfTensor, reps: readonly number[]): TfTensor;
  pad(x: TfTensor, paddings: readonly Pad[]): TfTensor;
  add(x: TfTensor, y: TfTensor): TfTensor;
  sub(x: TfTensor, y: TfTensor): TfTensor;
  mul(x: TfTensor, y: TfTensor): TfTensor;
  div(x: TfTensor, y: TfTensor): TfTensor;
  sqrt(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  erf(x: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  logSumExp(x: TfTensor, axis: number): TfTensor;
  mean(x: TfTensor, axes?: readonly number[], keep?: boolean): TfTensor;
  sum(x: TfTensor, axes?: readonly number[], keep?: boolean): TfTensor;
  eye(n: number): TfTensor;
  valueAndGrads(f: (...x: TfTensor[]) => TfTensor): (x: readonly TfTensor[], dy?: TfTensor) => { readonly value: TfTensor; readonly grads: readonly TfTensor[] };
  readonly train: {
    adam(rate: number, beta1: number, beta2: number, epsilon: number): {
      minimize(f: () => TfTensor, returnCost: true, variables: readonly TfTensor[]): TfTensor;
      getWeights(): Promise<readonly { readonly name: string; readonly tensor: TfTensor }[]>;
      dispose(): void;
    };
  };
}

/** jax-js consumes what it is given: `ref` keeps a tensor for another use. */
export interface JaxArray extends PeerTensor {
  readonly ref: this;
  dispose(): void;
  data(): Promise<Float32Array>;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  sum(axis?: number | number[] | null, options?: { keepdims?: boolean }): JaxArray;
  mean(axis?: number | number[] | null, options?: { keepdims?: boolean }): JaxArray;
  reshape(shape: number | number[]): JaxArray;
  transpose(order?: number[]): JaxArray;
  slice(...index: (number | [] | [number] | [number, number])[]): JaxArray;
}

type JaxTree = JaxArray | JaxArray[];

/** jax-js: the declarations of @jax-js/jax 0.1.25. */
export interface Jax {
  init(device: "webgpu"): Promise<string[]>;
  defaultDevice(device: "webgpu"): string;
  blockUntilReady(x: readonly JaxArray[]): Promise<readonly JaxArray[]>;
  jit<A extends JaxTree[], R extends JaxTree>(f: (...x: A) => R): ((...x: A) => R) & { dispose(): void };
  vjp<R extends JaxTree>(f: (...x: JaxArray[]) => R, x: JaxArray[]): [R, ((dy: R) => JaxArray[]) & { dispose(): void }];
  valueAndGrad(f: (parameters: JaxArray[], x: JaxArray) => JaxArray): (parameters: JaxArray[], x: JaxArray) => [JaxArray, JaxArray[]];
  readonly numpy: {
    array(data: Float32Array, options: { shape: number[] }): JaxArray;
    zeros(shape: number[]): JaxArray;
    eye(n: number): JaxArray;
    matmul(x: JaxArray, y: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    concatenate(x: JaxArray[], axis: number): JaxArray;
    broadcastTo(x: JaxArray, shape: number[]): JaxArray;
    pad(x: JaxArray, widths: [number, number][]): JaxArray;
    swapaxes(x: JaxArray, a: number, b: number): JaxArray;
    max(x: JaxArray): JaxArray;
  };
  readonly lax: {
    convGeneralDilated(x: JaxArray, w: JaxArray, strides: number[], padding: [number, number][], options: { featureGroupCount?: number }): JaxArray;
    reduceWindow(x: JaxArray, f: (window: JaxArray) => JaxArray, size: number[], strides: number[]): JaxArray;
  };
  readonly nn: {
    relu(x: JaxArray): JaxArray;
    gelu(x: JaxArray, options: { approximate: boolean }): JaxArray;
    softmax(x: JaxArray, axis: number): JaxArray;
    logsumexp(x: JaxArray, axis: number): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray): JaxArray;
  };
}

export interface OrtTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** ONNX Runtime: the API of onnxruntime-node 1.30. */
export interface Ort {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OrtTensor;
  readonly env: { readonly versions: { readonly common?: string; readonly node?: string } };
}
