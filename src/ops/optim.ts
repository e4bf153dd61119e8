// Optimizers: one step over flat buffers of parameters and gradients, decided on and carried out on the device.
import { accumulate as accumulateKernel } from "../../kernels/optim/accumulate.ts";
import { adamw as adamwKernel } from "../../kernels/optim/adamw.ts";
import { CONTROL, CONTROL_SIZE, HYPER, HYPER_SIZE } from "../../kernels/optim/control.ts";
import { ema as emaKernel } from "../../kernels/optim/ema.ts";
import { gradientSquares, partsOf } from "../../kernels/optim/gradient-squares.ts";
import { lars as larsKernel, larsRatio, TENSOR_STEP } from "../../kernels/optim/lars.ts";
import { lossSeed as lossSeedKernel } from "../../kernels/optim/loss-seed.ts";
import { optimControl } from "../../kernels/optim/optim-control.ts";
import { settle as settleKernel } from "../../kernels/optim/settle.ts";
import { sgd as sgdKernel } from "../../kernels/optim/sgd.ts";
import { ShapeError } from "../engine/errors.ts";
import { constant, dispatch, sizeOf, type Tensor } from "../engine/trace.ts";

export { CONTROL, CONTROL_SIZE, HYPER, HYPER_SIZE };

/** What every optimizer works on. All are f32; `parameters`, `gradients` and the moments are flat and of one length. */
export interface StepInputs {
  /** State [n]: all parameters of the model, as `engine.stateGroup` lays them out. */
  readonly parameters: Tensor;
  /** [n], in another buffer, laid out alike; `place` puts gradients there. Padding must be zeros. */
  readonly gradients: Tensor;
  /** State [8], see `CONTROL`; begins as zeros. */
  readonly control: Tensor;
  /** [12], see `HYPER` and `packHyper`. */
  readonly hyper: Tensor;
  /** Weight decay acts on the elements before this one. */
  readonly decayEnd: number;
}

export interface AdamwInputs extends StepInputs {
  /** State [n], the first moment; begins as zeros. */
  readonly m: Tensor;
  /** State [n], the second moment; begins as zeros. */
  readonly v: Tensor;
}

export interface SgdInputs extends StepInputs {
  /** State [n]; begins as zeros. */
  readonly velocity: Tensor;
  /** Looks ahead along the velocity. */
  readonly nesterov?: boolean;
}

export interface LarsInputs extends StepInputs {
  /** State [n]; begins as zeros. */
  readonly velocity: Tensor;
  /** Where in the flat buffers each tensor lies, in their order; each begins at a multiple of 64 elements, as `engine.stateGroup` lays them out. */
  readonly tensors: readonly { readonly first: number; readonly count: number }[];
  /** The trust coefficient; 0.001 unless given. */
  readonly trust?: number;
}

/** The input `hyper` of one step. Absent numbers: β 0.9 and 0.999, epsilon 1e-8, gradient scale 1, loss scale up to 65536, the others 0. */
export function packHyper(values: Readonly<Partial<Record<keyof typeof HYPER, number>>>): Float32Array {
  const packed = new Float32Array(HYPER_SIZE);
  const all = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, gradientScale: 1, maxLossScale: 65536, ...values };
  for (const [name, value] of Object.entries(all)) packed[HYPER[name as keyof typeof HYPER]] = value;
  return packed;
}

/**
 * Measures the gradient and decides what the step does, into `control`: the norm of gradient · gradientScale / loss scale,
 * the factor that brings it to at most `clip`, and whether it is finite. If it is not (an element by its bits, or the sum of
 * squares beyond f32), the step is skipped: nothing counts, and a growing loss scale is halved. So it is, but for the loss scale, where the norm is beyond `limit`. Once a step, before `adamw` or `sgd`.
 */
export function gradientControl({ gradients, control, hyper }: Pick<StepInputs, "gradients" | "control" | "hyper">): void {
  const n = checkStep("gradientControl", { gradients }, control, hyper);
  const { squares, broken } = dispatch(gradientSquares, { inputs: { gradients, hyper, control }, outputs: { squares: [partsOf(n)], broken: [partsOf(n)] }, numbers: { n } });
  dispatch(optimControl, { inputs: { squares, broken, hyper, control }, outputs: {}, numbers: { parts: partsOf(n) } });
}

/**
 * One step of AdamW, after `gradientControl`: m and v are moving averages of the clipped gradient and its square, with bias correction from the count of
 * steps taken; weight decay is decoupled (Loshchilov and Hutter 2019). A skipped step changes no parameter, moment or count.
 * Throws ShapeError where lengths or types differ.
 */
export function adamw({ parameters, gradients, m, v, control, hyper, decayEnd }: AdamwInputs): void {
  const n = checkStep("adamw", { parameters, gradients, m, v }, control, hyper, decayEnd);
  dispatch(adamwKernel, { inputs: { parameters, gradients, m, v, control, hyper }, outputs: {}, numbers: { n, decayEnd } });
}

/**
 * One step of gradient descent with momentum (and `nesterov`), after `gradientControl`; weight decay joins the gradient, after clipping. A skipped step
 * changes no parameter, velocity or count. Throws ShapeError where lengths or types differ.
 */
export function sgd({ parameters, gradients, velocity, control, hyper, decayEnd, nesterov }: SgdInputs): void {
  const n = checkStep("sgd", { parameters, gradients, velocity }, control, hyper, decayEnd);
  dispatch(sgdKernel, { inputs: { parameters, gradients, velocity, control, hyper }, outputs: {}, numbers: { n, decayEnd }, flags: [nesterov && "nesterov"] });
}

/**
 * One step of LARS (You, Gitman and Ginsburg 2017), after `gradientControl`: `sgd` in which the gradient of each tensor, decay included, is multiplied with
 * trust · |p|/(|g| + decay · |p|), so that every layer moves by a like share of itself. Tensors from `decayEnd` on, biases and norms, keep the plain rate.
 * A skipped step changes no parameter, velocity or count. Throws ShapeError where lengths, types or places do not fit.
 */
export function lars({ parameters, gradients, velocity, control, hyper, decayEnd, tensors, trust = 0.001 }: LarsInputs): void {
  const n = checkStep("lars", { parameters, gradients, velocity }, control, hyper, decayEnd);
  const owner = new Uint32Array(Math.ceil(n / TENSOR_STEP));
  tensors.forEach(({ first, count }, t) => {
    const next = tensors[t + 1]?.first ?? n;
    if (first % TENSOR_STEP || count < 1 || first + count > next || next > n) throw new ShapeError("lars", `tensor ${t} has ${count} elements from ${first}, expected a multiple of ${TENSOR_STEP} to begin at and an end before the next, at ${next}`);
    owner.fill(t, first / TENSOR_STEP, Math.ceil(next / TENSOR_STEP));
  });
  const table = (values: Uint32Array) => constant(values, [values.length], "u32");
  const places = { first: table(Uint32Array.from(tensors, ({ first }) => first)), count: table(Uint32Array.from(tensors, ({ count }) => count)) };
  const { ratio } = dispatch(larsRatio, { inputs: { parameters, gradients, ...places, control, hyper }, outputs: { ratio: [tensors.length] }, numbers: { n, tensors: tensors.length, decayEnd, trust } });
  dispatch(larsKernel, { inputs: { parameters, gradients, velocity, owner: table(owner), ratio, control, hyper }, outputs: {}, numbers: { n, decayEnd, tensors: tensors.length } });
}

/**
 * Moves `average` towards `values`, flat f32 state of one length, by 1 − min(decay, (1 + t)/(10 + t)) after t steps: once a step, after the optimizer. A
 * skipped step changes nothing. Throws ShapeError where lengths or types differ.
 */
export function ema({ average, values, control, decay }: { readonly average: Tensor; readonly values: Tensor; readonly control: Tensor; readonly decay: number }): void {
  const n = checkFlat("ema", { average, values }, control);
  dispatch(emaKernel, { inputs: { average, values, control }, outputs: {}, numbers: { n, decay } });
}

/**
 * Makes statistics that a step has gathered count, after `gradientControl`: `settled` becomes `staged` where the step is taken, and `staged`
 * becomes `settled` where it is skipped. Both are state, f32, of one length, and begin equal. Throws ShapeError where lengths or types differ.
 */
export function settle({ staged, settled, control }: { readonly staged: Tensor; readonly settled: Tensor; readonly control: Tensor }): void {
  const n = checkFlat("settle", { staged, settled }, control);
  dispatch(settleKernel, { inputs: { staged, settled, control }, outputs: {}, numbers: { n } });
}

/**
 * Adds `part` to `total`, flat f32 state of one length: a gradient over parts of a batch. Without `part` the total becomes 0. An element that is not
 * finite by its bits, in either, stays so. Throws ShapeError where lengths or types differ.
 */
export function accumulate(total: Tensor, part?: Tensor): void {
  const n = checkFlat("accumulate", { total, ...(part ? { part } : {}) });
  dispatch(accumulateKernel, { inputs: { total, part }, outputs: {}, numbers: { n }, flags: [part && "more"] });
}

/** The gradient that a backward pass begins with: the loss scale of `control`, as an f32 scalar. */
export function lossSeed(control: Tensor): Tensor {
  return dispatch(lossSeedKernel, { inputs: { control }, outputs: { dy: [] }, numbers: {} }).dy;
}

function checkStep(op: string, flat: Readonly<Record<string, Tensor>>, control: Tensor, hyper: Tensor, decayEnd = 0): number {
  const n = checkFlat(op, flat, control);
  expectCount(op, "hyper", hyper, HYPER_SIZE);
  if (!Number.isInteger(decayEnd) || decayEnd < 0 || decayEnd > n) throw new ShapeError(op, `decayEnd is ${decayEnd}, expected an integer from 0 to ${n}`);
  return n;
}

/** Length of flat tensors, which all have the same. */
function checkFlat(op: string, flat: Readonly<Record<string, Tensor>>, control?: Tensor): number {
  const n = sizeOf(Object.values(flat)[0]?.shape ?? []);
  for (const [name, tensor] of Object.entries(flat)) expectCount(op, name, tensor, n);
  if (control) expectCount(op, "control", control, CONTROL_SIZE);
  return n;
}

function expectCount(op: string, name: string, tensor: Tensor, count: number): void {
  if (tensor.dtype !== "f32" || sizeOf(tensor.shape) !== count) throw new ShapeError(op, `${name} is ${tensor.dtype} [${tensor.shape.join(", ")}], expected ${count} f32 elements`);
}
