// Phantom brains as a dataset: sections that look like stained cortex, with everything about them known; the same bytes for the same seed.
import { DATASET_SCHEMA, type Dataset, type Manifest } from "../data/dataset.ts";
import { writeNpy } from "../data/npy.ts";
import { encodePng } from "../data/png.ts";
import { storeFloat32 } from "../data/tensors.ts";
import { writeDataset, type DatasetParts, type SampleRow, type WriteOptions } from "../data/write-dataset.ts";
import type { Files } from "../files.ts";
import { keyOfSeed } from "../kernel/rng.ts";
import { PHANTOM_AREAS, PHANTOM_LAYERS } from "./areas.ts";
import { makeOptics } from "./optics.ts";
import { planPhantom, type PhantomOptions } from "./options.ts";
import { renderMask, renderSection } from "./render.ts";
import { listSamples, PHANTOM_VALUES } from "./samples.ts";
import { makePhantom, makeSection, type SectionAnatomy } from "./section.ts";

/** Name of the reference space: the unfolded sheet, x along the ribbon, y the laminar depth in the template's thickness, z across the sections. */
const SPACE = "phantom";

/**
 * Describes a phantom as the parts of a dataset. Nothing is rendered before its bytes are asked for; one section's anatomy is kept at a time.
 * Errors: UserError 2 for options out of range.
 */
export function generateSections(options: PhantomOptions): DatasetParts {
  const plan = planPhantom(options);
  const phantom = makePhantom(plan);
  const { key } = phantom;
  const all = Array.from({ length: plan.brains * plan.sections }, (_, i) => {
    const [brain, number] = [Math.floor(i / plan.sections), i % plan.sections];
    const id = `b${brain + 1}s${String(number + 1).padStart(String(plan.sections).length, "0")}`;
    return { id, brain, number, file: `images/${id}.png` };
  });
  let kept: SectionAnatomy | undefined;
  const rows = new Map<string, readonly SampleRow[]>();
  const open = ({ id, brain, number }: (typeof all)[number]): SectionAnatomy => {
    if (kept?.brain !== brain || kept.number !== number) kept = makeSection(phantom, brain, number);
    if (!rows.has(id)) rows.set(id, listSamples(phantom, kept, id));
    return kept;
  };
  const manifest: Manifest = {
    schema: DATASET_SCHEMA,
    name: `phantom-${plan.seed}`,
    description: "Generated sections that resemble stained cortex; no real brain.",
    brains: Array.from({ length: plan.brains }, (_, i) => ({ id: `phantom${i + 1}` })),
    sections: all.map(({ id, brain, file }) => ({ id, brain: `phantom${brain + 1}`, file, width: plan.width, height: plan.height, pixelSizeUm: plan.pixelSizeUm, space: SPACE })),
    labels: [
      { column: "area", names: PHANTOM_AREAS },
      { column: "layer", names: PHANTOM_LAYERS },
    ],
    values: PHANTOM_VALUES,
  };
  return {
    manifest,
    rows: {
      *[Symbol.iterator]() {
        for (const entry of all) {
          if (!rows.has(entry.id)) open(entry);
          yield* rows.get(entry.id)!;
        }
      },
    },
    images: all.flatMap((entry) => [
      { file: entry.file, bytes: () => encodePng(renderSection(open(entry), key, plan)) },
      ...(plan.truth
        ? [
            { file: `truth/${entry.id}-layers.png`, bytes: () => encodePng(renderMask(open(entry), plan, "layers")) },
            { file: `truth/${entry.id}-areas.png`, bytes: () => encodePng(renderMask(open(entry), plan, "areas")) },
            { file: `truth/${entry.id}-cells.npy`, bytes: () => encodeCells(open(entry)) },
          ]
        : []),
    ]),
  };
}

const FLAWS = { tear: "torn", fold: "folded", uneven: "unevenly stained", blur: "out of focus" } as const;

/** What befell each section of a phantom, in the order of its manifest. Errors: UserError 2 for options out of range. */
export function listFlaws(options: PhantomOptions): string[][] {
  const plan = planPhantom(options);
  const key = keyOfSeed(plan.seed);
  return Array.from({ length: plan.brains * plan.sections }, (_, i) => makeOptics(key, Math.floor(i / plan.sections), i % plan.sections, plan).artefacts.map((kind) => FLAWS[kind]));
}

function encodeCells({ cells }: SectionAnatomy): Uint8Array {
  const { table, count } = cells;
  return writeNpy(storeFloat32(table, [count, 6]));
}

/** Generates and writes a dataset at `out`. Errors: as writeDataset and generateSections. */
export async function generateDataset(options: PhantomOptions, out: string, files: Files, write: WriteOptions = {}): Promise<Dataset> {
  return writeDataset(files, out, generateSections(options), write);
}
