// The report of fixed numbers: whole, escaped, without anything from elsewhere, and saying what the numbers say.
import { expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.ts";
import { listTicks, smooth } from "../../src/report/charts.ts";
import { escapeText, formatFixed, formatSigned, formatWhole, html } from "../../src/report/html.ts";
import { renderReport } from "../../src/report/report.ts";
import { colourCodes, inkOn, shortNames } from "../../src/analysis/palette.ts";
import { judge, sayHeadline, sayLimits, sayResult } from "../../src/report/words.ts";
import { matchColours } from "../../src/story/parcels.ts";
import { summariseStory } from "../../src/story/summary.ts";
import { AREAS, makeStory } from "./make-story.ts";

const story = makeStory();
const text = renderReport(story, { command: "cytonet demo --seed 1 <x>", host: "Node v0", files: [["summary.json", "numbers"]] });

const VOID = new Set(["meta", "link", "img", "br"]);

/** What is wrong with the tags: unclosed, crossed, or attributes that are no name="value". */
function findTagFaults(page: string): string[] {
  const faults: string[] = [];
  const open: string[] = [];
  for (const [tag, slash, name = "", attributes = "", closed] of page.replace(/<style>[\s\S]*?<\/style>/, "").matchAll(/<(\/?)([a-zA-Z][\w-]*)((?:[^"'<>]|"[^"<]*")*?)(\/?)>/g)) {
    if (!/^(\s+[\w:-]+(="[^"<]*")?)*\s*$/.test(attributes)) faults.push(tag);
    if (slash === "/") {
      if (open.pop() !== name) faults.push(tag);
    } else if (closed !== "/" && !VOID.has(name)) open.push(name);
  }
  return [...faults, ...open];
}

test("the check of tags finds what is wrong", () => {
  expect(findTagFaults("<p><b>x</b></p>")).toEqual([]);
  expect(findTagFaults("<p><b>x</p></b>")).not.toEqual([]);
  expect(findTagFaults('<p class="a"b">x</p>')).not.toEqual([]);
  expect(findTagFaults("<p>x")).toEqual(["p"]);
});

test("is well formed: tags nest, ids are unique, what is referred to is there", () => {
  expect(text.startsWith("<!doctype html>\n")).toBe(true);
  expect(findTagFaults(text)).toEqual([]);
  // Every < that is left begins a tag that the check has read.
  expect(text.replace(/<style>[\s\S]*?<\/style>/, "").match(/<(?![a-zA-Z/!])/g)).toBeNull();
  const ids = [...text.matchAll(/\sid="([^"]*)"/g)].map((match) => match[1]);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, list = ""] of text.matchAll(/aria-labelledby="([^"]*)"/g)) expect(ids).toEqual(expect.arrayContaining(list.split(" ")));
  for (const [, id] of text.matchAll(/<use href="#([^"]*)"/g)) expect(ids).toContain(id);
  for (const [picture] of text.matchAll(/<img [^>]*>/g)) expect(picture).toMatch(/ alt="[^"]+"/);
  for (const [chart] of text.matchAll(/<svg [^>]*>/g)) expect(chart).toMatch(/role="img" aria-label/);
});

test("needs nothing else: no address but data, no script, no import", () => {
  const rest = text.replace(/data:image\/png;base64,[^"]*/g, "data:");
  expect(/https?:|\/\/[a-z]|<script|@import|url\(|\son\w+="/i.exec(rest)?.[0]).toBeUndefined();
  for (const [, address = ""] of text.matchAll(/\s(?:href|src|xlink:href)="([^"]*)"/g)) expect(address).toMatch(/^(data:|#)/);
  for (const [, base64 = ""] of text.matchAll(/data:image\/png;base64,([^"]+)"/g)) expect(decodeImage(Uint8Array.from(Buffer.from(base64, "base64")), "picture")).toMatchObject({ channels: 1 });
});

test("holds the figures, the intervals, and what was run", () => {
  for (const word of ["0.61", "0.56 – 0.66", "0.49", "0.23", "0.19", "0.14", "+0.38", "+0.33 – +0.43", "0.31", "381", "1 min 00 s", "35 blocks of 5.1 mm", "1\u202f234 labelled patches", "202\u202f192", "52\u202f%", "1 of 2 places were read right", "summary.json", "9.9.9", "No real brain", "No parity"])
    expect(text.includes(word), word).toBe(true);
  expect(text).toContain("the first and the last step; 0 is the best there is");
  expect(text.includes(escapeText("cytonet demo --seed 1 <x>"))).toBe(true);
  expect([...text.matchAll(/<td[^>]* style="--share:[\d.]+"[^>]*>(\d+)<\/td>/g)].map((match) => Number(match[1]))).toEqual([7, 2, 2, 0, 12, 0, 1, 1, 11]);
  // Nearest patches are told right or wrong by mark, frame and text, not by colour alone.
  expect(text.match(/class="patch right"/g)).toHaveLength(1);
  expect(text.match(/class="patch wrong"/g)).toHaveLength(1);
  // The one wrong place is ringed at the head of the page and on its map.
  expect(text.match(/<circle class="wrong"/g)).toHaveLength(2);
  expect(text.match(/out of focus/g)).toHaveLength(1);
});

test("says of the settings' seed that it is flattered, and of others that they are not", () => {
  expect(sayLimits(story).join(" ")).toContain("the scores above are flattered");
  const other = sayLimits({ ...story, phantom: { ...story.phantom, seed: 2 } }).join(" ");
  expect(other).toContain("had no part in that");
  expect(other).not.toContain("flattered");
});

test("escapes what data say", () => {
  expect(text.includes(AREAS[1]!)).toBe(false);
  expect(text.includes(escapeText(AREAS[1]!))).toBe(true);
  expect(text.includes("<machine>")).toBe(false);
  expect(html`<p title="${'"'}">${["<", html`<b>${"&"}</b>`]}${false}${undefined}${1}</p>`.text).toBe('<p title="&quot;">&lt;<b>&amp;</b>1</p>');
});

test("says what the intervals say, whichever way they fall", () => {
  const turned = (untrained: number, chance: number) => {
    const around = (value: number) => ({ macroF1: { value, low: value - 0.05, high: value + 0.05 } });
    return { ...story, probe: { ...story.probe, differences: { ...story.probe.differences, untrained: around(untrained), chance: around(chance) } } };
  };
  expect(sayHeadline(story)).toContain("better than off any of the baselines");
  expect(sayHeadline(turned(0.01, 0.3))).toContain("not clearly better than off every baseline");
  expect(sayHeadline(turned(0.01, 0.01))).toContain("not be read off its features better than by chance");
  expect(sayResult(turned(0.01, 0.3))).toContain("not clearly apart from the same network without training");
  expect(sayResult(turned(-0.2, 0.3))).toContain("below the same network without training");
  expect([judge({ value: 1, low: 0.1, high: 2 }), judge({ value: 0, low: -1, high: 1 }), judge({ value: -1, low: -2, high: -0.1 })]).toEqual(["above", "level", "below"]);
});

test("the summary has the probe's words and what surrounds them", () => {
  const summary = JSON.parse(JSON.stringify(summariseStory(story, { seconds: 61.23, environment: { cytonet: "9.9.9" }, files: { report: "report.html" } }))) as Record<string, unknown>;
  expect(summary).toMatchObject({
    schema: "cytonet-demo/2",
    probeSchema: "cytonet-probe/1",
    probe: { macroF1: { value: 0.613 } },
    baselines: { chance: { macroF1: { value: 0.142 } }, majority: {}, intensity: {}, untrained: { macroF1: { value: 0.234 } } },
    adapter: { adapter: "paper <machine>" },
    throughput: { trainPatchesPerSecond: 381.4 },
    loss: { last: 3, floor: 2, aboveFloorFirst: 2.5, aboveFloorLast: 1, averagedSteps: 1 },
    seconds: 61.2,
    files: { report: "report.html" },
  });
});

test("ticks, running means, numbers, letters, colours", () => {
  expect(listTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(listTicks(-0.1, 0.2, 5)).toEqual([-0.1, 0, 0.1, 0.2]);
  expect(listTicks(3, 3, 5)).toEqual([3]);
  expect(smooth([1, 2, 6], 1)).toEqual([1.5, 3, 4]);
  expect([formatFixed(-0.004, 2), formatFixed(-0.125, 1), formatFixed(Number.NaN, 2), formatSigned(0.25, 2), formatSigned(-0.001, 2), formatWhole(1234567)]).toEqual(["0.00", "−0.1", "–", "+0.25", "0.00", "1\u202f234\u202f567"]);
  expect(shortNames(["polar", "parietal", "limbic"])).toEqual(["Po", "Pa", "Li"]);
  expect(shortNames(["frontal1", "frontal2"])).toEqual(["1", "2"]);
  // Blue is the only dark one: black on it has a contrast of 3.7, white one of 5.1.
  expect(Array.from({ length: 8 }, (_, code) => inkOn(code)).map((ink) => ink === "#fff")).toEqual([false, false, false, false, true, false, false, false]);
  expect([...colourCodes([4, -1])]).toEqual([0x00, 0x72, 0xb2, 0, 0, 0]);
  // Parcel 1 overlaps area 0 most, parcel 0 gets the better of what is left, and the last takes the last.
  expect(matchColours([[5, 4, 0], [9, 4, 0], [3, 0, 0]], 3)).toEqual([1, 0, 2]);
});
