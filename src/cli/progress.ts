// Progress for people on stderr: one line that is redrawn on a terminal, a plain line every ten seconds elsewhere.
import { isInteractive } from "./terminal.ts";

export interface ProgressLine {
  /** Shows a state: at most ten times a second on a terminal, every ten seconds elsewhere. */
  update(text: string): void;
  /** A line that stays. */
  note(text: string): void;
  /** Ends the progress; `text` (by default the last state) is left standing, nothing where it is "". */
  end(text?: string): void;
}

const LIVE_MS = 100;
const PLAIN_MS = 10_000;

/** Progress of one piece of work; whoever starts it ends it. */
export function createProgress(): ProgressLine {
  const live = isInteractive();
  let shown = performance.now();
  let width = 0;
  let latest = "";
  const clear = () => {
    if (width > 0) process.stderr.write(`\r${" ".repeat(width)}\r`);
    width = 0;
  };
  return {
    update(text) {
      latest = text;
      const now = performance.now();
      if (now - shown < (live ? LIVE_MS : PLAIN_MS)) return;
      shown = now;
      if (!live) {
        process.stderr.write(`${text}\n`);
        return;
      }
      const line = fitLine(text, (process.stderr.columns || 80) - 1); // some terminals say 0
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

/** A line that does not wrap, so that the next can overwrite it: parts, with two spaces between them, go from the end. */
export function fitLine(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = text.lastIndexOf("  ", width);
  return end > 0 ? text.slice(0, end) : text.slice(0, width);
}

/** `93` → `1 min 33 s`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
