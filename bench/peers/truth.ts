// The truth: every operation in f64, in plain loops over host arrays, forward and backward.
import { normalCdf } from "../../src/kernel/special.ts";

type Vector = Float64Array;

/** A [m, k] · B [k, n], rows from `first` to before `end`. */
export function matmulRows(a: ArrayLike<number>, b: ArrayLike<number>, k: number, n: number, first: number, end: number): Vector {
  const c = new Float64Array((end - first) * n);
  for (let i = first; i < end; i++)
    for (let l = 0, to = (i - first) * n; l < k; l++) {
      const x = a[i * k + l]!;
      for (let j = 0; j < n; j++) c[to + j]! += x * b[l * n + j]!;
    }
  return c;
}

export function transposed(x: ArrayLike<number>, rows: number, columns: number): Vector {
  const y = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j]!;
  return y;
}

export interface ConvSizes {
  readonly b: number;
  readonly ih: number;
  readonly iw: number;
  readonly ci: number;
  readonly oh: number;
  readonly ow: number;
  readonly co: number;
  readonly f: number;
  readonly s: number;
  readonly p: number;
  readonly g: number;
}

/** Calls for every tap of every output pixel that lies inside of the image: bases of the pixel in x, of the tap in w, of the pixel in y. */
function eachTap({ ih, iw, ci, oh, ow, co, f, s, p, g }: ConvSizes, image: number, row: number, visit: (x: number, w: number, y: number) => void): void {
  for (let ox = 0; ox < ow; ox++)
    for (let ky = 0; ky < f; ky++)
      for (let kx = 0; kx < f; kx++) {
        const [y, x] = [row * s + ky - p, ox * s + kx - p];
        if (y >= 0 && y < ih && x >= 0 && x < iw) visit(((image * ih + y) * iw + x) * ci, ((ky * f + kx) * ci * co) / g, ((image * oh + row) * ow + ox) * co);
      }
}

/** One row of the result, [ow, co]. */
export function convRow(x: ArrayLike<number>, w: ArrayLike<number>, sizes: ConvSizes, image: number, row: number): Vector {
  const { ci, co, g, oh, ow } = sizes;
  const out = new Float64Array(ow * co);
  const base = (image * oh + row) * ow * co;
  const [cg, og] = [ci / g, co / g];
  eachTap(sizes, image, row, (fromX, fromW, toY) => {
    for (let group = 0; group < g; group++)
      for (let c = 0; c < cg; c++) {
        const value = x[fromX + group * cg + c]!;
        for (let o = group * og; o < (group + 1) * og; o++) out[toY - base + o]! += value * w[fromW + c * co + o]!;
      }
  });
  return out;
}

/** Gradient of a whole image, [ih, iw, ci]. */
export function convDxImage(dy: ArrayLike<number>, w: ArrayLike<number>, sizes: ConvSizes, image: number): Vector {
  const { ci, co, g, oh, ih, iw } = sizes;
  const dx = new Float64Array(ih * iw * ci);
  const base = image * ih * iw * ci;
  const [cg, og] = [ci / g, co / g];
  for (let row = 0; row < oh; row++)
    eachTap(sizes, image, row, (toX, fromW, fromY) => {
      for (let group = 0; group < g; group++)
        for (let c = 0; c < cg; c++) {
          let sum = 0;
          for (let o = group * og; o < (group + 1) * og; o++) sum += dy[fromY + o]! * w[fromW + c * co + o]!;
          dx[toX - base + group * cg + c]! += sum;
        }
    });
  return dx;
}

/** Gradient of all filters, [f, f, ci/g, co]. */
export function convDw(x: ArrayLike<number>, dy: ArrayLike<number>, sizes: ConvSizes): Vector {
  const { b, ci, co, g, oh, f } = sizes;
  const [cg, og] = [ci / g, co / g];
  const dw = new Float64Array(f * f * cg * co);
  for (let image = 0; image < b; image++)
    for (let row = 0; row < oh; row++)
      eachTap(sizes, image, row, (fromX, toW, fromY) => {
        for (let group = 0; group < g; group++)
          for (let c = 0; c < cg; c++) {
            const value = x[fromX + group * cg + c]!;
            for (let o = group * og; o < (group + 1) * og; o++) dw[toW + c * co + o]! += value * dy[fromY + o]!;
          }
      });
  return dw;
}

/** softmax of one row in place. */
function softmaxInPlace(row: Vector): void {
  let top = -Infinity;
  for (const x of row) top = Math.max(top, x);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] = Math.exp(row[i]! - top);
  for (let i = 0; i < row.length; i++) row[i]! /= sum;
}

export interface HeadGradients {
  readonly y: Vector;
  readonly dq: Vector;
  readonly dk: Vector;
  readonly dv: Vector;
}

/** Attention of one head: q, k, v [n, d] and, where gradients are wanted, dy. */
export function attentionHead(q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>, n: number, d: number, dy?: ArrayLike<number>): HeadGradients {
  const scale = 1 / Math.sqrt(d);
  const [y, dq, dk, dv] = [new Float64Array(n * d), new Float64Array(n * d), new Float64Array(n * d), new Float64Array(n * d)];
  const p = new Float64Array(n);
  const dp = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += q[i * d + c]! * k[j * d + c]!;
      p[j] = sum * scale;
    }
    softmaxInPlace(p);
    for (let j = 0; j < n; j++) for (let c = 0; c < d; c++) y[i * d + c]! += p[j]! * v[j * d + c]!;
    if (!dy) continue;
    let mean = 0;
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += dy[i * d + c]! * v[j * d + c]!;
      dp[j] = sum;
      mean += p[j]! * sum;
    }
    for (let j = 0; j < n; j++) {
      const [weight, ds] = [p[j]!, p[j]! * (dp[j]! - mean) * scale];
      for (let c = 0; c < d; c++) {
        dv[j * d + c]! += weight * dy[i * d + c]!;
        dq[i * d + c]! += ds * k[j * d + c]!;
        dk[j * d + c]! += ds * q[i * d + c]!;
      }
    }
  }
  return { y, dq, dk, dv };
}

export const EPSILON = 1e-5;

export function layerNorm(x: ArrayLike<number>, gamma: ArrayLike<number>, beta: ArrayLike<number>, rows: number, c: number, dy?: ArrayLike<number>): { y: Vector; dx: Vector; dgamma: Vector; dbeta: Vector } {
  const [y, dx, dgamma, dbeta, unit] = [new Float64Array(rows * c), new Float64Array(rows * c), new Float64Array(c), new Float64Array(c), new Float64Array(c)];
  for (let r = 0; r < rows; r++) {
    const at = r * c;
    let mean = 0;
    for (let i = 0; i < c; i++) mean += x[at + i]! / c;
    let variance = 0;
    for (let i = 0; i < c; i++) variance += (x[at + i]! - mean) ** 2 / c;
    const inverse = 1 / Math.sqrt(variance + EPSILON);
    let [sum, dot] = [0, 0];
    for (let i = 0; i < c; i++) {
      unit[i] = (x[at + i]! - mean) * inverse;
      y[at + i] = unit[i]! * gamma[i]! + beta[i]!;
      if (!dy) continue;
      dgamma[i]! += dy[at + i]! * unit[i]!;
      dbeta[i]! += dy[at + i]!;
      sum += (dy[at + i]! * gamma[i]!) / c;
      dot += (dy[at + i]! * gamma[i]! * unit[i]!) / c;
    }
    if (dy) for (let i = 0; i < c; i++) dx[at + i] = inverse * (dy[at + i]! * gamma[i]! - sum - unit[i]! * dot);
  }
  return { y, dx, dgamma, dbeta };
}

export function softmax(x: ArrayLike<number>, rows: number, n: number, dy?: ArrayLike<number>): { y: Vector; dx: Vector } {
  const y = Float64Array.from(x);
  const dx = new Float64Array(y.length);
  for (let r = 0; r < rows; r++) {
    softmaxInPlace(y.subarray(r * n, (r + 1) * n));
    if (!dy) continue;
    let mean = 0;
    for (let i = r * n; i < (r + 1) * n; i++) mean += y[i]! * dy[i]!;
    for (let i = r * n; i < (r + 1) * n; i++) dx[i] = y[i]! * (dy[i]! - mean);
  }
  return { y, dx };
}

export const gelu = (x: number): number => x * normalCdf(x);
export const geluSlope = (x: number): number => normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);

export const TAU = 0.1;

/** The mean over all rows of −log of the share that the row's other view has among all other rows, and its gradient with respect to z [n, d]. */
export function infoNce(z: ArrayLike<number>, n: number, d: number): { loss: number; dz: Vector } {
  const unit = new Float64Array(n * d);
  const length = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let squares = 0;
    for (let c = 0; c < d; c++) squares += z[i * d + c]! ** 2;
    length[i] = Math.sqrt(squares);
    for (let c = 0; c < d; c++) unit[i * d + c] = z[i * d + c]! / length[i]!;
  }
  let loss = 0;
  const du = new Float64Array(n * d);
  const p = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += unit[i * d + c]! * unit[j * d + c]!;
      p[j] = i === j ? -Infinity : sum / TAU;
    }
    const other = i ^ 1;
    softmaxInPlace(p);
    loss -= Math.log(p[other]!) / n;
    for (let j = 0; j < n; j++) {
      const ds = (p[j]! - (j === other ? 1 : 0)) / (n * TAU);
      for (let c = 0; c < d; c++) {
        du[i * d + c]! += ds * unit[j * d + c]!;
        du[j * d + c]! += ds * unit[i * d + c]!;
      }
    }
  }
  const dz = new Float64Array(n * d);
  for (let i = 0; i < n; i++) {
    let dot = 0;
    for (let c = 0; c < d; c++) dot += du[i * d + c]! * unit[i * d + c]!;
    for (let c = 0; c < d; c++) dz[i * d + c] = (du[i * d + c]! - unit[i * d + c]! * dot) / length[i]!;
  }
  return { loss, dz };
}
