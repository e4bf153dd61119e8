// The small training on this machine's disk, as a process that a test can kill: arguments are the run folder, steps, size, every.
import { nodeFiles } from "../../../src/host/files-node.ts";
import { trainSmall } from "../small-training.ts";

const [path = "", steps, size, every] = process.argv.slice(2);
await trainSmall(nodeFiles, path, { steps: Number(steps), size: Number(size), every: Number(every) });
