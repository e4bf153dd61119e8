// The frame of every page that is written as one file: head, style, and a foot that says that nothing else belongs to it.
import { html, Markup } from "./html.ts";
import { STYLE } from "./style.ts";

export interface Page {
  readonly title: string;
  readonly version: string;
  /** ISO 8601. */
  readonly date: string;
  readonly body: Markup | readonly Markup[];
  /** Style of this kind of page, beside that of all. */
  readonly style?: string;
}

/** The whole document as text. */
export function renderPage({ title, version, date, body, style = "" }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="cytonet ${version}">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${new Markup(STYLE + style)}</style>
</head>
<body>
${body}
<footer><p>Made by cytonet ${version} on ${date.slice(0, 10)}. This file is complete: it loads nothing, runs no script and sends nothing.</p></footer>
</body>
</html>
`.text;
}
