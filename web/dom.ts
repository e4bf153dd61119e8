// Small steps on the page's document: finding what index.html promises, making elements, saying what went wrong.
import { UserError } from "../src/browser.ts";

/** The element of an id, as the kind that index.html has there. */
export function find<E extends Element>(id: string, kind: abstract new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} called ${id}`);
  return found;
}

/** A new element with a class and a text. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

/** An error for people: its message and what to do. */
export function describeError(error: unknown): string {
  if (error instanceof UserError) return [error.message, ...error.notes].join(" ");
  return error instanceof Error ? error.message : String(error);
}

/** Shows a message above everything else, or takes it away. */
export function notify(text: string): void {
  const notice = find("notice", HTMLElement);
  notice.textContent = text;
  notice.hidden = text === "";
}
