// The devtools' performance panel: a plan run with the switch `time` leaves a measure for each dispatch, on a track that Chrome draws.
import { describe, expect, test } from "vitest";
import { whyNoChromium } from "./chromium.ts";
import { runInPage } from "./page.ts";
import type { measureHere } from "./programs/panel.ts";

describe.skipIf(whyNoChromium() !== undefined)("in a page", () => {
  test("kernels and the host's work are measures with a track", async () => {
    const { dispatches, measures } = (await runInPage("test/browser/programs/panel.ts", "measureHere")) as Awaited<ReturnType<typeof measureHere>>;
    const kernels = measures.filter(({ detail }) => /^GPU/.test((detail as { devtools: { track: string } }).devtools.track));
    expect(kernels).toHaveLength(dispatches);
    expect(kernels[0]).toMatchObject({
      name: expect.stringMatching(/^matmul\.\w+ f32/) as string,
      detail: { devtools: { dataType: "track-entry", trackGroup: "cytonet", properties: expect.arrayContaining([["operation", "matmul"]]) as unknown } },
    });
    expect(new Set(measures.map(({ name }) => name))).toContain("submit");
    for (const { startTime, duration } of measures) expect(startTime >= 0 && duration >= 0).toBe(true);
  });
});
