// Matrix products and linear layers, with their gradients.
import { matmul as kernel } from "../../kernels/matmul/matmul.ts";
import { ShapeError } from "../engine/errors.ts";
import { bytesOf } from "../kernel/dtype.ts";
import { dispatch, reshape, sizeOf, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { add } from "./arithmetic.ts";
import { countParts, sumParts } from "./parts.ts";
import { sum } from "./reduce.ts";

export interface MatmulOptions {
  /** Reads `a` as its transpose: it is stored [.., k, m]. */
  readonly ta?: boolean;
  /** Reads `b` as its transpose: it is stored [.., n, k]. */
  readonly tb?: boolean;
  /** [n], added to every row. */
  readonly bias?: Tensor;
}

/**
 * A · B (+ bias): [.., m, k] × [.., k, n] → [.., m, n]. Leading dimensions are a batch and must be equal, or absent on one
 * side, which is then shared by the whole batch. Throws ShapeError where sizes do not fit.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { ta = false, tb = false, bias } = options;
  const [leadA, rowsA, colsA] = split(a);
  const [leadB, rowsB, colsB] = split(b);
  const [m, k] = ta ? [colsA, rowsA] : [rowsA, colsA];
  const [kb, n] = tb ? [colsB, rowsB] : [rowsB, colsB];
  const batchA = sizeOf(leadA);
  const batchB = sizeOf(leadB);
  if (k !== kb) throw new ShapeError("matmul", `inner sizes ${k} of [${a.shape.join(", ")}] and ${kb} of [${b.shape.join(", ")}] differ`);
  if (batchA !== batchB && leadA.length && leadB.length)
    throw new ShapeError("matmul", `batches [${leadA.join(", ")}] and [${leadB.join(", ")}] differ, expected equal ones or none on one side`);
  const lead = leadA.length ? leadA : leadB;
  // One big product instead of many small ones, where all share the right operand and rows lie one after another.
  if (batchB === 1 && batchA > 1 && !ta) {
    const flat = matmul(reshape(a, [batchA * m, k]), reshape(b, [rowsB, colsB]), options);
    return reshape(flat, [...lead, m, n]);
  }
  const shape = [...lead, m, n];
  const larger = k * Math.max(m, n);
  const fits = larger * bytesOf(a.dtype) <= SMALLEST_BINDING;
  const least = ta && !tb && batchA === 1 && batchB === 1 && !fits ? Math.ceil(larger / LARGEST_PART) : 1;
  const splits = Math.max(least, productParts(Math.max(batchA, batchB), m, n, k));
  const layout = [ta && "ta", tb && "tb"] as const;
  const whole = () => dispatch(kernel, { inputs: { a, b, bias }, outputs: { c: shape }, numbers: { batchA, batchB, m, n, k }, flags: [...layout, bias && "bias"] }).c;
  const inParts = () => {
    const { parts } = dispatch(kernel, { inputs: { a, b }, outputs: { parts: [splits, ...shape] }, numbers: { batchA, batchB, m, n, k, splits }, flags: [...layout, "parts"] });
    return sumParts(parts, { shape, dtype: a.dtype as "f32" | "f16", ...(bias && { bias }) });
  };
  const c = splits > 1 ? inParts() : whole();
  return withGradient(c, "matmul", bias ? [a, b, bias] : [a, b], (dc) => {
    const da = () => (ta ? matmul(b, dc, { ta: tb, tb: true }) : matmul(dc, b, { tb: !tb }));
    const db = () => (tb ? matmul(dc, a, { ta: true, tb: ta }) : matmul(a, dc, { ta: !ta }));
    return [
      () => reduceBatch(da(), batchA, batchB),
      () => reduceBatch(db(), batchB, batchA),
      () => sum(reshape(dc, [-1, n]), [0]),
    ];
  });
}

/** Steps of k that a part adds up at least. */
const STEPS_PER_PART = 256;
/** Bytes that every device binds. */
const SMALLEST_BINDING = 2 ** 27;
/** Elements that a part has of the larger operand at most where both are stored with k first and no binding may hold it: each launch sees whole parts. */
const LARGEST_PART = 2 ** 24;

/** Parts in which a product sums over k: more than one where it is long and there are few tiles, as in weights' gradients over all tokens of a batch. */
export function productParts(batch: number, m: number, n: number, k: number): number {
  const tile = m > 64 && n > 64 ? 128 : 64;
  return countParts(Math.ceil(m / tile) * Math.ceil(n / tile) * batch, k, STEPS_PER_PART);
}

/** A shared operand gets the sum of what the batch sends back. */
function reduceBatch(gradient: Tensor, own: number, other: number): Tensor {
  return own === 1 && other > 1 ? sum(reshape(gradient, [other, -1]), [0]) : gradient;
}

function split(x: Tensor): [readonly number[], number, number] {
  const rows = x.shape.at(-2);
  const columns = x.shape.at(-1);
  if (rows === undefined || columns === undefined) throw new ShapeError("matmul", `an operand has shape [${x.shape.join(", ")}], expected at least two dimensions`);
  return [x.shape.slice(0, -2), rows, columns];
}

const product = (name: string, a: readonly number[], b: readonly number[], options: Omit<MatmulOptions, "bias"> = {}): GradientCase => ({
  name: `matmul ${name}`,
  inputs: { a: { shape: a }, b: { shape: b } },
  build: (x) => matmul(x["a"]!, x["b"]!, options),
});

export const gradientCases: readonly GradientCase[] = [
  product("plain", [5, 7], [7, 6]),
  product("transposed a", [7, 5], [7, 6], { ta: true }),
  product("transposed b", [5, 7], [6, 7], { tb: true }),
  product("both transposed", [7, 5], [6, 7], { ta: true, tb: true }),
  product("batched", [3, 5, 7], [3, 7, 6]),
  product("shared right operand", [3, 5, 7], [7, 6]),
  product("shared left operand", [5, 7], [3, 7, 6]),
  product("shared transposed left operand", [7, 5], [3, 7, 6], { ta: true }),
  {
    name: "matmul whose left operand is shared once and plain once",
    inputs: { a: { shape: [5, 7] }, b: { shape: [3, 7, 6] }, c: { shape: [7, 6] } },
    build: (x) => add(matmul(x["a"]!, x["b"]!), matmul(x["a"]!, x["c"]!)),
  },
  product("cut into parts", [1024, 3], [1024, 4], { ta: true }),
  {
    name: "matmul cut into parts, with bias",
    inputs: { a: { shape: [2, 512] }, b: { shape: [3, 512] }, bias: { shape: [3] } },
    build: (x) => matmul(x["a"]!, x["b"]!, { tb: true, bias: x["bias"]! }),
  },
  {
    name: "matmul with bias",
    inputs: { a: { shape: [2, 5, 7] }, b: { shape: [7, 6] }, bias: { shape: [6] } },
    build: (x) => matmul(x["a"]!, x["b"]!, { bias: x["bias"]! }),
  },
];
