// Cutting a grid of workgroups into pieces that a device takes: no axis too long, no piece too much work for one dispatch.

/** Seconds of predicted work that one dispatch may hold: watchdogs end what runs for some seconds. */
export const MAX_DISPATCH_SECONDS = 0.5;

type Triple = readonly [number, number, number];

/** A part of a grid. */
export interface Piece {
  readonly origin: Triple;
  readonly size: Triple;
  /** Predicted seconds. */
  readonly seconds: number;
}

/** Halves the longest axis until every piece is within `maxAxis` workgroups an axis and `maxSeconds`; an empty grid has no piece. */
export function cutGrid(grid: Triple, seconds: number, maxAxis: number, maxSeconds = MAX_DISPATCH_SECONDS): Piece[] {
  const pieces: Piece[] = [];
  const cut = (origin: Triple, size: Triple, share: number) => {
    const longest = Math.max(...size);
    if (longest === 1 || (longest <= maxAxis && share <= maxSeconds)) {
      pieces.push({ origin, size, seconds: share });
      return;
    }
    const axis = size.indexOf(longest);
    const low = Math.ceil(longest / 2);
    const part = (length: number) => size.map((n, i) => (i === axis ? length : n)) as unknown as Triple;
    cut(origin, part(low), (share * low) / longest);
    cut(origin.map((n, i) => (i === axis ? n + low : n)) as unknown as Triple, part(longest - low), (share * (longest - low)) / longest);
  };
  if (grid.every((n) => n > 0)) cut([0, 0, 0], grid, seconds);
  return pieces;
}
