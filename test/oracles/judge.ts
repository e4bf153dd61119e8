// Judging whole tensors: device and oracle against the f64 truth, in norms, with bounds that follow from what f32 loses.
import { expect } from "vitest";
import type { Testimony } from "./witnesses.ts";

/**
 * Errors of f32 arithmetic are, to first order, sums of rounding errors, each times how much the result hangs on it. Whoever
 * evaluates the same formula in f32, in whatever order, draws from the same sum: norms of many elements then differ by little,
 * and plain order, the yardstick's, is the worst there is. Four times the yardstick covers the spread of small tensors.
 */
const SPREAD = 4;
/** The bound must stay this far below the truth: the least mistake of a formula looked for, an unbiased variance in the widest norm of `tiny`, changes 1 part in 512. */
const POWER = 2e-4;
/** Arguments of ReLU keep this many units of error away from its kink: twice what the bound on errors allows. */
export const MARGIN = 2 * SPREAD;
/** Rounding of a stored result. */
const ROUNDING = 2 ** -24;

/**
 * Gradients that are 0 in exact arithmetic, with those of a like size: a softmax does not see what is added to a whole row, as
 * a key's bias is, and batch norm not what is added to all rows, as the bias of a transformer's last norm is.
 */
export const twinOf = (name: string): string => name.replace(/attention\.key\.bias$/, "attention.query.bias").replace(/encoder\.norm\.bias$/, "encoder.norm.weight");

/** Holds device and oracle to the truth, output by output, and prints the worst of each. */
export function expectEqual(testimonies: ReadonlyMap<string, Testimony>, title: string): void {
  const errors = new Map([...testimonies].map(([name, testimony]) => [name, errorsOf(testimony)]));
  const whole = (pick: (e: Errors) => number) => Math.sqrt([...errors.values()].reduce((sum, e) => sum + pick(e) ** 2, 0));
  // A tensor of few elements is a small sample: the yardstick of the whole counts for it where that is larger.
  const common = whole((e) => e.yardstick) / whole((e) => e.size);
  const faults: string[] = [];
  for (const [name, e] of errors) {
    const size = errors.get(twinOf(name))?.size ?? 0;
    const allowed = SPREAD * Math.max(e.yardstick, common * e.size) + ROUNDING * e.size;
    const tell = (who: string, error: number) => `${name}: ${who} is off by ${(error / size).toExponential(2)} of its size, allowed ${(allowed / size).toExponential(2)}`;
    if (!(size > 0)) faults.push(`${name}: nothing but zeros, of which any mistake makes zeros again`);
    if (!(e.device <= allowed)) faults.push(tell("the device", e.device));
    if (!(e.oracle <= allowed)) faults.push(tell("the oracle", e.oracle));
    if (!(allowed <= POWER * size)) faults.push(`${name}: the bound ${(allowed / size).toExponential(2)} is too wide to tell right from wrong, expected at most ${POWER}`);
    // Two vectors within r of a third, r of its size each, stand at an angle of at most 2 asin r to each other.
    const r = allowed / e.size;
    if (r < 0.5 && !(e.cosine >= Math.cos(2 * Math.asin(r)) - 4 * Number.EPSILON)) faults.push(`${name}: the cosine of device and oracle is ${e.cosine}`);
    if (name !== twinOf(name) && errors.has(twinOf(name)) && !(e.size <= 1e-9 * size)) faults.push(`${name}: expected to vanish, but its size is ${e.size}`);
  }
  const worst = (pick: (e: Errors) => number) => Math.max(...[...errors].map(([name, e]) => pick(e) / (errors.get(twinOf(name))?.size ?? 1)));
  const parts = { device: worst((e) => e.device), oracle: worst((e) => e.oracle), yardstick: worst((e) => e.yardstick) };
  console.info(`${title}: ${errors.size} tensors; largest relative error of ${Object.entries(parts).map(([who, error]) => `${who} ${error.toExponential(2)}`).join(", ")}`);
  expect(faults).toEqual([]);
}

/** Norms of what the witnesses say about one output. */
interface Errors {
  readonly device: number;
  readonly oracle: number;
  readonly yardstick: number;
  /** ‖truth‖. */
  readonly size: number;
  /** Of the angle between device and oracle. */
  readonly cosine: number;
}

/** Distances from the truth in the Euclidean norm. */
function errorsOf({ device, oracle, truth, yardstick }: Testimony): Errors {
  const distance = (a: ArrayLike<number>) => Math.sqrt(truth.reduce((sum, value, i) => sum + (a[i]! - value) ** 2, 0));
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
  return {
    device: distance(device),
    oracle: distance(oracle),
    yardstick: distance(yardstick),
    size: Math.sqrt(dot(truth, truth)),
    cosine: dot(device, oracle) / Math.sqrt(dot(device, device) * dot(oracle, oracle)),
  };
}
