// A profile as one HTML file that needs nothing else: roofline, table, accounting; no network and no script.
import { formatFixed, formatPercent, formatWhole, html } from "../report/html.ts";
import { renderPage } from "../report/page.ts";
import { drawFacts } from "../report/tables.ts";
import type { ProfileReport } from "./profile.ts";
import { drawRoofline } from "./roofline.ts";
import { formatRate, formatTime } from "./units.ts";

const OWN = `
:root{--compute:#6a4187;--memory:#0a6f8f;--launch:#a2581a}
@media (prefers-color-scheme:dark){:root{--compute:#c19be0;--memory:#6cc3dd;--launch:#e6a568}}
.roofline .roof{fill:none;stroke:var(--text);stroke-width:2}
.roofline .roof-name{fill:var(--text);font-weight:600;font-size:12px}
.roofline circle{fill:var(--hue);fill-opacity:.55;stroke:var(--hue);stroke-width:1.4}
.roofline .hollow circle{fill-opacity:.08;stroke-dasharray:3 2}
.roofline .number{font-weight:700;font-size:12px;stroke:var(--panel);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
.compute{--hue:var(--compute)}.memory{--hue:var(--memory)}.launch{--hue:var(--launch)}
.key i{display:inline-block;width:.8rem;height:.8rem;margin-right:.4rem;border-radius:99px;background:var(--hue);vertical-align:-.05rem}
.kernels td,.kernels th{padding:.3rem .55rem;white-space:nowrap}
.kernels th[scope=row]{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.84rem;text-align:left}
.kernels th.name{text-align:left}
.kernels .bound{text-align:left;color:var(--hue);font-weight:600}
.bar{display:block;height:.5rem;width:5rem;border-radius:3px;background:linear-gradient(to right,var(--accent) var(--part),var(--line) 0)}
.span{display:flex;height:1.6rem;margin:.4rem 0 .3rem;border-radius:6px;overflow:hidden;border:1px solid var(--line)}
h1{max-width:none}
.span b{background:var(--accent)}
.span i{background:var(--code)}
`;

/** The whole document. `command` is what was typed, or clicked. */
export function renderProfile(report: ProfileReport, command: string, version: string): string {
  const { subject, device, date, accounting, replay, roofs, rows, clock, runs } = report;
  const { span, kernels, gaps, overlap, longestGap } = accounting;
  const share = span > 0 ? kernels / span : 0;
  const greatest = Math.max(...rows.map((row) => row.share), 1e-9);
  const launchBound = rows.filter(({ bound }) => bound === "launch").reduce((sum, row) => sum + row.share, 0);
  const cards: readonly (readonly [string, string, string])[] = [
    [formatTime(replay.milliseconds), "a run, from call to result", `${formatWhole((1e3 * replay.patches) / replay.milliseconds)} patches per second; ${formatTime(replay.call)} of it in the call`],
    [formatTime(kernels), "in kernels", `${replay.dispatches} dispatches in ${replay.submits} ${replay.submits === 1 ? "submit" : "submits"}`],
    [formatPercent(share), "of the device's span", `${formatTime(gaps)} in gaps`],
    [formatPercent(launchBound), "in launch-bound kernels", `a launch takes ${formatTime(1e3 * roofs.launch)}`],
  ];
  const body = html`<header>
<p class="eyebrow">cytonet ${version} · profile</p>
<h1>${subject}</h1>
<p class="lead">On ${device.adapter}${device.kind === "cpu" ? ", where a CPU stands in for a GPU" : ""}, ${date.slice(0, 16).replace("T", " ")} UTC.</p>
</header>
<ul class="cards" aria-label="Key figures">${cards.map(([number, name, note]) => html`<li><b>${number}</b><span>${name}</span><small>${note}</small></li>`)}</ul>
<section id="roofline" aria-labelledby="roofline-title">
<h2 id="roofline-title">How near each kernel comes to its roof</h2>
<p>Roofs are what this device reached in two probes: chains of multiply-adds, and a copy larger than its caches. A dot below the slope waits for memory, one below the flat part computes. Numbers are rows of the table; small kernels far below both roofs are bound by their launch.</p>
<ul class="key" aria-label="Colours">${(["compute", "memory", "launch"] as const).map((bound) => html`<li class="${bound}"><i></i>${bound}-bound</li>`)}</ul>
<figure class="wide">${drawRoofline(rows, roofs)}<figcaption>The area of a dot is the kernel's share of the time. Dashed dots at the left edge do no arithmetic. Bytes are the least that a kernel must move, each argument once, so one that reads from caches may lie above the slope.</figcaption></figure>
</section>
<section id="kernels" aria-labelledby="kernels-title">
<h2 id="kernels-title">By ${report.grouping}</h2>
<div class="scroll"><table class="kernels">
<caption>Times of one run, ${clock === "device" ? `by the device's timestamps, ${runs === 1 ? "one run" : `means of ${runs} runs`}` : "by the host's clock, each kernel run alone: this device has no timestamps"}. Of roof: the time that the bounding roof allows over the time taken.</caption>
<thead><tr><th scope="col">#</th><th scope="col" class="name">${report.grouping}</th><th scope="col">calls</th><th scope="col">µs</th><th scope="col">share</th><th scope="col"></th><th scope="col">GFLOP/s</th><th scope="col">GB/s</th><th scope="col">of roof</th><th scope="col" class="name">bound</th></tr></thead>
<tbody>${rows.map((row, i) => html`<tr><td>${i + 1}</td><th scope="row">${row.name}</th><td>${formatFixed(row.calls, 0)}</td><td>${formatFixed(row.microseconds, 1)}</td><td>${formatFixed(100 * row.share, 1)}\u202f%</td><td><span class="bar" style="--part:${formatFixed((100 * row.share) / greatest, 1)}%"></span></td><td>${row.flops > 0 ? formatFixed(row.gflops, 2) : "–"}</td><td>${formatFixed(row.gbytes, 2)}</td><td>${formatPercent(row.ofRoof)}</td><td class="bound ${row.bound}">${row.bound}</td></tr>`)}</tbody>
</table></div>
</section>
<section id="accounting" aria-labelledby="accounting-title">
<h2 id="accounting-title">Where the time goes</h2>
<p>From the begin of the first command to the end of the last the device took ${formatTime(span)}: kernels ${formatTime(kernels)}, gaps ${formatTime(gaps)}${overlap > 0 && `, less ${formatTime(overlap)} in which two ran at once`}.${longestGap.milliseconds > 0 && ` The longest gap, ${formatTime(longestGap.milliseconds)}, lies behind ${longestGap.after}.`}</p>
<div class="span" role="img" aria-label="${formatPercent(share)} kernels, the rest gaps"><b style="width:${formatFixed(100 * share, 2)}%"></b><i style="flex:1"></i></div>
<p class="quiet">Filled: kernels. Stamping puts every command into a pass of its own; replayed without stamps, a run takes ${formatTime(replay.milliseconds)} from the call to the result, uploads and reading back included.</p>
${drawFacts([
  ["command", html`<code>${command}</code>`],
  ["adapter", device.adapter],
  ["driver", device.driver === "" ? "not told by the host" : device.driver],
  ["features", device.features.join(", ") || "none beyond the core"],
  ["roofs", `${formatRate(roofs.flops, "FLOP/s")}, ${formatRate(roofs.bytes, "B/s")}, ${formatTime(1e3 * roofs.launch)} a launch`],
])}
</section>`;
  return renderPage({ title: `cytonet profile: ${subject}`, version, date, body, style: OWN });
}
