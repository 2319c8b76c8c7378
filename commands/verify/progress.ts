const BAR_CELLS = 24;
const EVERY_MS = 100;

/** Shows on a terminal how far a run is. Anywhere else it shows nothing. */
export function progressBar(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>, nowMs: () => number) {
  let shownAtMs = -Infinity;
  let isShown = false;
  return {
    show: (what: string, done: number, of: number | null): void => {
      if (!stream.isTTY || (nowMs() - shownAtMs < EVERY_MS && done !== of)) return;
      shownAtMs = nowMs();
      isShown = true;
      stream.write(`\r\u001b[K${barLine(what, done, of)}`);
    },
    end: (): void => {
      if (isShown) stream.write('\r\u001b[K');
    },
  };
}

/** A line such as `[######··················]  25 % of 1,024 entries`. */
export function barLine(what: string, done: number, of: number | null): string {
  const number = (count: number): string => count.toLocaleString('en-US');
  if (of === null || of === 0) return `${number(done)} ${what}`;
  const cells = Math.round((BAR_CELLS * done) / of);
  const percent = String(Math.floor((100 * done) / of)).padStart(3);
  return `[${'#'.repeat(cells)}${'·'.repeat(BAR_CELLS - cells)}] ${percent} % of ${number(of)} ${what}`;
}
