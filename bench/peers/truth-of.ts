// The truth of a case, cut into slices that can be computed alone: a large result is judged by some of them.
import { convExtent, type Case } from "./cases.ts";
import { draw, inputsOf, type HostTensor } from "./inputs.ts";
import { EMBEDDING, networkOf, parametersOf } from "./networks.ts";
import { attentionHead, convDw, convDxImage, convRow, gelu, geluSlope, infoNce, layerNorm, matmulRows, softmax, type ConvSizes } from "./truth.ts";
import { createTape, exact, type Exact } from "./truth-networks.ts";

export interface Slices {
  /** Every output is cut into so many equal parts, one behind the other. */
  readonly count: number;
  /** Multiplications of one slice, roughly. */
  readonly work: number;
}

const convSizes = ({ b = 0, ih = 0, iw = 0, ci = 0, co = 0, f = 0, s = 1, p = 0, g = 1 }: Case["numbers"]): ConvSizes => ({ b, ih, iw, ci, co, f, s, p, g, oh: convExtent(ih, f, s, p), ow: convExtent(iw, f, s, p) });

export function slicesOf({ kind, pass, numbers }: Case): Slices {
  const { m = 0, k = 0, n = 0, b = 0, h = 0, d = 0, side = 0 } = numbers;
  switch (kind) {
    case "matmul":
      return { count: m, work: k * n };
    case "conv": {
      const { oh, ow, ci, co, f, g } = convSizes(numbers);
      const row = ow * f * f * (ci / g) * co;
      return pass === "forward" ? { count: b * oh, work: row } : pass === "dx" ? { count: b, work: oh * row } : { count: 1, work: b * oh * row };
    }
    case "attention":
      return { count: b * h, work: n * n * d * (pass === "forward" ? 2 : 6) };
    case "info-nce":
      return { count: 1, work: n * n * d * 3 };
    case "resnet18":
      return { count: b, work: 1.8e9 * (side / 224) ** 2 };
    case "vit-s":
      return { count: b, work: 4.6e9 * (side / 224) ** 2 };
    case "model-r50":
      return { count: b, work: 4e9 * (side / 224) ** 2 };
    case "model-vit-s":
      return { count: b, work: 4.5e9 * (side / 224) ** 2 };
    case "model-vit-b":
      return { count: b, work: 17.5e9 * (side / 224) ** 2 };
    case "model-hybrid":
      return { count: b, work: 7.5e9 * (side / 224) ** 2 };
    default:
      return { count: 1, work: 0 };
  }
}

/** The inputs of the last case: slices of one case come one after the other. */
let last: { readonly key: string; readonly inputs: Record<string, HostTensor> } | undefined;

function recall(problem: Case): Record<string, HostTensor> {
  const key = `${problem.pass} ${problem.name}`;
  if (last?.key !== key) last = { key, inputs: inputsOf(problem) };
  return last.inputs;
}

/** The outputs of one slice. Of a training step: the loss, and the gradient of every parameter. */
export function truthOf(problem: Case, slice: number): Record<string, Float64Array> {
  const { kind, pass, numbers } = problem;
  if (pass === "step") return truthOfStep(problem);
  if (networkOf(kind, numbers)) return truthOfNetwork(problem, slice);
  const inputs = recall(problem);
  const t = (name: string): Float32Array => inputs[name]!.data;
  const { k = 0, n = 0, d = 0, rows = 0, c = 0 } = numbers;
  const forward = pass === "forward";
  switch (kind) {
    case "matmul":
      return { y: matmulRows(t("a"), t("b"), k, n, slice, slice + 1) };
    case "conv": {
      const sizes = convSizes(numbers);
      if (forward) return { y: convRow(t("x"), t("w"), sizes, Math.floor(slice / sizes.oh), slice % sizes.oh) };
      return pass === "dx" ? { dx: convDxImage(t("dy"), t("w"), sizes, slice) } : { dw: convDw(t("x"), t("dy"), sizes) };
    }
    case "attention": {
      const head = (name: string) => t(name).subarray(slice * n * d, (slice + 1) * n * d);
      const { y, ...gradients } = attentionHead(head("q"), head("k"), head("v"), n, d, forward ? undefined : head("dy"));
      return forward ? { y } : gradients;
    }
    case "layer-norm": {
      const { y, ...gradients } = layerNorm(t("x"), t("gamma"), t("beta"), rows, c, forward ? undefined : t("dy"));
      return forward ? { y } : gradients;
    }
    case "softmax": {
      const { y, dx } = softmax(t("x"), rows, n, forward ? undefined : t("dy"));
      return forward ? { y } : { dx };
    }
    case "gelu":
      return forward ? { y: Float64Array.from(t("x"), gelu) } : { dx: Float64Array.from(t("x"), (x, i) => geluSlope(x) * t("dy")[i]!) };
    default: {
      const { loss, dz } = infoNce(t("z"), n, d);
      return { loss: Float64Array.of(loss), ...(forward ? {} : { dz }) };
    }
  }
}

/** The logits of one image: images do not see each other. */
function truthOfNetwork({ kind, numbers, ...problem }: Case, image: number): Record<string, Float64Array> {
  const x = inputsOf({ kind, numbers, ...problem })["x"]!;
  const [, ...one] = x.shape;
  const size = x.data.length / (x.shape[0] ?? 1);
  const { algebra } = createTape(false);
  const single = { ...numbers, b: 1 };
  const y = networkOf<Exact>(kind, single)!(algebra, (name, shape, how) => exact(shape, draw(kind, name, shape, how).data), exact([1, ...one], x.data.subarray(image * size, (image + 1) * size)));
  return { y: y.data };
}

function truthOfStep(problem: Case): Record<string, Float64Array> {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  const weights = new Map(specs.map(({ name, shape, how }) => [name, exact(shape, draw(kind, name, shape, how).data)]));
  const x = inputsOf(problem)["x"]!;
  const { algebra, backward } = createTape();
  const z = networkOf<Exact>(kind, numbers)!(algebra, (name) => weights.get(name)!, exact(x.shape, x.data));
  const { loss, dz } = infoNce(z.data, numbers["b"] ?? 0, EMBEDDING);
  z.grad.set(dz);
  backward();
  return { loss: Float64Array.of(loss), ...Object.fromEntries([...weights].map(([name, { grad }]) => [`gradient ${name}`, grad])) };
}
