// The cell bodies of a section: how many, where, how large and how they lie, by the tissue that each point belongs to.
import { randomStream, type Words2 } from "../kernel/rng.ts";
import { depthStep } from "./cortex.ts";
import { STREAMS, toNearlyNormal } from "./noise.ts";
import { columnOf, type SectionAnatomy } from "./section.ts";

/** All cells of a section, row of the field's cells after row. */
export interface Cells {
  readonly count: number;
  /** [count, 6]: x and y in µm of the section, radius in µm (of a disc of the same area), elongation, angle of the long axis (radians from x towards y), layer. */
  readonly table: Float32Array;
  /** [rows + 1] where the cells of each row of the field begin. */
  readonly rowStarts: Uint32Array;
}

export const CELL_COLUMNS = ["x_um", "y_um", "radius_um", "elongation", "angle", "layer"] as const;
/** Attempts to place a cell clear of its neighbours; one that finds no room overlaps, as cells in a thick section do. */
const ATTEMPTS = 4;
/** The pia and the cut edges carry no cells nearer than this, mm. */
const EDGE_MM = 0.006;

type Ground = Pick<SectionAnatomy, "brain" | "number" | "line" | "field" | "columns" | "cutDistance">;

export function listCells(section: Ground, key: Words2): Cells {
  const { field, cutDistance } = section;
  const { columns, rows, cell, depth, relative, nearest } = field;
  let table = new Float32Array(6 * 65536);
  let count = 0;
  const rowStarts = new Uint32Array(rows + 1);
  for (let r = 0; r + 1 < rows; r++) {
    rowStarts[r] = count;
    const stream = randomStream(key, [section.brain * 65536 + section.number, r, STREAMS.cells]);
    for (let c = 0; c + 1 < columns; c++) {
      const i = r * columns + c;
      const [i1, i2, i3] = [i + 1, i + columns, i + columns + 1];
      if (depth[i]! < 0 && depth[i1]! < 0 && depth[i2]! < 0 && depth[i3]! < 0) continue;
      if (cutDistance((c + 0.5) * cell, (r + 0.5) * cell) < -cell) continue;
      const column = columnOf(section, nearest[i]!);
      const middle = (relative[i]! + relative[i1]! + relative[i2]! + relative[i3]!) / 4;
      const expected = column.density[depthStep(middle)]! * cell * cell;
      const axis = Math.atan2(depth[i2]! - depth[i]! + depth[i3]! - depth[i1]!, depth[i1]! - depth[i]! + depth[i3]! - depth[i2]!);
      const first = count;
      const none = Math.exp(-expected);
      for (let product = stream.uniform(); product > none; product *= stream.uniform()) {
        let x = 0;
        let y = 0;
        let radius = 0;
        let fx = 0;
        let fy = 0;
        let step = 0;
        const size = toNearlyNormal(stream.word());
        for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
          fx = stream.uniform();
          fy = stream.uniform();
          x = (c + fx) * cell * 1000;
          y = (r + fy) * cell * 1000;
          step = depthStep(bilinear(relative, i, columns, fx, fy));
          radius = column.radius[step]! * Math.max(0.5, 1 + column.scatter[step]! * size);
          let clear = true;
          for (let k = first; clear && k < count; k++) {
            const dx = table[6 * k]! - x;
            const dy = table[6 * k + 1]! - y;
            const room = 0.9 * (radius + table[6 * k + 2]!);
            clear = dx * dx + dy * dy > room * room;
          }
          if (clear) break;
        }
        const turned = axis + 0.22 * toNearlyNormal(stream.word());
        if (bilinear(depth, i, columns, fx, fy) < EDGE_MM || cutDistance(x / 1000, y / 1000) < EDGE_MM) continue;
        if (6 * (count + 1) > table.length) {
          const larger = new Float32Array(2 * table.length);
          larger.set(table);
          table = larger;
        }
        const at = 6 * count;
        table[at] = x;
        table[at + 1] = y;
        table[at + 2] = radius;
        table[at + 3] = column.elongation[step]!;
        table[at + 4] = turned;
        table[at + 5] = column.layer[step]!;
        count += 1;
      }
    }
  }
  rowStarts[rows - 1] = count;
  rowStarts[rows] = count;
  return { count, table: table.slice(0, 6 * count), rowStarts };
}

/** Value of a grid within the cell whose upper left node is `i`, at (fx, fy) in 0…1. */
export function bilinear(grid: Float32Array, i: number, columns: number, fx: number, fy: number): number {
  return (grid[i]! * (1 - fx) + grid[i + 1]! * fx) * (1 - fy) + (grid[i + columns]! * (1 - fx) + grid[i + columns + 1]! * fx) * fy;
}
