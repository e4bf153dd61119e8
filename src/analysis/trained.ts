// Opening what was trained: the weights of a finished run or of a file, and the dataset that the run was trained on.
import { EXIT_CODES, UserError, quoteArgument } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { openLatest } from "../model/checkpoint.ts";
import { RUN_FILES } from "../model/run.ts";
import { readWeights, type Weights } from "../model/weights.ts";

export interface Trained {
  readonly weights: Weights;
  /** Hash of the dataset that they were trained on; undefined where only a run's checkpoints, which are not there, would tell. */
  readonly trainedOn: string | undefined;
}

/**
 * @param path a run folder, or a file of weights
 * @throws UserError 66 where there is none or the run is not finished, 65 where the weights are damaged
 */
export async function openTrained(files: Files, path: string): Promise<Trained> {
  const size = await files.size(path);
  if (size === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such run or file, expected a run folder or a model.safetensors; correct the path`);
  const isRun = (await files.size(joinPath(path, RUN_FILES.config))) !== undefined;
  if (!isRun) {
    if (await isFolder(files, path)) throw new UserError(EXIT_CODES.inputMissing, `${path}: no ${RUN_FILES.config} in it, expected a run folder; give the folder that \`cytonet train --out\` wrote`);
    return { weights: await readWeights(files, path), trainedOn: undefined };
  }
  const weightsPath = joinPath(path, RUN_FILES.weights);
  if ((await files.size(weightsPath)) === undefined)
    throw new UserError(EXIT_CODES.inputMissing, `${path}: no ${RUN_FILES.weights} in this run, expected one of a finished run; bring it to its end with cytonet train DATASET --out ${quoteArgument(path)} --resume`);
  return { weights: await readWeights(files, weightsPath), trainedOn: await findTrainingData(files, path) };
}

async function isFolder(files: Files, path: string): Promise<boolean> {
  return files.list(path).then(
    () => true,
    () => false,
  );
}

async function findTrainingData(files: Files, run: string): Promise<string | undefined> {
  try {
    return (await openLatest(files, joinPath(run, RUN_FILES.checkpoints))).state.hashes.data;
  } catch (error) {
    // Weights stand alone; checkpoints may have been removed to save space.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
