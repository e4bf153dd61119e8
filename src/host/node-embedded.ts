// The CPU adapter that ships inside an npm package (SwiftShader): found, unpacked, and offered to the Vulkan loader.
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { readTar, unpackOnce, type UnpackedFile } from "./node-unpack.ts";

const LOADER = "libvulkan.so.1";
const ICD_FILE = "vk_swiftshader_icd.json";
const DRIVER_FILES = ["libvk_swiftshader.so", LOADER, ICD_FILE];

/** Without it the library would be unloaded again when Node finds that it is no add-on. */
const RTLD_NODELETE = 0x1000;

/** A file of the folder `bin` of @sparticuz/chromium. */
export function embeddedArchive(name: string): string {
  // The package exports its code only, which lies in build/cjs.
  const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  return join(dirname(entry), "../../bin", name);
}

/** Unpacks a `.tar.br` of the package into the cache, keeping the files that `keep` accepts; gives the folder. */
export async function unpackEmbedded(archive: string, keep: (name: string) => boolean): Promise<string> {
  const path = embeddedArchive(archive);
  return unpackOnce(await keyArchives([archive]), async (): Promise<UnpackedFile[]> => readTar(await decompress(await readFile(path))).filter(({ name }) => keep(name)));
}

/** What to call archives of the package in the cache: by the package's version and their sizes, which change with the contents and are told at once. */
export async function keyArchives(archives: readonly string[]): Promise<string> {
  const paths = archives.map(embeddedArchive);
  const manifest: unknown = JSON.parse(await readFile(join(dirname(paths[0] ?? ""), "../package.json"), "utf8"));
  const { version } = manifest as { readonly version: string };
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return [archives[0]?.split(".")[0], version, ...sizes].join("-");
}

/** Undoes Brotli. Loaded when something is unpacked only: it takes longer than finding it unpacked. */
export async function decompress(packed: Uint8Array): Promise<Buffer> {
  const { brotliDecompress } = await import("node:zlib");
  return promisify(brotliDecompress)(packed);
}

/** Whether the embedded adapter can run here: it is built for Linux on x64 with glibc. */
export function hasEmbeddedAdapter(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  try {
    embeddedArchive("swiftshader.tar.br");
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes the embedded adapter visible to WebGPU instances created from now on, beside the system's own.
 * The Vulkan loader reads its settings from the process environment whenever an instance is created, so this also
 * works after Dawn has been loaded; in a worker thread it does not, because there `process.env` is a copy.
 */
export async function offerEmbeddedAdapter(): Promise<{ readonly icd: string }> {
  const folder = await unpackEmbedded("swiftshader.tar.br", (name) => DRIVER_FILES.includes(name));
  const icd = join(folder, ICD_FILE);
  if (!hasSystemLoader()) loadLibrary(join(folder, LOADER));
  // The variables that replace the system's list of drivers make the loader ignore the one that adds to it.
  const variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].filter((name) => process.env[name]);
  for (const name of variables.length > 0 ? variables : ["VK_ADD_DRIVER_FILES"]) {
    const files = (process.env[name] ?? "").split(":").filter((file) => file !== "");
    if (!files.includes(icd)) process.env[name] = [...files, icd].join(":");
  }
  return { icd };
}

/** Offers the embedded adapter alone: loaders before 1.3.207 cannot add a driver to the system's. */
export function offerOnlyEmbeddedAdapter(icd: string): void {
  process.env["VK_DRIVER_FILES"] = icd;
  process.env["VK_ICD_FILENAMES"] = icd;
}

/** Whether this Linux has a Vulkan loader, which finds the system's drivers. */
export function hasSystemLoader(): boolean {
  return hasLibrary(LOADER);
}

/** Whether this Linux finds a shared library by its name. */
export function hasLibrary(name: string): boolean {
  try {
    loadLibrary(name);
    return true;
  } catch {
    return false;
  }
}

/** Loads a shared library that stays; Node has no other way than to take it for an add-on, and complains that it is none. */
function loadLibrary(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes("did not self-register")) throw error;
  }
}
