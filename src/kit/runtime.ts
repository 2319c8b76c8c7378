/**
 * Everything that differs between one run and the next. It enters at the composition root and nowhere else, so a test
 * that injects another clock, another network or shorter deadlines runs the code that ships.
 */
export interface Runtime {
  /** Milliseconds since the epoch. */
  now(): number;
  /** A new random id (a UUID): event ids and request ids. */
  newId(): string;
  /** Cryptographically random bytes, for markers. */
  randomBytes(length: number): Uint8Array;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** A signal that aborts after `ms` milliseconds. */
  timeout(ms: number): AbortSignal;
  /** Ends the timer of a signal of `timeout` that nobody waits for any more. It would otherwise keep its memory until its time. */
  cancel(signal: AbortSignal): void;
  /** Calls back after `ms` milliseconds, unless the function that it returns is called first. It is cheaper than a signal. */
  after(ms: number, call: () => void): () => void;
  sleep(ms: number): Promise<void>;
  /** Keeps the isolate alive until `work` is done, even if the caller hangs up before that. */
  background(work: Promise<unknown>): void;
  /** Writes one structured line. */
  log(line: Readonly<Record<string, unknown>>): void;
}
