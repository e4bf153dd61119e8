// A dataset's files with everything of one brain spoilt: pixels, positions, labels, values, pixel size and space are others, and samples are missing.
import { decodeImage } from "../../src/data/decode.ts";
import { encodePng } from "../../src/data/png.ts";
import type { Files } from "../../src/files.ts";

/** Reads through `files`; what belongs to sections whose names begin with `prefix` comes out spoilt. */
export function spoilBrain(files: Files, prefix: string): Files {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return {
    ...files,
    async read(path) {
      const bytes = await files.read(path);
      const name = path.split("/").at(-1)!;
      if (name.startsWith(prefix) && name.endsWith(".png")) return spoilImage(bytes, path);
      if (name === "samples.csv") return new TextEncoder().encode(spoilTable(text(bytes), prefix));
      return name === "dataset.json" ? new TextEncoder().encode(spoilManifest(text(bytes), prefix)) : bytes;
    },
  };
}

function spoilImage(bytes: Uint8Array, path: string): Uint8Array {
  const { width, height } = decodeImage(bytes, path);
  return encodePng({ width, height, channels: 1, data: Uint8Array.from({ length: width * height }, (_, i) => (i * 97 + (i >> 7) * 31) % 256) });
}

/** Every third sample of the brain is missing; the others have places and positions elsewhere, labels of others, and other values. */
function spoilTable(table: string, prefix: string): string {
  const lines = table.trimEnd().split("\n").map((line) => line.trimEnd().split(","));
  const names = lines[0]!;
  const own = lines.filter(([section]) => section!.startsWith(prefix));
  const changed = own.map((row, k) =>
    row.map((cell, c) => {
      if (names[c] === "section") return cell;
      if (/_um$/.test(names[c]!) && /^[xy]/.test(names[c]!)) return String(Number(cell) / 2 + 10);
      return /^[xyz]_mm$/.test(names[c]!) ? String(1.7 * Number(cell) + 90) : own[(k * 7 + 3) % own.length]![c]!;
    }),
  );
  let k = 0;
  const kept = lines.flatMap((row) => {
    if (!row[0]!.startsWith(prefix)) return [row];
    const next = changed[k]!;
    return k++ % 3 === 0 ? [] : [next];
  });
  return `${kept.map((row) => row.join(",")).join("\n")}\n`;
}

function spoilManifest(manifest: string, prefix: string): string {
  const parsed = JSON.parse(manifest) as { sections: { id: string; pixelSizeUm: number; space: string }[] };
  const sections = parsed.sections.map((section) => (section.id.startsWith(prefix) ? { ...section, pixelSizeUm: 1.25 * section.pixelSizeUm, space: "elsewhere" } : section));
  return JSON.stringify({ ...parsed, sections });
}
