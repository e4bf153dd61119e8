// Sections in the report: the same section beside itself with its samples in the colours of features, parcels, predictions and areas.
import type { StoryPlace, StorySection } from "../story/story.ts";
import { at, html, toDataUri, type Markup } from "./html.ts";
import { hueOf, inkOn } from "../analysis/palette.ts";

export interface Naming {
  /** Names of the areas by code, and letters that stand for them. */
  readonly names: readonly string[];
  readonly letters: readonly string[];
}

interface Panel {
  readonly title: string;
  readonly caption: Markup;
  readonly paint?: (place: StoryPlace) => { readonly fill: string; readonly wrong?: boolean; readonly title: string } | undefined;
  /** Codes whose letters are written beside their places. */
  readonly letters?: (place: StoryPlace) => number;
}

/** Radius of a sample, px of the section's picture. */
const RADIUS = 7;
/** Letters keep this far from each other and stand this far from their place, px; their foot is below their middle. */
const LETTER_GAP = 72;
const LETTER_DISTANCE = 27;
const LETTER_DROP = 7;

const nameOf = ({ names }: Naming, code: number): string => names[code] ?? "no area (white matter)";

function plainPanel({ brain, id }: StorySection): Panel {
  return { title: "The section", caption: html`${brain}, ${id}` };
}

function readPanel(naming: Naming): Panel {
  return {
    title: "Areas read off",
    caption: html`by the linear probe; <span class="wrong-key">ringed</span> where wrong`,
    paint: ({ predicted, area }) => (predicted < 0 ? undefined : { fill: hueOf(predicted), wrong: predicted !== area, title: `read off: ${nameOf(naming, predicted)}; true: ${nameOf(naming, area)}` }),
    letters: ({ predicted }) => predicted,
  };
}

function truePanel(naming: Naming): Panel {
  return { title: "True areas", caption: html`what the phantom knows`, paint: ({ area }) => (area < 0 ? undefined : { fill: hueOf(area), title: nameOf(naming, area) }), letters: ({ area }) => area };
}

/** A section, what was read off it, and the truth; its picture is that of `drawSection`, which must be on the same page. */
export function drawReading(section: StorySection, naming: Naming): Markup {
  return html`<div class="panels">${[plainPanel(section), readPanel(naming), truePanel(naming)].map((panel) => drawPanel(section, naming, panel, false))}</div>`;
}

/** A section in all its panels; the picture itself is in the page once. */
export function drawSection(section: StorySection, naming: Naming, colours: readonly number[]): Markup {
  const panels: Panel[] = [
    plainPanel(section),
    { title: "Features", caption: html`three components as colour`, paint: ({ colour }) => ({ fill: `rgb(${colour.join(",")})`, title: `colour ${colour.join(", ")}` }) },
    { title: "Parcels", caption: html`k-means, no labels used`, paint: ({ parcel }) => ({ fill: hueOf(colours[parcel] ?? parcel), title: `parcel ${parcel + 1}` }), letters: () => -1 },
    ...(section.heldOut ? [readPanel(naming)] : []),
    truePanel(naming),
  ];
  return html`<div class="panels${panels.length === 4 ? " four" : ""}">${panels.map((panel, i) => drawPanel(section, naming, panel, i === 0))}</div>`;
}

/** One panel. `holds`: the picture itself is in it, for the others to refer to. */
function drawPanel(section: StorySection, naming: Naming, { title, caption, paint, letters }: Panel, holds: boolean): Markup {
  const { width, height } = section.image;
  const image = `section-${section.id.replace(/[^\w-]/g, "_")}`;
  return html`<figure class="panel"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title} of ${section.id}, ${section.brain}">
${holds ? html`<image id="${image}" width="${width}" height="${height}" href="${toDataUri(section.image)}"/>` : html`<use href="#${image}"/>${paint && html`<rect class="veil" width="${width}" height="${height}"/>`}`}
${paint &&
section.places.map((place) => {
  const painted = paint(place);
  return painted && html`<circle${painted.wrong === true ? html` class="wrong"` : ""} cx="${at(place.x)}" cy="${at(place.y)}" r="${RADIUS}" fill="${painted.fill}"><title>${painted.title}</title></circle>`;
})}
${letters && placeLetters(section, letters).map(({ x, y, code }) => html`<text class="letter" x="${at(x)}" y="${at(y)}" text-anchor="middle">${naming.letters[code]}</text>`)}
</svg><figcaption><b>${title}</b> ${caption}</figcaption></figure>`;
}

/** Where letters go: beside stretches of one code, where no place lies, and far from the letters so far. */
function placeLetters({ places, image }: StorySection, of: (place: StoryPlace) => number): { x: number; y: number; code: number }[] {
  const put: { x: number; y: number; code: number }[] = [];
  const distance = (a: { x: number; y: number }, b: { x: number; y: number }): number => Math.hypot(a.x - b.x, a.y - b.y);
  for (const place of places) {
    const code = of(place);
    if (code < 0) continue;
    // Only where most of the neighbourhood says the same: a letter names a stretch, not an outlier.
    const near = places.filter((other) => distance(other, place) < LETTER_GAP / 2 && of(other) >= 0);
    if (near.length < 2 || 2 * near.filter((other) => of(other) === code).length <= near.length) continue;
    const around = Array.from({ length: 12 }, (_, i) => ({ x: place.x + LETTER_DISTANCE * Math.cos((Math.PI * i) / 6), y: place.y + LETTER_DISTANCE * Math.sin((Math.PI * i) / 6) }));
    const free = around
      .filter(({ x, y }) => x > 16 && y > 16 && x < image.width - 16 && y < image.height - 16)
      .map((spot) => ({ ...spot, clear: Math.min(...places.map((other) => distance(other, spot))) }))
      .sort((a, b) => b.clear - a.clear)[0];
    if (!free || put.some((other) => distance(other, free) < LETTER_GAP)) continue;
    put.push({ x: free.x, y: free.y + LETTER_DROP, code });
  }
  return put;
}

/** Area names beside their colours and letters. */
export function drawKey({ names, letters }: Naming): Markup {
  return html`<ul class="key" aria-label="Colours of the areas">${names.map((name, code) => html`<li><span class="swatch" style="background:${hueOf(code)};color:${inkOn(code)}">${letters[code]}</span>${name}</li>`)}</ul>`;
}
