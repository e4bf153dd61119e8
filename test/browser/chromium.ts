// A real headless Chromium from npm, with the software adapter it ships: unpacked once, then driven by Playwright.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { decompress, embeddedArchive, hasLibrary, keyArchives, unpackEmbedded } from "../../src/host/node-embedded.ts";
import { readTar, unpackOnce } from "../../src/host/node-unpack.ts";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  // The page under test is all that may be reached.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Why Chromium cannot run here, or undefined where it can: the one on npm is built for Linux on x64. */
export function whyNoChromium(): string | undefined {
  return process.platform === "linux" && process.arch === "x64" ? undefined : "the Chromium on npm is for Linux on x64";
}

/** Starts Chromium with a profile of its own; whoever starts it closes it. */
export async function startChromium(): Promise<Browser> {
  const executablePath = join(await unpackChromium(), "chromium");
  const env = { ...process.env };
  // Bare systems lack some libraries, which come in an archive of their own.
  if (!["libnss3.so", "libexpat.so.1"].every(hasLibrary)) {
    const libraries = join(await unpackEmbedded("al2023.tar.br", (name) => name.startsWith("lib/")), "lib");
    env["LD_LIBRARY_PATH"] = [libraries, env["LD_LIBRARY_PATH"]].filter(Boolean).join(":");
  }
  return chromium.launch({ executablePath, args: ARGUMENTS, env: env as Record<string, string> });
}

/** Chromium looks for SwiftShader beside itself. */
async function unpackChromium(): Promise<string> {
  const unpack = async (name: string): Promise<Buffer> => decompress(await readFile(embeddedArchive(name)));
  return unpackOnce(await keyArchives(["chromium.br", "swiftshader.tar.br"]), async () => [
    { name: "chromium", bytes: await unpack("chromium.br"), executable: true },
    ...readTar(await unpack("swiftshader.tar.br")),
  ]);
}
