// Every gradient rule: in f64 against differences, on the device against f64.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { openAdapter } from "../../src/host/node.ts";
import { GRADIENT_CASES } from "../../src/ops/cases.ts";
import { checkGradient } from "../../src/ops/gradcheck.ts";

let handle: AdapterHandle;
let engine: Engine;
beforeAll(async () => {
  handle = await openAdapter({ log: () => {} });
  engine = await createEngine(handle);
});
afterAll(() => {
  engine?.dispose();
  handle?.close();
});

test.each(GRADIENT_CASES.map((c) => [c.name, c] as const))("%s", async (_, c) => {
  const result = await checkGradient(engine, c);
  expect(result.reason ?? result.status).toBe("passed");
});
