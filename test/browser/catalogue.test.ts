// The whole catalogue in a page: every kernel × variant × type × case, and every gradient, by the same checks as in Node.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as catalogue from "../../kernels/index.ts";
import type { CheckResult } from "../../src/engine/check.ts";
import { GRADIENT_CASES } from "../../src/ops/cases.ts";
import { whyNoChromium } from "./chromium.ts";
import { openPage, type OpenPage } from "./page.ts";

/** Some driver compilers take minutes for a kernel's largest variant. */
const LIMIT = 600_000;

describe.skipIf(whyNoChromium() !== undefined)("in headless Chromium", () => {
  let page: OpenPage;
  beforeAll(async () => {
    page = await openPage("test/browser/programs/catalogue.ts");
  });
  afterAll(() => page?.close());

  const failuresOf = (results: readonly CheckResult[]) => results.filter(({ status }) => status === "failed").map(({ id, reason }) => `${id}: ${reason}`);

  test.each(Object.values(catalogue).map((kernel) => ({ name: kernel.name, kernel })))("$name", async ({ name, kernel }) => {
    const results = (await page.call("checkKernel", name)) as CheckResult[];
    expect(failuresOf(results)).toEqual([]);
    // `naive` takes every size; f32 is everywhere.
    const naive = results.filter(({ id }) => id.startsWith(`${kernel.name}.naive f32`));
    expect(naive.length).toBeGreaterThan(0);
    expect(naive.filter(({ status }) => status !== "passed")).toEqual([]);
  }, LIMIT);

  test("every gradient", async () => {
    const results = (await page.call("checkGradients")) as CheckResult[];
    expect(failuresOf(results)).toEqual([]);
    expect(results.filter(({ status }) => status === "passed")).toHaveLength(GRADIENT_CASES.length);
  }, LIMIT);
});
