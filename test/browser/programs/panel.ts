// A small plan with the switch `time`, run in a page: what it leaves for the devtools' performance panel.
import { createEngine, f32, openAdapter, ops } from "../../../src/browser.ts";

/** Measures of one run as plain data, and the dispatches that there were. */
export async function measureHere(): Promise<{ dispatches: number; measures: { name: string; startTime: number; duration: number; detail: unknown }[] }> {
  const handle = await openAdapter({ log: () => undefined });
  const engine = await createEngine(handle, { debug: new Set(["time"]) });
  const plan = await engine.plan(({ x, w }) => ({ y: ops.sum(ops.matmul(x, w)) }), { x: f32(8, 8), w: f32(8, 8) }, { label: "small" });
  await plan.run({ x: new Float32Array(64).fill(1), w: new Float32Array(64).fill(1) });
  const measures = performance.getEntriesByType("measure").map((entry) => ({ name: entry.name, startTime: entry.startTime, duration: entry.duration, detail: (entry as PerformanceMeasure).detail as unknown }));
  const dispatches = plan.program.nodes.length;
  plan.dispose();
  engine.dispose();
  return { dispatches, measures };
}
