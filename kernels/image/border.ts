// The image beyond its edges, for references: the twin of lib/border.wgsl.

/** Index of the pixel that stands for i: mirrored at the edges, edge pixels twice (… 1 0 | 0 1 2 …), as often as needed. */
export function mirrored(i: number, size: number): number {
  const at = ((i % (2 * size)) + 2 * size) % (2 * size);
  return at < size ? at : 2 * size - 1 - at;
}
