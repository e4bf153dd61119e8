// Networks in f64 with their gradients: a tape over the plain loops of `truth.ts`.
import { convExtent } from "./cases.ts";
import { sizeOf } from "./inputs.ts";
import type { Algebra } from "./networks.ts";
import { attentionHead, convDw, convDxImage, convRow, EPSILON, gelu, geluSlope, layerNorm, matmulRows, transposed, type ConvSizes } from "./truth.ts";

/** A value on the tape, with the gradient that has reached it. Images [b, h, w, c]. */
export interface Exact {
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly grad: Float64Array;
}

export function exact(shape: readonly number[], data: ArrayLike<number>): Exact {
  const values = data instanceof Float64Array ? data : Float64Array.from(data);
  let grad: Float64Array | undefined;
  // Inference never asks for gradients, so they take no memory there.
  return { shape, data: values, get grad() { return (grad ??= new Float64Array(values.length)); } };
}

const accumulate = (into: Float64Array, from: ArrayLike<number>): void => {
  for (let i = 0; i < into.length; i++) into[i]! += from[i]!;
};

/**
 * The operations, and `backward`, which takes the gradients of what was computed back to what it was computed from; without it where nothing is
 * to be recorded: large networks' values are then forgotten as soon as they are used.
 */
export function createTape(recording = true): { readonly algebra: Algebra<Exact>; readonly backward: () => void } {
  const steps: (() => void)[] = [];
  const record = (shape: readonly number[], data: Float64Array, back: (dy: Float64Array) => void): Exact => {
    const y = exact(shape, data);
    if (recording) steps.push(() => back(y.grad));
    return y;
  };
  const pointwise = (x: Exact, f: (v: number) => number, slope: (v: number) => number): Exact =>
    record(x.shape, x.data.map(f), (dy) => {
      for (let i = 0; i < dy.length; i++) x.grad[i]! += dy[i]! * slope(x.data[i]!);
    });
  const algebra: Algebra<Exact> = {
    conv(x, w, bias, s, p) {
      const [b = 0, ih = 0, iw = 0, ci = 0] = x.shape;
      const [f = 0, , , co = 0] = w.shape;
      const sizes: ConvSizes = { b, ih, iw, ci, oh: convExtent(ih, f, s, p), ow: convExtent(iw, f, s, p), co, f, s, p, g: 1 };
      const { oh, ow } = sizes;
      const y = new Float64Array(b * oh * ow * co);
      for (let image = 0; image < b; image++) for (let row = 0; row < oh; row++) y.set(convRow(x.data, w.data, sizes, image, row), (image * oh + row) * ow * co);
      if (bias) for (let i = 0; i < y.length; i++) y[i]! += bias.data[i % co]!;
      return record([b, oh, ow, co], y, (dy) => {
        for (let image = 0; image < b; image++) accumulate(x.grad.subarray(image * ih * iw * ci, (image + 1) * ih * iw * ci), convDxImage(dy, w.data, sizes, image));
        accumulate(w.grad, convDw(x.data, dy, sizes));
        if (bias) for (let i = 0; i < dy.length; i++) bias.grad[i % co]! += dy[i]!;
      });
    },
    batchNorm(x, gamma, beta, mean, variance) {
      const c = gamma.data.length;
      const inverse = variance.data.map((value) => 1 / Math.sqrt(value + EPSILON));
      const normed = x.data.map((value, i) => (value - mean.data[i % c]!) * inverse[i % c]!);
      return record(x.shape, normed.map((value, i) => value * gamma.data[i % c]! + beta.data[i % c]!), (dy) => {
        for (let i = 0; i < dy.length; i++) {
          const k = i % c;
          x.grad[i]! += dy[i]! * gamma.data[k]! * inverse[k]!;
          gamma.grad[k]! += dy[i]! * normed[i]!;
          beta.grad[k]! += dy[i]!;
          mean.grad[k]! -= dy[i]! * gamma.data[k]! * inverse[k]!;
          variance.grad[k]! -= (dy[i]! * gamma.data[k]! * normed[i]! * inverse[k]! ** 2) / 2;
        }
      });
    },
    maxPool(x) {
      const [b = 0, ih = 0, iw = 0, c = 0] = x.shape;
      const [oh, ow] = [convExtent(ih, 3, 2, 1), convExtent(iw, 3, 2, 1)];
      const y = new Float64Array(b * oh * ow * c).fill(-Infinity);
      const chosen = new Uint32Array(y.length);
      for (let to = 0; to < y.length; to++) {
        const [channel, ox, oy, image] = [to % c, Math.floor(to / c) % ow, Math.floor(to / (c * ow)) % oh, Math.floor(to / (c * ow * oh))];
        for (let row = Math.max(0, 2 * oy - 1); row <= Math.min(ih - 1, 2 * oy + 1); row++)
          for (let column = Math.max(0, 2 * ox - 1); column <= Math.min(iw - 1, 2 * ox + 1); column++) {
            const from = ((image * ih + row) * iw + column) * c + channel;
            if (x.data[from]! > y[to]!) [y[to], chosen[to]] = [x.data[from]!, from];
          }
      }
      return record([b, oh, ow, c], y, (dy) => dy.forEach((value, i) => void (x.grad[chosen[i]!]! += value)));
    },
    meanOverPlaces(x) {
      const [b = 0, h = 0, w = 0, c = 0] = x.shape;
      const y = new Float64Array(b * c);
      const at = (i: number) => Math.floor(i / (h * w * c)) * c + (i % c);
      for (let i = 0; i < x.data.length; i++) y[at(i)]! += x.data[i]! / (h * w);
      return record([b, c], y, (dy) => {
        for (let i = 0; i < x.data.length; i++) x.grad[i]! += dy[at(i)]! / (h * w);
      });
    },
    relu: (x) => pointwise(x, (v) => Math.max(v, 0), (v) => (v > 0 ? 1 : 0)),
    gelu: (x) => pointwise(x, gelu, geluSlope),
    add(x, y) {
      const n = y.data.length;
      return record(x.shape, x.data.map((v, i) => v + y.data[i % n]!), (dz) => {
        accumulate(x.grad, dz);
        for (let i = 0; i < dz.length; i++) y.grad[i % n]! += dz[i]!;
      });
    },
    linear(x, w, bias) {
      const [k = 0, n = 0] = w.shape;
      const m = x.data.length / k;
      const y = matmulRows(x.data, w.data, k, n, 0, m);
      for (let i = 0; i < y.length; i++) y[i]! += bias.data[i % n]!;
      return record([...x.shape.slice(0, -1), n], y, (dy) => {
        accumulate(x.grad, matmulRows(dy, transposed(w.data, k, n), n, k, 0, m));
        accumulate(w.grad, matmulRows(transposed(x.data, m, k), dy, m, n, 0, k));
        for (let i = 0; i < dy.length; i++) bias.grad[i % n]! += dy[i]!;
      });
    },
    layerNorm(x, gamma, beta) {
      const c = gamma.data.length;
      const rows = x.data.length / c;
      return record(x.shape, layerNorm(x.data, gamma.data, beta.data, rows, c).y, (dy) => {
        const { dx, dgamma, dbeta } = layerNorm(x.data, gamma.data, beta.data, rows, c, dy);
        accumulate(x.grad, dx);
        accumulate(gamma.grad, dgamma);
        accumulate(beta.grad, dbeta);
      });
    },
    attention(q, k, v, { b, n, heads, d }) {
      // One head's columns of tokens, gathered; and added back.
      const at = (image: number, head: number, i: number) => (image * n + Math.floor(i / d)) * heads * d + head * d + (i % d);
      const gather = (x: Float64Array, image: number, head: number) => Float64Array.from({ length: n * d }, (_, i) => x[at(image, head, i)]!);
      const scatter = (into: Float64Array, from: Float64Array, image: number, head: number) => from.forEach((value, i) => void (into[at(image, head, i)]! += value));
      const y = new Float64Array(b * n * heads * d);
      const eachHead = (visit: (image: number, head: number) => void) => {
        for (let image = 0; image < b; image++) for (let head = 0; head < heads; head++) visit(image, head);
      };
      const partsOf = (image: number, head: number) => [q, k, v].map((x) => gather(x.data, image, head)) as [Float64Array, Float64Array, Float64Array];
      eachHead((image, head) => scatter(y, attentionHead(...partsOf(image, head), n, d).y, image, head));
      return record(q.shape, y, (dy) =>
        eachHead((image, head) => {
          const { dq, dk, dv } = attentionHead(...partsOf(image, head), n, d, gather(dy, image, head));
          scatter(q.grad, dq, image, head);
          scatter(k.grad, dk, image, head);
          scatter(v.grad, dv, image, head);
        }),
      );
    },
    tokens: (x, b, n, c) => record([b, n, c], x.data, (dy) => accumulate(x.grad, dy)),
    prepend(token, x, b, c) {
      const n = x.data.length / (b * c);
      const y = new Float64Array(b * (n + 1) * c);
      for (let image = 0; image < b; image++) {
        y.set(token.data, image * (n + 1) * c);
        y.set(x.data.subarray(image * n * c, (image + 1) * n * c), (image * (n + 1) + 1) * c);
      }
      return record([b, n + 1, c], y, (dy) => {
        for (let image = 0; image < b; image++) {
          accumulate(token.grad, dy.subarray(image * (n + 1) * c, (image * (n + 1) + 1) * c));
          accumulate(x.grad.subarray(image * n * c, (image + 1) * n * c), dy.subarray((image * (n + 1) + 1) * c, (image + 1) * (n + 1) * c));
        }
      });
    },
    first(x, b, c) {
      const stride = sizeOf(x.shape) / b;
      const y = Float64Array.from({ length: b * c }, (_, i) => x.data[Math.floor(i / c) * stride + (i % c)]!);
      return record([b, c], y, (dy) => dy.forEach((value, i) => void (x.grad[Math.floor(i / c) * stride + (i % c)]! += value)));
    },
  };
  return {
    algebra,
    backward() {
      for (const step of steps.reverse()) step();
    },
  };
}
