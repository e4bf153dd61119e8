// `cytonet embed`: features of every sample of a dataset, or of one image, by a run or by bare weights.
import { writeFeatureMaps } from "../../analysis/maps.ts";
import { chooseEmbeddingsFormat, encodeEmbeddings } from "../../data/embeddings.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { embedDataset, embedImage } from "../../model/embed.ts";
import { RUN_FILES } from "../../model/run.ts";
import { readWeights } from "../../model/weights.ts";
import { readDataset } from "../../data/read-dataset.ts";
import { MANIFEST_FILE } from "../../data/dataset.ts";
import { listenForStop, withEngine, type DeviceOptions } from "../device.ts";
import { emit, formatRows, parseFormat } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface EmbedFlags extends DeviceOptions {
  readonly out: string;
  readonly batch: string;
  readonly stride?: string;
  readonly pixelSize?: string;
  readonly map?: string;
  readonly force?: boolean;
  readonly format: string;
}

export async function runEmbed(model: string, input: string, flags: EmbedFlags): Promise<void> {
  const format = parseFormat(flags.format);
  const fileFormat = chooseEmbeddingsFormat(flags.out);
  const batch = positive("--batch", flags.batch, true);
  if (!flags.force && (await nodeFiles.size(flags.out)) !== undefined)
    throw new UserError(EXIT_CODES.cannotCreate, `${flags.out}: exists already`, ["Overwrite it with --force, or choose another --out."]);
  const folder = await nodeFiles.size(joinPath(model, RUN_FILES.config));
  const weights = await readWeights(nodeFiles, folder === undefined ? model : joinPath(model, RUN_FILES.weights));
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is written\n"));
  const progress = createProgress();
  const began = performance.now();
  try {
    const options = {
      files: nodeFiles,
      weights,
      batch,
      signal: stop.signal,
      onProgress: (done: number, total: number) => {
        const seconds = (performance.now() - began) / 1000;
        progress.update(`embedded ${done}/${total} patches, ${(done / seconds).toFixed(0)} patches/s, ${formatSeconds(((total - done) * seconds) / done)} left`);
      },
    };
    const isDataset = (await nodeFiles.size(joinPath(input, MANIFEST_FILE))) !== undefined || input.endsWith(MANIFEST_FILE);
    const dataset = isDataset ? await readDataset(nodeFiles, input) : undefined;
    if (!dataset && flags.map !== undefined) throw new UserError(EXIT_CODES.usage, "embed: --map, expected only with a dataset");
    const embeddings = await withEngine(flags, async (engine) => {
      if (dataset) return embedDataset(engine, dataset, options);
      if (flags.pixelSize === undefined)
        throw new UserError(EXIT_CODES.usage, `embed: no pixel size for ${input}, expected --pixel-size with the image's µm per pixel`, ["A dataset folder has its own; see docs/dataset.md."]);
      return embedImage(engine, input, {
        ...options,
        pixelSizeUm: positive("--pixel-size", flags.pixelSize, false),
        ...(flags.stride === undefined ? {} : { strideUm: positive("--stride", flags.stride, false) }),
      });
    });
    const code = stop.code();
    if (!embeddings) {
      process.exitCode = code ?? EXIT_CODES.interrupted;
      return;
    }
    await nodeFiles.writeAtomic(flags.out, encodeEmbeddings(embeddings, fileFormat));
    const seconds = (performance.now() - began) / 1000;
    progress.end("");
    if (dataset && flags.map !== undefined) {
      const { paths, share } = await writeFeatureMaps(nodeFiles, dataset, embeddings.values, embeddings.channels, flags.map);
      progress.note(`${paths.length} maps in ${flags.map}; their colours hold ${share.map((s) => `${(100 * s).toFixed(0)} %`).join(", ")} of the variance`);
    }
    await emit(formatRows(format, "cytonet-embed/1", [{ out: flags.out, patches: embeddings.count, channels: embeddings.channels, patchesPerSecond: Number((embeddings.count / seconds).toFixed(1)) }]));
  } finally {
    stop.dispose();
  }
}

function positive(flag: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value) || (whole && !Number.isInteger(value)))
    throw new UserError(EXIT_CODES.usage, `${flag}: ${JSON.stringify(text)}, expected a ${whole ? "whole " : ""}number above 0`);
  return value;
}
