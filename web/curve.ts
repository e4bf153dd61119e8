// The live curve: one value a step, thin, and its running mean, thick; scales grow with the data.

const NAMESPACE = "http://www.w3.org/2000/svg";
/** A unit is a pixel where the SVG is at most this wide: letters keep their size on phones. */
const WIDEST = 720;
const HEIGHT = 260;
const MARGIN = { left: 44, right: 12, top: 14, bottom: 30 };
/** Share of the newest value in the running mean; larger at first, where there is little to average. */
const SMOOTHING = 0.12;

export interface Curve {
  /** Adds the value of the next step. */
  add(value: number): void;
}

/** Draws into an SVG, which it empties and sizes; `steps` is the length of the x axis. */
export function drawCurve(svg: SVGSVGElement, steps: number): Curve {
  svg.replaceChildren();
  const width = Math.min(WIDEST, svg.clientWidth || WIDEST);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const grid = append(svg, "g", {});
  const raw = append(svg, "path", { class: "raw" });
  const mean = append(svg, "path", { class: "mean" });
  const values: number[] = [];
  const means: number[] = [];
  let scheduled = false;

  const x = (index: number) => MARGIN.left + ((width - MARGIN.left - MARGIN.right) * index) / Math.max(1, steps - 1);
  const draw = () => {
    scheduled = false;
    const top = niceAbove(Math.max(...values, 1e-6));
    const y = (value: number) => HEIGHT - MARGIN.bottom - ((HEIGHT - MARGIN.top - MARGIN.bottom) * value) / top;
    const path = (points: readonly number[]) => points.map((value, i) => `${i === 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(Math.max(0, value)).toFixed(1)}`).join("");
    raw.setAttribute("d", path(values));
    mean.setAttribute("d", path(means));
    grid.replaceChildren();
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const at = y(part * top).toFixed(1);
      append(grid, "line", { class: "axis", x1: `${MARGIN.left}`, x2: `${width - MARGIN.right}`, y1: at, y2: at });
      append(grid, "text", { x: `${MARGIN.left - 6}`, y: `${Number(at) + 4}`, "text-anchor": "end" }).textContent = String(Number((part * top).toPrecision(3)));
    }
    for (const step of new Set([1, Math.round(steps / 2), steps]))
      append(grid, "text", { x: x(step - 1).toFixed(1), y: `${HEIGHT - 8}`, "text-anchor": step === 1 ? "start" : step === steps ? "end" : "middle" }).textContent = step === 1 ? "step 1" : String(step);
  };

  return {
    add(value) {
      const before = means.at(-1) ?? value;
      values.push(value);
      means.push(before + Math.max(SMOOTHING, 1 / values.length) * (value - before));
      if (scheduled) return;
      scheduled = true;
      requestAnimationFrame(draw);
    },
  };
}

/** The smallest of 1, 2, 4, 6, 8 times a power of ten that is not below the value: its quarters are short numbers. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

function append(parent: SVGElement, tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}
