// A training loop without a device, for tests of everything around one: each step is a pure function of the state and the step's number.
import { loadFloat32, storeFloat32 } from "../../src/data/tensors.ts";
import type { Files } from "../../src/files.ts";
import { saveCheckpoint, startCheckpoints } from "../../src/model/checkpoint.ts";
import { createRun, resumeRun } from "../../src/model/run.ts";
import type { Run } from "../../src/model/run.ts";
import { checkContinuation } from "../../src/model/state.ts";
import type { TrainState } from "../../src/model/state.ts";
import { writeWeights } from "../../src/model/weights.ts";

export interface SmallTraining {
  readonly steps: number;
  /** Elements of the one parameter. */
  readonly size: number;
  /** Steps between checkpoints. */
  readonly every: number;
}

/** Starts the run, or continues it where a killed process left it, and brings it to its end. */
export async function trainSmall(files: Files, path: string, { steps, size, every }: SmallTraining): Promise<void> {
  const config = { preset: "small", steps, size };
  const environment = { cytonet: "0.1.0" };
  let state: TrainState = {
    step: 0,
    tensors: new Map([["w", storeFloat32(Float32Array.from({ length: size }, (_, i) => i), [size])]]),
    config,
    hashes: { config: "c", data: "d", model: "m" },
    rng: { seed: 1 },
    cursor: { epoch: 0, index: 0 },
    skippedInARow: 0,
    metricsOffset: 0,
    blueprints: [],
    environment,
  };
  const now = state;
  const known = (await files.size(path)) !== undefined;
  const resumed = known ? await resumeRun(files, path, { config, environment }, (found) => checkContinuation(found, now)) : undefined;
  const run: Run = resumed?.run ?? (await createRun(files, path, { config, environment }));
  if (resumed?.checkpoint === undefined) await startCheckpoints(files, run.checkpoints, state, 2);
  else state = resumed.checkpoint.state;
  while (state.step < steps) {
    const step = state.step + 1;
    const tensor = state.tensors.get("w");
    const values = tensor && loadFloat32(tensor);
    if (values === undefined) throw new Error("the state has no w");
    const next = values.map((value, i) => Math.fround(value * 0.9 + ((step * 7 + i) % 13)));
    await run.appendMetrics([{ step, loss: next[0] ?? null }]);
    await run.appendScalars(step, step * 0.5, new Map([["loss", next[0] ?? NaN]]));
    state = { ...state, step, tensors: new Map([["w", storeFloat32(next, [size])]]), cursor: { epoch: 0, index: step }, metricsOffset: run.metricsSize };
    if (step % every === 0 || step === steps) await saveCheckpoint(files, run.checkpoints, state, 2);
  }
  await writeWeights(files, run.weights, { tensors: state.tensors, config: run.config, step: state.step });
  await run.release();
}
