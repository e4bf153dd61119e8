// Amounts of memory as people write them: 8GiB, 512 MiB, 6.5GB.

const UNITS: Readonly<Record<string, number>> = { b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 };

/** What is wrong with an amount, or undefined. A number counts bytes. */
export function checkMemorySize(value: unknown): string | undefined {
  return parseMemorySize(value) === undefined ? "expected an amount with its unit, such as 8GiB, 512MiB or 6.5GB" : undefined;
}

/** Bytes of `8GiB` (2³⁰), `8GB` (10⁹), or of a number; units in any case, whole bytes. Undefined for what is no amount above 0. */
export function parseMemorySize(value: unknown): number | undefined {
  const match = typeof value === "number" ? ["", String(value), "b"] : typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\s*$/i.exec(value) : null;
  const bytes = Math.floor(Number(match?.[1]) * (UNITS[match?.[2]?.toLowerCase() ?? ""] ?? NaN));
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}
