// One image as a dataset: a grid of sample positions over it, for embedding an image that no table describes.
import { EXIT_CODES, UserError } from "../errors.ts";
import type { Files } from "../files.ts";
import { transformPoint, type Dataset, type SectionTransform } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { sha256 } from "./sha256.ts";

export interface ImageGridOptions {
  /** µm per pixel of the image. */
  readonly pixelSizeUm: number;
  /** Distance of neighbouring positions in µm. */
  readonly strideUm: number;
}

/** So many positions are the most that a grid may have. */
const MAX_POSITIONS = 50_000_000;

/**
 * Opens an image as a dataset of one section, which has its own space, with positions in rows from the top, centred, at least half a stride from the edges;
 * position in mm = (x, y, 0) of the image. Errors: UserError 2 (options), 66 (no such image), 65 (damaged).
 */
export async function openImage(files: Files, path: string, options: ImageGridOptions): Promise<Dataset> {
  const { pixelSizeUm, strideUm } = options;
  for (const [name, value] of [["pixel size", pixelSizeUm], ["stride", strideUm]] as const) {
    if (!(value > 0 && Number.isFinite(value))) throw new UserError(EXIT_CODES.usage, `${path}: ${name} ${value}, expected a number of µm above 0; correct it`);
  }
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such image; correct the path`);
  const bytes = await files.read(path);
  const { width, height } = decodeImage(bytes, path);
  const columns = Math.max(1, Math.floor((width * pixelSizeUm) / strideUm));
  const rows = Math.max(1, Math.floor((height * pixelSizeUm) / strideUm));
  const count = columns * rows;
  if (count > MAX_POSITIONS) throw new UserError(EXIT_CODES.usage, `${path}: a stride of ${strideUm} µm makes ${columns} × ${rows} positions, expected at most ${MAX_POSITIONS}; choose a larger stride`);

  const slash = path.lastIndexOf("/");
  const [folder, file] = [slash < 0 ? "" : path.slice(0, slash) || "/", path.slice(slash + 1)];
  const transform: SectionTransform = [[0.001, 0, 0], [0, 0.001, 0], [0, 0, 0]];
  const samples = { count, section: new Uint32Array(count), x: new Float64Array(count), y: new Float64Array(count), position: new Float32Array(3 * count), space: new Int32Array(count), labels: new Map(), values: new Map(), ids: undefined };
  // Where the image is narrower than a stride, its middle is the one position.
  const [left, top] = [(width * pixelSizeUm - (columns - 1) * strideUm) / 2, (height * pixelSizeUm - (rows - 1) * strideUm) / 2];
  for (let i = 0; i < count; i++) {
    const [x, y] = [left + (i % columns) * strideUm, top + Math.floor(i / columns) * strideUm];
    samples.x[i] = x;
    samples.y[i] = y;
    samples.position.set(transformPoint(transform, x, y), 3 * i);
  }
  return {
    name: file,
    path: folder,
    brains: [{ id: file }],
    sections: [{ id: file, brain: file, file, width, height, pixelSizeUm, space: file, transform }],
    spaces: [file],
    samples,
    hash: sha256(new TextEncoder().encode(`${sha256(bytes)} ${pixelSizeUm} ${strideUm}`)),
  };
}
