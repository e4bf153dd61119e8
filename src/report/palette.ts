// Colours of areas and parcels: distinguishable with the common forms of colour blindness, and each beside a letter or a name.

/** After Okabe and Ito, "Color universal design", 2008; sky blue first, and grey for an eighth. */
const HUES = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8c8c8c"] as const;

/** The colour of a code; codes beyond the palette begin again, and are told apart by their letters. */
export function hueOf(code: number): string {
  return code < 0 ? "none" : HUES[code % HUES.length]!;
}

/** The shortest beginnings of names that tell them apart, at most three letters. */
export function shortNames(names: readonly string[]): string[] {
  for (const length of [1, 2, 3]) {
    const short = names.map((name) => name.slice(0, length));
    if (new Set(short.map((name) => name.toLowerCase())).size === names.length) return short.map((name) => name[0]!.toUpperCase() + name.slice(1));
  }
  return names.map((_, i) => String(i + 1));
}
