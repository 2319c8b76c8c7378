import * as z from 'zod';

/** What became of requests, by kind, status and code. */
export interface Tally {
  add(operation: string, status: number, text: string): void;
  /** A request that got no answer at all: nothing here ends connections. */
  lost(operation: string, reason: string): void;
  /** What must not happen. */
  wrong(what: string): void;
  readonly answers: () => number;
  readonly successes: () => number;
  /** By status and code, most frequent first. */
  readonly counts: () => readonly string[];
  readonly violations: () => readonly string[];
}

const Failure = z.object({ code: z.string() });
/** Of violations that are alike, the first ones say enough. */
const VIOLATIONS_MAX_COUNT = 20;

export function createTally(): Tally {
  const counts = new Map<string, number>();
  const wrongs: string[] = [];
  let answers = 0;
  let successes = 0;
  const wrong = (what: string): void => {
    if (wrongs.length < VIOLATIONS_MAX_COUNT) wrongs.push(what);
  };
  return {
    add: (operation, status, text) => {
      answers += 1;
      if (status < 300) successes += 1;
      const code = status < 300 ? '' : codeIn(text);
      if (code === null || code === 'internal_error') wrong(`${operation} answered ${status}: ${text.slice(0, 200)}`);
      const name = `${status}${code === '' ? '' : ` ${code}`}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    },
    lost: (operation, reason) => wrong(`${operation} got no answer: ${reason}`),
    wrong,
    answers: () => answers,
    successes: () => successes,
    counts: () =>
      [...counts].toSorted(([, a], [, b]) => b - a).map(([name, count]) => `${String(count).padStart(7)} ${name}`),
    violations: () => wrongs,
  };
}

/** Null: the answer is no failure as this service words them. */
function codeIn(text: string): string | null {
  try {
    return Failure.parse(JSON.parse(text)).code;
  } catch {
    return null;
  }
}
