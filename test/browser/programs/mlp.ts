// A small MLP learning a function of two numbers: the whole engine in one program, for Node and for pages.
import { createEngine, f32, type Engine } from "../../../src/engine/engine.ts";
import { constant, place, reshape } from "../../../src/engine/trace.ts";
import { openAdapter } from "../../../src/host/browser.ts";
import { keyOfSeed, randomStream } from "../../../src/kernel/rng.ts";
import { relu } from "../../../src/ops/activation.ts";
import { multiply, subtract } from "../../../src/ops/arithmetic.ts";
import { gradients } from "../../../src/ops/grad.ts";
import { matmul } from "../../../src/ops/matmul.ts";
import { mean } from "../../../src/ops/reduce.ts";
import { scale } from "../../../src/ops/scale.ts";

const ROWS = 64;
const WIDTH = 24;

/** Trains 2 → 24 → 24 → 1 on x·y by gradient descent; returns the loss of every step and the final parameters. */
export async function trainMlp(engine: Engine, steps: number): Promise<{ losses: number[]; parameters: number[] }> {
  const sizes = [2, WIDTH, WIDTH, 1];
  const shapes = sizes.slice(1).flatMap((out, i) => [
    { name: `w${i}`, shape: [sizes[i]!, out] },
    { name: `b${i}`, shape: [out] },
  ]);
  const { flat, members } = engine.stateGroup("mlp", shapes);
  const random = randomStream(keyOfSeed(7), [0, 0, 0]);
  shapes.forEach(({ shape }, i) => {
    const deviation = shape.length === 2 ? Math.sqrt(2 / shape[0]!) : 0;
    engine.write(members[i]!, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => deviation * random.normal()));
  });
  const plan = await engine.plan(
    ({ x, y }) => {
      let h = x;
      for (let i = 0; i < 3; i++) {
        h = matmul(h, members[2 * i]!, { bias: members[2 * i + 1]! });
        if (i < 2) h = relu(h);
      }
      const error = subtract(h, y);
      const loss = mean(reshape(multiply(error, error), [ROWS]), [0]);
      gradients(loss, members, constant(Float32Array.of(1), loss.shape, "f32")).forEach((gradient, i) => {
        place(subtract(members[i]!, scale(reshape(gradient!, members[i]!.shape), 0.2)), members[i]!);
      });
      return { loss };
    },
    { x: f32(ROWS, 2), y: f32(ROWS, 1) },
    { label: "mlp" },
  );
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const draw = randomStream(keyOfSeed(8), [step, 0, 0]);
    const x = Float32Array.from({ length: 2 * ROWS }, () => 2 * draw.uniform() - 1);
    const y = Float32Array.from({ length: ROWS }, (_, i) => x[2 * i]! * x[2 * i + 1]!);
    losses.push((await plan.run({ x, y }))["loss"]![0]!);
  }
  const parameters = [...(await engine.read(flat))];
  plan.dispose();
  engine.free(flat);
  return { losses, parameters };
}

/** The same in a page, on the page's own adapter. */
export async function trainMlpHere(steps: number): Promise<{ losses: number[]; parameters: number[] }> {
  const handle = await openAdapter({ log: () => undefined });
  const engine = await createEngine(handle);
  try {
    return await trainMlp(engine, steps);
  } finally {
    engine.dispose();
    handle.close();
  }
}
