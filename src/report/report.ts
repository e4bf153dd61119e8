// The report of a story: one HTML file that needs nothing else, no network and no script.
import { flattenSettings } from "../model/config.ts";
import type { JsonObject } from "../data/json.ts";
import type { Stage, Story, StorySection } from "../story/story.ts";
import { countAveraged } from "../story/summary.ts";
import { drawBoth, drawIntervals, drawLoss, type IntervalRow } from "./charts.ts";
import { formatDuration, formatFixed, formatWhole, html, type Content, type Markup } from "./html.ts";
import { drawKey, drawReading, drawSection, type Naming } from "./maps.ts";
import { drawNeighbours } from "./neighbours.ts";
import { shortNames } from "../analysis/palette.ts";
import { renderPage } from "./page.ts";
import { drawClasses, drawConfusion, drawFacts } from "./tables.ts";
import { judge, sayCount, sayHeadline, sayLimits, sayNeighbours, sayParcels, sayResult, sayRight, saySplit, sayWhatWasDone } from "./words.ts";

export interface ReportOptions {
  /** What was typed, or what was clicked. */
  readonly command: string;
  /** Where it ran: "Node v20.20.0", or a browser. */
  readonly host: string;
  /** Files that lie beside the report, relative to it, and what they are; none on a page. */
  readonly files?: readonly (readonly [string, string])[];
  /** Whether the maps of all sections lie beside the report (default: yes). */
  readonly maps?: boolean;
}

const STAGE_NAMES: Readonly<Record<Stage, string>> = { phantom: "generating the brains", train: "training", embed: "embedding", probe: "probe and baselines", pictures: "parcels, neighbours, maps" };

/** The whole document. */
export function renderReport(story: Story, options: ReportOptions): string {
  const names = story.probe.classes;
  const naming = namesOf(story);
  const body = [renderHead(story, naming), renderFigures(story), renderTraining(story), renderProbe(story, names), renderMaps(story, naming, options), renderNeighbours(story, naming), renderLimits(story), renderRun(story, options), renderNext(story)];
  return renderPage({ title: "cytonet: areas of a brain it never saw", version: story.version, date: story.finished, body });
}

/** Letters for the areas; sections hold codes of the dataset's labels, which the probe's classes are some of. */
function namesOf({ areas }: Story): Naming {
  return { names: areas, letters: shortNames(areas) };
}

function section(id: string, title: string, ...content: readonly Content[]): Markup {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>
`;
}

/** The middle one of the sections shown of the brain held out. */
function findMiddle({ sections }: Story): StorySection | undefined {
  const held = sections.filter(({ heldOut }) => heldOut);
  return held[Math.floor(held.length / 2)];
}

/** How many of a section's places the probe was asked for, and read right. */
function countRight({ places }: StorySection): { asked: number; right: number } {
  const asked = places.filter(({ predicted }) => predicted >= 0);
  return { asked: asked.length, right: asked.filter(({ predicted, area }) => predicted === area).length };
}

function renderHead(story: Story, naming: Naming): Markup {
  const middle = findMiddle(story);
  return html`<header>
<p class="eyebrow">cytonet ${story.version} · demonstration on generated brains</p>
<h1>Reading cortical areas off a network that was never told them</h1>
<p class="headline">${sayHeadline(story)}</p>
${middle && html`<div class="hero">${drawReading(middle, naming)}${drawKey(naming)}<p class="quiet">A section of ${middle.brain}, the brain that training never saw: ${sayRight(countRight(middle))} It is the middle one of those shown below, taken for its place and not for how well it was read.</p></div>`}
<p class="lead">${sayWhatWasDone(story)}</p>
<p class="lead">${sayResult(story)}</p>
<p class="caution"><b>Generated data.</b> No real brain is in this report. CytoNet-style, built from the public abstracts; no parity with the published model is claimed.</p>
</header>
`;
}

function renderFigures({ probe, losses, throughput, device, seconds, dataset, parcels }: Story): Markup {
  const { value, low, high } = probe.probe.macroF1;
  const averaged = countAveraged(losses.length);
  const gap = (some: typeof losses): number => {
    return some.reduce((sum, { loss, floor }) => sum + loss - floor, 0) / Math.max(1, some.length);
  };
  const total = Object.values(seconds).reduce((sum, part) => sum + part, 0);
  const cards: readonly (readonly [string, string, string])[] = [
    [formatFixed(value, 2), "macro-F1 on the unseen brain", `95\u202f% interval ${formatFixed(low, 2)} – ${formatFixed(high, 2)}; chance ${formatFixed(probe.baselines.chance.macroF1.value, 2)}`],
    [`${formatFixed(gap(losses.slice(0, averaged)), 2)} → ${formatFixed(gap(losses.slice(-averaged)), 2)}`, "loss above its floor, nats", `${averaged === 1 ? "the first and the last step" : `means of the first and last ${sayCount(averaged)} steps`}; 0 is the best there is`],
    [formatFixed(parcels.heldOut.ari, 2), "adjusted Rand index of parcels", "k-means without labels, on the unseen brain"],
    [formatWhole(throughput.trainPatchesPerSecond), "patches per second in training", `${formatWhole(throughput.embedPatchesPerSecond)} in embedding, ${device.kind === "cpu" ? "on a CPU adapter" : "on a GPU"}`],
    [formatDuration(total), "for everything", `${formatWhole(dataset.samples)} places, ${formatWhole(losses.length)} steps`],
  ];
  return html`<ul class="cards" aria-label="Key figures">${cards.map(([number, name, note]) => html`<li><b>${number}</b><span>${name}</span><small>${note}</small></li>`)}</ul>
`;
}

function renderTraining({ losses, config, device, throughput }: Story): Markup {
  const { loss, batch } = config;
  return section(
    "training",
    "Does it learn?",
    html`<p>Each step draws ${batch.groups * batch.groupSize} patches in groups of ${batch.groupSize} neighbours${loss.sigmaMm === null ? "" : html`; two patches count as alike by a Gaussian of their distance on the sheet, σ = ${loss.sigmaMm} mm`}. The floor is the loss that a perfect answer would have on the same batch, the entropy of its targets. What training can remove is the shaded gap.</p>`,
    html`<figure class="wide">${drawBoth((layout) => drawLoss(losses, layout))}<figcaption>Thin: each step. Thick: running mean. Dashed: the running mean of the floor, which varies with the batches drawn.</figcaption></figure>`,
    html`<p class="quiet">On ${device.adapter}: ${formatWhole(throughput.trainPatchesPerSecond)} patches per second in training, forwards, backwards and optimizer; ${formatWhole(throughput.embedPatchesPerSecond)} in embedding.</p>`,
  );
}

function renderProbe(story: Story, names: readonly string[]): Markup {
  const { probe } = story;
  const { baselines, differences } = probe;
  const rows: IntervalRow[] = [
    { name: "linear probe", note: "on the trained network", estimate: probe.probe.macroF1, kind: "own" },
    { name: "nearest neighbours", note: `on the same features, k = ${probe.knn.neighbours.k}`, estimate: probe.knn.macroF1, kind: "own" },
    { name: "untrained network", note: "same shape, random weights", estimate: baselines.untrained.macroF1, kind: "other" },
    { name: "grey-level statistics", note: "histogram and moments", estimate: baselines.intensity.macroF1, kind: "other" },
    { name: "chance", note: "guessing by frequency", estimate: baselines.chance.macroF1, kind: "other" },
    { name: "majority", note: "always the commonest area", estimate: baselines.majority.macroF1, kind: "other" },
  ];
  const compared: IntervalRow[] = [
    { name: "untrained network", note: verdictOf(differences.untrained.macroF1), estimate: differences.untrained.macroF1, kind: "own" },
    { name: "grey-level statistics", note: verdictOf(differences.intensity.macroF1), estimate: differences.intensity.macroF1, kind: "own" },
    { name: "chance", note: verdictOf(differences.chance.macroF1), estimate: differences.chance.macroF1, kind: "own" },
    { name: "nearest neighbours", note: verdictOf(differences.knn.macroF1), estimate: differences.knn.macroF1, kind: "other" },
  ];
  const bounds = compared.flatMap(({ estimate }) => [estimate.low, estimate.high]);
  const [low, high] = [Math.min(-0.1, Math.floor(10 * Math.min(...bounds)) / 10), Math.max(0.2, Math.ceil(10 * Math.max(...bounds)) / 10)];
  const scores = { id: "scores", title: "Macro-F1 on the held-out brain, with 95 % intervals", axis: "macro-F1 over areas (1 is perfect)", low: 0, high: 1, mark: baselines.chance.macroF1.value, markName: "chance" };
  const gains = { id: "gains", title: "How much the linear probe is above each other method, with 95 % intervals of the paired differences", axis: "macro-F1 of the probe less that of the other", low, high, mark: 0, markName: "no difference", signed: true };
  const letters = shortNames(names);
  return section(
    "probe",
    "Can areas be read off a brain it never saw?",
    html`<p>A linear probe is the plainest reader there is: if it succeeds, the information lies open in the features. It stands beside what needs no training: the same network with random weights, the grey levels of the patches, and guessing.</p>`,
    html`<figure class="wide">${drawBoth((layout) => drawIntervals(rows, scores, layout))}<figcaption>Dots and diamonds: macro-F1 on ${probe.test.brains.join(", ")}, ${formatWhole(probe.test.samples)} patches. Lines: 95\u202f% intervals by blocks. Dots: features of the trained network; diamonds: baselines.</figcaption></figure>`,
    html`<h3>Paired differences</h3><p>Two overlapping intervals may still differ reliably, since both methods are tested on the same tissue. So the difference is resampled itself:</p>`,
    html`<figure class="wide">${drawBoth((layout) => drawIntervals(compared, gains, layout))}<figcaption>The probe less each other method, block by block. Right of the dashed line the probe is better.</figcaption></figure>`,
    html`<h3>How it was split, and what the intervals mean</h3><ul class="prose">${saySplit(story).map((text) => html`<li>${text}</li>`)}</ul>`,
    html`<div class="pair"><div><h3>Which areas are confused</h3>${drawConfusion(names, letters, probe.probe)}</div><div><h3>By area</h3>${drawClasses(probe.probe)}</div></div>`,
  );
}

function verdictOf(difference: Parameters<typeof judge>[0]): string {
  const verdict = judge(difference);
  return verdict === "above" ? "the probe is better" : verdict === "below" ? "the probe is worse" : "no clear difference";
}

function renderMaps(story: Story, naming: Naming, { maps: beside = true }: ReportOptions): Markup {
  const { sections, share, maps } = story;
  return section(
    "maps",
    "What it sees",
    html`<p>Every place on a section is a dot at the middle of its patch. In the second panel of each section its colour is its features: their three leading principal components as red, green and blue (${share.map((part) => formatFixed(100 * part, 0)).join(", ")}\u202f% of the variance). Similar colours: similar to the network in these components, which are taken over the patches of all brains, without labels. Where a whole section has a tint of its own, the network also sees how that section was stained and focused.</p>`,
    html`<p>${sayParcels(story)}</p>`,
    drawKey(naming),
    sections.map((one) => {
      const counts = countRight(one);
      return html`<div class="map"><h3>${one.brain}, section ${one.id} ${one.heldOut ? html`<span class="tag">held out</span>` : html`<span class="tag seen">seen in training, without labels</span>`}${one.flaws.map((flaw) => html` <span class="tag seen">${flaw}</span>`)}</h3>
${counts.asked > 0 && html`<p class="quiet">${sayRight(counts)}</p>`}${drawSection(one, naming, story.parcels.colours)}</div>`;
    }),
    html`<p class="quiet">Sections are shown at even distances through each brain, not chosen by their looks.${beside && html` Maps of all ${maps.length} sections lie beside this report.`}</p>`,
  );
}

function renderNeighbours(story: Story, naming: Naming): Markup {
  return section("neighbours", "What looks alike to it", html`<p>${sayNeighbours(story)}</p>`, drawNeighbours(story.patches, naming));
}

function renderLimits(story: Story): Markup {
  return section("limits", "What this does not show", html`<ul class="prose">${sayLimits(story).map((text) => html`<li>${text}</li>`)}</ul>`);
}

function renderRun(story: Story, { command, host, files }: ReportOptions): Markup {
  const { device, config, dataset, parameters, channels, seconds, phantom } = story;
  const total = Object.values(seconds).reduce((sum, part) => sum + part, 0);
  const settings = Object.entries(flattenSettings(JSON.parse(JSON.stringify(config)) as JsonObject));
  return section(
    "run",
    "What was run",
    html`<pre><code>${command}</code></pre>`,
    drawFacts([
      ["adapter", `${device.adapter}${device.kind === "cpu" ? ": a CPU stands in for a GPU" : ""}`],
      ["driver", device.driver === "" ? "not told by the host" : device.driver],
      ["host", `${host}, cytonet ${story.version}`],
      ["brains", dataset.brains.map(({ id, sections, samples, heldOut }) => `${id}: ${sections} sections, ${formatWhole(samples)} places${heldOut ? ", held out" : ""}`).join("; ")],
      ["phantom", `seed ${phantom.seed}, ${dataset.pixelSizeUm} µm per pixel; dataset ${story.probe.dataset.hash.slice(0, 12)}…`],
      ["model", `${config.preset}, ${formatWhole(parameters)} parameters, features of ${channels} numbers; seed ${config.seed}`],
      ["memory", `${formatWhole(device.peakBytes / 2 ** 20)} MiB on the device at most`],
      ["time", html`${formatDuration(total)}: ${(Object.keys(STAGE_NAMES) as Stage[]).map((stage) => `${STAGE_NAMES[stage]} ${formatDuration(seconds[stage])}`).join(", ")}`],
      ["finished", story.finished.replace("T", " ").replace(/\..*$/, " UTC")],
    ]),
    files !== undefined && files.length > 0 && html`<h3>Files beside this report</h3>${drawFacts(files)}`,
    html`<details><summary>All ${settings.length} training settings</summary><div class="settings">${settings.map(([name, value]) => html`<span><code>${name}</code> ${JSON.stringify(value)}</span>`)}</div></details>`,
  );
}

function renderNext({ config }: Story): Markup {
  const commands = `# longer, on a larger phantom of another seed
cytonet phantom --out brains --seed 7 --brains 3 --size medium
cytonet train brains --preset ${config.preset} --steps 1500 --hold-out phantom3 --out runs/longer \\
  --set loss.sigmaMm=${config.loss.sigmaMm ?? "null"}
cytonet probe runs/longer brains --label area --hold-out phantom3

# your own sections: a folder of images and a table of positions
cytonet import scans --out mine --table spots.csv --image '{slide}.png' \\
  --section slide --x x --y y --units px --pixel-size 2 --brain donor --label layer --space-by brain
cytonet train mine --preset ${config.preset} --steps 1000 --hold-out DONOR --out runs/mine
cytonet probe runs/mine mine --label layer --hold-out DONOR
cytonet embed runs/mine mine --out features.safetensors --map maps`;
  return section("next", "How to go on", html`<p>In a clone, <code>node dist/cli/main.js</code> is <code>cytonet</code>. <code>cytonet --help VERB</code> begins with examples.</p><pre><code>${commands}</code></pre>`);
}

