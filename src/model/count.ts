// How large a model is: parameters and multiply-adds, counted on the program that is traced.
import { flopsOf, sizeOf, tensorOf, type Node } from "../engine/trace.ts";
import { describeModel, type ModelSpec, type Parameters } from "./parameters.ts";
import { encode, project, type Preset } from "./presets.ts";

export interface PartCount {
  /** Learned values. */
  readonly parameters: number;
  /** Values of running statistics. */
  readonly statistics: number;
  /**
   * Multiplications with addition for one image: of convolutions, matrix products and attention. Norms, activations and the like are
   * left out, as fvcore and timm leave them out.
   */
  readonly multiplyAdds: number;
  /** Values that the same operations write for one image, the scores of attention among them: timm's activations. */
  readonly activations: number;
}

export interface ModelCount {
  readonly encoder: PartCount;
  /** What training puts behind the encoder. */
  readonly projection: PartCount;
}

export interface CountOptions {
  /** Sides of an image, px. */
  readonly side: number | readonly [number, number];
  /** Of an image: 1 unless given. */
  readonly channels?: number;
}

type DispatchNode = Extract<Node, { readonly kind: "dispatch" }>;

/** Kernels whose operations are multiplications with addition. */
const MULTIPLIERS: ReadonlySet<string> = new Set(["conv2d", "matmul", "attention"]);

/** Counts a preset for one image of a size. Throws ShapeError where the encoder takes no such size. */
export function countModel(preset: Preset, options: CountOptions): ModelCount {
  const [h, w] = typeof options.side === "number" ? [options.side, options.side] : options.side;
  const shape = [1, h, w, options.channels ?? 1];
  const image = (p: Parameters) => encode(preset, p, tensorOf({ kind: "input", name: "x", dtype: "f32", count: sizeOf(shape) }, shape), { training: false });
  const encoder = describeModel(image);
  const whole = describeModel((p) => void project(preset, p, image(p), { training: false }));
  const [inner, all] = [countPart(encoder), countPart(whole)];
  return { encoder: inner, projection: { parameters: all.parameters - inner.parameters, statistics: all.statistics - inner.statistics, multiplyAdds: all.multiplyAdds - inner.multiplyAdds, activations: all.activations - inner.activations } };
}

function countPart({ parameters, statistics, nodes }: ModelSpec & { readonly nodes: readonly Node[] }): PartCount {
  const total = (specs: readonly { readonly shape: readonly number[] }[]) => specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const products = nodes.filter((node): node is DispatchNode => node.kind === "dispatch" && MULTIPLIERS.has(node.kernel.name));
  const sum = (of: (node: DispatchNode) => number) => products.reduce((all, node) => all + of(node), 0);
  return { parameters: total(parameters), statistics: total(statistics), multiplyAdds: sum(flopsOf) / 2, activations: sum(valuesOf) };
}

function valuesOf({ kernel, bindings, numbers }: DispatchNode): number {
  const { b = 0, h = 0, n = 0, m = 0, d = 0 } = numbers;
  if (kernel.name === "attention") return b * h * n * (m + d);
  if (kernel.name === "matmul") return (numbers["batch"] ?? 1) * m * n; // whole, whether in parts or not
  return Object.entries(bindings).reduce((sum, [name, { count }]) => sum + (kernel.args[name]?.access === "write" ? count : 0), 0);
}
