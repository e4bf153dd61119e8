// Other orders than the usual one: workgroups in any order, alone, and invocations that do not find their neighbours in their own subgroup.
import type { Kernel } from "../kernel/define.ts";
import type { Words2 } from "../kernel/rng.ts";
import { randomStream } from "../kernel/rng.ts";
import { librariesOf } from "../kernel/blueprint.ts";
import { usesOf } from "../kernel/template.ts";
import type { Piece } from "./cut.ts";

type Triple = readonly [number, number, number];

/** Pieces of a grid that a check launches one after another: enough for any order to show, few enough to stay cheap. */
const PIECES = 7;

/** A grid in up to seven pieces, single workgroups where it has no more, in an order drawn by seed. */
export function shuffleGrid(grid: Triple, key: Words2): Piece[] {
  if (grid.some((extent) => extent === 0)) return [];
  const pieces: Piece[] = [{ origin: [0, 0, 0], size: grid, seconds: 0 }];
  while (pieces.length < PIECES) {
    pieces.sort((x, y) => Math.max(...y.size) - Math.max(...x.size));
    const { origin, size } = pieces[0]!;
    const axis = size.indexOf(Math.max(...size));
    const low = Math.floor(size[axis]! / 2);
    if (low === 0) break;
    const along = (values: Triple, value: number) => values.map((n, i) => (i === axis ? value : n)) as unknown as Triple;
    pieces.splice(0, 1, { origin, size: along(size, low), seconds: 0 }, { origin: along(origin, origin[axis]! + low), size: along(size, size[axis]! - low), seconds: 0 });
  }
  const { below } = randomStream(key, [0, 0, 3]);
  for (let i = pieces.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [pieces[i], pieces[j]] = [pieces[j]!, pieces[i]!];
  }
  return pieces;
}

/** Whether the invocations of a workgroup meet at barriers, in the template or in a library that it uses. */
export function hasBarrier(kernel: Kernel, variant: string): boolean {
  const source = kernel.variants[variant]?.source ?? "";
  const libraries = librariesOf(kernel, variant);
  return [source, ...usesOf(source).map((name) => libraries[name] ?? "")].some((text) => text.includes("workgroupBarrier()"));
}

const MAIN = /@workgroup_size\(([^)]*)\)(\s*fn\s+main\([^{]*?@builtin\(local_invocation_index\)\s*)(\w+)(\s*:\s*u32[^{]*\{)/;

/** Prime, so that multiplying by it permutes the indices of any workgroup whose size it does not divide. */
const STRIDE = 37;

/**
 * The same kernel, in one variant, with invocation i of a workgroup of N doing what number N − 1 − (37 i mod N) did. Subgroups run in
 * their order and in lockstep on many devices, which hides a barrier that is missing: here the invocation that others wait for
 * runs late, and neighbours lie in different subgroups. A correct template gives the same bits; one that uses subgroups or other
 * built-ins than the index cannot be scattered, and undefined is returned.
 */
export function scatterInvocations(kernel: Kernel, variantName: string): Kernel | undefined {
  const variant = kernel.variants[variantName];
  if (!variant || /\bsubgroup\w+\(|local_invocation_id\b/.test(variant.source) || !MAIN.test(variant.source)) return undefined;
  const source = variant.source.replace(MAIN, (_, size: string, head: string, name: string, rest: string) => {
    const count = size.split(",").map((extent) => `u32(${extent.trim()})`).join(" * ");
    return `@workgroup_size(${size})${head}place_${rest} let ${name} = ${count} - 1u - (${STRIDE}u * place_) % (${count});`;
  });
  return { ...kernel, name: `${kernel.name} (scattered)`, variants: { ...kernel.variants, [variantName]: { ...variant, source } } };
}
