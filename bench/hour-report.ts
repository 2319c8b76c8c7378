/** Which service plays: this one, in an hour of so many workspaces, or (b). */
export type App = 'afternoon' | `ours-${number}`;

/** What the benchmark of an hour asks of its Worker: to lay everything out, for `app`. */
export interface PrepareCommand {
  readonly app: App;
  readonly statements: readonly string[];
  /** One a caller. */
  readonly jwts: readonly string[];
  /** Each is read by all callers, or by as many of them in turns. */
  readonly workspaces: readonly string[];
  /** How many callers read at once, and after how many seconds again. */
  readonly readers: number;
  readonly everySeconds: number;
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
  /** Reads of workspaces that had been read once, and that were not answered 200, by status. */
  readonly failedReads: Readonly<Record<string, number>>;
  /** Reads of workspaces that had not, and were told to wait and for how long. */
  readonly waits: number;
  /** When the last workspace was read for the first time; null: one of them never was. */
  readonly allReadSeconds: number | null;
  /** Reads older than they may be, by the list itself or by the header `Age`, and that do not say so. */
  readonly staleReads: number;
  /** Reads that say that they are older than the hour's calls ask. */
  readonly markedReads: number;
  /** The oldest list that a read showed, and the average. */
  readonly oldestReadMs: number;
  readonly averageReadMs: number;
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

/** How old a list may be, as is promised: 15 s, or what 800 calls an hour are for each of so many workspaces in use. */
export const ageMaxSeconds = (workspaces: number): number => Math.max(15, workspaces * 4.875);
