// The view of a run on a terminal: curves of any length in few points, 80 columns, and a screen that holds what was drawn last.
import { expect, test } from "vitest";
import { createCurve, createLiveView, CURVE_WIDTH, drawCurve, renderLive } from "../../src/cli/live.ts";
import type { Progress } from "../../src/model/trainer.ts";

const progress = (step: number, change: Partial<Progress> = {}): Progress => ({
  step,
  steps: 1000,
  metrics: { loss: 4 + 10 / step, divergence: 10 / step, anchors: 64, gradientNorm: 0.12345, learningRate: 1e-3, skipped: false },
  rate: 380.4,
  eta: 3026,
  waiting: 0.042,
  memory: 11.3 * 2 ** 20,
  skipped: 0,
  rewinds: 0,
  ...change,
});

/** What a terminal shows after some output: lines, and cursor movements up, to the line's start and clearing below. */
function screenOf(output: string): string[] {
  const lines: string[] = [""];
  let [row, column] = [0, 0];
  for (const [token, up] of [...output.matchAll(/\u001b\[(\d+)A|\u001b\[J|\r|\n|[^\u001b\r\n]+/g)].map((match) => [match[0], match[1]] as const)) {
    if (up !== undefined) row -= Number(up);
    else if (token === "\r") column = 0;
    else if (token === "\n") [row, column] = [row + 1, 0];
    else if (token === "\u001b[J") lines.splice(row, Infinity, lines[row]!.slice(0, column));
    else {
      lines[row] = (lines[row] ?? "").slice(0, column) + token + (lines[row] ?? "").slice(column + token.length);
      column += token.length;
    }
    lines[row] ??= "";
  }
  return lines;
}

test("a curve keeps all of a series in few points, as means, and leaves out what is not finite", () => {
  for (const count of [1, CURVE_WIDTH, CURVE_WIDTH + 1, 1000]) {
    const curve = createCurve();
    for (let i = 0; i < count; i++) curve.add(i);
    const points = curve.points();
    expect(points.length).toBeLessThanOrEqual(CURVE_WIDTH);
    expect(points.length).toBeGreaterThanOrEqual(Math.min(count, CURVE_WIDTH / 2));
    for (let i = 1; i < points.length; i++) expect(points[i]).toBeGreaterThan(points[i - 1]!);
    const each = 2 ** Math.max(0, Math.ceil(Math.log2(count / CURVE_WIDTH)));
    expect(points[0]).toBe((each - 1) / 2);
  }
  const holes = createCurve(4);
  for (const value of [1, Number.NaN, 3, Infinity]) holes.add(value);
  expect(holes.points()).toEqual([1, Number.NaN, 3, Number.NaN]);
});

test("bars go from the least to the largest value; one level is flat", () => {
  expect(drawCurve([0, 3.5, 7, Number.NaN, 7])).toBe("▁▅█ █");
  expect(drawCurve([2, 2])).toBe("▁▁");
  expect(drawCurve([])).toBe("");
});

test("fits 80 columns, shows every number that is asked for, and no NaN before there is a pace", () => {
  const curves = { divergence: createCurve(), gradientNorm: createCurve(), learningRate: createCurve() };
  for (let i = 1; i <= 200; i++) Object.values(curves).forEach((curve) => curve.add(10 / i));
  const lines = renderLive(progress(500, { skipped: 12, rewinds: 2 }), curves, 79);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(79);
  const text = lines.join("\n");
  for (const part of ["step 500/1000", "50 %", "50 min 26 s left", "loss − floor   0.0200", "gradient norm  0.123", "learning rate  0.00100", "380 patches/s", "4 % waiting", "12 skipped", "2 rewinds", "loss 4.0200", "11.3 MiB"]) expect(text).toContain(part);
  expect(renderLive(progress(1, { rate: Number.NaN, eta: Number.NaN }), curves, 79).join("\n")).not.toMatch(/NaN|patches\/s|left/);
  for (const line of renderLive(progress(500), curves, 30)) expect(line.length).toBeLessThanOrEqual(30);
});

test("is redrawn in place, below what is noted, and leaves the last state or nothing", () => {
  for (const [end, left] of [[undefined, 5], ["", 0]] as const) {
    let output = "";
    const view = createLiveView((text) => (output += text), () => 80);
    view.note("before anything is drawn");
    view.update(progress(1));
    view.note("a note");
    view.update(progress(1000));
    view.note("another");
    view.end(end);
    const screen = screenOf(output).filter((line) => line !== "");
    expect(screen.slice(0, 3)).toEqual(["before anything is drawn", "a note", "another"]);
    expect(screen.length).toBe(3 + left);
    if (left > 0) expect(screen[3]).toMatch(/^step 1000\/1000 {2}█{24} {2}100 %/);
  }
});
