// Colours of areas and parcels: distinguishable with the common forms of colour blindness, and each beside a letter or a name.

/** After Okabe and Ito, "Color universal design", 2008; sky blue first, and grey for an eighth. */
const HUES = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8c8c8c"] as const;

/** The colour of a code as `#rrggbb`; codes beyond the palette begin again, and are told apart by their letters. */
export function hueOf(code: number): string {
  return code < 0 ? "none" : HUES[code % HUES.length]!;
}

/** The ink, near black or white, that is read more easily on a code's colour: by relative luminance, as WCAG 2 defines contrast. */
export function inkOn(code: number): string {
  const linear = [1, 3, 5].map((from) => Number.parseInt(hueOf(code).slice(from, from + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
  return (luminance + 0.05) ** 2 > 1.05 * 0.055 ? "#111" : "#fff";
}

/** Colours [count, 3] of codes; those of codes below 0 are not meant to be seen. */
export function colourCodes(codes: ArrayLike<number>): Uint8Array {
  const colours = new Uint8Array(3 * codes.length);
  for (let i = 0; i < codes.length; i++) if (codes[i]! >= 0) for (let c = 0; c < 3; c++) colours[3 * i + c] = Number.parseInt(hueOf(codes[i]!).slice(1 + 2 * c, 3 + 2 * c), 16);
  return colours;
}

/** The shortest beginnings of names that tell them apart, at most three letters. */
export function shortNames(names: readonly string[]): string[] {
  for (const length of [1, 2, 3]) {
    const short = names.map((name) => name.slice(0, length));
    if (new Set(short.map((name) => name.toLowerCase())).size === names.length) return short.map((name) => name[0]!.toUpperCase() + name.slice(1));
  }
  return names.map((_, i) => String(i + 1));
}
