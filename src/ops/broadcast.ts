// Broadcasting as in NumPy: the shape of a result, and the strides with which operands are read.
import { ShapeError } from "../engine/errors.ts";

/** Extents of a result in at most four groups of dimensions, and the stride of each operand along each group. */
export interface Broadcast {
  readonly shape: readonly number[];
  readonly extents: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
}

const GROUPS = 4;

/**
 * Aligns two shapes at their last dimension; an extent of 1 or a missing one is repeated. Neighbouring dimensions that an
 * operand treats alike count as one; throws ShapeError where shapes do not fit or more than four such groups remain.
 */
export function broadcastShapes(op: string, a: readonly number[], b: readonly number[]): Broadcast {
  const rank = Math.max(a.length, b.length);
  const pad = (shape: readonly number[]) => [...new Array<number>(rank - shape.length).fill(1), ...shape];
  const [fullA, fullB] = [pad(a), pad(b)];
  const shape = fullA.map((extent, i) => {
    const other = fullB[i]!;
    if (extent !== other && extent !== 1 && other !== 1) throw new ShapeError(op, `[${a.join(", ")}] and [${b.join(", ")}] differ in dimension ${i - rank}, expected equal extents or 1`);
    return extent === 1 ? other : extent;
  });
  const groups: { extent: number; a: boolean; b: boolean }[] = [];
  shape.forEach((extent, i) => {
    if (extent === 1) return;
    const here = { extent, a: fullA[i] !== 1, b: fullB[i] !== 1 };
    const last = groups.at(-1);
    if (last && last.a === here.a && last.b === here.b) last.extent *= extent;
    else groups.push(here);
  });
  if (groups.length > GROUPS) throw new ShapeError(op, `[${a.join(", ")}] and [${b.join(", ")}] repeat in ${groups.length} alternating groups of dimensions, expected at most ${GROUPS}; reshape or transpose them first`);
  while (groups.length < GROUPS) groups.unshift({ extent: 1, a: false, b: false });
  const strides = (operand: "a" | "b") => {
    let stride = 1;
    return [...groups].reverse().map((group) => {
      if (!group[operand]) return 0;
      const own = stride;
      stride *= group.extent;
      return own;
    }).reverse();
  };
  return { shape, extents: groups.map(({ extent }) => extent), a: strides("a"), b: strides("b") };
}

/** Dimensions of `shape` along which a tensor of shape `from` is repeated: what its gradient sums over. */
export function repeatedAxes(shape: readonly number[], from: readonly number[]): number[] {
  const missing = shape.length - from.length;
  return shape.flatMap((extent, i) => (extent !== 1 && (i < missing || from[i - missing] === 1) ? [i] : []));
}
