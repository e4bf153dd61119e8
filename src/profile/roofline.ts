// The roofline plot as inline SVG: what each kernel reaches over its arithmetic intensity, under roofs that were measured.
import { drawBoth, type Layout } from "../report/charts.ts";
import { at, formatPercent, html, type Markup } from "../report/html.ts";
import type { ProfileRow, Roofs } from "./profile.ts";
import { formatRate } from "./units.ts";

const PLOTS = {
  wide: { width: 720, height: 430, left: 64, right: 20, top: 22, bottom: 50, largest: 24 },
  narrow: { width: 360, height: 380, left: 52, right: 12, top: 22, bottom: 50, largest: 17 },
} as const;

/** Dots that bear the number of their row: more would lie on each other. */
const NUMBERED = 10;
/** Decades shown at most: what lies below stands on the lower edge. */
const DECADES = 6;

/** Powers of ten from below the first to above the last. */
function decades(low: number, high: number): number[] {
  const from = Math.floor(Math.log10(low));
  return Array.from({ length: Math.ceil(Math.log10(high)) - from + 1 }, (_, i) => from + i);
}

/**
 * Both drawings. x: operations per byte, y: operations per second, both logarithmic; the area of a dot is its kernel's share of the time.
 * Kernels without arithmetic stand hollow at the left edge, where their distance to the roof is what they leave of the bandwidth.
 */
export function drawRoofline(rows: readonly ProfileRow[], roofs: Roofs): Markup {
  return drawBoth((layout) => draw(rows, roofs, layout));
}

function draw(rows: readonly ProfileRow[], roofs: Roofs, layout: Layout): Markup {
  const { width, height, left, right, top, bottom, largest } = PLOTS[layout];
  const timed = rows.filter(({ microseconds, bytes }) => microseconds > 0 && bytes > 0);
  const intensities = timed.filter(({ flops }) => flops > 0).map(({ flops, bytes }) => flops / bytes);
  const ridge = roofs.flops / roofs.bytes;
  const [least, most] = [Math.min(ridge / 10, ...intensities), Math.max(ridge * 10, ...intensities)];
  const xs = decades(least / 1.5, most);
  const [x0, x1] = [xs[0]!, xs.at(-1)!];
  const edge = 10 ** x0;
  const dots = timed.map((row) => {
    const hollow = row.flops === 0;
    const intensity = hollow ? edge : row.flops / row.bytes;
    return { row, rank: rows.indexOf(row) + 1, hollow, intensity, rate: hollow ? edge * row.gbytes * 1e9 : row.gflops * 1e9 };
  });
  const reached = dots.map(({ rate }) => rate).filter((rate) => rate > 0);
  const ys = decades(Math.min(edge * roofs.bytes, ...reached), Math.max(roofs.flops * 1.2, ...reached));
  const y1 = ys.at(-1)!;
  const y0 = Math.max(ys[0]!, y1 - DECADES);
  const x = (intensity: number) => left + ((width - left - right) * (Math.log10(intensity) - x0)) / (x1 - x0);
  const y = (rate: number) => height - bottom - ((height - top - bottom) * (Math.log10(rate) - y0)) / (y1 - y0);
  const tickOf = (power: number) => (power >= 0 && power < 4 ? String(10 ** power) : power < 0 && power > -4 ? String(Number((10 ** power).toPrecision(1))) : `1e${power}`);
  const everyX = xs.length > (layout === "wide" ? 9 : 5) ? 2 : 1;
  const start = Math.max(edge, 10 ** y0 / roofs.bytes);
  const roof = `M${at(x(start))} ${at(y(start * roofs.bytes))}L${at(x(ridge))} ${at(y(roofs.flops))}L${at(x(10 ** x1))} ${at(y(roofs.flops))}`;
  // The name of the slope runs along it.
  const angle = (-180 / Math.PI) * Math.atan2(y(start * roofs.bytes) - y(roofs.flops), x(ridge) - x(start));
  const middle = start * (ridge / start) ** 0.2;
  const greatest = Math.max(...dots.map(({ row }) => row.share), 1e-9);
  const radius = (share: number) => Math.max(2.2, largest * Math.sqrt(share / greatest));
  // Small dots last, so that none lies hidden under a large one.
  const drawn = [...dots].sort((one, other) => other.row.share - one.row.share);
  const named = drawn.slice(0, 5).map(({ row }) => `${row.name} ${formatPercent(row.share)}`).join(", ");
  return html`<svg class="chart roofline" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="roofline-${layout}-title roofline-${layout}-desc">
<title id="roofline-${layout}-title">Roofline: operations per second over operations per byte, by kernel</title>
<desc id="roofline-${layout}-desc">Roofs: ${formatRate(roofs.flops, "FLOP/s")} and ${formatRate(roofs.bytes, "B/s")}, which meet at ${Number(ridge.toPrecision(3))} operations per byte. Most time: ${named}.</desc>
${xs.map((power, i) => html`<line class="grid" x1="${at(x(10 ** power))}" x2="${at(x(10 ** power))}" y1="${top}" y2="${height - bottom}"/>${i % everyX === 0 && html`<text class="tick" x="${at(x(10 ** power))}" y="${height - bottom + 18}" text-anchor="middle">${tickOf(power)}</text>`}`)}
${ys.filter((power) => power >= y0).map((power) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(10 ** power))}" y2="${at(y(10 ** power))}"/><text class="tick" x="${left - 8}" y="${at(y(10 ** power) + 4)}" text-anchor="end">${tickOf(power - 9)}</text>`)}
<text class="axis-name" x="${at((left + width - right) / 2)}" y="${height - 8}" text-anchor="middle">operations per byte</text>
<text class="axis-name" transform="translate(13 ${at((top + height - bottom) / 2)}) rotate(-90)" text-anchor="middle">GFLOP/s</text>
<path class="roof" d="${roof}"/>
<text class="roof-name" transform="translate(${at(x(middle) - 6)} ${at(y(middle * roofs.bytes) - 8)}) rotate(${at(angle)})" text-anchor="middle">${formatRate(roofs.bytes, "B/s")}</text>
<text class="roof-name" x="${width - right - 4}" y="${at(y(roofs.flops) - 8)}" text-anchor="end">${formatRate(roofs.flops, "FLOP/s")}</text>
${drawn.map(({ row, rank, hollow, intensity, rate }) => {
    const [cx, cy, r] = [x(intensity), y(Math.max(rate, 10 ** y0)), radius(row.share)];
    return html`<g class="kernel ${row.bound}${hollow ? " hollow" : ""}"><title>${rank}. ${row.name}: ${formatPercent(row.share)} of the time, ${formatRate(row.gflops * 1e9, "FLOP/s")}, ${formatRate(row.gbytes * 1e9, "B/s")}, ${row.bound}</title><circle cx="${at(cx)}" cy="${at(cy)}" r="${at(r)}"/></g>`;
  })}
${drawn.slice(0, NUMBERED).map(({ row, rank, intensity, rate }) => {
    const r = radius(row.share);
    const inside = r >= 9;
    return html`<text class="number" x="${at(x(intensity) + (inside ? 0 : r + 3))}" y="${at(y(Math.max(rate, 10 ** y0)) + 4)}" text-anchor="${inside ? "middle" : "start"}">${rank}</text>`;
  })}
</svg>`;
}
