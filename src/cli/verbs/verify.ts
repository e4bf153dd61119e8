// `cytonet verify`: whether a file of weights, a run or a dataset is whole; exit code 65 where it is not.
import { EXIT_CODES, UserError } from "../../errors.ts";
import { MANIFEST_FILE, TABLE_FILE } from "../../data/dataset.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { RUN_FILES } from "../../model/run-folder.ts";
import { verify } from "../../model/verify.ts";
import type { Format } from "../arguments.ts";
import { checkOutput, emit, formatRows, keepInputs } from "../output.ts";

export interface VerifyFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
}

const SCHEMA = "cytonet-verify/1";

export async function runVerify(path: string, flags: VerifyFlags): Promise<void> {
  if (flags.output !== undefined) {
    await checkOutput("--output", flags.output, flags.force ?? false);
    await keepInputs("--output", flags.output, [path, ...[...Object.values(RUN_FILES), MANIFEST_FILE, TABLE_FILE].map((name) => joinPath(path, name))]);
  }
  const verdicts = await verify(nodeFiles, path);
  const shown = flags.format === "table" ? verdicts.map(({ sha256, found, ...rest }) => ({ ...rest, sha256: sha256.slice(0, 12), found: found.split("; ")[0]! })) : verdicts;
  await emit(formatRows(flags.format, SCHEMA, shown, { head: { path } }), flags.output);
  const damaged = verdicts.filter(({ whole }) => !whole);
  if (damaged.length > 0)
    throw new UserError(EXIT_CODES.badData, `${path}: ${damaged.length} of ${verdicts.length} ${verdicts.length === 1 ? "file is" : "files are"} damaged, expected all to be whole`, damaged.map(({ found }) => found));
}
