// One section of one brain as anatomy, before any stain: its pial line, depth field, columns of tissue and cells.
import { keyOfSeed, randomStream, type Words2 } from "../kernel/rng.ts";
import { listCells, type Cells } from "./cells.ts";
import { makeCortex, type Column, type Cortex } from "./cortex.ts";
import { makeDepthField, type DepthField } from "./field.ts";
import { makeFolding, type Folding, type PialLine } from "./folding.ts";
import { boundedNormal, makeSmoothNoise, STREAMS, type Noise } from "./noise.ts";
import type { PhantomPlan } from "./options.ts";
import { makeSheet, type Sheet } from "./sheet.ts";

/** The sheet's length per width of a section: what a typical brain's folds unfold to. */
const UNFOLDED = 2.4;
/** Over z, the folds of a brain slide along the sheet by up to this share of its length in either direction: sulci run obliquely to areas. */
const SLIDE = 0.06;
/** All sections together span this many thicknesses of z. */
const Z_THICKNESSES = 5.4;
/** Side of the field's cells, as a share of the thickness. */
const CELL = 0.03;
/** Margin of empty glass around the block of tissue, in thicknesses. */
const MARGIN = 0.22;
/** Distance of columns of tissue along the ribbon, in thicknesses. */
const COLUMN_PITCH = 0.045;
/** Borders of layers wobble by this share of the depth. */
const WOBBLE = 0.022;

/** A phantom's brains, all of one sheet. */
export interface Phantom {
  readonly plan: PhantomPlan;
  readonly key: Words2;
  readonly sheet: Sheet;
  /** Of each brain, by number. */
  readonly cortices: readonly Cortex[];
  readonly foldings: readonly Folding[];
  /** mm of z by which the sections of a brain lie off the even places. */
  readonly offsets: readonly number[];
  /** mm of the sheet by which the folds of a brain have slid where z ends; at its beginning as much the other way. */
  readonly slides: readonly number[];
}

export interface SectionAnatomy {
  readonly brain: number;
  readonly number: number;
  /** mm in the common space. */
  readonly z: number;
  readonly line: PialLine;
  readonly field: DepthField;
  /** [line.count] mm. */
  readonly thickness: Float64Array;
  /** Columns of tissue along the ribbon, evenly by way. */
  readonly columns: readonly Column[];
  readonly cells: Cells;
  /** mm to the cut edges of the block: negative on the glass beyond. */
  cutDistance(x: number, y: number): number;
}

export function makePhantom(plan: PhantomPlan): Phantom {
  const key = keyOfSeed(plan.seed);
  const { widthMm: width, heightMm: height, thickness } = plan;
  const sheet = makeSheet(key, { length: UNFOLDED * width, zLength: Z_THICKNESSES * thickness, thickness });
  const brains = Array.from({ length: plan.brains }, (_, i) => i);
  return {
    plan,
    key,
    sheet,
    cortices: brains.map((brain) => makeCortex(key, brain, sheet)),
    foldings: brains.map((brain) => makeFolding(key, brain, { width, height, thickness }, 1.1 * sheet.zLength)),
    offsets: brains.map((brain) => 0.3 * (randomStream(key, [brain, 0, STREAMS.brain]).uniform() - 0.5) * (sheet.zLength / plan.sections)),
    slides: brains.map((brain) => {
      const stream = randomStream(key, [brain, 1, STREAMS.brain]);
      return (stream.uniform() < 0.5 ? -1 : 1) * (0.5 + 0.5 * stream.uniform()) * SLIDE * sheet.length;
    }),
  };
}

/** mm along the unfolded sheet of a share of the way along the ribbon, in a section of brain `brain` at z. */
export function toSheet({ sheet, slides }: Phantom, brain: number, z: number, way: number): number {
  return (SLIDE + way * (1 - 2 * SLIDE)) * sheet.length + slides[brain]! * ((2 * z) / sheet.zLength - 1);
}

export function zOf({ plan, sheet, offsets }: Phantom, brain: number, number: number): number {
  return ((number + 0.5) / plan.sections) * sheet.zLength + offsets[brain]!;
}

/** Builds a section; pure. */
export function makeSection(phantom: Phantom, brain: number, number: number): SectionAnatomy {
  const { key, plan, sheet } = phantom;
  const { widthMm: width, heightMm: height, thickness: unit } = plan;
  const z = zOf(phantom, brain, number);
  const cortex = phantom.cortices[brain]!;
  const line = lieDown(phantom.foldings[brain]!(z), randomStream(key, [brain, number, STREAMS.placement]), width, height, unit);
  const thickness = Float64Array.from({ length: line.count }, (_, v) => {
    // Cortex is thicker in crowns than in the floors of sulci.
    const fold = Math.max(-0.6, Math.min(1, 0.5 * line.curvature[v]! * unit));
    return unit * cortex.thicknessAt(toSheet(phantom, brain, z, line.way[v]!), z) * (1 - 0.2 * fold);
  });
  const cell = CELL * unit;
  const field = makeDepthField(line, thickness, width, height, cell, unit);
  const texture = randomStream(key, [brain, number, STREAMS.texture]);
  const wobble = makeSmoothNoise(texture, width, height, 0.2 * unit);
  const { columns: across, rows, relative } = field;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < across; c++) {
      const i = r * across + c;
      const depth = relative[i]!;
      // None at the pia, which is drawn sharp.
      if (depth > 0) relative[i] = depth + WOBBLE * wobble(c * cell, r * cell) * Math.min(1, depth / 0.15);
    }
  }
  const count = Math.ceil(sheet.length / (COLUMN_PITCH * unit));
  const columns = Array.from({ length: count }, (_, i) => cortex.columnAt(toSheet(phantom, brain, z, (i + 0.5) / count), z));
  const cutDistance = makeCut(makeSmoothNoise(texture, width, height, 0.5 * unit), width, height, unit);
  const anatomy = { brain, number, z, line, field, thickness, columns, cutDistance };
  return { ...anatomy, cells: listCells(anatomy, key) };
}

/** The column under a point of the pial line. */
export function columnOf({ line, columns }: Pick<SectionAnatomy, "line" | "columns">, v: number): Column {
  return columns[Math.min(columns.length - 1, Math.floor(line.way[v]! * columns.length))]!;
}

/** As sections lie on glass: each a little turned and shifted. */
function lieDown(line: PialLine, stream: ReturnType<typeof randomStream>, width: number, height: number, unit: number): PialLine {
  const angle = 0.03 * boundedNormal(stream);
  const [dx, dy] = [0.12 * unit * boundedNormal(stream), 0.06 * unit * boundedNormal(stream)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const turn = (x: Float64Array, y: Float64Array, centre: readonly [number, number], shift: readonly [number, number]): [Float64Array, Float64Array] => [
    x.map((value, i) => cos * (value - centre[0]) - sin * (y[i]! - centre[1]) + centre[0] + shift[0]),
    x.map((value, i) => sin * (value - centre[0]) + cos * (y[i]! - centre[1]) + centre[1] + shift[1]),
  ];
  const [x, y] = turn(line.x, line.y, [width / 2, height / 2], [dx, dy]);
  const [nx, ny] = turn(line.nx, line.ny, [0, 0], [0, 0]);
  return { ...line, x, y, nx, ny };
}

/** The block was cut out of a brain at both sides and below: straight cuts with rounded, slightly ragged edges. */
function makeCut(noise: Noise, width: number, height: number, unit: number): (x: number, y: number) => number {
  const margin = MARGIN * unit;
  const round = 0.4 * unit;
  return (x, y) => {
    const ragged = 0.05 * unit * noise(x, y);
    const [side, floor] = [Math.min(x, width - x) - margin + ragged, height - y - margin + ragged];
    if (side >= round || floor >= round) return Math.min(side, floor);
    return round - Math.hypot(round - side, round - floor);
  };
}
