// Templates on disk: where a variant's `.wgsl` lies in a source checkout, and what is in it once an editor has written it.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Kernel } from "../kernel/define.ts";
import { usesOf } from "../kernel/template.ts";
import type { Texts } from "../workbench/bench.ts";

export interface TemplateFile {
  readonly path: string;
  /** As people type it from where they are. */
  readonly shown: string;
  /** Folder of shared functions, `lib/<name>.wgsl`. */
  readonly libraries: string;
}

/** The `kernels` folder of a checkout that holds the working directory, or else of the one this program was built in. */
async function findCheckout(): Promise<string | undefined> {
  const isCheckout = (folder: string) => stat(join(folder, "kernels/index.ts")).then((entry) => entry.isFile(), () => false);
  for (const start of [process.cwd(), dirname(fileURLToPath(import.meta.url))])
    for (let folder = resolve(start); ; folder = dirname(folder)) {
      if (await isCheckout(folder)) return join(folder, "kernels");
      if (dirname(folder) === folder) break;
    }
  return undefined;
}

/** The file of a variant: the one whose text is the variant's, else the one of its name. Undefined without a checkout. */
export async function findTemplate(kernel: Kernel, variant: string): Promise<TemplateFile | undefined> {
  const folder = await findCheckout();
  if (folder === undefined) return undefined;
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".wgsl") && !name.startsWith("lib")).map((name) => join(folder, name));
  const plain = (text: string) => text.replaceAll("-", "_");
  let found = files.find((path) => plain(basename(path)) === plain(`${kernel.name}.${variant}.wgsl`));
  for (const path of found === undefined ? files : []) if ((await readFile(path, "utf8")) === kernel.variants[variant]?.source) found = path;
  return found === undefined ? undefined : { path: found, shown: relative(process.cwd(), found) || found, libraries: join(folder, "lib") };
}

/** A file given by its path, with the libraries of the checkout around it. */
export function openTemplate(path: string): TemplateFile {
  return { path: resolve(path), shown: path, libraries: join(dirname(dirname(resolve(path))), "lib") };
}

/**
 * The template and the libraries it uses as they are on disk; those that are not there stay as built. Undefined while an editor is at it:
 * where the file is away (it is replaced by renaming another), empty, or changes between two looks.
 */
export async function readTexts(file: TemplateFile, kernel: Kernel): Promise<Texts | undefined> {
  const read = () => readFile(file.path, "utf8").catch(() => undefined);
  const source = await read();
  if (source === undefined || source.trim() === "") return undefined;
  await new Promise((done) => setTimeout(done, SETTLE_MS));
  if ((await read()) !== source) return undefined;
  const libraries: Record<string, string> = { ...kernel.libraries };
  const uses = usesOf(source);
  for (const name of uses) {
    const text = await readFile(join(file.libraries, `${name}.wgsl`), "utf8").catch(() => undefined);
    if (text === undefined || text === "") continue;
    libraries[name] = text;
    uses.push(...usesOf(text).filter((other) => !uses.includes(other)));
  }
  return { source, libraries };
}

const SETTLE_MS = 20;
const LOOK_MS = 80;

/**
 * Gives the texts each time they differ from those given before, until the signal aborts. It looks instead of listening: editors write in
 * place, rename, or remove and create, and every system tells of these in its own way.
 */
export async function* watchTexts(file: TemplateFile, kernel: Kernel, known: Texts, signal: AbortSignal): AsyncGenerator<Texts> {
  let last = JSON.stringify(known);
  while (!signal.aborted) {
    await new Promise<void>((done) => {
      const timer = setTimeout(finish, LOOK_MS);
      function finish(): void {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        done();
      }
      signal.addEventListener("abort", finish);
    });
    if (signal.aborted) return;
    const texts = await readTexts(file, kernel);
    const key = texts && JSON.stringify(texts);
    if (!texts || key === undefined || key === last) continue;
    last = key;
    yield texts;
  }
}
