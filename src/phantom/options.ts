// What a phantom is made of: sizes by name, each number of them to be set alone as well.
import { EXIT_CODES, UserError } from "../errors.ts";

export interface PhantomShape {
  /** Sections of each brain, evenly over the common space's z. */
  readonly sections: number;
  /** Pixels of a section. */
  readonly width: number;
  readonly height: number;
  readonly pixelSizeUm: number;
  /** Distance between samples along the ribbon, mm of the common space. */
  readonly sampleSpacingMm: number;
}

/**
 * `small`: made in seconds, for demonstrations. `medium`: enough to learn from. `large`: the same anatomy at 2 µm/px, for patches of 2,048 px.
 * At 40 µm/px a patch of 64 px is 2.56 mm wide: the whole depth of the cortex, seen from its middle.
 */
export const PHANTOM_SIZES = {
  small: { sections: 6, width: 576, height: 352, pixelSizeUm: 40, sampleSpacingMm: 0.42 },
  medium: { sections: 16, width: 576, height: 352, pixelSizeUm: 40, sampleSpacingMm: 0.3 },
  large: { sections: 2, width: 11264, height: 7168, pixelSizeUm: 2, sampleSpacingMm: 0.3 },
} as const satisfies Record<string, PhantomShape>;

export type PhantomSize = keyof typeof PHANTOM_SIZES;
export const PHANTOM_BRAINS = 3;

export interface PhantomOptions extends Partial<PhantomShape> {
  /** A whole number from 0: the same seed gives the same bytes. */
  readonly seed: number;
  /** Default: small. */
  readonly size?: PhantomSize;
  /** Default: 3. */
  readonly brains?: number;
  /** Whether masks and lists of cells are written beside the sections (default: yes). The table's columns are always there. */
  readonly truth?: boolean;
}

/** Options with every number filled in. */
export interface PhantomPlan extends PhantomShape {
  readonly seed: number;
  readonly brains: number;
  readonly truth: boolean;
  readonly widthMm: number;
  readonly heightMm: number;
  /** Cortical thickness of the template, mm; all anatomy scales with it. */
  readonly thickness: number;
}

/** Brains, and sections of a brain, at most: names of random streams have room for more, folders and people have not. */
const MOST = 1000;
/** Pixels of an image at most, as the readers of datasets take them. */
const MOST_PIXELS = 2 ** 28;

/** Human cortex is 2.2 mm thick here; in a section too low for it and a sulcus, all is smaller. */
const THICKNESS_MM = 2.2;
const HEIGHT_PER_THICKNESS = 5;

/** Fills in what was not given. Errors: UserError 2 with all numbers that are out of range. */
export function planPhantom(options: PhantomOptions): PhantomPlan {
  const { seed, size = "small", brains = PHANTOM_BRAINS, truth = true, ...given } = options;
  const shape: PhantomShape = { ...PHANTOM_SIZES[size], ...dropUndefined(given) };
  const wrong: string[] = [];
  for (const [name, value] of Object.entries({ brains, sections: shape.sections })) if (!Number.isInteger(value) || value < 1 || value > MOST) wrong.push(`${name} ${value}, expected a whole number from 1 to ${MOST}`);
  for (const [name, value] of Object.entries({ width: shape.width, height: shape.height })) if (!Number.isInteger(value) || value < 1) wrong.push(`${name} ${value}, expected a whole number from 1`);
  if (shape.width * shape.height > MOST_PIXELS) wrong.push(`${shape.width} × ${shape.height} pixels, expected at most ${MOST_PIXELS} in a section`);
  if (!Number.isSafeInteger(seed) || seed < 0) wrong.push(`seed ${seed}, expected a whole number from 0`);
  const lengths = { pixelSizeUm: shape.pixelSizeUm, sampleSpacingMm: shape.sampleSpacingMm };
  for (const [name, value] of Object.entries(lengths)) if (!(value > 0 && Number.isFinite(value))) wrong.push(`${name} ${value}, expected a number above 0`);
  if (wrong.length > 0) throw new UserError(EXIT_CODES.usage, `phantom: ${wrong.length === 1 ? `${wrong[0]}; correct it` : "options are wrong"}`, wrong.length === 1 ? [] : wrong);
  const [widthMm, heightMm] = [(shape.width * shape.pixelSizeUm) / 1000, (shape.height * shape.pixelSizeUm) / 1000];
  return { ...shape, seed, brains, truth, widthMm, heightMm, thickness: Math.min(THICKNESS_MM, heightMm / HEIGHT_PER_THICKNESS) };
}

function dropUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Partial<T>;
}
