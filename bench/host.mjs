// What a dispatch costs the host: plans of 1 and of 1,000 dispatches replayed, until the call returns and until the result is there.
//
//   node bench/host.mjs        needs a built dist/ (npm run build); CYTONET_ADAPTER chooses the adapter
import Benchmark from "benchmark";
import { createEngine, f32, openAdapter, ops } from "../dist/index.js";

const handle = await openAdapter();
const engine = await createEngine(handle);
const x = new Float32Array(64).fill(0.5);

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

const suite = new Benchmark.Suite();
const rows = [];
for (const count of [1, 1000]) {
  const plan = await chain(count);
  let calls = 0;
  let inCall = 0;
  suite.add(`${count} dispatches`, {
    defer: true,
    minSamples: 20,
    fn(deferred) {
      const start = performance.now();
      const running = plan.run({ x });
      inCall += performance.now() - start;
      calls++;
      running.then(() => deferred.resolve(), (error) => {
        process.stderr.write(`${error.message}\n`);
        process.exit(70);
      });
    },
    onComplete: ({ target }) => rows.push({ count, microseconds: target.stats.mean * 1e6, rme: target.stats.rme, call: (inCall / calls) * 1e3 }),
  });
}
await new Promise((done) => suite.on("complete", done).run());

for (const { count, microseconds, rme, call } of rows)
  process.stdout.write(`${String(count).padStart(5)} dispatches   ${call.toFixed(1).padStart(9)} µs in the call   ${microseconds.toFixed(1).padStart(10)} µs to the result ±${rme.toFixed(1)} %\n`);
const [one, many] = rows;
const per = (of) => ((of(many) - of(one)) / (many.count - one.count)).toFixed(2);
process.stdout.write(`per dispatch       ${per((row) => row.call).padStart(9)} µs in the call   ${per((row) => row.microseconds).padStart(10)} µs to the result\n`);
engine.dispose();
handle.close();
process.exit(0);
