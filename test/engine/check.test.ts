// The catalogue on the device: every kernel × variant × dtype, sizes around every tile; `cytonet check` runs every form of each.
import { describe, expect, test } from "vitest";
import * as catalogue from "../../kernels/index.ts";
import { listChecks, runCheck, selectQuick } from "../../src/engine/check.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

describe.each(Object.values(catalogue).map((kernel) => ({ name: kernel.name, kernel })))("$name", ({ kernel }) => {
  test.each(Object.keys(kernel.variants))("%s agrees with the f64 reference", async (variant) => {
    const failures: string[] = [];
    let ran = 0;
    for (const check of selectQuick(listChecks(kernel, { ragged: true }), engine().device.traits).filter((c) => c.variant === variant)) {
      const result = await runCheck(engine(), check);
      if (result.status === "failed") failures.push(`${result.id}: ${result.reason}`);
      if (result.status !== "skipped") ran++;
    }
    expect(failures).toEqual([]);
    // A variant that needs what this device lacks runs nowhere here; one that needs nothing must have run.
    if (!kernel.variants[variant]?.needs?.length) expect(ran).toBeGreaterThan(0);
  }, 300_000);
});
