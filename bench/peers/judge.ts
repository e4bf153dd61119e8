// Whether what an engine gave is right: its distance from the truth, and how far rounding in f32 explains one.
import { convExtent, type Case } from "./cases.ts";
import type { Outputs } from "./engine.ts";
import { draw } from "./inputs.ts";
import { ADAM, parametersOf } from "./networks.ts";

/** Half an ulp at 1: what one rounding to f32 loses, relative. */
const ROUNDING = 2 ** -24;

/**
 * A sum of k products in f32, in any order, errs like a random walk of 2k roundings: eight of its standard deviations, which
 * one in 10^15 exceeds by chance. Relative to the result's RMS.
 */
const walk = (k: number): number => 8 * Math.sqrt(2 * k) * ROUNDING;

/** WGSL lets exp err by (3 + 2|x|) ulp; arguments here are at most 20 below the row's maximum where they matter. */
const EXPONENTIAL = 2 * (3 + 2 * 20) * ROUNDING;
/** The widespread approximation of erf (Abramowitz and Stegun 7.1.26) errs by 1.5e-7, x by it as much with |x| up to 4. */
const ERROR_FUNCTION = 4 * 1.5e-7 + EXPONENTIAL;
/** Scores of the contrastive loss are divided by τ = 0.1, and so are their errors. */
const SHARPNESS = 10;

/** The relative error that is still explained by f32 arithmetic: of elements, or of a whole gradient where a network is trained. */
export function toleranceOf({ kind, pass, numbers }: Case): number {
  const { b = 0, ih = 0, iw = 0, ci = 0, co = 0, f = 0, s = 1, p = 0, g = 1, k = 0, n = 0, d = 0, rows = 0, c = 0 } = numbers;
  const forward = pass === "forward";
  switch (kind) {
    case "matmul":
      return walk(k);
    case "conv":
      return walk(forward ? (f * f * ci) / g : pass === "dx" ? (f * f * co) / g : b * convExtent(ih, f, s, p) * convExtent(iw, f, s, p));
    case "attention":
      // A score's error is the relative error of its weight; the gradients go through weights and scores once more.
      return (forward ? 1 : 2) * (4 * walk(d) + EXPONENTIAL + walk(n));
    case "layer-norm":
      return forward ? walk(c) : 2 * walk(c) + walk(rows);
    case "softmax":
      return (forward ? 1 : 2) * (EXPONENTIAL + walk(n));
    case "gelu":
      return ERROR_FUNCTION;
    case "info-nce":
      return (forward ? 1 : 2) * (SHARPNESS * walk(d) + EXPONENTIAL + walk(n));
    case "resnet18":
      // Its 18 layers err independently, so the squares add up; each sums at most 512 · 9 products.
      return Math.sqrt(18) * walk(512 * 9);
    case "vit-s":
      // Twelve blocks of six products and an attention, the longest sum of 1536 products.
      return Math.sqrt(12 * 7) * walk(1536);
    case "model-r50":
      return Math.sqrt(53) * walk(512 * 9);
    case "model-vit-s":
      return Math.sqrt(12 * 7) * walk(1536);
    case "model-vit-b":
      return Math.sqrt(12 * 7) * walk(3072);
    case "model-hybrid":
      return Math.sqrt(43 + 12 * 7) * walk(256 * 9);
    case "train-conv":
      return trainTolerance(4, 64 * 9) + kinkShare(4, 64 * 9);
    default:
      return trainTolerance(4 * 7, 768);
  }
}

/** Gradients of a network, as whole tensors: rounding of all layers in both directions, sharpened by the loss. */
function trainTolerance(layers: number, k: number): number {
  return 2 * SHARPNESS * Math.sqrt(layers) * walk(k);
}

/**
 * Where an argument of ReLU is so near to 0 that its sign is a matter of rounding, its part of the gradient may be there or not: as large a
 * share of the squares as such arguments are of all, so its root counts.
 */
function kinkShare(layers: number, k: number): number {
  return Math.sqrt(Math.sqrt(2 * k * layers) * ROUNDING);
}

export interface Distance {
  /** Largest |got − truth| over max(|truth|, RMS of the truth); infinite where something is missing or not a number. */
  readonly error: number;
  /** Which element that is. */
  readonly at: string;
}

/** How far an output is from a part of its truth that begins at element `from`. */
export function distanceOf(name: string, got: Float32Array | undefined, truth: ArrayLike<number>, from = 0): Distance {
  if (!got || got.length < from + truth.length) return { error: Infinity, at: `${name} has ${got?.length ?? 0} elements` };
  let squares = 0;
  for (let i = 0; i < truth.length; i++) squares += truth[i]! ** 2;
  const rms = Math.sqrt(squares / truth.length);
  let worst: Distance = { error: 0, at: name };
  for (let i = 0; i < truth.length; i++) {
    const error = Math.abs(got[from + i]! - truth[i]!) / Math.max(Math.abs(truth[i]!), rms, Number.MIN_VALUE);
    if (!(error <= worst.error)) worst = { error: Number.isNaN(error) ? Infinity : error, at: `${name}[${from + i}] = ${got[from + i]}, expected ${truth[i]}` };
    if (worst.error === Infinity) break;
  }
  return worst;
}

/** ‖got − truth‖ / ‖truth‖. */
export function distanceOfWhole(name: string, got: Float32Array | undefined, truth: ArrayLike<number>): Distance {
  if (!got || got.length !== truth.length) return { error: Infinity, at: `${name} has ${got?.length ?? 0} elements, expected ${truth.length}` };
  let [off, size] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    off += (got[i]! - truth[i]!) ** 2;
    size += truth[i]! ** 2;
  }
  const error = size === 0 ? Math.sqrt(off) : Math.sqrt(off / size);
  return { error: Number.isNaN(error) ? Infinity : error, at: name };
}

export const worse = (a: Distance, b: Distance): Distance => (b.error > a.error ? b : a);

/** The first step of training: the loss, all gradients together with each of a noticeable size alone, and that every parameter moved as Adam says. */
export function distanceOfStep(problem: Case, got: Outputs, truth: Readonly<Record<string, Float64Array>>): Distance {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  let worst = distanceOf("loss", got["loss"], truth["loss"]!);
  const size = (name: string) => norm(truth[`gradient ${name}`]!);
  const largest = Math.max(...specs.map(({ name }) => size(name)));
  for (const { name, shape, how } of specs) {
    const label = `gradient ${name}`;
    // A key's bias has no gradient in exact arithmetic: what is left is rounding, measured by its neighbours.
    const share = size(name) / largest;
    const { error, at } = distanceOfWhole(label, got[label], truth[label]!);
    worst = worse(worst, { error: share > 1e-6 ? error : error * share, at });
    worst = worse(worst, distanceOfUpdate(name, draw(kind, name, shape, how).data, got));
  }
  return worst;
}

/**
 * How far a parameter's first step is from Adam's with the engine's own gradient, in steps: rounding of the parameter itself is
 * part of it, so it is counted off.
 */
function distanceOfUpdate(name: string, before: Float32Array, got: Outputs): Distance {
  const [gradient, after] = [got[`gradient ${name}`], got[`parameter ${name}`]];
  if (!gradient || !after || after.length !== before.length) return { error: Infinity, at: `parameter ${name} is missing` };
  const { learningRate, epsilon } = ADAM;
  let worst: Distance = { error: 0, at: name };
  for (let i = 0; i < before.length; i++) {
    const step = (learningRate * gradient[i]!) / (Math.abs(gradient[i]!) + epsilon);
    const off = Math.abs(after[i]! - (before[i]! - step)) - 4 * ROUNDING * Math.abs(before[i]!);
    // Of the smallest gradients, roots of squares below f32's range are no longer exact; the step is then below lr.
    const error = Math.abs(gradient[i]!) < 1e-12 ? 0 : off / learningRate;
    if (!(error <= worst.error)) worst = { error: Number.isNaN(error) ? Infinity : error, at: `parameter ${name}[${i}] moved to ${after[i]}, expected ${before[i]! - step}` };
  }
  return worst;
}

const norm = (x: Float64Array): number => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
