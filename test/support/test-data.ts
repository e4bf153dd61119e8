// Data that are not in the repository: CYTONET_TEST_DATA is the folder that holds them, and tests of what is not there are skipped.
import { existsSync } from "node:fs";
import { join } from "node:path";

const folder = process.env["CYTONET_TEST_DATA"] ?? "";

/** Where a file or folder of the test data lies; undefined where there is none. */
export function findTestData(path: string): string | undefined {
  const found = join(folder, path);
  return folder !== "" && existsSync(found) ? found : undefined;
}

/** A face detector as its authors published it: real weights in a real ONNX file. */
export const ULTRAFACE = "weights/ultraface_RFB-320.onnx";
