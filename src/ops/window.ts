// Options that convolution and pooling share: pairs for two axes, padding for four sides.
import { ShapeError } from "../engine/errors.ts";

/** One number for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

/** The same on all sides, [vertical, horizontal], or [top, bottom, left, right]. */
export type Padding = number | readonly [number, number] | readonly [number, number, number, number];

/** [vertical, horizontal]. Throws ShapeError unless both are whole numbers not below `least`. */
export function pairOf(op: string, what: string, value: Pair, least: number): readonly [number, number] {
  const pair = typeof value === "number" ? ([value, value] as const) : value;
  requireWhole(op, what, pair, least);
  return pair;
}

/** [top, bottom, left, right]. Throws ShapeError unless all are whole numbers not below 0. */
export function sidesOf(op: string, value: Padding): readonly [number, number, number, number] {
  const sides = typeof value === "number" ? ([value, value, value, value] as const) : value.length === 2 ? ([value[0], value[0], value[1], value[1]] as const) : value;
  requireWhole(op, "padding", sides, 0);
  return sides;
}

function requireWhole(op: string, what: string, numbers: readonly number[], least: number): void {
  if (numbers.some((n) => !Number.isInteger(n) || n < least)) throw new ShapeError(op, `${what} ${numbers.join(", ")}, expected whole numbers from ${least} on`);
}
