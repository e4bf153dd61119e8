// Takes memory on the embedded adapter until there is none, in state or by building plans, and says as JSON what came of it.
import { createEngine, f32 } from "../../../src/engine/engine.ts";
import { openAdapter } from "../../../src/host/node.ts";
import { gelu } from "../../../src/ops/activation.ts";

const COUNT = 64 << 20;
const handle = await openAdapter({ adapter: "swiftshader", log: () => {} });
const engine = await createEngine(handle);
const small = engine.state("small", [4], "f32", Float32Array.of(1, 2, 3, 4));
let error: unknown;
let made = 0;
try {
  for (; made < 1000; made++) {
    if (process.argv[2] === "state") {
      engine.state(`weights ${made}`, [COUNT]);
      await engine.read(small);
    } else await engine.plan(({ x }) => ({ y: gelu(x) }), { x: f32(2 * COUNT) }, { label: `step ${made}` });
  }
} catch (cause) {
  error = cause;
}
const { name, message, exitCode } = error as { name: string; message: string; exitCode: number };
const { total } = engine.device.ledger();
process.stdout.write(JSON.stringify({ name, message, exitCode, made, total, after: Array.from(await engine.read(small)) }));
engine.dispose();
handle.close();
