// The first result of a cold process by the library: y = 0.5 x of 64 numbers. Arguments: the adapter, and the entry of the library in dist/.
const { createEngine, f32, openAdapter, ops } = await import(`../dist/${process.argv[3] ?? "index"}.js`);

const handle = await openAdapter({ adapter: process.argv[2] });
const engine = await createEngine(handle);
const plan = await engine.plan(({ x }) => ({ y: ops.scale(x, 0.5) }), { x: f32(64) });
const { y } = await plan.run({ x: new Float32Array(64).fill(0.5) });
process.stdout.write(`${y[0]}\n`, () => process.exit(0));
