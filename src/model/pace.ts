// How fast work goes now: over its latest seconds, and never counting the first piece, in which pipelines are compiled.

/** Time over which a pace is taken, ms: long enough to be steady, short enough to follow a change. */
const WINDOW_MS = 10_000;

export interface Pace {
  /** Notes that `done` pieces are done at `now`, ms. `waited` is how much of all time so far went into waiting, ms. */
  note(done: number, now: number, waited?: number): void;
  /** Pieces per second; NaN until two notes were made. */
  rate(): number;
  /** Share of the time that was waited; 0 until two notes were made. */
  waiting(): number;
}

/** The pace over the latest ten seconds, or over the latest piece where it took longer. Time before the first note is left out. */
export function createPace(): Pace {
  const notes: { readonly done: number; readonly now: number; readonly waited: number }[] = [];
  const between = () => {
    const [first, last] = [notes[0], notes.at(-1)];
    return first === undefined || last === undefined || last.now <= first.now ? undefined : { done: last.done - first.done, ms: last.now - first.now, waited: last.waited - first.waited };
  };
  return {
    note(done, now, waited = 0) {
      notes.push({ done, now, waited });
      while (notes.length > 2 && now - notes[1]!.now >= WINDOW_MS) notes.shift();
    },
    rate() {
      const span = between();
      return span === undefined ? Number.NaN : (1000 * span.done) / span.ms;
    },
    waiting() {
      const span = between();
      return span === undefined ? 0 : span.waited / span.ms;
    },
  };
}
