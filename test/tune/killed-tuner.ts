// A tuner on a disk that notes what it measures and kills itself at one of those: `killed-tuner FOLDER N`.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import * as catalogue from "../../kernels/index.ts";
import { nodeFiles } from "../../src/host/files-node.ts";
import { tune } from "../../src/tune/tune.ts";
import { PROBLEM, createFakeMeasurer } from "./fake-measurer.ts";

const [folder = "", stopAt = "0"] = process.argv.slice(2);
let count = 0;
const measurer = createFakeMeasurer({ "workgroup WIDTH=64": { status: "ok", ratio: 0.5, low: 0.4, high: 0.6, milliseconds: 1, share: 0.5 } }, (name) => {
  appendFileSync(join(folder, "measured.txt"), `${name}\n`);
  if (++count === Number(stopAt)) process.kill(process.pid, "SIGKILL");
});
await tune({ kernels: catalogue, problems: [PROBLEM], measurer, files: nodeFiles, store: join(folder, "tuned.json") });
