// A generated section as the bytes of a PNG: for tests that need one image with tissue in it.
import { generateSections } from "../../src/phantom/phantom.ts";

/** 192 × 144 pixels of 24 µm. */
export async function renderSectionPng(): Promise<Uint8Array> {
  const [image] = generateSections({ seed: 5, brains: 1, sections: 1, width: 192, height: 144, pixelSizeUm: 24 }).images;
  if (!image) throw new Error("unreachable: there is one section");
  return image.bytes();
}
