// Generates sections that look like stained cortex, with the truth known: a dataset for the demo and for tests, the same bytes for the same seed.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { keyOfSeed, randomStream, type Words2 } from "../kernel/rng.ts";
import { DATASET_SCHEMA, type Dataset, type Manifest } from "./dataset.ts";
import { renderSection } from "./phantom-render.ts";
import { makeProfile, PHANTOM_AREAS, PHANTOM_LAYERS } from "./phantom-profile.ts";
import { makeShape, type Placement, type Shape } from "./phantom-shape.ts";
import { encodePng } from "./png.ts";
import { writeDataset, type DatasetParts, type SampleRow, type WriteOptions } from "./write-dataset.ts";

export interface PhantomOptions {
  readonly seed: number;
  readonly brains?: number;
  readonly sectionsPerBrain?: number;
  /** Pixels. */
  readonly width?: number;
  readonly height?: number;
  readonly pixelSizeUm?: number;
  /** Distance between sections of a brain, mm. */
  readonly sectionSpacingMm?: number;
  /** Distance between sample positions in a section, mm. */
  readonly sampleSpacingMm?: number;
}

export const PHANTOM_DEFAULTS = { brains: 1, sectionsPerBrain: 1, width: 1024, height: 768, pixelSizeUm: 12, sectionSpacingMm: 0.3, sampleSpacingMm: 0.2 } as const;

/** Samples reach this share of the thickness into the white matter. */
const SAMPLED_DEPTH = 1.3;
const STREAM_WARP = 21;

/** Each brain is a smooth warp of the template, each section lies a little turned and shifted: as sections on glass do. */
function makePlacement(key: Words2, brain: number, section: number, width: number, height: number, spacing: number): Placement {
  const ofBrain = randomStream(key, [brain, 0, STREAM_WARP]);
  const ofSection = randomStream(key, [brain, section + 1, STREAM_WARP]);
  const amplitude = 0.018 * Math.min(width, height);
  const waves = Array.from({ length: 4 }, () => ({ a: amplitude * ofBrain.normal(), kx: (2 * Math.PI * (0.4 + 0.6 * ofBrain.uniform())) / width, ky: (2 * Math.PI * (0.4 + 0.6 * ofBrain.uniform())) / height, phase: ofBrain.uniform() * 2 * Math.PI }));
  const angle = 0.012 * ofSection.normal();
  const [shiftX, shiftY] = [0.006 * width * ofSection.normal(), 0.006 * height * ofSection.normal()];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const wave = (i: number, x: number, y: number): number => {
    const { a, kx, ky, phase } = waves[i]!;
    return a * Math.sin(kx * x + ky * y + phase);
  };
  return {
    z: section * spacing,
    toTemplate(px, py) {
      const [cx, cy] = [px - width / 2, py - height / 2];
      const x = cos * cx - sin * cy + width / 2 + shiftX;
      const y = sin * cx + cos * cy + height / 2 + shiftY;
      return [x + wave(0, x, y) + wave(1, y, x), y + wave(2, x, y) + wave(3, y, x)];
    },
  };
}

function checkOptions(options: Required<PhantomOptions>): void {
  const whole: (keyof PhantomOptions)[] = ["brains", "sectionsPerBrain", "width", "height"];
  for (const name of whole) {
    if (!Number.isInteger(options[name]) || options[name] < 1) throw new UserError(EXIT_CODES.usage, `generate: ${name} ${options[name]}, expected a whole number from 1; correct it`);
  }
  const lengths: (keyof PhantomOptions)[] = ["pixelSizeUm", "sectionSpacingMm", "sampleSpacingMm"];
  for (const name of lengths) {
    if (!(options[name] > 0 && Number.isFinite(options[name]))) throw new UserError(EXIT_CODES.usage, `generate: ${name} ${options[name]}, expected a number above 0; correct it`);
  }
}

/** Sample positions on a hexagonal grid over the cortex and the white matter beneath, labelled with layer and area. */
function* placeSamples(id: string, shape: Shape, placement: Placement, options: Required<PhantomOptions>): Generator<SampleRow> {
  const { sampleSpacingMm: step, pixelSizeUm } = options;
  const [width, height] = [(options.width * pixelSizeUm) / 1000, (options.height * pixelSizeUm) / 1000];
  const profile = makeProfile(shape.length);
  const rise = (step * Math.sqrt(3)) / 2;
  for (let row = 0; row * rise < height; row++) {
    for (let column = 0; column * step < width; column++) {
      const [x, y] = [(column + (row % 2 === 0 ? 0.25 : 0.75)) * step, (row + 0.5) * rise];
      if (x > width || y > height) continue;
      const [tx, ty] = placement.toTemplate(x, y);
      const { arc, relative } = shape.locate(tx, ty, profile.thickness);
      if (relative < 0 || relative > SAMPLED_DEPTH) continue;
      const layer = PHANTOM_LAYERS[profile.tissue(arc, relative).layer] ?? "WM";
      yield { section: id, xUm: x * 1000, yUm: y * 1000, position: [tx, ty, placement.z], labels: [layer, PHANTOM_AREAS[profile.area(arc)] ?? ""] };
    }
  }
}

/**
 * Generates sections of folded cortex with their truth. Pure: images are rendered when their bytes are asked for.
 * All brains share one reference space ("phantom"): positions are those of the template that each brain is a warp of.
 * Errors: UserError 2 for options out of range.
 */
export function generateSections(given: PhantomOptions): DatasetParts {
  const options: Required<PhantomOptions> = { ...PHANTOM_DEFAULTS, ...given };
  checkOptions(options);
  const key = keyOfSeed(options.seed);
  const { brains, sectionsPerBrain, width, height, pixelSizeUm } = options;
  const [widthMm, heightMm] = [(width * pixelSizeUm) / 1000, (height * pixelSizeUm) / 1000];
  const all = Array.from({ length: brains * sectionsPerBrain }, (_, i) => {
    const [brain, section] = [Math.floor(i / sectionsPerBrain), i % sectionsPerBrain];
    const placement = makePlacement(key, brain, section, widthMm, heightMm, options.sectionSpacingMm);
    const id = `b${brain + 1}s${section + 1}`;
    return { id, brain: `phantom${brain + 1}`, file: `images/${id}.png`, number: i, placement, shape: makeShape(key, widthMm, heightMm, placement.z) };
  });
  const manifest: Manifest = {
    schema: DATASET_SCHEMA,
    name: `phantom-${options.seed}`,
    description: "Generated sections that resemble stained cortex; no real brain.",
    brains: Array.from({ length: brains }, (_, i) => ({ id: `phantom${i + 1}` })),
    sections: all.map(({ id, brain, file }) => ({ id, brain, file, width, height, pixelSizeUm, space: "phantom" })),
    labels: [
      { column: "layer", names: PHANTOM_LAYERS },
      { column: "area", names: PHANTOM_AREAS },
    ],
  };
  return {
    manifest,
    rows: {
      *[Symbol.iterator]() {
        for (const { id, shape, placement } of all) yield* placeSamples(id, shape, placement, options);
      },
    },
    images: all.map(({ file, number, shape, placement }) => ({ file, bytes: () => encodePng(renderSection(key, number, shape, placement, { width, height, pixelSizeUm })) })),
  };
}

/** Generates and writes a dataset at `out`. Errors: as writeDataset and generateSections. */
export async function generateDataset(options: PhantomOptions, out: string, files: Files, write: WriteOptions = {}): Promise<Dataset> {
  return writeDataset(files, out, generateSections(options), write);
}
