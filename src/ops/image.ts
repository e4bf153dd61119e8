// Images as data: crops, changes of intensity, blur and normalisation, each with parameters of every image; nothing differentiates them.
import { adjust as adjustKernel } from "../../kernels/image/adjust.ts";
import { affineCrop as affineCropKernel } from "../../kernels/image/affine-crop.ts";
import { blur as blurKernel } from "../../kernels/image/blur.ts";
import { imageMomentsMerge } from "../../kernels/image/image-moments-merge.ts";
import { imageMoments, imagePartsOf } from "../../kernels/image/image-moments.ts";
import { normalise as normaliseKernel } from "../../kernels/image/normalise.ts";
import { ShapeError } from "../engine/errors.ts";
import { dispatch, nextStream, scope, type Tensor } from "../engine/trace.ts";

/** What lies beyond an image's edges: its mirror image, or one value. */
export type Border = "mirror" | number;

/**
 * Patches [b, size, size, c] out of windows x [b, h, w, c], bilinear. `matrix` f32 [b, 6] maps pixel centres of the patch to the
 * window, both in pixels from their middles: (X, Y) → (m0 X + m1 Y + m2, m3 X + m4 Y + m5). Flips are negative factors.
 * Shrinking by more than 2 skips pixels. Throws ShapeError where shapes do not fit.
 */
export function affineCrop(x: Tensor, matrix: Tensor, size: number, border: Border = "mirror"): Tensor {
  const [b, ih, iw, c] = imageShape("affineCrop", x);
  expectParameters("affineCrop", "matrix", matrix, "f32", [b, 6]);
  if (!Number.isInteger(size) || size < 1) throw new ShapeError("affineCrop", `size is ${size}, expected an integer of at least 1`);
  const numbers = { b, ih, iw, oh: size, ow: size, c, outside: border === "mirror" ? 0 : border };
  return dispatch(affineCropKernel, { inputs: { x, matrix }, outputs: { y: [b, size, size, c] }, numbers, flags: [border !== "mirror" && "fill"] }).y;
}

/**
 * max(gain · x + offset, 0)^gamma + noise of x [b, h, w, c]; `setting` f32 [b, 4] holds gain, offset, gamma and the noise's
 * standard deviation of each image. Noise follows from `seed` u32 [2], the place of this call in the program, image and element;
 * `key` u32 [b] is what each image goes by, which is its index in x unless given.
 * Its distribution is the sum of four uniform numbers: close to normal, and within 3.5 standard deviations.
 */
export function adjust(x: Tensor, setting: Tensor, seed: Tensor, key?: Tensor): Tensor {
  const [b, h, w, c] = imageShape("adjust", x);
  expectParameters("adjust", "setting", setting, "f32", [b, 4]);
  expectParameters("adjust", "seed", seed, "u32", [2]);
  if (key) expectParameters("adjust", "key", key, "u32", [b]);
  return dispatch(adjustKernel, { inputs: { x, setting, seed, key }, outputs: { y: x.shape }, numbers: { b, n: h * w * c, stream: nextStream() }, flags: [key && "keyed"] }).y;
}

/**
 * Gaussian blur of x [b, h, w, c] with `sigma` f32 [b] in pixels, 0 for none; mirrored beyond the edges. The kernel ends at 3σ,
 * or at `reach` pixels where that is nearer.
 */
export function blur(x: Tensor, sigma: Tensor, reach = 12): Tensor {
  const [b, h, w, c] = imageShape("blur", x);
  expectParameters("blur", "sigma", sigma, "f32", [b]);
  if (!Number.isInteger(reach) || reach < 0) throw new ShapeError("blur", `reach is ${reach}, expected an integer of at least 0`);
  const pass = (from: Tensor, vertical: boolean) =>
    dispatch(blurKernel, { inputs: { x: from, sigma }, outputs: { y: x.shape }, numbers: { b, h, w, c, reach }, flags: [vertical && "vertical"] }).y;
  return scope("blur", () => pass(pass(x, false), true));
}

/** (x − mean) / deviation of x [b, h, w, c], the same for all images. Throws ShapeError for a deviation that is not above 0. */
export function normalise(x: Tensor, mean: number, deviation: number): Tensor {
  const [b, h, w, c] = imageShape("normalise", x);
  if (!Number.isFinite(mean)) throw new ShapeError("normalise", `mean is ${mean}, expected a finite number`);
  if (!(deviation > 0) || !Number.isFinite(deviation)) throw new ShapeError("normalise", `deviation is ${deviation}, expected a number above 0`);
  return dispatch(normaliseKernel, { inputs: { x }, outputs: { y: x.shape }, numbers: { b, n: h * w * c, mean, inverse: 1 / deviation } }).y;
}

/** Every image of x [b, h, w, c] by its own mean and standard deviation over all its elements, but by no deviation below `least`. */
export function standardise(x: Tensor, least = 1e-3): Tensor {
  const [b, h, w, c] = imageShape("standardise", x);
  if (!(least > 0)) throw new ShapeError("standardise", `least is ${least}, expected a number above 0`);
  const n = h * w * c;
  const parts = imagePartsOf(n);
  return scope("standardise", () => {
    const { partial } = dispatch(imageMoments, { inputs: { x }, outputs: { partial: [b, parts, 3] }, numbers: { b, n } });
    const { moments } = dispatch(imageMomentsMerge, { inputs: { partial }, outputs: { moments: [b, 2] }, numbers: { b, parts, least } });
    return dispatch(normaliseKernel, { inputs: { x, moments }, outputs: { y: x.shape }, numbers: { b, n, mean: 0, inverse: 1 }, flags: ["each"] }).y;
  });
}

function imageShape(op: string, x: Tensor): [number, number, number, number] {
  const [b, h, w, c] = x.shape;
  if (x.shape.length !== 4 || !b || !h || !w || !c) throw new ShapeError(op, `images have shape [${x.shape.join(", ")}], expected [b, h, w, c] without zeros`);
  return [b, h, w, c];
}

function expectParameters(op: string, name: string, tensor: Tensor, dtype: "f32" | "u32", shape: readonly number[]): void {
  if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join())
    throw new ShapeError(op, `${name} is ${tensor.dtype} [${tensor.shape.join(", ")}], expected ${dtype} [${shape.join(", ")}]`);
}
