// The inputs of a case, equal for every engine: drawn from the case's name and the tensor's.
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { type Case, convExtent } from "./cases.ts";

/** A tensor on the host. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** How values are drawn: evenly within `deviation` · √3 around `mean`, whose standard deviation that is. */
export interface Distribution {
  readonly mean?: number;
  readonly deviation: number;
}

/** A tensor that depends on the names and the shape alone. */
export function draw(scope: string, name: string, shape: readonly number[], { mean = 0, deviation }: Distribution): HostTensor {
  const hash = [...`${scope} ${name}`].reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)!) >>> 0, 7);
  const random = randomStream(keyOfSeed(20260101), [hash, 0, 0xbe]);
  const half = deviation * Math.sqrt(3);
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = mean + half * (2 * random.uniform() - 1);
  return { shape, data };
}

interface Spec extends Distribution {
  readonly shape: readonly number[];
}

/** Inputs of operations by name; images are [b, h, w, c], filters [f, f, ci/g, co], tokens of attention [b, h, n, d]. */
function specsOf({ kind, pass, numbers }: Case): Record<string, Spec> {
  const n = (name: string): number => numbers[name] ?? 0;
  const forward = pass === "forward";
  switch (kind) {
    case "matmul":
      return { a: { shape: [n("m"), n("k")], deviation: 1 }, b: { shape: [n("k"), n("n")], deviation: 1 } };
    case "conv": {
      const x = { shape: [n("b"), n("ih"), n("iw"), n("ci")], deviation: 1 };
      const w = { shape: [n("f"), n("f"), n("ci") / n("g"), n("co")], deviation: 0.1 };
      const dy = { shape: [n("b"), convExtent(n("ih"), n("f"), n("s"), n("p")), convExtent(n("iw"), n("f"), n("s"), n("p")), n("co")], deviation: 1 };
      return forward ? { x, w } : pass === "dx" ? { w, dy } : { x, dy };
    }
    case "attention": {
      const spec = { shape: [n("b"), n("h"), n("n"), n("d")], deviation: 1 };
      return { q: spec, k: spec, v: spec, ...(forward ? {} : { dy: spec }) };
    }
    case "layer-norm": {
      const spec = { shape: [n("rows"), n("c")], deviation: 1 };
      const vector = { shape: [n("c")], deviation: 0.2 };
      return { x: { ...spec, mean: 0.5 }, gamma: { ...vector, mean: 1 }, beta: vector, ...(forward ? {} : { dy: spec }) };
    }
    case "softmax":
    case "gelu": {
      const shape = [n("rows"), n("n")];
      return { x: { shape, deviation: 2 }, ...(forward ? {} : { dy: { shape, deviation: 1 } }) };
    }
    case "info-nce":
      return { z: { shape: [n("n"), n("d")], deviation: 1 } };
    default:
      return { x: { shape: [n("b"), n("side"), n("side"), kind.startsWith("model-") ? 1 : 3], deviation: 1 } };
  }
}

/** Everything that the case is given; weights of networks aside, which `draw` gives by their names. */
export function inputsOf(problem: Case): Record<string, HostTensor> {
  return Object.fromEntries(Object.entries(specsOf(problem)).map(([name, spec]) => [name, draw(problem.name, name, spec.shape, spec)]));
}

/** Reorders dimensions on the host: `order[i]` is the dimension of `x` that comes i-th. */
export function permute({ shape, data }: HostTensor, order: readonly number[]): HostTensor {
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  const target = order.map((from) => shape[from]!);
  const steps = order.map((from) => strides[from]!);
  const out = new Float32Array(data.length);
  const index = target.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from]!;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < target[axis]!) break;
      from -= steps[axis]! * target[axis]!;
      index[axis] = 0;
    }
  }
  return { shape: target, data: out };
}

/** Orders between channels-last and channels-first, for images, for filters, and for tokens with heads. */
export const ORDERS = { toFirst: [0, 3, 1, 2], toLast: [0, 2, 3, 1], filterToFirst: [3, 2, 0, 1], filterToLast: [2, 3, 1, 0], heads: [0, 2, 1, 3] } as const;
