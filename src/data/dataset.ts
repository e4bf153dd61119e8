// A dataset as the rest of the code sees it: sections with their images, and a table of sample positions. docs/dataset.md describes the folder.

export const DATASET_SCHEMA = "cytonet-dataset/1";
export const MANIFEST_FILE = "dataset.json";
export const TABLE_FILE = "samples.csv";
/** Where the truth of generated sections lies, as `ID-KIND` for each (docs/phantom.md). */
export const TRUTH_FOLDER = "truth";
export const TRUTH_KINDS = ["layers.png", "areas.png", "cells.npy"] as const;

/** Columns of the table; positions in mm may be absent where every section has a transform. */
export const PLACE_COLUMNS = ["section", "x_um", "y_um"] as const;
export const POSITION_COLUMNS = ["x_mm", "y_mm", "z_mm"] as const;

export interface Brain {
  readonly id: string;
  readonly description?: string;
}

/** Section µm (x right, y down, from the outer corner of the first pixel) → mm in the space: 3 rows of [a, b, c], position = a·x + b·y + c. */
export type SectionTransform = readonly (readonly [number, number, number])[];

export interface Section {
  readonly id: string;
  /** The brain's id. */
  readonly brain: string;
  /** The image, relative to the dataset's folder, with `/` between folders. */
  readonly file: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly pixelSizeUm: number;
  /** Name of the reference space; positions of different spaces have no distance. */
  readonly space: string;
  readonly transform?: SectionTransform;
}

/** A label column: the names of its classes, and per sample the class, -1 where the cell is empty. */
export interface Labels {
  readonly names: readonly string[];
  readonly codes: Int32Array;
}

/** A value column: numbers per sample, NaN where the cell is empty. */
export interface Values {
  readonly unit: string | undefined;
  /** [n] */
  readonly numbers: Float64Array;
}

export interface Samples {
  readonly count: number;
  /** [n] index into `sections`. */
  readonly section: Uint32Array;
  /** [n] µm in the section, from the outer corner of the first pixel. */
  readonly x: Float64Array;
  readonly y: Float64Array;
  /** [n, 3] mm in the reference space. */
  readonly position: Float32Array;
  /** [n] index into `spaces`. */
  readonly space: Int32Array;
  readonly labels: ReadonlyMap<string, Labels>;
  readonly values: ReadonlyMap<string, Values>;
  /** Names of the samples, where the table has an `id` column. */
  readonly ids: readonly string[] | undefined;
}

export interface Dataset {
  readonly name: string;
  /** The folder. */
  readonly path: string;
  readonly brains: readonly Brain[];
  readonly sections: readonly Section[];
  /** Names of the reference spaces, in order of first use. */
  readonly spaces: readonly string[];
  readonly samples: Samples;
  /** SHA-256 (hex) over manifest, table and images: equal for equal bytes, whatever the folder is called. */
  readonly hash: string;
}

/** The manifest as JSON holds it. */
export interface Manifest {
  readonly schema: typeof DATASET_SCHEMA;
  readonly name: string;
  readonly description?: string;
  readonly licence?: string;
  readonly brains: readonly Brain[];
  readonly sections: readonly Section[];
  /** Label columns of the table; `names` fixes the classes and their order, otherwise they are those found, sorted. */
  readonly labels?: readonly { readonly column: string; readonly names?: readonly string[] }[];
  /** Columns of numbers, with their unit for people. */
  readonly values?: readonly { readonly column: string; readonly unit?: string }[];
}

/** Applies a section's transform. Returns [x, y, z] in mm. */
export function transformPoint(transform: SectionTransform, xUm: number, yUm: number): [number, number, number] {
  const at = (row: number): number => {
    const [a, b, c] = transform[row] ?? [0, 0, 0];
    return a * xUm + b * yUm + c;
  };
  return [at(0), at(1), at(2)];
}
