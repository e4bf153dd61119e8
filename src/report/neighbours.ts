// Patches beside those that look most alike: each with its area and a mark whether it is the same.
import type { StoryPatch, StoryPatches } from "../story/story.ts";
import { formatFixed, html, toDataUri, type Content, type Markup } from "./html.ts";
import type { Naming } from "./maps.ts";
import { hueOf, inkOn } from "../analysis/palette.ts";

export function drawNeighbours({ queries, umPerPatch }: StoryPatches, naming: Naming): Markup {
  return html`<div class="lookup"><p class="lookup-head" aria-hidden="true"><span>patch of the unseen brain</span><span>nearest patches of the brains it was trained on →</span></p>
${queries.map(({ patch, near }) => {
  const name = naming.names[patch.area]!;
  return html`<div class="lookup-row" role="group" aria-label="A patch of ${name} and its nearest patches">${drawPatch(patch, "query", `Patch of ${name}, ${patch.brain}`, html`<b>${name}</b>`, naming)}${near.map((other, rank) => {
    const right = other.area === patch.area;
    const of = naming.names[other.area] ?? "no area";
    return drawPatch(other, right ? "right" : "wrong", `Nearest patch ${rank + 1}: ${of}, ${other.brain}, ${right ? "the same area" : "another area"}`, html`<span class="verdict" aria-hidden="true">${right ? "✓" : "✗"}</span> ${of} <small>${formatFixed(other.similarity, 2)}</small>`, naming);
  })}</div>`;
})}
<p class="quiet">✓ solid frame: the same area. ✗ dashed frame: another. Numbers: cosine similarity of the features. A patch is ${formatFixed(umPerPatch / 1000, 2)} mm wide.</p></div>`;
}

function drawPatch(patch: StoryPatch, kind: "query" | "right" | "wrong", alt: string, caption: Content, naming: Naming): Markup {
  return html`<figure class="patch ${kind}"><img src="${toDataUri(patch.image)}" width="${patch.image.width}" height="${patch.image.height}" alt="${alt}"><figcaption><i class="swatch" style="background:${hueOf(patch.area)};color:${inkOn(patch.area)}" aria-hidden="true">${naming.letters[patch.area]}</i> ${caption}</figcaption></figure>`;
}
