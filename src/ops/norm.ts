// Layer and batch normalisation, with their gradients and the running statistics of batches.
import { batchNorm as batchKernel, batchNormDx, batchNormSums } from "../../kernels/norm/batch-norm.ts";
import { layerNorm as layerKernel, layerNormDx, layerNormSums } from "../../kernels/norm/layer-norm.ts";
import { moments, momentsMerge, runningUpdate } from "../../kernels/norm/moments.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, sizeOf, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { partsOf, sum } from "./reduce.ts";

/**
 * (x − mean)/√(variance + eps) · gamma + beta along the last dimension: x [.., c], gamma and beta [c], f32 whatever x is.
 * The variance is divided by c. Throws ShapeError where sizes do not fit.
 */
export function layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, eps = 1e-5): Tensor {
  const { rows, c } = sizesOf("layerNorm", x, gamma, beta);
  const { y, mean, rstd } = dispatch(layerKernel, { inputs: { x, gamma, beta }, outputs: { y: x.shape, mean: [rows], rstd: [rows] }, numbers: { rows, c, eps } });
  return withGradient(y, "layerNorm", [x, gamma, beta], (dy) => {
    const parts = partsOf(c, rows);
    const sums = once(() => addUp(dispatch(layerNormSums, { inputs: { x, dy, mean, rstd }, outputs: { dGamma: [parts, c], dBeta: [parts, c] }, numbers: { rows, c, parts } })));
    return [
      () => dispatch(layerNormDx, { inputs: { x, dy, gamma, mean, rstd }, outputs: { dx: x.shape }, numbers: { rows, c } }).dx,
      () => sums().dGamma(),
      () => sums().dBeta(),
    ];
  });
}

/** How far running statistics move towards those of a batch unless it is said otherwise, as in PyTorch. */
export const RUNNING_MOMENTUM = 0.1;

/** Statistics that batches leave behind: state tensors [c], f32. */
export interface Running {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

export interface BatchNormOptions {
  /** Used instead of the batch's statistics where `training` is off; updated where it is on. */
  readonly running?: Running;
  /** How far the running statistics move towards the batch's; RUNNING_MOMENTUM unless given. */
  readonly momentum?: number;
  /** 1e-5 unless given. */
  readonly eps?: number;
  /** Whether the batch's own statistics normalise it, and gradients flow through them. */
  readonly training: boolean;
  /** Whether training moves the running statistics; true unless given. Off for a pass that repeats another. */
  readonly update?: boolean;
}

/**
 * (x − mean)/√(variance + eps) · gamma + beta for each channel: x [.., c], statistics over all leading dimensions, gamma and beta
 * [c], f32 whatever x is. In training the statistics are the batch's (variance divided by the count, by Welford and Chan, in two
 * stages) and `running` moves towards them, there with the unbiased variance (divided by the count less one) as in PyTorch.
 * Otherwise `running` normalises and stays as it is. Throws ShapeError where sizes do not fit, where training has fewer than two
 * rows, and where `running` is missing outside of training.
 */
export function batchNorm(x: Tensor, gamma: Tensor, beta: Tensor, options: BatchNormOptions): Tensor {
  const { running, momentum = RUNNING_MOMENTUM, eps = 1e-5, training, update = true } = options;
  const { rows, c } = sizesOf("batchNorm", x, gamma, beta);
  for (const [name, tensor] of Object.entries(running ?? {}) as [string, Tensor][])
    if (sizeOf(tensor.shape) !== c) throw new ShapeError("batchNorm", `running ${name} has shape [${tensor.shape.join(", ")}], expected [${c}]`);
  if (training && rows < 2) throw new ShapeError("batchNorm", `one row of [${x.shape.join(", ")}] in training, expected at least two; its variance would be 0`);
  if (!training && !running) throw new ShapeError("batchNorm", "no running statistics outside of training, expected both");
  const { mean, variance } = training ? statistics(x, rows, c) : running!;
  if (training && running && update)
    dispatch(runningUpdate, { inputs: { mean, variance, runningMean: running.mean, runningVariance: running.variance }, outputs: {}, numbers: { rows, c, momentum } });
  const { y } = dispatch(batchKernel, { inputs: { x, mean, variance, gamma, beta }, outputs: { y: x.shape }, numbers: { rows, c, eps } });
  return withGradient(y, "batchNorm", [x, gamma, beta], (dy) => {
    const parts = partsOf(c, rows);
    const sums = once(() => addUp(dispatch(batchNormSums, { inputs: { x, dy, mean, variance }, outputs: { dGamma: [parts, c], dBeta: [parts, c] }, numbers: { rows, c, parts, eps } })));
    const through = () => ({ x, mean, dGamma: sums().dGamma(), dBeta: sums().dBeta() });
    return [
      () => dispatch(batchNormDx, { inputs: { dy, variance, gamma, ...(training ? through() : {}) }, outputs: { dx: x.shape }, numbers: { rows, c, eps }, flags: [training && "batch"] }).dx,
      () => sums().dGamma(),
      () => sums().dBeta(),
    ];
  });
}

/** Mean and variance of each channel over all rows. */
function statistics(x: Tensor, rows: number, c: number): Running {
  const parts = partsOf(c, rows);
  const stage = dispatch(moments, { inputs: { x }, outputs: { mean: [parts, c], squares: [parts, c] }, numbers: { rows, c, parts } });
  return dispatch(momentsMerge, { inputs: { means: stage.mean, squares: stage.squares }, outputs: { mean: [c], variance: [c] }, numbers: { rows, c, parts } });
}

/** Second stage of sums over rows. */
function addUp(parts: { readonly dGamma: Tensor; readonly dBeta: Tensor }): { dGamma: () => Tensor; dBeta: () => Tensor } {
  return { dGamma: once(() => sum(parts.dGamma, [0])), dBeta: once(() => sum(parts.dBeta, [0])) };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function sizesOf(op: string, x: Tensor, gamma: Tensor, beta: Tensor): { rows: number; c: number } {
  const c = x.shape.at(-1);
  if (!c) throw new ShapeError(op, `x has shape [${x.shape.join(", ")}], expected a last dimension of at least 1`);
  for (const [name, tensor] of [["gamma", gamma], ["beta", beta]] as const)
    if (sizeOf(tensor.shape) !== c) throw new ShapeError(op, `${name} has shape [${tensor.shape.join(", ")}], expected [${c}]`);
  return { rows: sizeOf(x.shape) / c, c };
}

const shifted = (random: () => number) => 3 + 2 * random();
const positive = (random: () => number) => 0.5 + random();

const normCase = (name: string, shape: readonly number[], build: (x: Tensor, gamma: Tensor, beta: Tensor, more: Readonly<Record<string, Tensor>>) => Tensor, more: GradientCase["inputs"] = {}): GradientCase => ({
  name,
  inputs: { x: { shape, values: shifted }, gamma: { shape: [shape.at(-1)!] }, beta: { shape: [shape.at(-1)!] }, ...more },
  build: ({ x, gamma, beta, ...rest }) => build(x!, gamma!, beta!, rest),
});

export const gradientCases: readonly GradientCase[] = [
  normCase("layerNorm", [3, 5, 24], (x, gamma, beta) => layerNorm(x, gamma, beta)),
  normCase("layerNorm ragged, in parts", [131, 7], (x, gamma, beta) => layerNorm(x, gamma, beta, 1e-3)),
  normCase("batchNorm in training", [2, 3, 5, 8], (x, gamma, beta) => batchNorm(x, gamma, beta, { training: true })),
  normCase("batchNorm in training, ragged, in parts", [131, 7], (x, gamma, beta) => batchNorm(x, gamma, beta, { training: true, eps: 1e-3 })),
  normCase(
    "batchNorm with given statistics",
    [4, 3, 6],

    (x, gamma, beta, { mean, variance }) => batchNorm(x, gamma, beta, { running: { mean: mean!, variance: variance! }, training: false }),
    { mean: { shape: [6], fixed: true }, variance: { shape: [6], fixed: true, values: positive } },
  ),
];
