// What a terminal can take: whether lines may be redrawn, and colour where it is wanted.

const STYLES = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 } as const;
export type Style = keyof typeof STYLES;

/** Whether a stream may be drawn on: a terminal that is neither a build server's log nor a dumb one. */
export function isInteractive(stream: NodeJS.WriteStream = process.stderr): boolean {
  return Boolean(stream.isTTY) && !process.env["CI"] && process.env["TERM"] !== "dumb";
}

/** The text in a style, where the stream shows colour and nobody asked for none (NO_COLOR). */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stderr): string {
  return isInteractive(stream) && !process.env["NO_COLOR"] ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}
