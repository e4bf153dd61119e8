// SpatialNCE, the contrastive loss of places: near samples attract each other, all others repel; fused, with its gradient.
import { anchorMeans } from "../../kernels/loss/anchor-means.ts";
import { anchorSums } from "../../kernels/loss/anchor-sums.ts";
import { spatialNceDz } from "../../kernels/loss/spatial-nce-dz.ts";
import { spatialNceMerge } from "../../kernels/loss/spatial-nce-merge.ts";
import { spatialNce as kernel } from "../../kernels/loss/spatial-nce.ts";
import { unitRowsDx } from "../../kernels/loss/unit-rows-dx.ts";
import { unitRows as unitRowsKernel } from "../../kernels/loss/unit-rows.ts";
import { ShapeError } from "../engine/errors.ts";
import { constant, dispatch, scope, withGradient, type Tensor } from "../engine/trace.ts";
import type { GradientCase } from "./gradient-case.ts";
import { countParts, sumParts } from "./parts.ts";

/** Where the samples are. */
export interface NcePlaces {
  /** f32 [n, 3] in mm, for the kernels `radius` and `gaussian`. */
  readonly position?: Tensor;
  /** i32 [n]: the reference space of each position; absent, all share one. Samples of different spaces have no distance. */
  readonly space?: Tensor;
  /** u32 [n]: equal for the views of one sample, for the kernel `views`. */
  readonly view?: Tensor;
}

/** Options of SpatialNCE; lengths in mm. */
export interface SpatialNceOptions {
  /** Temperature τ > 0; 0.1 unless said. Below 0.01 a similarity of one f32 ulp is a visible change of loss. */
  readonly tau?: number;
  /**
   * K of a pair at distance d. `radius`: 1 for d ≤ radius (the supervised contrastive loss with neighbours as positives).
   * `gaussian`: exp(−d²/2σ²) up to 3σ, 0 beyond. `views`: 1 for views of one sample (NT-Xent), wherever they are.
   */
  readonly kernel: "radius" | "gaussian" | "views";
  /** For `radius`. */
  readonly radius?: number;
  /** σ, for `gaussian`. */
  readonly sigma?: number;
  /** Pairs with r₁ < d < r₂ are neither positives nor negatives. */
  readonly ignoreBand?: readonly [number, number];
  /** What a pair of different spaces is: a negative unless said. */
  readonly crossSpace?: "negative" | "ignore";
}

/** All f32 scalars. */
export interface SpatialNceResult {
  /** Mean over anchors of −Σ_j q_ij log p_ij: differentiable with respect to z. 0, with gradient 0, where no sample is an anchor. */
  readonly loss: Tensor;
  /** Mean entropy of q, the least that the loss can be. No gradient. */
  readonly entropy: Tensor;
  /** loss − entropy, the mean divergence of p from q. No gradient. */
  readonly divergence: Tensor;
  /** M, the number of samples that have a positive. No gradient. */
  readonly anchors: Tensor;
}

/** Rows of x [n, d] divided by their length; a row of zeros stays zeros and gets no gradient. */
export function unitRows(x: Tensor): Tensor {
  const { y, inverse } = normaliseRows("unitRows", x);
  return withGradient(y, "unitRows", [x], (dy) => [
    () => {
      const [n = 0, d = 0] = x.shape;
      return dispatch(unitRowsDx, { inputs: { dy, y, inverse }, outputs: { dx: x.shape }, numbers: { n, d } }).dx;
    },
  ]);
}

/** Rows that one workgroup of a GPU takes, as in spatial_nce.block. */
const ROWS_PER_WORKGROUP = 64;
/** Columns that a part takes at least. */
const COLUMNS_PER_PART = 512;

/**
 * SpatialNCE of embeddings z f32 [n, d], which need no normalisation: it is part of the op.
 *
 *     s_ij = ⟨ẑ_i, ẑ_j⟩/τ    p_ij = exp s_ij / Σ_{k≠i} exp s_ik    q_ij = K(d_ij) / Σ_{k≠i} K(d_ik)
 *     loss = −(1/M) Σ_i a_i Σ_{j≠i} q_ij log p_ij       a_i = 1 where Σ_k K(d_ik) > 0, M = Σ a_i
 *
 * Samples without a positive are no anchors, but stay in the others' denominators. Which side of a bound a distance lies on
 * is decided by d² in f32. Memory is O(n·d): similarities and distances are recomputed in the backward pass.
 * This family covers the readings of a published idea (Schiffer et al., arXiv 2511.01870), whose own formula is not public.
 * Throws ShapeError where a size, a type, an option or a tensor of places does not fit.
 */
export function spatialNce(z: Tensor, places: NcePlaces, options: SpatialNceOptions): SpatialNceResult {
  const op = "spatialNce";
  const { scalars, flags } = readOptions(op, options);
  const { position, space, view } = readPlaces(op, z, places, options.kernel === "views");
  const [n = 0, d = 0] = z.shape;
  const splits = countParts(Math.ceil(n / ROWS_PER_WORKGROUP), n, COLUMNS_PER_PART);
  const numbers = { n, d, splits, ...scalars };
  return scope("spatialNce", () => {
    const { y, inverse } = normaliseRows(op, z);
    const near = { position, space, view };
    const perRow = { lse: [n], mass: [n], loss: [n], entropy: [n] };
    const inParts = () => {
      const { parts } = dispatch(kernel, { inputs: { z: y, ...near }, outputs: { parts: [splits, 5, n] }, numbers, flags: [...flags, "parts"] });
      return dispatch(spatialNceMerge, { inputs: { parts }, outputs: perRow, numbers: { splits, n } });
    };
    const rows = splits > 1 ? inParts() : dispatch(kernel, { inputs: { z: y, ...near }, outputs: perRow, numbers, flags });
    const { lse, mass } = rows;
    const { sums } = dispatch(anchorSums, { inputs: { loss: rows.loss, entropy: rows.entropy, mass }, outputs: { sums: [Math.min(256, n), 3] }, numbers: { n } });
    const means = dispatch(anchorMeans, { inputs: { sums }, outputs: { loss: [], entropy: [], divergence: [], anchors: [] }, numbers: { parts: Math.min(256, n) } });
    const loss = withGradient(means.loss, op, [z], (upstream) => [
      () =>
        scope("spatialNce", () => {
          const parts = dispatch(spatialNceDz, { inputs: { z: y, ...near, lse, mass }, outputs: { dz: splits > 1 ? [splits, n, d] : [n, d] }, numbers, flags }).dz;
          const dz = splits > 1 ? sumParts(parts, { shape: [n, d], dtype: "f32" }) : parts;
          return dispatch(unitRowsDx, { inputs: { dy: dz, y, inverse, upstream, anchors: means.anchors }, outputs: { dx: z.shape }, numbers: { n, d }, flags: ["mean"] }).dx;
        }),
    ]);
    return { ...means, loss };
  });
}

function normaliseRows(op: string, x: Tensor) {
  const [n, d] = x.shape;
  if (x.shape.length !== 2 || !n || !d) throw new ShapeError(op, `embeddings have shape [${x.shape.join(", ")}], expected [n, d] with n and d at least 1`);
  if (x.dtype !== "f32") throw new ShapeError(op, `embeddings are ${x.dtype}, expected f32; cast them`);
  return dispatch(unitRowsKernel, { inputs: { x }, outputs: { y: x.shape, inverse: [n] }, numbers: { n, d } });
}

function readOptions(op: string, options: SpatialNceOptions) {
  const { tau = 0.1, kernel: kind, radius, sigma, ignoreBand, crossSpace = "negative" } = options;
  const positive = (name: string, value: number | undefined): number => {
    if (value === undefined || !(value > 0) || !Number.isFinite(value)) throw new ShapeError(op, `${name} is ${value}, expected a number above 0 for the kernel ${kind}`);
    return value;
  };
  if (ignoreBand && !(ignoreBand[0] >= 0 && ignoreBand[1] >= ignoreBand[0]))
    throw new ShapeError(op, `the ignored band is ${ignoreBand.join(" to ")} mm, expected 0 ≤ from ≤ to`);
  const views = kind === "views";
  if (views && (ignoreBand || crossSpace === "ignore")) throw new ShapeError(op, `the kernel views has no distances, so no band or space can be ignored; drop the option`);
  const reach = views ? 0 : kind === "radius" ? positive("radius", radius) : 3 * positive("sigma", sigma);
  const rate = kind === "gaussian" ? 1 / (2 * positive("sigma", sigma) ** 2) : 0;
  const [near, far] = ignoreBand ?? [0, 0];
  return {
    scalars: { invTau: 1 / positive("tau", tau), reach2: reach ** 2, rate, near2: near ** 2, far2: far ** 2 },
    flags: [views ? "views" : "distance", kind === "gaussian" && "gaussian", ignoreBand && "band", crossSpace === "ignore" && "ignoreSpaces"],
  };
}

function readPlaces(op: string, z: Tensor, places: NcePlaces, views: boolean): NcePlaces {
  const [n] = z.shape;
  const need = (name: "position" | "space" | "view", dtype: string, shape: readonly (number | undefined)[]): Tensor => {
    const tensor = places[name];
    if (!tensor) throw new ShapeError(op, `no ${name}, expected ${dtype} [${shape.join(", ")}]`);
    if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join())
      throw new ShapeError(op, `${name} is ${tensor.dtype} [${tensor.shape.join(", ")}], expected ${dtype} [${shape.join(", ")}]`);
    return tensor;
  };
  return views ? { view: need("view", "u32", [n]) } : { position: need("position", "f32", [n, 3]), space: places.space ? need("space", "i32", [n]) : constant(new Int32Array(n ?? 0), [n ?? 0], "i32") };
}

const scattered = { shape: [11, 3], fixed: true, values: (random: () => number) => 10 * random() };
// The last sample is alone in its space: no anchor, and a negative of all others.
const spaces = { shape: [11], dtype: "i32" as const, values: (random: () => number, i: number) => (i === 10 ? 2 : Math.floor(2 * random())) };
const near = (name: string, options: SpatialNceOptions): GradientCase => ({
  name: `spatialNce ${name}`,
  inputs: { z: { shape: [11, 5] }, position: scattered, space: spaces },
  build: ({ z, position, space }) => spatialNce(z!, { position: position!, space: space! }, options).loss,
});

export const gradientCases: readonly GradientCase[] = [
  near("radius", { kernel: "radius", radius: 5, tau: 0.5 }),
  near("gaussian", { kernel: "gaussian", sigma: 3, tau: 0.5 }),
  near("radius, band, other spaces ignored", { kernel: "radius", radius: 4, ignoreBand: [4, 6], crossSpace: "ignore", tau: 0.5 }),
  {
    name: "spatialNce views",
    inputs: { z: { shape: [12, 8] }, view: { shape: [12], dtype: "u32", values: (_, i) => i % 6 } },
    build: ({ z, view }) => spatialNce(z!, { view: view! }, { kernel: "views", tau: 0.5 }).loss,
  },
  { name: "unitRows", inputs: { x: { shape: [5, 4] } }, build: ({ x }) => unitRows(x!) },
];
