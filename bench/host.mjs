// What the host's side costs: plans replayed beside a bare loop over Dawn, a first result from a cold start, a variant rendered and linted.
//
//   node bench/host.mjs        needs a built dist/ (npm run build); CYTONET_ADAPTER chooses the adapter
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Benchmark from "benchmark";
import { createEngine, f32, kernels, lintVariant, openAdapter, ops, renderBlueprint } from "../dist/index.js";
import { openBare, prepareBare } from "./bare.mjs";

const handle = await openAdapter();
const engine = await createEngine(handle);
const x = new Float32Array(64).fill(0.5);
const COUNT = 1000;

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
const print = (name, text) => process.stdout.write(`${name.padEnd(34)} ${text}\n`);
const side = (ours, bare, unit) => `${ours.toFixed(2).padStart(9)} ${unit}   bare ${bare.toFixed(2).padStart(9)} ${unit}`;
const fail = (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(70);
};

/** A plan of `count` dispatches, each of the one before: nothing to share, nothing to fuse. */
async function chain(count) {
  const plan = await engine.plan(
    (inputs) => {
      let y = inputs.x;
      for (let i = 0; i < count; i++) y = ops.scale(y, i % 2 ? 0.5 : 2);
      return { y };
    },
    { x: f32(64) },
    { label: `chain of ${count}` },
  );
  if (plan.statistics.dispatches !== count) throw new Error(`the chain has ${plan.statistics.dispatches} dispatches, expected ${count}`);
  return plan;
}

/** The kernel of the chain as the bare loop needs it: what the engine would render, with its uniforms packed by hand. */
function bareProblem(plan, count) {
  const node = plan.program.nodes[0];
  const uniforms = new Uint32Array(8);
  node.kernel.dims.forEach((dim, i) => (uniforms[3 + i] = node.numbers[dim]));
  node.kernel.scalars.forEach((scalar, i) => (new Float32Array(uniforms.buffer)[3 + node.kernel.dims.length + i] = node.numbers[scalar]));
  return { code: renderBlueprint(node.kernel, plan.blueprints[0]).code, uniforms, buffers: [256, 256], size: [1, 1, 1], count };
}

// 1. Replays beside a bare loop, in turns: the time of the call, and that to the result.
const plan = await chain(COUNT);
const bareDevice = await openBare(handle.name);
const bare = await prepareBare(bareDevice.device, bareProblem(plan, COUNT));
const samples = { ours: { call: [], result: [] }, bare: { call: [], result: [] } };
for (let round = 0; round < 60; round++) {
  for (const who of round % 2 ? ["ours", "bare"] : ["bare", "ours"]) {
    const began = performance.now();
    let called = 0;
    let running;
    if (who === "ours") {
      running = plan.run({ x });
      called = performance.now();
    } else running = bare.run(x, () => (called = performance.now()));
    await running;
    if (round < 10) continue;
    samples[who].call.push((1e3 * (called - began)) / COUNT);
    samples[who].result.push((1e3 * (performance.now() - began)) / COUNT);
  }
}
for (const part of ["call", "result"]) {
  const ratio = median(samples.ours[part].map((time, i) => time / samples.bare[part][i]));
  print(`a dispatch of ${COUNT}, ${part === "call" ? "in the call" : "to the result"}`, `${side(median(samples.ours[part]), median(samples.bare[part]), "µs")}   ratio ${ratio.toFixed(2)}`);
}
plan.dispose();

// 2. First results from cold starts, in turns: a process from its start to its end.
const folder = mkdtempSync(join(tmpdir(), "cytonet-cold-"));
try {
  const small = await chain(1);
  const problem = join(folder, "problem.json");
  const described = bareProblem(small, 1);
  writeFileSync(problem, JSON.stringify({ ...described, uniforms: [...described.uniforms] }));
  small.dispose();
  const here = (file) => fileURLToPath(new URL(file, import.meta.url));
  const start = (file, ...args) => {
    const began = performance.now();
    execFileSync(process.execPath, [here(file), handle.name, ...args], { stdio: ["ignore", "ignore", "ignore"] });
    return performance.now() - began;
  };
  const starts = { bare: () => start("bare.mjs", problem), core: () => start("cold.mjs", "core-node"), whole: () => start("cold.mjs", "index") };
  const cold = { bare: [], core: [], whole: [] };
  for (let round = 0; round < 12; round++) {
    for (const who of round % 2 ? ["bare", "core", "whole"] : ["whole", "core", "bare"]) {
      const time = starts[who]();
      if (round > 0) cold[who].push(time);
    }
  }
  for (const [who, entry] of [["core", "cytonet/core"], ["whole", "cytonet"]]) {
    print(`first result of a process, ${entry}`, `${side(median(cold[who]), median(cold.bare), "ms")}   ratio ${median(cold[who].map((time, i) => time / cold.bare[i])).toFixed(2)}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

// 3. One variant rendered and linted, the mean over the catalogue, in the processor's time: others cannot lengthen that.
const variants = Object.values(kernels).flatMap((kernel) => Object.keys(kernel.variants).map((variant) => ({ kernel, blueprint: { kernel: kernel.name, variant, dtype: "f32", flags: [], constants: {} } })));
const lintAll = async () => {
  // Copies, because what is known of a kernel is kept by its object.
  for (const { kernel, blueprint } of variants) for (const mistake of await lintVariant({ ...kernel }, blueprint)) fail(new Error(mistake));
};
await lintAll();
const before = process.cpuUsage();
for (let i = 0; i < 5; i++) await lintAll();
const { user, system } = process.cpuUsage(before);
print("a variant rendered and linted", `${((user + system) / 5 / variants.length / 1e3).toFixed(3).padStart(9)} ms of a processor, mean of ${variants.length}`);

// 4. A single replay, with the statistics of `benchmark`.
const single = await chain(1);
const suite = new Benchmark.Suite();
suite.add("a replay of one dispatch", { defer: true, fn: (deferred) => void single.run({ x }).then(() => deferred.resolve(), fail) });
suite.on("cycle", ({ target }) => print(target.name, `${(1e6 * target.stats.mean).toFixed(2).padStart(9)} µs ±${target.stats.rme.toFixed(1)} %`));
await new Promise((done) => suite.on("complete", done).run());

engine.dispose();
handle.close();
process.exit(0);
