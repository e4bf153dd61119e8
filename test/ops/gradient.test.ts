// Every gradient rule: in f64 against differences, on the device against f64.
import { expect, test } from "vitest";
import { GRADIENT_CASES } from "../../src/ops/cases.ts";
import { checkGradient } from "../../src/ops/gradcheck.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

test.each(GRADIENT_CASES.map((c) => [c.name, c] as const))("%s", async (_, c) => {
  const result = await checkGradient(engine(), c);
  expect(result.reason ?? result.status).toBe("passed");
});
