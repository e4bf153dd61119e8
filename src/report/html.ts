// HTML as text: a template that escapes what is put into it, pictures as data URIs, and numbers as people read them.
import type { Image } from "../data/image.ts";
import { encodePng } from "../data/png.ts";

/** Text that is markup already. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Content = string | number | Markup | undefined | false | readonly Content[];

/** Markup with values put in; all but markup is escaped, lists are joined, undefined and false are nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(strings.map((part, i) => part + (i < values.length ? render(values[i]) : "")).join(""));
}

function render(content: Content): string {
  if (content === undefined || content === false) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "object") return content.map(render).join("");
  return escapeText(String(content));
}

/** Safe in text and in attributes of either quote. */
export function escapeText(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (letter) => names[letter]!);
}

/** An image as the address of a PNG. */
export function toDataUri(image: Image): string {
  const bytes = encodePng(image);
  const parts: string[] = [];
  // One call takes so many arguments only.
  for (let from = 0; from < bytes.length; from += 8192) parts.push(String.fromCharCode(...bytes.subarray(from, from + 8192)));
  return `data:image/png;base64,${btoa(parts.join(""))}`;
}

/** Fixed digits, with a true minus; "–" for what is no number. */
export function formatFixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  // What rounds to nothing has no sign.
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** `+0.12`, `−0.03`. */
export function formatSigned(value: number, digits: number): string {
  const text = formatFixed(value, digits);
  return text.startsWith("−") || text === "–" || Number(text) === 0 ? text : `+${text}`;
}

/** Thousands with thin spaces. */
export function formatWhole(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function formatPercent(share: number): string {
  return `${formatFixed(100 * share, 0)}\u202f%`;
}

/** `41 s`, `2 min 05 s`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${formatFixed(seconds, 1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** Coordinates in drawings: a tenth of a unit is enough. */
export function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}
