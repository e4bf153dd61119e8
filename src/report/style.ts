// The look of the report: one calm column, light and dark, for wide and narrow screens and for paper.

const LIGHT = `--ground:#faf9f6;--panel:#ffffff;--line:#e2dfd7;--text:#26242b;--quiet:#66636e;--accent:#6a4187;--accent-rgb:106 65 135;--other:#7d7a86;--gap:rgb(106 65 135 / .10);--caution:#fbf3e1;--caution-line:#e3cf9f;--code:#f1efe9;`;
const DARK = `--ground:#151519;--panel:#1d1d23;--line:#34343d;--text:#e9e7e2;--quiet:#a19eaa;--accent:#c19be0;--accent-rgb:176 132 214;--other:#95929f;--gap:rgb(193 155 224 / .14);--caution:#2a2518;--caution-line:#5c4f2c;--code:#24242b;`;

export const STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;max-width:68rem;padding:2.5rem 1.5rem 3rem;background:var(--ground);color:var(--text);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{margin:.2rem 0 .8rem;font-size:clamp(1.7rem,4.2vw,2.5rem);line-height:1.15;letter-spacing:-.025em;text-wrap:balance;max-width:34ch}
h2{margin:0 0 .8rem;font-size:1.45rem;line-height:1.25;letter-spacing:-.015em}
h3{margin:1.9rem 0 .5rem;font-size:1.05rem}
p,ul.prose{max-width:46rem;margin:0 0 1rem}
ul.prose{padding-left:1.2rem}
ul.prose li{margin-bottom:.5rem}
.eyebrow{margin:0;color:var(--quiet);font-size:.85rem;letter-spacing:.02em}
.headline{font-size:1.22rem;line-height:1.45;color:var(--accent);font-weight:600;text-wrap:pretty}
.lead{text-wrap:pretty}
.hero{margin:1.4rem 0 1.6rem}
.hero .key{margin:.9rem 0 .5rem}
.quiet{color:var(--quiet)}
.caution{display:inline-block;padding:.6rem .9rem;border:1px solid var(--caution-line);border-radius:8px;background:var(--caution);font-size:.92rem}
section{margin-top:3.2rem;padding-top:2rem;border-top:1px solid var(--line)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.8rem;margin:1.6rem 0 0;padding:0;list-style:none}
.cards li{display:flex;flex-direction:column;gap:.1rem;padding:.9rem 1rem;border:1px solid var(--line);border-radius:10px;background:var(--panel)}
.cards b{font-size:1.65rem;line-height:1.2;letter-spacing:-.02em;font-variant-numeric:tabular-nums;white-space:nowrap}
.cards span{font-size:.92rem;line-height:1.35}
.cards small{margin-top:.25rem;color:var(--quiet);font-size:.8rem;line-height:1.4}
figure{margin:1rem 0 1.4rem}
figcaption,caption{color:var(--quiet);font-size:.84rem;line-height:1.45}
figure.wide{padding:1rem 1rem .9rem;border:1px solid var(--line);border-radius:10px;background:var(--panel)}
figure.wide figcaption{margin-top:.5rem;max-width:46rem}
svg{display:block;width:100%;height:auto}
.chart{max-width:56rem}
.chart text{fill:var(--text);font-family:inherit;font-size:13px;paint-order:stroke;stroke:var(--panel);stroke-width:4px;stroke-linejoin:round}
.chart .tick,.chart .axis-name,.chart .row-note,.chart .range{fill:var(--quiet);font-size:12px}
.chart .row-name{font-weight:600}
.chart .value{font-weight:700;font-size:15px;font-variant-numeric:tabular-nums}
.chart .range{font-variant-numeric:tabular-nums}
.chart .grid{stroke:var(--line)}
.chart .mark{stroke:var(--quiet);stroke-width:1.5;stroke-dasharray:4 4}
.chart .gap{fill:var(--gap)}
.chart .raw{fill:none;stroke:var(--accent);stroke-width:1;opacity:.35}
.chart .mean{fill:none;stroke:var(--accent);stroke-width:2.6;stroke-linejoin:round}
.chart .floor{fill:none;stroke:var(--quiet);stroke-width:1.8;stroke-dasharray:6 4}
.chart .label{font-weight:600}
.chart .label.accent{fill:var(--accent)}
.chart .label.quiet{fill:var(--quiet)}
.chart .own .dot{fill:var(--accent)}
.chart .own .interval,.chart .own .cap{stroke:var(--accent);stroke-width:2.6;fill:none}
.chart .other .dot{fill:var(--panel);stroke:var(--other);stroke-width:2.4}
.chart .other .interval,.chart .other .cap{stroke:var(--other);stroke-width:2;fill:none}
.only-narrow{display:none}
.scroll{overflow-x:auto;margin:0 0 1.2rem}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{caption-side:bottom;text-align:left;padding-top:.5rem;max-width:46rem}
th,td{padding:.35rem .8rem;text-align:right;border-bottom:1px solid var(--line);font-weight:400}
thead th{color:var(--quiet);font-size:.85rem;border-bottom-color:var(--other)}
th:first-child{text-align:left;padding-left:0;white-space:nowrap}
.confusion td,.confusion thead th:not(:first-child){width:3.4rem;text-align:center;padding:.4rem .3rem}
.confusion td{background:rgb(var(--accent-rgb) / calc(var(--share) * .6))}
.confusion td.right{outline:1.5px solid var(--accent);outline-offset:-2px;font-weight:700}
abbr{text-decoration:none}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:0 2.5rem;align-items:start}
.key{display:flex;flex-wrap:wrap;gap:.4rem 1.1rem;margin:0 0 1rem;padding:0;list-style:none;font-size:.9rem}
.swatch{display:inline-grid;place-items:center;min-width:1.35rem;height:1.35rem;margin-right:.35rem;padding:0 .2rem;border-radius:5px;color:#111;font:700 .72rem/1 system-ui,sans-serif;font-style:normal;vertical-align:-.15rem}
.map h3{display:flex;flex-wrap:wrap;gap:.3rem .7rem;align-items:baseline;margin-top:2rem}
.map p{margin-bottom:.5rem}
.map + p{margin-top:1.4rem}
.tag{padding:.05rem .55rem;border:1px solid var(--accent);border-radius:99px;color:var(--accent);font-size:.78rem;font-weight:600}
.tag.seen{border-color:var(--line);color:var(--quiet);font-weight:400}
.panels{display:grid;grid-template-columns:repeat(6,1fr);gap:1rem .9rem}
.panel{margin:0;grid-column:span 2}
.panel:nth-child(4),.panel:nth-child(5){grid-column:span 3}
.panels.four{grid-template-columns:repeat(4,1fr)}
.four .panel{grid-column:span 1}
.panel svg{border:1px solid var(--line);border-radius:6px;background:#fff}
.panel figcaption{margin-top:.3rem}
.panel figcaption b{color:var(--text)}
.panel .veil{fill:#fff;opacity:.45}
.panel circle{stroke:#fff;stroke-width:1}
.panel circle.wrong{stroke:#111;stroke-width:3}
.wrong-key{border:2px solid currentColor;border-radius:99px;padding:0 .35rem}
.panel .letter{font:700 19px system-ui,sans-serif;fill:#111;stroke:#fff;stroke-width:5px;paint-order:stroke;stroke-linejoin:round}
.lookup-row,.lookup-head{display:grid;grid-template-columns:1.2fr repeat(5,1fr);gap:.7rem;align-items:start;margin:0 0 1rem;max-width:none}
.lookup-head{margin-bottom:.4rem;color:var(--quiet);font-size:.84rem}
.lookup-head span:last-child{grid-column:2 / -1}
.patch{margin:0}
.patch img{display:block;width:100%;height:auto;border-radius:6px;border:3px solid var(--line)}
.patch.query img{border-color:var(--text)}
.patch.right img{border:3px solid var(--accent)}
.patch.wrong img{border:3px dashed var(--other)}
.patch figcaption{margin-top:.25rem;font-size:.82rem;overflow-wrap:anywhere}
.patch small{opacity:.8}
.verdict{font-weight:700;color:var(--text)}
.facts{margin:0 0 1.2rem}
.facts div{display:grid;grid-template-columns:12.5rem 1fr;gap:1rem;padding:.4rem 0;border-bottom:1px solid var(--line)}
dt{color:var(--quiet);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere}
pre{margin:0 0 1.2rem;padding:.9rem 1.1rem;border-radius:8px;background:var(--code);overflow-x:auto;font-size:.86rem;line-height:1.55}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
p code{padding:.1em .35em;border-radius:4px;background:var(--code);font-size:.9em}
details summary{cursor:pointer;color:var(--accent)}
.settings{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:.15rem 1.2rem;margin-top:.8rem;font-size:.84rem}
.settings code{color:var(--quiet)}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--quiet);font-size:.84rem}
@media (max-width:640px){
body{padding:1.4rem 1rem 2rem}
section{margin-top:2.2rem;padding-top:1.5rem}
.only-wide{display:none}
.only-narrow{display:block}
figure.wide{padding:.7rem .6rem}
.cards{grid-template-columns:repeat(auto-fit,minmax(min(100%,9.2rem),1fr));gap:.6rem}
.cards li{padding:.7rem .75rem}
.cards b{font-size:1.35rem}
.panels{grid-template-columns:1fr}
.panels.four{grid-template-columns:1fr 1fr}
.panels .panel:nth-child(n){grid-column:auto}
.lookup-row{grid-template-columns:repeat(5,1fr);gap:.4rem;padding-bottom:.9rem;border-bottom:1px solid var(--line)}
.lookup-row .query{grid-column:1 / -1;display:flex;gap:.8rem;align-items:center}
.lookup-row .query img{width:6rem}
.lookup-head{display:none}
.patch:not(.query) figcaption{font-size:.68rem;line-height:1.3}
.patch:not(.query) .swatch{display:none}
.confusion{font-size:.82rem}
.confusion td,.confusion thead th:not(:first-child){width:2.3rem;padding:.35rem .15rem}
th,td{padding:.3rem .5rem}
.facts div{grid-template-columns:1fr;gap:0}
}
@media print{
:root{color-scheme:light;${LIGHT}--ground:#fff}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{max-width:none;padding:0;font-size:10.5pt}
section{margin-top:1.4rem;padding-top:1rem}
figure,table,.lookup-row,.cards li,.map h3{break-inside:avoid}
h2,h3{break-after:avoid}
pre{white-space:pre-wrap}
}
`;
