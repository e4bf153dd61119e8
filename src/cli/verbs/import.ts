// `cytonet import`: images and a table of positions in, a dataset folder out.
import { importDataset } from "../../data/import-dataset.ts";
import type { ImportOptions } from "../../data/import-options.ts";
import type { Dataset } from "../../data/dataset.ts";
import { EXIT_CODES, UserError, quoteArgument } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import type { Format } from "../arguments.ts";
import { listenForStop } from "../device.ts";
import { emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface ImportFlags {
  readonly out?: string;
  readonly table?: string;
  readonly image?: string;
  readonly section?: string;
  readonly x?: string;
  readonly y?: string;
  readonly units?: "px" | "um";
  readonly pixelSize?: number;
  readonly pixelSizeColumn?: string;
  readonly brain?: string;
  readonly id?: string;
  readonly label?: readonly string[];
  readonly value?: readonly string[];
  readonly missingLabel?: readonly string[];
  readonly sectionsTable?: string;
  readonly sectionKey?: string;
  readonly zFrom?: string;
  readonly zUnits?: "um" | "mm";
  readonly position?: string;
  readonly spaceBy: string;
  readonly name?: string;
  readonly licence?: string;
  readonly force?: boolean;
  readonly format: Format;
}

/** Imports and prints a summary. Errors: UserError 2 with all missing options at once, and as `importDataset`. */
export async function runImport(source: string, flags: ImportFlags): Promise<void> {
  const { out, options } = readFlags(source, flags);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is kept\n"));
  const progress = createProgress();
  const began = performance.now();
  try {
    const dataset = await importDataset(
      {
        ...options,
        onImage(done, total, file) {
          stop.throwIfStopped();
          const seconds = (performance.now() - began) / 1000;
          progress.update(`image ${done}/${total}  ${formatSeconds(((total - done) * seconds) / done)} left  ${file}`);
        },
      },
      out,
      nodeFiles,
    );
    progress.end("");
    await emit(formatRows(flags.format, "cytonet-import/1", [describeDataset(dataset)]));
    process.stderr.write(`next: cytonet train ${quoteArgument(out)} --preset tiny --steps 1000 --out RUN\n`);
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** Counts of what a dataset holds. */
export function describeDataset(dataset: Dataset): Row {
  const labels = [...dataset.samples.labels].map(([column, { names }]) => `${column} (${names.length})`).join(", ");
  return { dataset: dataset.path, brains: dataset.brains.length, sections: dataset.sections.length, spaces: dataset.spaces.length, samples: dataset.samples.count, labels };
}

function readFlags(source: string, flags: ImportFlags): { out: string; options: ImportOptions } {
  const { out, table, image, section, x, y, units } = flags;
  const hasPixelSize = flags.pixelSize !== undefined || flags.pixelSizeColumn !== undefined;
  const needed = { "--out DIR": out, "--table FILE": table, "--image TEMPLATE": image, "--section COLUMN": section, "--x COLUMN": x, "--y COLUMN": y, "--units px|um": units, "--pixel-size UM or --pixel-size-column COLUMN": hasPixelSize || undefined };
  const missing = Object.entries(needed).flatMap(([option, value]) => (value === undefined ? [option] : []));
  if (out === undefined || table === undefined || image === undefined || section === undefined || x === undefined || y === undefined || units === undefined || missing.length > 0)
    throw new UserError(EXIT_CODES.usage, `cytonet import: ${missing.length === 1 ? `${missing[0]} is missing` : "options are missing"}`, [
      ...(missing.length === 1 ? [] : missing),
      ...(hasPixelSize ? [] : ["Without the size of a pixel nothing can be compared: look it up in the scanner's protocol or the image's metadata."]),
      "`cytonet import --help` shows examples and options.",
    ]);
  return {
    out,
    options: {
      source,
      table,
      image,
      section,
      x,
      y,
      units,
      spaceBy: flags.spaceBy,
      ...given({
        pixelSizeUm: flags.pixelSize,
        pixelSizeColumn: flags.pixelSizeColumn,
        brain: flags.brain,
        id: flags.id,
        labels: flags.label,
        values: flags.value,
        missingLabels: flags.missingLabel,
        sectionsTable: flags.sectionsTable,
        sectionKey: flags.sectionKey,
        zFrom: flags.zFrom,
        zUnits: flags.zUnits,
        positionColumns: flags.position === undefined ? undefined : positionColumns(flags.position),
        name: flags.name,
        licence: flags.licence,
        force: flags.force,
      }),
    },
  };
}

function positionColumns(text: string): [string, string, string] {
  const [x, y, z, ...more] = text.split(",").map((column) => column.trim());
  if (!x || !y || !z || more.length > 0) throw new UserError(EXIT_CODES.usage, `--position: ${JSON.stringify(text)}, expected three columns separated by commas, such as x_mm,y_mm,z_mm`);
  return [x, y, z];
}

/** The fields that are set: an option that is absent and one that is undefined are not the same to a strict reader. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
