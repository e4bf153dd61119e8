// Opens a dataset folder: manifest, table and images are checked whole before anything is returned.
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { parseCsv } from "./csv.ts";
import { MANIFEST_FILE, TABLE_FILE, type Dataset, type Manifest } from "./dataset.ts";
import { decodeImage, inspectImage } from "./decode.ts";
import { parseManifest } from "./manifest.ts";
import { collectMistakes, type Mistakes } from "./mistakes.ts";
import { readSamples } from "./samples.ts";
import { createSha256, hashBytes, sha256, type Sha256 } from "./sha256.ts";

export interface ReadOptions {
  /** `structure` (default) checks that images are whole without decoding them; `pixels` decodes each once. */
  readonly verify?: "structure" | "pixels";
}

async function readWhole(files: Files, path: string, remedy: string): Promise<Uint8Array> {
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such file; ${remedy}`);
  return files.read(path);
}

/** Reads each image once, one at a time: memory holds one file. */
async function checkImages(files: Files, path: string, manifest: Manifest, options: ReadOptions, hash: Sha256, mistakes: Mistakes): Promise<void> {
  const checked = new Map<string, { width: number; height: number }>();
  for (const { id, file, width, height } of manifest.sections) {
    if (file === "") continue; // a mistake of the manifest's, told already
    const name = joinPath(path, file);
    try {
      if ((await files.size(name)) === undefined) {
        mistakes.addMissing(name, `no such file, the image of section "${id}"`, 'put it there, or correct "file" in dataset.json');
        continue;
      }
      let size = checked.get(file);
      if (size === undefined) {
        const bytes = await files.read(name);
        hash.update(new TextEncoder().encode(`${await hashBytes(bytes)} ${file}\n`));
        size = options.verify === "pixels" ? decodeImage(bytes, name) : inspectImage(bytes, name);
        checked.set(file, { width: size.width, height: size.height });
      }
      if (width > 0 && height > 0 && (size.width !== width || size.height !== height))
        mistakes.add(name, `image of ${size.width} × ${size.height} pixels, dataset.json says ${width} × ${height} for section "${id}"`, "correct width and height, and check that it is the right image");
    } catch (error) {
      mistakes.addError(error);
    }
  }
}

/**
 * Reads and validates a dataset folder (docs/dataset.md).
 * Errors: one UserError with all mistakes, each with its file, row and remedy; 66 where files are missing and nothing else is wrong, else 65.
 */
export async function readDataset(files: Files, path: string, options: ReadOptions = {}): Promise<Dataset> {
  const manifestPath = joinPath(path, MANIFEST_FILE);
  const tablePath = joinPath(path, TABLE_FILE);
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such folder, expected a dataset; make one with \`cytonet import\` (docs/dataset.md)`);
  const manifestBytes = await readWhole(files, manifestPath, "a dataset folder has one (docs/dataset.md); `cytonet import` writes it");
  const mistakes = collectMistakes();
  const manifest = parseManifest(manifestBytes, manifestPath, mistakes);
  const hash = createSha256();
  // A table cannot be judged against a manifest that is wrong: its messages would mislead. Images can.
  if (mistakes.count > 0) await checkImages(files, path, manifest, options, hash, mistakes);
  mistakes.check(path, `${TABLE_FILE} has not been looked at: it is read against ${MANIFEST_FILE}`);

  const tableBytes = await readWhole(files, tablePath, "it holds the sample positions (docs/dataset.md)");
  const spaces = [...new Set(manifest.sections.map(({ space }) => space))];
  const table = parseCsv(tableBytes, tablePath);
  const samples = readSamples(table, manifest, spaces, mistakes);
  hash.update(new TextEncoder().encode(`${sha256(manifestBytes)} ${MANIFEST_FILE}\n${sha256(tableBytes)} ${TABLE_FILE}\n`));
  await checkImages(files, path, manifest, options, hash, mistakes);
  mistakes.check(path);
  return { name: manifest.name, path, brains: manifest.brains, sections: manifest.sections, spaces, samples, hash: hash.digest() };
}
