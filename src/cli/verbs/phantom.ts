// `cytonet phantom`: generated brains with known truth, written as an ordinary dataset.
import { EXIT_CODES, UserError, quoteArgument } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { generateDataset } from "../../phantom/phantom.ts";
import type { PhantomSize } from "../../phantom/options.ts";
import type { Format } from "../arguments.ts";
import { listenForStop } from "../device.ts";
import { emit, formatRows } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";
import { describeDataset } from "./import.ts";

export interface PhantomFlags {
  readonly out?: string;
  readonly seed: number;
  readonly brains?: number;
  readonly sections?: number;
  readonly size: PhantomSize;
  /** False for `--no-truth`. */
  readonly truth: boolean;
  readonly force?: boolean;
  readonly format: Format;
}

/** Generates and prints a summary. Errors: UserError 2, and as `generateDataset`. */
export async function runPhantom(flags: PhantomFlags): Promise<void> {
  const { out, seed, brains, sections, size, truth } = flags;
  if (out === undefined) throw new UserError(EXIT_CODES.usage, "cytonet phantom: --out DIR is missing", ["`cytonet phantom --help` shows examples and options."]);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is kept\n"));
  const progress = createProgress();
  const began = performance.now();
  try {
    const options = { seed, size, truth, ...(brains === undefined ? {} : { brains }), ...(sections === undefined ? {} : { sections }) };
    const dataset = await generateDataset(options, out, nodeFiles, {
      force: flags.force ?? false,
      onImage(done, total, file) {
        stop.throwIfStopped();
        const seconds = (performance.now() - began) / 1000;
        progress.update(`file ${done}/${total}  ${file}  ${formatSeconds(((total - done) * seconds) / done)} left`);
      },
    });
    progress.end("");
    await emit(formatRows(flags.format, "cytonet-phantom/1", [{ ...describeDataset(dataset), seed, size }]));
    // Of one brain nothing would be left to train on.
    const holdOut = dataset.brains.length > 1 ? ` --hold-out ${dataset.brains.at(-1)!.id}` : "";
    process.stderr.write(`next: cytonet train ${quoteArgument(out)} --preset tiny --steps 1500${holdOut} --out RUN\n`);
  } finally {
    progress.end("");
    stop.dispose();
  }
}
