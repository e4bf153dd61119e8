// Progress for people on stderr: one line that is rewritten on a terminal, a plain line every ten seconds elsewhere.

export interface ProgressLine {
  /** Shows a state; shown at most ten times a second on a terminal, every ten seconds elsewhere. */
  update(text: string): void;
  /** A line that stays. */
  note(text: string): void;
  /** Ends the line; the last state is left standing. */
  end(text?: string): void;
}

const PLAIN_SECONDS = 10;

/** Whether stderr may be drawn on. */
export function isInteractive(): boolean {
  return Boolean(process.stderr.isTTY) && process.env["CI"] === undefined && process.env["TERM"] !== "dumb";
}

export function createProgress(): ProgressLine {
  const live = isInteractive();
  let shown = 0;
  let width = 0;
  let latest = "";
  const clear = () => {
    if (live && width > 0) process.stderr.write(`\r${" ".repeat(width)}\r`);
    width = 0;
  };
  const started = performance.now();
  shown = started;
  return {
    update(text) {
      latest = text;
      const now = performance.now();
      if (now - shown < (live ? 100 : PLAIN_SECONDS * 1000)) return;
      shown = now;
      if (!live) {
        process.stderr.write(`${text}\n`);
        return;
      }
      const line = text.slice(0, (process.stderr.columns ?? 80) - 1);
      process.stderr.write(`\r${line.padEnd(width)}`);
      width = line.length;
    },
    note(text) {
      clear();
      process.stderr.write(`${text}\n`);
    },
    end(text = latest) {
      clear();
      if (text !== "") process.stderr.write(`${text}\n`);
      latest = "";
    },
  };
}

/** `93` → `1 min 33 s`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
