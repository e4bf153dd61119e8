// A kernel explained: what it asks of a device, what it computes and moves, which roof bounds it, and which variants run here.
import type { Peaks } from "../bench/peaks.ts";
import { type Blueprint, blueprintKey, constantsOf, tryVariant, variantOf } from "../kernel/blueprint.ts";
import { activeArgs, elementCount, type Traits } from "../kernel/define.ts";
import { bytesOf } from "../kernel/dtype.ts";
import { renderBlueprint } from "../kernel/layout.ts";
import { defaultsOf } from "../kernel/template.ts";
import { readFacts, type Facts } from "./facts.ts";
import type { Workpiece } from "./workpiece.ts";

export interface ConstantFact {
  readonly name: string;
  readonly value: number;
  /** Values that the descriptor offers to tuners; none for what follows from the problem or is fixed in the template. */
  readonly worthTrying: readonly number[];
  readonly by: "tunable" | "problem or device" | "template";
}

export interface VariantFact {
  readonly variant: string;
  /** Whether the kernel prefers it for this problem here. */
  readonly chosen: boolean;
  /** Why the device or the problem rules it out; absent where it runs. */
  readonly reason?: string;
  readonly facts?: Facts;
  readonly constants: readonly ConstantFact[];
}

export interface Explanation {
  readonly key: string;
  readonly doc: string;
  readonly case: string;
  readonly numbers: Readonly<Record<string, number>>;
  readonly grid: readonly [number, number, number];
  readonly facts: Facts;
  readonly flops: number;
  readonly bytes: number;
  /** The first output and its elements. */
  readonly output: { readonly name: string; readonly elements: number };
  /** Operations per byte, and where the device's roofs meet. */
  readonly intensity: number;
  readonly ridge: number;
  readonly bound: "compute" | "memory";
  /** Seconds at the roof that bounds it. */
  readonly seconds: number;
  readonly limits: { readonly workgroupMemory: number; readonly invocations: number };
  readonly variants: readonly VariantFact[];
}

export function explain({ kernel, blueprint, numbers, case: name }: Workpiece, traits: Traits, peaks: Peaks): Explanation {
  const flags = new Set(blueprint.flags);
  const args = activeArgs(kernel, flags);
  const elemBytes = (dtype: string) => (dtype === "elem" ? bytesOf(blueprint.dtype) : bytesOf(dtype as Parameters<typeof bytesOf>[0]));
  const bytes = args.reduce((sum, { arg }) => sum + elementCount(arg, numbers) * elemBytes(arg.dtype) * (arg.access === "update" ? 2 : 1), 0);
  const flops = kernel.flops(numbers);
  const output = args.find(({ arg }) => arg.access !== "read");
  const preferred = kernel.choose(numbers, traits, flags, blueprint.dtype);
  const problem = { kernel, numbers, flags, dtype: blueprint.dtype };
  const variants = Object.keys(kernel.variants).map((variant) => {
    const own = variant === blueprint.variant ? blueprint : undefined;
    const tried = own ? { blueprint: own } : tryVariant(problem, traits, variant, preferred.find((choice) => choice.variant === variant)?.params ?? {});
    const runs = "blueprint" in tried;
    return { variant, runs, ...(runs ? { facts: readFacts(renderBlueprint(kernel, tried.blueprint).code), constants: listConstants(kernel, tried.blueprint) } : { reason: tried.reason, constants: [] }) };
  });
  const favourite = [...preferred.map(({ variant }) => variant), "naive"].find((variant) => variants.some((one) => one.variant === variant && one.runs));
  const [compute, memory] = [flops / peaks.flops, bytes / peaks.bytes];
  return {
    key: blueprintKey(blueprint),
    doc: kernel.doc,
    case: name,
    numbers,
    grid: variantOf(kernel, blueprint.variant).grid(numbers, constantsOf(kernel, blueprint), flags),
    facts: readFacts(renderBlueprint(kernel, blueprint).code),
    flops,
    bytes,
    output: { name: output?.name ?? "", elements: output ? elementCount(output.arg, numbers) : 0 },
    intensity: bytes > 0 ? flops / bytes : 0,
    ridge: peaks.flops / peaks.bytes,
    bound: compute >= memory ? "compute" : "memory",
    seconds: Math.max(compute, memory),
    limits: { workgroupMemory: traits.workgroupMemory, invocations: traits.invocations },
    variants: variants.map(({ runs: _, ...fact }) => ({ ...fact, chosen: fact.variant === favourite })),
  };
}

function listConstants(kernel: Workpiece["kernel"], blueprint: Blueprint): ConstantFact[] {
  const { source, params = {}, specialize = {} } = variantOf(kernel, blueprint.variant);
  return [...defaultsOf(source)].map(([name, value]): ConstantFact => ({
    name,
    value: blueprint.constants[name] ?? value,
    worthTrying: params[name] ?? [],
    by: params[name] ? "tunable" : specialize[name] ? "problem or device" : "template",
  }));
}
