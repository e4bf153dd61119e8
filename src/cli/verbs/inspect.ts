// `cytonet inspect`: what is in a file of weights, a run or a dataset.
import { MANIFEST_FILE, TABLE_FILE } from "../../data/dataset.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { RUN_FILES } from "../../model/run-folder.ts";
import { printFacts, readContents } from "../../model/contents.ts";
import type { Format } from "../arguments.ts";
import { checkOutput, emit, formatRows, keepInputs } from "../output.ts";

export interface InspectFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly values?: boolean;
}

const SCHEMA = "cytonet-inspect/1";

export async function runInspect(path: string, flags: InspectFlags): Promise<void> {
  if (flags.output !== undefined) {
    await checkOutput("--output", flags.output, flags.force ?? false);
    await keepInputs("--output", flags.output, [path, ...[...Object.values(RUN_FILES), MANIFEST_FILE, TABLE_FILE].map((name) => joinPath(path, name))]);
  }
  const { facts, rows } = await readContents(nodeFiles, path, { values: flags.values ?? false });
  // JSON holds both; elsewhere the facts go beside the rows, as stdout has one table.
  if (flags.format !== "json" && flags.format !== "jsonl") process.stderr.write(printFacts(facts));
  await emit(formatRows(flags.format, SCHEMA, rows, { head: facts }), flags.output);
}
