// `cytonet embed`: features of every sample of a dataset, or of places on one image, by a run or by bare weights.
import { writeFeatureMaps } from "../../analysis/maps.ts";
import { MANIFEST_FILE, TABLE_FILE, type Dataset } from "../../data/dataset.ts";
import { chooseEmbeddingsFormat, encodeEmbeddings, FEATURES } from "../../data/embeddings.ts";
import { openImage } from "../../data/image-dataset.ts";
import { readDataset } from "../../data/read-dataset.ts";
import { writeSafetensors } from "../../data/safetensors.ts";
import { formatBytes } from "../../engine/errors.ts";
import { EXIT_CODES, UserError, quoteArgument } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { flattenSettings, resolveConfig } from "../../model/config.ts";
import { embedDataset } from "../../model/embed.ts";
import { describeFit } from "../../model/input-fit.ts";
import { createPace } from "../../model/pace.ts";
import { RUN_FILES } from "../../model/run.ts";
import { readWeights, type Weights } from "../../model/weights.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, checkOutputFolder, emit, formatRows, isSameFile, keepInputs } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface EmbedFlags extends DeviceFlags {
  readonly out: string;
  readonly batch: number;
  readonly stride?: number;
  readonly pixelSize?: number;
  readonly map?: string;
  readonly attention?: string;
  readonly ema?: boolean;
  readonly force?: boolean;
  readonly format: Format;
}

export async function runEmbed(model: string, input: string, flags: EmbedFlags): Promise<void> {
  const fileFormat = chooseEmbeddingsFormat(flags.out);
  await checkOutput("--out", flags.out, flags.force ?? false);
  if (flags.attention !== undefined) {
    if (!flags.attention.endsWith(".safetensors")) throw new UserError(EXIT_CODES.usage, `--attention ${flags.attention}: expected a name that ends in .safetensors`);
    if (await isSameFile(flags.attention, flags.out)) throw new UserError(EXIT_CODES.usage, `--attention ${flags.attention}: expected another file than --out's, which would be lost`);
    await checkOutput("--attention", flags.attention, flags.force ?? false);
  }
  if (flags.map !== undefined) await checkMapFolder(flags.map, flags.force ?? false);
  const weights = await findWeights(model, flags.ema ?? false);
  const dataset = await openInput(input, weights, flags);
  const read = [model, ...Object.values(RUN_FILES).map((name) => joinPath(model, name)), input, ...[MANIFEST_FILE, TABLE_FILE, ...dataset.sections.map(({ file }) => file)].map((name) => joinPath(dataset.path, name))];
  await keepInputs("--out", flags.out, read);
  if (flags.attention !== undefined) await keepInputs("--attention", flags.attention, read);
  for (const line of describeFit(dataset, resolveConfig(flattenSettings(weights.config)))) process.stderr.write(`${line}\n`);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is written\n"));
  const progress = createProgress();
  const pace = createPace();
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  try {
    const embeddings = await withEngine(flags, (engine) =>
      embedDataset(engine, dataset, {
        files: nodeFiles,
        weights,
        batch: flags.batch,
        attention: flags.attention !== undefined,
        signal: stop.signal,
        onProgress(done, total) {
          pace.note(done, performance.now());
          const rate = pace.rate();
          const speed = Number.isNaN(rate) ? "" : `  ${formatSeconds((total - done) / rate)} left  ${rate.toFixed(0)} patches/s`;
          progress.update(`embedded ${done}/${total} patches${speed}  ${formatBytes(engine.device.ledger().total)}`);
        },
      }),
    );
    progress.end("");
    if (!embeddings) {
      process.exitCode = stop.code() ?? EXIT_CODES.interrupted;
      return;
    }
    const seconds = elapsed();
    await nodeFiles.writeAtomic(flags.out, encodeEmbeddings(embeddings, fileFormat));
    if (flags.attention !== undefined && embeddings.attention) await nodeFiles.writeAtomic(flags.attention, writeSafetensors(new Map([["attention", embeddings.attention]]), new Map([["format", FEATURES], ...(embeddings.metadata ?? [])])));
    if (flags.map !== undefined) {
      const { paths, share } = await writeFeatureMaps(nodeFiles, dataset, embeddings.values, embeddings.channels, flags.map);
      progress.note(`${paths.length} ${paths.length === 1 ? "map" : "maps"} in ${flags.map}; the three colours hold ${share.map((part) => `${(100 * part).toFixed(0)} %`).join(", ")} of the variance`);
    }
    await emit(formatRows(flags.format, "cytonet-embed/1", [{ out: flags.out, patches: embeddings.count, channels: embeddings.channels, patchesPerSecond: Number((embeddings.count / seconds).toFixed(1)) }]));
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** Weights of a run's folder, or of a file. */
/** Weights of a finished run, or its moving averages, or those of a file. Errors: UserError 2 for averages of what is no run, 66 where there are none. */
async function findWeights(model: string, ema: boolean): Promise<Weights> {
  const isRun = (await nodeFiles.size(joinPath(model, RUN_FILES.config))) !== undefined;
  if (isRun && (await nodeFiles.size(joinPath(model, RUN_FILES.weights))) === undefined)
    throw new UserError(EXIT_CODES.inputMissing, `${model}: no ${RUN_FILES.weights} in this run, expected one of a finished run; bring it to its end with cytonet train DATASET --out ${quoteArgument(model)} --resume`);
  if (!ema) return readWeights(nodeFiles, isRun ? joinPath(model, RUN_FILES.weights) : model);
  if (!isRun) throw new UserError(EXIT_CODES.usage, `cytonet embed: --ema with ${model}, expected only with a run's folder; a file says itself what it is`);
  const averages = joinPath(model, RUN_FILES.averages);
  if ((await nodeFiles.size(averages)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${model}: no ${RUN_FILES.averages} in this run, expected one that was trained with --set ema.decay=0.999 or the like`);
  return readWeights(nodeFiles, averages);
}

/** A dataset folder, or one image with a grid of places. */
async function openInput(input: string, weights: Weights, flags: EmbedFlags): Promise<Dataset> {
  const size = await nodeFiles.size(input);
  const isFolder = (await nodeFiles.size(joinPath(input, MANIFEST_FILE))) !== undefined || size === 0;
  if (isFolder || size === undefined || input.endsWith(MANIFEST_FILE)) {
    if (flags.pixelSize !== undefined || flags.stride !== undefined)
      throw new UserError(EXIT_CODES.usage, `cytonet embed: --pixel-size and --stride with ${input}, expected only with an image; a dataset has its own pixel size and positions`);
    return readDataset(nodeFiles, input);
  }
  if (flags.pixelSize === undefined)
    throw new UserError(EXIT_CODES.usage, `cytonet embed: the pixel size of ${input} is missing, expected --pixel-size with its µm per pixel; a network trained at one size means nothing at another`);
  const { patch, pixelSizeUm } = resolveConfig(flattenSettings(weights.config)).data;
  const strideUm = flags.stride ?? (patch * (pixelSizeUm ?? flags.pixelSize)) / 2;
  return openImage(nodeFiles, input, { pixelSizeUm: flags.pixelSize, strideUm });
}

async function checkMapFolder(folder: string, force: boolean): Promise<void> {
  await checkOutputFolder("--map", folder);
  if ((await nodeFiles.size(folder)) === undefined || force) return;
  if ((await nodeFiles.list(folder)).length > 0)
    throw new UserError(EXIT_CODES.cannotCreate, `--map ${folder}: holds files already, expected a new or empty folder; choose another, or write among them with --force`);
}
