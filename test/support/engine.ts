// One engine for the tests of a file, opened before the first and closed after the last.
import { afterAll, beforeAll } from "vitest";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import type { AdapterHandle } from "../../src/host/adapter.ts";
import { openAdapter } from "../../src/host/node.ts";

/** As the program opens it: indices are trusted. Call at the top of a `describe`; the function it returns is for use inside tests. */
export function useEngine(): () => Engine {
  let handle: AdapterHandle | undefined;
  let engine: Engine | undefined;
  beforeAll(async () => {
    handle = await openAdapter({ log: () => {}, trustIndices: true });
    engine = await createEngine(handle);
  });
  afterAll(() => {
    engine?.dispose();
    handle?.close();
  });
  return () => {
    if (!engine) throw new Error("the engine is only there inside tests");
    return engine;
  };
}
