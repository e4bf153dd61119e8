// The page as `npm run web` serves it: finds the adapter, tells the story with a live curve and a report, tallies checks; says so where there is no WebGPU.
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/bundle.ts";
import { buildProgram } from "../support/program.ts";
import { startChromium, whyNoChromium } from "./chromium.ts";
import { openSite, type OpenPage } from "./page.ts";

const folder = join(projectRoot, "dist/web");

describe.skipIf(whyNoChromium() !== undefined)("the page", () => {
  let browser: Browser;
  let opened: OpenPage | undefined;
  beforeAll(async () => {
    buildProgram();
    browser = await startChromium();
  });
  afterAll(async () => {
    await opened?.close();
    await browser?.close();
  });

  test("tells the story: trains with a live curve and shows the report, which can be had as a file", async () => {
    opened = await openSite({ folder }, browser);
    const { page, faults } = opened;
    await page.goto(new URL("/?run=story&steps=3&sections=1", page.url()).href);
    await page.waitForFunction(() => document.querySelector("#story-state")?.textContent?.startsWith("done") || document.querySelector("#notice")?.textContent !== "", undefined, { timeout: 240_000 });
    expect(await page.textContent("#notice")).toBe("");
    expect(await page.textContent("#story-state")).toMatch(/^done: 3 steps, macro-F1 0\.\d\d \(0\.\d\d to 0\.\d\d\)/);
    expect(await page.textContent("#adapter")).toMatch(/swiftshader/i);
    expect(((await page.getAttribute("#curve .raw", "d")) ?? "").match(/[ML]/g)).toHaveLength(3);
    const report = page.frameLocator("#report");
    expect(await report.locator("h1").textContent()).toMatch(/areas/);
    expect(await report.locator("svg .row").count()).toBe(20);
    // The frame is as high as the report: no scrolling within.
    await page.waitForFunction(() => {
      const frame = document.querySelector<HTMLIFrameElement>("#report")!;
      return frame.clientHeight >= frame.contentDocument!.documentElement.scrollHeight && frame.clientHeight > 2000;
    });
    const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    expect(saved.suggestedFilename()).toBe("cytonet-report.html");
    expect(faults).toEqual([]);
  }, 300_000);

  test("stops when asked, and says so", async () => {
    const { page, faults } = opened!;
    await page.fill("#steps", "100000");
    await page.click("#story");
    await page.waitForFunction(() => document.querySelector("#story-state")?.textContent?.startsWith("step 1 of") , undefined, { timeout: 120_000, polling: 20 });
    await page.click("#story");
    await page.waitForFunction(() => document.querySelector("#story-state")?.textContent === "stopped", undefined, { timeout: 120_000 });
    expect(await page.isHidden("#result")).toBe(true);
    expect(faults).toEqual([]);
  }, 300_000);

  test("tallies checks as they come, and stops when asked", async () => {
    const { page, faults } = opened!;
    await page.click("#check");
    await page.waitForFunction(() => /^\d{2,} of \d+: /.test(document.querySelector("#checks-state")?.textContent ?? ""), undefined, { timeout: 120_000 });
    await page.click("#check");
    await page.waitForFunction(() => document.querySelector("#checks-state")?.textContent?.startsWith("stopped"), undefined, { timeout: 120_000 });
    expect(await page.textContent("#checks-state")).toMatch(/^stopped: \d+ passed, 0 failed, \d+ skipped$/);
    expect(await page.locator("#failures li").count()).toBe(0);
    expect(await page.locator("#checks tr").count()).toBeGreaterThan(10);
    expect(faults).toEqual([]);
  }, 300_000);

  test("keeps the settings in the address", () => {
    expect(new URL(opened!.page.url()).searchParams.get("steps")).toBe("100000");
  });

  test("says clearly where there is no WebGPU", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined }));
    await page.goto(new URL("/", opened!.page.url()).href);
    await page.waitForSelector("#notice:not([hidden])");
    expect(await page.textContent("#notice")).toMatch(/no WebGPU.*use a recent browser/);
    expect(await page.isDisabled("#story")).toBe(true);
    await context.close();
  });
});
