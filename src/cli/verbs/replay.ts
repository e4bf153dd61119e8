// `cytonet replay`: one step of a run taken again, from the state before it.
import { readDataset } from "../../data/read-dataset.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { replayStep } from "../../model/replay.ts";
import type { Format } from "../arguments.ts";
import { withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, keepInputs } from "../output.ts";

export interface ReplayFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
}

export async function runReplay(path: string, datasetPath: string, flags: ReplayFlags): Promise<void> {
  if (flags.output !== undefined) {
    await checkOutput("--output", flags.output, flags.force ?? false);
    await keepInputs("--output", flags.output, [path]);
  }
  const dataset = await readDataset(nodeFiles, datasetPath);
  const { step, metrics, sections } = await withEngine(flags, (engine) => replayStep(engine, nodeFiles, dataset, path));
  const { loss, divergence, gradientNorm, learningRate, skipped } = metrics;
  await emit(formatRows(flags.format, "cytonet-replay/1", [{ step, loss, divergence, gradientNorm, learningRate, finite: !skipped, sections: sections.join(" ") }]), flags.output);
  if (skipped) throw new UserError(EXIT_CODES.internal, `step ${step}: a gradient is not finite, as in the run`, ["CYTONET_DEBUG=nan before this command names the first operation that makes such a number."]);
}
