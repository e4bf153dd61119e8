// The page as `npm run web` serves it: finds the adapter, trains with a live curve, paints features, tallies checks; says so where there is no WebGPU.
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

  test("trains, draws a curve and paints the features", async () => {
    opened = await openSite({ folder }, browser);
    const { page, faults } = opened;
    await page.goto(new URL("/?run=train&steps=4", page.url()).href);
    await page.waitForFunction(() => document.querySelector("#training-state")?.textContent?.startsWith("done") || document.querySelector("#notice")?.textContent !== "", undefined, { timeout: 240_000 });
    expect(await page.textContent("#notice")).toBe("");
    expect(await page.textContent("#training-state")).toMatch(/^done: 4 steps, \d+ parameters/);
    expect(await page.textContent("#adapter")).toMatch(/swiftshader/i);
    expect(((await page.getAttribute("#curve .raw", "d")) ?? "").match(/[ML]/g)).toHaveLength(4);
    // The features are in colour: on the right half red, green and blue differ somewhere; on the left, the section, nowhere.
    const coloured = await page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>("#section")!;
      const { data, width } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      const count = [0, 0];
      for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 1]) count[(i / 4) % width < width / 2 ? 0 : 1]!++;
      return count;
    });
    expect(coloured[0]).toBe(0);
    expect(coloured[1]).toBeGreaterThan(1000);
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
    expect(new URL(opened!.page.url()).searchParams.get("steps")).toBe("4");
  });

  test("says clearly where there is no WebGPU", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined }));
    await page.goto(new URL("/", opened!.page.url()).href);
    await page.waitForSelector("#notice:not([hidden])");
    expect(await page.textContent("#notice")).toMatch(/no WebGPU.*use a recent browser/);
    expect(await page.isDisabled("#train")).toBe(true);
    await context.close();
  });
});
