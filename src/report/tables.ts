// Tables of the report: confusions, scores by class, settings.
import type { MethodReport } from "../analysis/probe.ts";
import { formatFixed, formatPercent, html, Markup } from "./html.ts";

/** Truth in rows, what was read off in columns; the shade is the share of the row. */
export function drawConfusion(classes: readonly string[], letters: readonly string[], { confusion }: Pick<MethodReport, "confusion">): Markup {
  return html`<div class="scroll"><table class="confusion">
<caption>Rows: the true area; columns: what the probe read off. Shaded by share of the row; the diagonal is right.</caption>
<thead><tr><th scope="col">true area</th>${classes.map((name, j) => html`<th scope="col"><abbr title="${name}">${letters[j]}</abbr></th>`)}</tr></thead>
<tbody>${confusion.map((row, i) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    return html`<tr><th scope="row">${classes[i]} <span class="quiet">${letters[i]}</span></th>${row.map((n, j) => {
      const share = total > 0 ? n / total : 0;
      return html`<td ${i === j && new Markup(' class="right"')} style="--share:${formatFixed(share, 3)}" title="${formatPercent(share)} of ${classes[i]} read as ${classes[j]}">${n}</td>`;
    })}</tr>`;
  })}</tbody></table></div>`;
}

export function drawClasses({ perClass }: Pick<MethodReport, "perClass">): Markup {
  return html`<div class="scroll"><table>
<caption>Precision: of the patches read as an area, the share that is of it. Recall: of an area's patches, the share read as it. F1: their harmonic mean; the macro-F1 is the mean of this column.</caption>
<thead><tr><th scope="col">area</th><th scope="col">precision</th><th scope="col">recall</th><th scope="col">F1</th><th scope="col">patches</th></tr></thead>
<tbody>${perClass.map((row) => html`<tr><th scope="row">${row.class}</th><td>${formatFixed(row.precision, 2)}</td><td>${formatFixed(row.recall, 2)}</td><td>${formatFixed(row.f1, 2)}</td><td>${row.support}</td></tr>`)}</tbody></table></div>`;
}

/** Names and values, two columns. */
export function drawFacts(facts: readonly (readonly [string, string | Markup])[]): Markup {
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
