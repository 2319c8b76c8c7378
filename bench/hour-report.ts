/** Which service plays: this one, or (b). */
export type App = 'ours' | 'afternoon';

/** What the benchmark of an hour asks of its Worker: to lay everything out, for `app`. */
export interface PrepareCommand {
  readonly app: App;
  readonly statements: readonly string[];
  /** One a caller. */
  readonly jwts: readonly string[];
  readonly seconds: number;
  readonly mutations: number;
  /** Of the moments at which tokens change, and of what changes. */
  readonly seed: number;
}

/** To play so many more seconds. */
export interface PlayCommand {
  readonly app: App;
  readonly seconds: number;
}

/** What happened so far. */
export interface HourReport {
  readonly seconds: number;
  readonly reads: number;
  /** Reads that were not answered 200, by status. */
  readonly failedReads: Readonly<Record<string, number>>;
  readonly callersWith429: number;
  /** Reads older than they may be, by the list itself or by the header `Age`. */
  readonly staleReads: number;
  /** The oldest list that a read showed. */
  readonly oldestReadMs: number;
  /** Reads that did not show what was over before they began. */
  readonly blindReads: number;
  readonly mutations: number;
  /** Those that were not answered with a success, by status. */
  readonly failedMutations: Readonly<Record<string, number>>;
  readonly pipeopsCalls: number;
  /** Of those. */
  readonly pipeops429s: number;
  readonly d1Trips: number;
}
