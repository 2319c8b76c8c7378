/** What the simulation of sealing asks of its Worker: to lay everything out in the database and the bucket of this name. */
export interface PrepareSealing {
  readonly name: string;
  readonly statements: readonly string[];
  readonly store: 'r2' | 'd1';
  /** Whether a witness and a URL are told of each checkpoint. */
  readonly isOutside: boolean;
  /** Events that come each minute. */
  readonly perMinute: number;
  /** What a call to R2, and to a witness or a URL, takes. */
  readonly callMs: number;
  readonly costs: D1Costs;
}

/** What D1 takes, in milliseconds. */
export interface D1Costs {
  /** Each batch, there and back. */
  readonly batchMs: number;
  readonly readMs: number;
  readonly writtenMs: number;
  /** What the Worker takes of the processor for each row that it is given. */
  readonly handledMs: number;
}

/** To lay events of the days before. */
export interface LayEvents {
  readonly name: string;
  readonly events: number;
}

/** To let a minute go by, at whose end the cron runs. */
export interface PlayMinute {
  readonly name: string;
}

/** What a run of the cron came to. */
export interface SealingRun {
  readonly sealed: number;
  readonly ms: number;
  readonly checkpoints: number;
  readonly d1Queries: number;
  readonly calls: number;
  /** The longest that D1 is busy with one batch. */
  readonly longestBatchMs: number;
  /** Lines of the log that tell of a failure. */
  readonly failures: readonly string[];
}

/** How long the facts waited for the checkpoint that covers them, and how many of those from before the last run still wait. */
export interface SealingAges {
  readonly facts: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  readonly left: number;
}
