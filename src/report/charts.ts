// The charts of the report, drawn by hand as inline SVG: curves over steps, and dots with their intervals.
import type { Estimate } from "../analysis/bootstrap.ts";
import type { LossPoint } from "../story/story.ts";
import { at, formatFixed, formatSigned, html, type Markup } from "./html.ts";

/** A chart is drawn twice, for wide and for narrow screens; the style shows one. */
export type Layout = "wide" | "narrow";

/** Both drawings of a chart. */
export function drawBoth(draw: (layout: Layout) => Markup): Markup {
  return html`<div class="only-wide">${draw("wide")}</div><div class="only-narrow">${draw("narrow")}</div>`;
}

const CURVES = {
  wide: { width: 720, height: 300, left: 52, right: 118, top: 16, bottom: 44, ticks: 6 },
  narrow: { width: 360, height: 280, left: 44, right: 12, top: 34, bottom: 44, ticks: 4 },
} as const;
/** Points of a curve at most: more than there are pixels to show them. */
const POINTS = 600;

/** Ticks at 1, 2 or 5 times a power of ten, about `wanted` of them, within [low, high]. */
export function listTicks(low: number, high: number, wanted: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Means of the values around each, over `width` of them to either side. */
export function smooth(values: readonly number[], width: number): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - width), Math.min(values.length, i + width + 1)];
    return (sums[to]! - sums[from]!) / (to - from);
  });
}

/** Loss and floor by step, in nats; the gap between their means is shaded. */
export function drawLoss(points: readonly LossPoint[], layout: Layout): Markup {
  const { width, height, left, right, top, bottom, ticks: wanted } = CURVES[layout];
  const stride = Math.max(1, Math.ceil(points.length / POINTS));
  const kept = points.map((_, i) => i).filter((i) => i % stride === 0 || i === points.length - 1);
  const radius = Math.max(1, Math.round(points.length / 30));
  const means = { loss: smooth(points.map(({ loss }) => loss), radius), floor: smooth(points.map(({ floor }) => floor), radius) };
  const all = points.flatMap(({ loss, floor }) => [loss, floor]).filter(Number.isFinite);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const margin = 0.06 * (most - least || 1);
  const [low, high] = [Math.max(0, least - margin), most + margin];
  const last = points.at(-1)?.step ?? 1;
  const x = (step: number): number => left + ((width - left - right) * (step - 1)) / Math.max(1, last - 1);
  const y = (value: number): number => height - bottom - ((height - top - bottom) * (value - low)) / (high - low || 1);
  const path = (of: (i: number) => number): string => kept.map((i, n) => `${n === 0 ? "M" : "L"}${at(x(points[i]!.step))} ${at(y(of(i)))}`).join("");
  const back = [...kept].reverse().map((i) => `L${at(x(points[i]!.step))} ${at(y(means.floor[i]!))}`).join("");
  const [endLoss, endFloor] = [means.loss.at(-1) ?? 0, means.floor.at(-1) ?? 0];
  // Labels at the right end keep clear of each other.
  const [yLoss, yFloor] = [y(endLoss), Math.max(y(endFloor), y(endLoss) + 34)];
  const ticks = listTicks(low, high, 5);
  const steps = listTicks(0, last, wanted).map((step) => Math.max(1, step));
  return html`<svg class="chart curve" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="loss-${layout}-title loss-${layout}-desc">
<title id="loss-${layout}-title">Training loss and its floor by optimizer step</title>
<desc id="loss-${layout}-desc">Over ${last} steps the loss went from ${formatFixed(means.loss[0] ?? 0, 2)} to ${formatFixed(endLoss, 2)} nats; its floor is about ${formatFixed(endFloor, 2)} nats.</desc>
${ticks.map((tick) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(tick))}" y2="${at(y(tick))}"/><text class="tick" x="${left - 8}" y="${at(y(tick) + 4)}" text-anchor="end">${Number(tick.toPrecision(4))}</text>`)}
${steps.map((step) => html`<text class="tick" x="${at(x(step))}" y="${height - bottom + 18}" text-anchor="middle">${step}</text>`)}
<text class="axis-name" x="${at((left + width - right) / 2)}" y="${height - 6}" text-anchor="middle">optimizer step</text>
<text class="axis-name" transform="translate(13 ${at((top + height - bottom) / 2)}) rotate(-90)" text-anchor="middle">nats per patch</text>
<path class="gap" d="${path((i) => means.loss[i]!)}${back}Z"/>
<path class="raw" d="${path((i) => points[i]!.loss)}"/>
<path class="floor" d="${path((i) => means.floor[i]!)}"/>
<path class="mean" d="${path((i) => means.loss[i]!)}"/>
${layout === "wide"
    ? html`<text class="label accent" x="${width - right + 8}" y="${at(yLoss + 4)}">loss ${formatFixed(endLoss, 2)}</text><text class="label quiet" x="${width - right + 8}" y="${at(yFloor + 4)}">floor ${formatFixed(endFloor, 2)}</text>`
    : html`<text class="label accent" x="${left}" y="18">loss ${formatFixed(endLoss, 2)}</text><text class="label quiet" x="${left + 96}" y="18">– – floor ${formatFixed(endFloor, 2)}</text>`}
</svg>`;
}

export interface IntervalRow {
  readonly name: string;
  /** What it is, in a few words. */
  readonly note: string;
  readonly estimate: Estimate;
  readonly kind: "own" | "other";
}

export interface IntervalChart {
  readonly id: string;
  readonly title: string;
  readonly axis: string;
  readonly low: number;
  readonly high: number;
  /** A dashed line, such as chance or no difference, and what it means. */
  readonly mark: number;
  readonly markName: string;
  readonly signed?: boolean;
}

const DOTS = {
  wide: { width: 760, left: 206, right: 182, top: 30, bottom: 46, row: 46, line: 23 },
  narrow: { width: 360, left: 14, right: 14, top: 30, bottom: 46, row: 66, line: 50 },
} as const;

/** A row each with its dot, its 95 % interval and the numbers. */
export function drawIntervals(rows: readonly IntervalRow[], chart: IntervalChart, layout: Layout): Markup {
  const { width, left, right, top, bottom, row, line } = DOTS[layout];
  const height = top + rows.length * row + bottom;
  const x = (value: number): number => left + ((width - left - right) * (Math.min(chart.high, Math.max(chart.low, value)) - chart.low)) / (chart.high - chart.low);
  const number = (value: number): string => (chart.signed ? formatSigned(value, 2) : formatFixed(value, 2));
  const inWords = rows.map(({ name, estimate: { value, low, high } }) => `${name} ${number(value)} (${number(low)} to ${number(high)})`).join("; ");
  const floor = height - bottom;
  const id = `${chart.id}-${layout}`;
  const tickText = (tick: number): string => (chart.signed && tick > 0 ? "+" : "") + String(Number(tick.toPrecision(4))).replace("-", "−");
  const drawText = (name: string, note: string, y: number, value: string, range: string): Markup =>
    layout === "wide"
      ? html`<text class="row-name" x="${left - 16}" y="${at(y + 21)}" text-anchor="end">${name}</text><text class="row-note" x="${left - 16}" y="${at(y + 36)}" text-anchor="end">${note}</text><text class="value" x="${width - right + 20}" y="${at(y + line + 5)}">${value}</text><text class="range" x="${width - right + 76}" y="${at(y + line + 5)}">${range}</text>`
      : html`<text class="row-name" x="${left}" y="${at(y + 16)}">${name}</text><text class="row-note" x="${left}" y="${at(y + 32)}">${note}</text><text class="value" x="${width - right}" y="${at(y + 16)}" text-anchor="end">${value}</text><text class="range" x="${width - right}" y="${at(y + 32)}" text-anchor="end">${range}</text>`;
  return html`<svg class="chart dots" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-desc">
<title id="${id}-title">${chart.title}</title>
<desc id="${id}-desc">${inWords}</desc>
${listTicks(chart.low, chart.high, 5).map((tick) => html`<line class="grid" x1="${at(x(tick))}" x2="${at(x(tick))}" y1="${top}" y2="${floor}"/><text class="tick" x="${at(x(tick))}" y="${floor + 18}" text-anchor="middle">${tickText(tick)}</text>`)}
<text class="axis-name" x="${at((left + width - right) / 2)}" y="${height - 6}" text-anchor="middle">${chart.axis}</text>
<line class="mark" x1="${at(x(chart.mark))}" x2="${at(x(chart.mark))}" y1="${top - 6}" y2="${floor}"/>
<text class="tick" x="${at(x(chart.mark))}" y="${top - 12}" text-anchor="middle">${chart.markName}</text>
${rows.map(({ name, note, estimate: { value, low, high }, kind }, i) => {
  const y = top + i * row;
  const middle = at(y + line);
  return html`<g class="row ${kind}">${drawText(name, note, y, number(value), `${number(low)} – ${number(high)}`)}
<line class="interval" x1="${at(x(low))}" x2="${at(x(high))}" y1="${middle}" y2="${middle}"/><path class="cap" d="M${at(x(low))} ${at(y + line - 5)}v10M${at(x(high))} ${at(y + line - 5)}v10"/>
${kind === "own" ? html`<circle class="dot" cx="${at(x(value))}" cy="${middle}" r="7"/>` : html`<rect class="dot" x="${at(x(value) - 5)}" y="${at(y + line - 5)}" width="10" height="10" transform="rotate(45 ${at(x(value))} ${middle})"/>`}</g>`;
})}
</svg>`;
}
