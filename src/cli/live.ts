// The view of a run on a terminal: its curves and numbers in a few lines that are redrawn in place.
import { formatBytes } from "../engine/errors.ts";
import type { Progress } from "../model/trainer.ts";
import { fitLine, formatSeconds, type ProgressLine } from "./progress.ts";

const BARS = "▁▂▃▄▅▆▇█";
/** Points of a curve. */
export const CURVE_WIDTH = 40;
const REDRAW_MS = 100;

/** A series of any length in at most so many points, each the mean of equally many values; what is not finite is left out. */
export interface Curve {
  add(value: number): void;
  points(): number[];
}

export function createCurve(most: number = CURVE_WIDTH): Curve {
  let points: { sum: number; count: number; seen: number }[] = [];
  let each = 1;
  return {
    add(value) {
      let last = points.at(-1);
      if (last === undefined || last.seen === each) {
        if (points.length === most) {
          // Full: pairs become one.
          points = Array.from({ length: Math.ceil(most / 2) }, (_, i) => {
            const [a, b] = [points[2 * i]!, points[2 * i + 1]];
            return b ? { sum: a.sum + b.sum, count: a.count + b.count, seen: a.seen + b.seen } : a;
          });
          each *= 2;
        }
        last = points.at(-1);
        if (last === undefined || last.seen === each) points.push((last = { sum: 0, count: 0, seen: 0 }));
      }
      last.seen++;
      if (Number.isFinite(value)) {
        last.sum += value;
        last.count++;
      }
    },
    points: () => points.map(({ sum, count }) => (count === 0 ? Number.NaN : sum / count)),
  };
}

/** A curve as one line of bars from its least to its largest value; a space where there is none. */
export function drawCurve(points: readonly number[]): string {
  const finite = points.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return points.map((value) => (Number.isFinite(value) ? BARS[high > low ? Math.round(((value - low) / (high - low)) * (BARS.length - 1)) : 0]! : " ")).join("");
}

export interface LiveCurves {
  readonly divergence: Curve;
  readonly gradientNorm: Curve;
  readonly learningRate: Curve;
}

/** The lines of the view, none wider than `width`: what is left of the run, then loss above its floor, gradient norm and learning rate with their curves, then the rest. */
export function renderLive({ step, steps, metrics, rate, eta, waiting, memory, skipped, rewinds }: Progress, curves: LiveCurves, width: number): string[] {
  const bar = 24;
  const full = Math.round((bar * step) / steps);
  const row = (name: string, value: string, curve: Curve) => `${name.padEnd(14)} ${value.padEnd(10)} ${drawCurve(curve.points())}`;
  const counted = (count: number, what: string) => (count > 0 ? [`${count} ${what}`] : []);
  return [
    [`step ${step}/${steps}`, `${"█".repeat(full)}${"░".repeat(bar - full)}`, `${Math.floor((100 * step) / steps)} %`, ...(Number.isNaN(eta) ? [] : [`${formatSeconds(eta)} left`])].join("  "),
    row("loss − floor", metrics.divergence.toFixed(4), curves.divergence),
    row("gradient norm", metrics.gradientNorm.toPrecision(3), curves.gradientNorm),
    row("learning rate", metrics.learningRate.toPrecision(3), curves.learningRate),
    [...(Number.isNaN(rate) ? [] : [`${rate.toFixed(0)} patches/s`, `${(100 * waiting).toFixed(0)} % waiting`]), `${skipped} skipped`, ...counted(rewinds, rewinds === 1 ? "rewind" : "rewinds"), `loss ${metrics.loss.toFixed(4)}`, formatBytes(memory)].join("  "),
  ].map((line) => fitLine(line, width));
}

export interface LiveView extends Pick<ProgressLine, "note" | "end"> {
  update(progress: Progress): void;
}

/** Draws the view on a terminal; `write` gets what goes there. */
export function createLiveView(write: (text: string) => void, columns: () => number): LiveView {
  const curves: LiveCurves = { divergence: createCurve(), gradientNorm: createCurve(), learningRate: createCurve() };
  let drawn = 0;
  let shown = -Infinity;
  let latest: Progress | undefined;
  const erase = () => (drawn > 0 ? `\u001b[${drawn}A\r\u001b[J` : "");
  const draw = (): string => {
    if (!latest) return "";
    const lines = renderLive(latest, curves, columns() - 1);
    const text = `${erase()}${lines.map((line) => `${line}\n`).join("")}`;
    drawn = lines.length;
    return text;
  };
  return {
    update(progress) {
      latest = progress;
      curves.divergence.add(progress.metrics.divergence);
      curves.gradientNorm.add(progress.metrics.gradientNorm);
      curves.learningRate.add(progress.metrics.learningRate);
      const now = performance.now();
      if (now - shown < REDRAW_MS && progress.step < progress.steps) return;
      shown = now;
      write(draw());
    },
    note(text) {
      const head = `${erase()}${text}\n`;
      drawn = 0;
      write(`${head}${draw()}`);
    },
    end(text) {
      // The last state stays; a text, or nothing, takes its place.
      if (text !== undefined) write(`${erase()}${text === "" ? "" : `${text}\n`}`);
      else if (latest) write(draw());
      drawn = 0;
      latest = undefined;
    },
  };
}
