// A thread that reads sections and cuts patches: started by patches.ts, in a file of its own.
import { parentPort, workerData } from "node:worker_threads";
import type { PatchRequest } from "../data/patch-workers.ts";
import { cropWindows, loadSections } from "../data/sections.ts";
import { nodeFiles } from "../host/files-node.ts";
import { packError, type ThreadAnswer, type ThreadQuestion } from "../host/node-threads.ts";
import type { PatchWorkerData } from "./patches.ts";

const { source, budgetBytes } = workerData as PatchWorkerData;
const cache = loadSections(source, nodeFiles, { budgetBytes });
// One after the other, in the order in which they were asked: two at once would hold two sections.
let turn: Promise<void> = Promise.resolve();

parentPort?.on("message", ({ id, question }: ThreadQuestion) => {
  const { indices, size, options } = question as PatchRequest;
  turn = turn.then(async () => {
    try {
      const windows = await cropWindows(source, cache, indices, size, options);
      parentPort?.postMessage({ id, value: windows } satisfies ThreadAnswer, [windows.buffer]);
    } catch (error) {
      parentPort?.postMessage({ id, error: packError(error) } satisfies ThreadAnswer);
    }
  });
});
