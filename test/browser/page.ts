// Runs code of this project in a real page: bundles an entry, serves it on loopback, calls its exports from Node.
import type { Browser, Page } from "playwright-core";
import { serve, type ServerOptions } from "../../src/host/node-serve.ts";
import { bundleForPage } from "../support/bundle.ts";
import { startChromium } from "./chromium.ts";

/** A page that has loaded. */
export interface OpenPage {
  readonly page: Page;
  /** Everything that went wrong in the page: exceptions, console errors, requests that failed. */
  readonly faults: readonly string[];
  /**
   * Calls an export of the entry. Arguments and result are copied: plain data, numbers of every kind, typed arrays.
   * What the function throws is thrown here, with the page's faults.
   */
  call(name: string, ...args: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

const HTML = '<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,"><script type="module" src="/entry.js"></script>';

/** Opens a page that holds the exports of `entry` (a path from the project's top), in `browser` or in one of its own. */
export async function openPage(entry: string, browser?: Browser): Promise<OpenPage> {
  // An export is called by name, so the bundle leaves its exports where the page can be asked for them.
  const code = await bundleForPage(entry);
  const loader = 'import * as entry from "/bundle.js"; globalThis.entry = entry;';
  return openSite({ contents: new Map([["/index.html", HTML], ["/entry.js", loader], ["/bundle.js", code]]) }, browser);
}

/** Opens the top page of a folder or of given contents, as it is; `call` finds what the page left in `globalThis.entry`. */
export async function openSite(site: ServerOptions, browser?: Browser): Promise<OpenPage> {
  const own = browser === undefined ? await startChromium() : undefined;
  const server = await serve(site);
  const context = await (browser ?? own)?.newContext();
  if (context === undefined) throw new Error("unreachable: there is a browser");
  const close = async (): Promise<void> => {
    await context.close();
    await server.close();
    await own?.close();
  };
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(0);
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (line) => line.type() === "error" && faults.push(line.text()));
    page.on("requestfailed", (request) => faults.push(`${request.url()}: ${request.failure()?.errorText ?? "failed"}`));
    page.on("crash", () => faults.push("the page crashed"));
    await page.goto(server.address, { waitUntil: "load" });
    return { page, faults, close, call: (name, ...args) => callExport(page, faults, name, args) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One call in a page of its own. */
export async function runInPage(entry: string, name: string, args: readonly unknown[] = [], browser?: Browser): Promise<unknown> {
  const opened = await openPage(entry, browser);
  try {
    return await opened.call(name, ...args);
  } finally {
    await opened.close();
  }
}

async function callExport(page: Page, faults: readonly string[], name: string, args: readonly unknown[]): Promise<unknown> {
  try {
    return await page.evaluate(
      async ([wanted, given]) => {
        const entry = (globalThis as { entry?: Record<string, unknown> }).entry;
        const found = entry?.[wanted];
        if (typeof found !== "function") throw new Error(`the entry exports no function "${wanted}"`);
        return (await Reflect.apply(found, undefined, given)) as unknown;
      },
      [name, args] as [string, unknown[]],
    );
  } catch (error) {
    if (error instanceof Error && faults.length > 0) error.message += `\nin the page: ${faults.join("\n")}`;
    throw error;
  }
}
