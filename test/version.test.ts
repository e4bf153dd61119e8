// The version that the program prints is the package's.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { VERSION } from "../src/version.ts";

test("VERSION is package.json's version", async () => {
  const manifest: unknown = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect(manifest).toMatchObject({ version: VERSION });
});
