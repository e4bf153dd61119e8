// Multinomial logistic regression with an L2 penalty and balanced classes: the linear probe's model, fitted by preconditioned L-BFGS in f64.
import type { LabelledRows } from "../model/neighbours.ts";

export interface LogisticModel {
  readonly classes: number;
  readonly channels: number;
  /** [classes, channels + 1] for standardised features; the bias comes last in each row. */
  readonly weights: Float64Array;
  /** [channels] mean of the training rows, and one over their standard deviation (0 where a channel does not vary: it is left out). */
  readonly mean: Float64Array;
  readonly inverse: Float64Array;
  readonly strength: number;
  readonly iterations: number;
  /** Largest entry of the gradient at the end. */
  readonly gradient: number;
  readonly converged: boolean;
}

export interface FitOptions {
  /** The fit has converged where no entry of the gradient is above this (default 1e-6). The loss is a mean over rows in nats, the features have deviation 1. */
  readonly tolerance?: number;
  /** Default 1000. */
  readonly maxIterations?: number;
}

/** Pairs of steps and gradient changes that L-BFGS remembers. */
const MEMORY = 10;
/** Rows that go through the inner loops together, so that a weight is loaded once for all of them. */
const LANES = 4;

/** Mean and 1/deviation of each channel; 0 for a channel whose deviation is rounding only. */
export function standardisation(values: Float32Array, count: number, channels: number): { mean: Float64Array; inverse: Float64Array } {
  const mean = new Float64Array(channels);
  for (let i = 0; i < count; i++) for (let j = 0; j < channels; j++) mean[j]! += values[i * channels + j]!;
  for (let j = 0; j < channels; j++) mean[j]! /= Math.max(1, count);
  const inverse = new Float64Array(channels);
  for (let i = 0; i < count; i++) for (let j = 0; j < channels; j++) inverse[j]! += (values[i * channels + j]! - mean[j]!) ** 2;
  for (let j = 0; j < channels; j++) {
    const deviation = Math.sqrt(inverse[j]! / Math.max(1, count));
    // An f32 has 24 bits: what varies less than its last ones is noise, and would be blown up to deviation 1.
    inverse[j] = deviation > 2 ** -22 * Math.abs(mean[j]!) && deviation > 0 ? 1 / deviation : 0;
  }
  return { mean, inverse };
}

/** Standardised rows [padded count, channels + 1]: the last channel is 1, rows beyond `count` are 0. */
function standardise({ values, count, channels }: LabelledRows, mean: Float64Array, inverse: Float64Array): Float64Array {
  const width = channels + 1;
  const x = new Float64Array(Math.ceil(count / LANES) * LANES * width);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < channels; j++) x[i * width + j] = (values[i * channels + j]! - mean[j]!) * inverse[j]!;
    x[i * width + channels] = 1;
  }
  return x;
}

/** Weight of a row of each class such that all classes weigh the same and rows weigh 1 on average: a rare class counts as much as in macro-F1. */
export function balanceClasses(labels: Int32Array, classes: number): Float64Array {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]! += 1;
  const present = counts.reduce((sum, n) => sum + (n > 0 ? 1 : 0), 0);
  return counts.map((n) => (n > 0 ? labels.length / (present * n) : 0));
}

/**
 * The objective at `weights` [classes, width]: mean over rows of −importance(class) ln p(class) + strength/2 · Σ w² without the biases. x [padded count, width]
 * as `standardise` makes it, one more channel than features. Writes the gradient [classes, width] into `gradient`.
 */
export function logisticObjective(x: Float64Array, labels: Int32Array, importance: Float64Array, width: number, strength: number, weights: Float64Array, gradient: Float64Array): number {
  const count = labels.length;
  const classes = importance.length;
  gradient.fill(0);
  let loss = 0;
  // [LANES, classes]: logits, then their gradients.
  const z = new Float64Array(LANES * classes);
  for (let i = 0; i < count; i += LANES) {
    const [a, b, c, d] = [i * width, (i + 1) * width, (i + 2) * width, (i + 3) * width];
    for (let k = 0; k < classes; k++) {
      const at = k * width;
      let [za, zb, zc, zd] = [0, 0, 0, 0];
      for (let j = 0; j < width; j++) {
        const w = weights[at + j]!;
        za += w * x[a + j]!;
        zb += w * x[b + j]!;
        zc += w * x[c + j]!;
        zd += w * x[d + j]!;
      }
      z[k] = za;
      z[classes + k] = zb;
      z[2 * classes + k] = zc;
      z[3 * classes + k] = zd;
    }
    for (let lane = 0; lane < LANES; lane++) {
      const from = lane * classes;
      if (i + lane >= count) {
        z.fill(0, from, from + classes);
        continue;
      }
      const label = labels[i + lane]!;
      const weight = importance[label]!;
      let most = -Infinity;
      for (let k = 0; k < classes; k++) most = Math.max(most, z[from + k]!);
      loss += weight * (most - z[from + label]!);
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += z[from + k] = Math.exp(z[from + k]! - most);
      loss += weight * Math.log(sum);
      for (let k = 0; k < classes; k++) z[from + k] = (weight * (z[from + k]! / sum - (k === label ? 1 : 0))) / count;
    }
    for (let k = 0; k < classes; k++) {
      const at = k * width;
      const [ra, rb, rc, rd] = [z[k]!, z[classes + k]!, z[2 * classes + k]!, z[3 * classes + k]!];
      for (let j = 0; j < width; j++) gradient[at + j]! += ra * x[a + j]! + rb * x[b + j]! + rc * x[c + j]! + rd * x[d + j]!;
    }
  }
  let penalty = 0;
  for (let k = 0; k < classes; k++)
    for (let j = 0; j < width - 1; j++) {
      const w = weights[k * width + j]!;
      penalty += w * w;
      gradient[k * width + j]! += strength * w;
    }
  return loss / count + (strength / 2) * penalty;
}

/** Second moments XᵀX/count of standardised rows: [width, width], the lower triangle only. */
function secondMoments(x: Float64Array, count: number, width: number): Float64Array {
  const s = new Float64Array(width * width);
  for (let i = 0; i < count; i += LANES) {
    const [a, b, c, d] = [i * width, (i + 1) * width, (i + 2) * width, (i + 3) * width];
    for (let r = 0; r < width; r++) {
      const [ra, rb, rc, rd] = [x[a + r]! / count, x[b + r]! / count, x[c + r]! / count, x[d + r]! / count];
      const at = r * width;
      for (let j = 0; j <= r; j++) s[at + j]! += ra * x[a + j]! + rb * x[b + j]! + rc * x[c + j]! + rd * x[d + j]!;
    }
  }
  return s;
}

/** Lower Cholesky factor of a symmetric positive definite matrix of which the lower triangle is given; in place. */
function factorise(a: Float64Array, width: number): Float64Array {
  for (let r = 0; r < width; r++)
    for (let c = 0; c <= r; c++) {
      let sum = a[r * width + c]!;
      for (let j = 0; j < c; j++) sum -= a[r * width + j]! * a[c * width + j]!;
      a[r * width + c] = r === c ? Math.sqrt(sum) : sum / a[c * width + c]!;
    }
  return a;
}

/** Solves L Lᵀ u = v for each row of v [rows, width], in place. */
function solve(l: Float64Array, v: Float64Array, rows: number, width: number): void {
  for (let row = 0; row < rows; row++) {
    const at = row * width;
    for (let r = 0; r < width; r++) {
      let sum = v[at + r]!;
      for (let j = 0; j < r; j++) sum -= l[r * width + j]! * v[at + j]!;
      v[at + r] = sum / l[r * width + r]!;
    }
    for (let r = width - 1; r >= 0; r--) {
      const u = (v[at + r]! /= l[r * width + r]!);
      for (let j = 0; j < r; j++) v[at + j]! -= u * l[r * width + j]!;
    }
  }
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/**
 * Fits one model for each strength, each from the one before (order them from strong to weak). Deterministic.
 *
 * L-BFGS (Nocedal 1980) with the curvature that the objective has where all classes are equally likely, (1/classes)·XᵀX/count + strength,
 * as its first guess: features of networks are so correlated that without it hundreds of iterations are needed.
 */
export function fitLogisticPath(rows: LabelledRows, strengths: readonly number[], options: FitOptions = {}): LogisticModel[] {
  const { labels, count, channels, classes } = rows;
  const { tolerance = 1e-6, maxIterations = 1000 } = options;
  if (count < 1 || classes < 2 || strengths.some((strength) => !(strength > 0))) throw new RangeError(`fitLogistic: ${count} rows, ${classes} classes, strengths ${strengths.join(", ")}; expected rows, two classes and strengths above 0`);
  if (!labels.every((label) => label >= 0 && label < classes)) throw new RangeError(`fitLogistic: a label is not within 0 to ${classes - 1}`);
  const width = channels + 1;
  const { mean, inverse } = standardisation(rows.values, count, channels);
  const x = standardise(rows, mean, inverse);
  const importance = balanceClasses(labels, classes);
  const moments = secondMoments(x, count, width);
  let start: Float64Array = new Float64Array(classes * width);
  return strengths.map((strength) => {
    const curvature = moments.map((value) => value / classes);
    for (let j = 0; j < channels; j++) curvature[j * width + j]! += strength;
    const l = factorise(curvature, width);
    const found = minimise(
      start,
      (weights, gradient) => logisticObjective(x, labels, importance, width, strength, weights, gradient),
      (v) => solve(l, v, classes, width),
      tolerance,
      maxIterations,
    );
    start = found.weights;
    return { classes, channels, mean, inverse, strength, ...found };
  });
}

/** One model; see `fitLogisticPath`. */
export function fitLogistic(rows: LabelledRows, strength: number, options: FitOptions = {}): LogisticModel {
  return fitLogisticPath(rows, [strength], options)[0]!;
}

type Minimum = Pick<LogisticModel, "weights" | "iterations" | "gradient" | "converged">;

/** L-BFGS with a preconditioner for its first guess of the inverse curvature, and halving of the step until the loss falls enough (Armijo). */
function minimise(from: Float64Array, evaluate: (at: Float64Array, gradient: Float64Array) => number, precondition: (v: Float64Array) => void, tolerance: number, maxIterations: number): Minimum {
  let weights: Float64Array = from.slice();
  let gradient = new Float64Array(weights.length);
  let loss = evaluate(weights, gradient);
  const largest = () => gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const pairs: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  let scale = 1;
  let iterations = 0;
  for (; iterations < maxIterations && largest() > tolerance; iterations++) {
    const direction = gradient.slice();
    const alphas = new Float64Array(pairs.length);
    for (let p = pairs.length - 1; p >= 0; p--) {
      const { s, y, rho } = pairs[p]!;
      const alpha = (alphas[p] = rho * dot(s, direction));
      for (let i = 0; i < direction.length; i++) direction[i]! -= alpha * y[i]!;
    }
    precondition(direction);
    for (let i = 0; i < direction.length; i++) direction[i]! *= scale;
    for (const [p, { s, y, rho }] of pairs.entries()) {
      const beta = rho * dot(y, direction);
      for (let i = 0; i < direction.length; i++) direction[i]! += (alphas[p]! - beta) * s[i]!;
    }
    const slope = -dot(gradient, direction);
    const next = new Float64Array(weights.length);
    const nextGradient = new Float64Array(weights.length);
    let nextLoss = Infinity;
    let step = 1;
    for (; step > 1e-10; step /= 2) {
      for (let i = 0; i < next.length; i++) next[i] = weights[i]! - step * direction[i]!;
      nextLoss = evaluate(next, nextGradient);
      // Near the minimum the loss no longer falls by more than its own rounding.
      if (nextLoss <= loss + 1e-4 * step * slope + 4 * Number.EPSILON * Math.abs(loss)) break;
    }
    if (step <= 1e-10) break;
    const s = new Float64Array(weights.length);
    const y = new Float64Array(weights.length);
    for (let i = 0; i < s.length; i++) {
      s[i] = next[i]! - weights[i]!;
      y[i] = nextGradient[i]! - gradient[i]!;
    }
    const sy = dot(s, y);
    if (sy > 0) {
      pairs.push({ s, y, rho: 1 / sy });
      if (pairs.length > MEMORY) pairs.shift();
      const scaled = y.slice();
      precondition(scaled);
      scale = sy / dot(y, scaled);
    }
    [weights, gradient, loss] = [next, nextGradient, nextLoss];
  }
  const end = largest();
  return { weights, iterations, gradient: end, converged: end <= tolerance };
}

/** The likeliest class of each row [count]; the first of equals. */
export function predictLogistic(model: LogisticModel, values: Float32Array, count: number): Int32Array {
  const { classes, channels, weights, mean, inverse } = model;
  const width = channels + 1;
  const predicted = new Int32Array(count);
  const x = new Float64Array(channels);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < channels; j++) x[j] = (values[i * channels + j]! - mean[j]!) * inverse[j]!;
    let most = -Infinity;
    for (let k = 0; k < classes; k++) {
      let z = weights[k * width + channels]!;
      for (let j = 0; j < channels; j++) z += weights[k * width + j]! * x[j]!;
      if (z > most) {
        most = z;
        predicted[i] = k;
      }
    }
  }
  return predicted;
}
