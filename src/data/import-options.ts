// What the importer is told: which column of which table means what.

/** Column names refer to the table of positions; where it has no such column, to the table of sections. Templates hold {column}, and {section}, {brain}, {z}. */
export interface ImportOptions {
  /** Folder that all other paths are relative to. */
  readonly source: string;
  /** CSV of positions, one row a sample. */
  readonly table: string;
  /** Template of the image's path per section, as "{sample}/image.png". */
  readonly image: string;
  /** Column with the section's name. */
  readonly section: string;
  /** Columns with the position in the section: pixels or µm from the image's upper left corner, x to the right, y down. */
  readonly x: string;
  readonly y: string;
  readonly units: "px" | "um";
  /** µm per pixel, for all sections; or the column that has it. Exactly one of the two. */
  readonly pixelSizeUm?: number;
  readonly pixelSizeColumn?: string;
  /** Column with the brain's name; without it all sections belong to one brain, named like the dataset. */
  readonly brain?: string;
  /** Column with the sample's name. */
  readonly id?: string;
  readonly labels?: readonly string[];
  /** Columns of numbers; their empty cells mean "not measured". */
  readonly values?: readonly string[];
  /** Cells that mean "no label" or "not measured", besides the empty one. */
  readonly missingLabels?: readonly string[];
  /** CSV with one row a section, and its column with the section's name (default: that of the positions). */
  readonly sectionsTable?: string;
  readonly sectionKey?: string;
  /** Position along the section's normal: COLUMN, or COLUMN:REGEXP with the number in the first group. */
  readonly zFrom?: string;
  readonly zUnits?: "um" | "mm";
  /** Three columns with the position in the reference space in mm. Without them it is (x, y, z) of the section, in mm. */
  readonly positionColumns?: readonly [string, string, string];
  /** Which sections share a reference space: "section" (none), "brain" (all of one brain), or a template, as "{brain}@{z}". */
  readonly spaceBy: string;
  readonly name?: string;
  readonly licence?: string;
  readonly force?: boolean;
  readonly onImage?: (done: number, total: number, file: string) => void;
}
