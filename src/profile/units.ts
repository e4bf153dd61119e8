// Numbers of a profile as people read them.

/** `18.0 TFLOP/s`, `3.21 GB/s`. */
export function formatRate(value: number, unit: string): string {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const)
    if (value >= factor) return `${(value / factor).toFixed(value >= 100 * factor ? 0 : value >= 10 * factor ? 1 : 2)} ${prefix}${unit}`;
  return `${value.toFixed(value >= 10 || value === 0 ? 0 : 2)} ${unit}`;
}

/** Milliseconds as `12.3 ms` or `45.6 µs`. */
export function formatTime(milliseconds: number): string {
  return milliseconds >= 1 ? `${milliseconds.toFixed(milliseconds >= 100 ? 0 : 2)} ms` : `${(1e3 * milliseconds).toFixed(1)} µs`;
}
