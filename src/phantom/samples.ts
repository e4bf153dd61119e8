// Sample positions along the ribbon of a section, with all that is true of them.
import { randomStream } from "../kernel/rng.ts";
import type { SampleRow } from "../data/write-dataset.ts";
import { PHANTOM_AREAS, PHANTOM_LAYERS, WHITE_MATTER } from "./areas.ts";
import { bilinear } from "./cells.ts";
import { depthStep } from "./cortex.ts";
import { fromLaminar } from "./field.ts";
import { makeSmoothNoise, STREAMS } from "./noise.ts";
import { columnOf, toSheet, type Phantom, type SectionAnatomy } from "./section.ts";

/** The numeric columns of the table, with their units. */
export const PHANTOM_VALUES = [
  { column: "depth_mm", unit: "mm" },
  { column: "thickness_mm", unit: "mm" },
  { column: "cells_per_mm2", unit: "1/mm²" },
  { column: "cell_radius_um", unit: "µm" },
  { column: "true_x_mm", unit: "mm" },
  { column: "true_y_mm", unit: "mm" },
  { column: "true_z_mm", unit: "mm" },
] as const;

/** Of the samples, this share lies around mid-depth, within these relative depths; the others at all depths, white matter included. */
const MIDDLE_SHARE = 0.85;
const MIDDLE = [0.4, 0.6] as const;
const DEEPEST_SAMPLE = 1.12;
/** Distance to the cut edges, in thicknesses: patches there would show what was not cut there. */
const CUT_CLEARANCE = 0.45;
/** Cells are counted within this radius, as a share of the thickness. */
const COUNTED = 0.12;
/** Registration errs in each direction by a shift of the section and by a smooth field along the ribbon: half of this and this at most, as a share of the thickness. */
const MISREGISTRATION = 0.17;

/** Rows of a section; positions are those of the common space, a little wrong, as registration leaves them. */
export function listSamples(phantom: Phantom, section: SectionAnatomy, id: string): SampleRow[] {
  const { plan, key, sheet } = phantom;
  const { line, field, thickness } = section;
  const stream = randomStream(key, [section.brain, section.number, STREAMS.samples]);
  const registration = randomStream(key, [section.brain, section.number, STREAMS.registration]);
  const drift = [0, 1, 2].map(() => {
    const whole = MISREGISTRATION * plan.thickness * (registration.uniform() - 0.5);
    const local = makeSmoothNoise(registration, sheet.length, 1, 3 * plan.thickness);
    return (s: number): number => whole + MISREGISTRATION * plan.thickness * local(s, 0);
  });
  const rows: SampleRow[] = [];
  const steps = Math.floor(sheet.length / plan.sampleSpacingMm);
  let v = 0;
  for (let i = 0; i < steps; i++) {
    const way = (i + 0.2 + 0.6 * stream.uniform()) / steps;
    const laminar = stream.uniform() < MIDDLE_SHARE ? MIDDLE[0] + (MIDDLE[1] - MIDDLE[0]) * stream.uniform() : DEEPEST_SAMPLE * stream.uniform();
    while (v + 1 < line.count && line.way[v]! < way) v += 1;
    const local = thickness[v]!;
    const depth = local * fromLaminar(laminar, line.curvature[v]!, local);
    const [x, y] = [line.x[v]! + line.nx[v]! * depth, line.y[v]! + line.ny[v]! * depth];
    if (x < 0 || y < 0 || x >= plan.widthMm || y >= plan.heightMm || section.cutDistance(x, y) < CUT_CLEARANCE * plan.thickness) continue;
    const [c, r] = [Math.floor(x / field.cell), Math.floor(y / field.cell)];
    const node = r * field.columns + c;
    const found = bilinear(field.depth, node, field.columns, x / field.cell - c, y / field.cell - r);
    // Where another bank is nearer, the way straight down has left this place's cortex.
    if (Math.abs(found - depth) > 0.04 * plan.thickness) continue;
    const column = columnOf(section, field.nearest[node]!);
    const relative = bilinear(field.relative, node, field.columns, x / field.cell - c, y / field.cell - r);
    const layer = column.layer[depthStep(relative)]!;
    const place = [toSheet(phantom, section.brain, section.z, line.way[v]!), relative * plan.thickness, section.z] as const;
    const counted = countCells(section, x * 1000, y * 1000, COUNTED * plan.thickness * 1000);
    rows.push({
      section: id,
      xUm: x * 1000,
      yUm: y * 1000,
      position: [place[0] + drift[0]!(place[0]), place[1] + drift[1]!(place[0]), place[2] + drift[2]!(place[0])],
      labels: [layer === WHITE_MATTER ? "" : PHANTOM_AREAS[column.area]!, PHANTOM_LAYERS[layer]!],
      values: [depth, local, counted.density, counted.radius, ...place],
    });
  }
  return rows;
}

/** Cells per mm² and their mean radius (NaN where there are none) within a circle, µm. */
function countCells({ cells, field }: SectionAnatomy, x: number, y: number, radius: number): { density: number; radius: number } {
  const { table, rowStarts } = cells;
  const cellUm = field.cell * 1000;
  const [first, last] = [Math.max(0, Math.floor((y - radius) / cellUm)), Math.min(field.rows, Math.ceil((y + radius) / cellUm))];
  let [count, sum] = [0, 0];
  for (let k = rowStarts[first]!; k < rowStarts[last]!; k++) {
    if ((table[6 * k]! - x) ** 2 + (table[6 * k + 1]! - y) ** 2 > radius * radius) continue;
    count += 1;
    sum += table[6 * k + 2]!;
  }
  return { density: count / (Math.PI * (radius / 1000) ** 2), radius: sum / count };
}
