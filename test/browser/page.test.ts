// The harness for pages: Chromium starts, finds a WebGPU adapter, and computes what it should.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChromium, whyNoChromium } from "./chromium.ts";
import { openPage, openSite, runInPage } from "./page.ts";

const PROGRAM = "test/browser/programs/dispatch.ts";

describe.skipIf(whyNoChromium() !== undefined)("headless Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser?.close());

  test("a page opens the software adapter through the project's host", async () => {
    expect(await runInPage(PROGRAM, "describeAdapter", [], browser)).toMatchObject({ name: expect.stringContaining("swiftshader") as string, kind: "cpu" });
  });

  test("a dispatch computes", async () => {
    const values = Array.from({ length: 100 }, (_, i) => i - 50);
    expect(await runInPage(PROGRAM, "squareAll", [values], browser)).toEqual(values.map((value) => value * value));
  });

  test("what fails in the page fails here, by its own message", async () => {
    const opened = await openPage(PROGRAM, browser);
    await expect(opened.call("fail")).rejects.toThrow("deliberate failure");
    await expect(opened.call("missing")).rejects.toThrow('no function "missing"');
    await opened.close();
  });

  test("the page reaches nothing but its own server", async () => {
    const contents = new Map([["/index.html", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/a.js"></script>'], ["/a.js", "globalThis.entry = { get: (url) => fetch(url).then((r) => r.status) }"]]);
    const opened = await openSite({ contents }, browser);
    expect(await opened.call("get", "/a.js")).toBe(200);
    expect(await opened.call("get", "/b.js")).toBe(404);
    await expect(opened.call("get", "http://example.com/")).rejects.toThrow();
    await opened.close();
  });
});
