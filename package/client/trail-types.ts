import type { ActorType, AuditAction, AuditStatus, ErrorCode, LogStop, ResumedBecause } from './vocabulary.ts';

// The trail: its events, how many there are, and the logs that seal them. As in `types.ts`, field by field as it is on the wire.

/** Who acted. */
export interface Actor {
  readonly type: ActorType;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** An event of the trail. */
export interface AuditEvent {
  readonly id: string;
  /** Its place in the trail. There are no gaps. */
  readonly seq: number;
  readonly occurred_at: string;
  /** When its outcome was recorded. Null while it is `attempted`. */
  readonly settled_at: string | null;
  readonly action: AuditAction;
  readonly status: AuditStatus;
  /** How many alike there were within its minute. */
  readonly count: number;
  /** When the last of these was. */
  readonly last_at: string;
  readonly actor: Actor;
  readonly workspace_uuid: string | null;
  readonly token_id: string | null;
  readonly token_name: string | null;
  readonly request_id: string | null;
  readonly ip: string | null;
  readonly user_agent: string | null;
  /** The status of PipeOps' answer. Null: PipeOps was not asked, or did not answer. */
  readonly upstream_status: number | null;
  /** Why it is a failure. */
  readonly error_code: ErrorCode | null;
  /** What was asked for, and what the outcome adds to it. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** How many events have one key. */
export interface AuditCount {
  /** Of `actor` it is what the filter `actor` takes; of `day` it is `YYYY-MM-DD` in UTC, and of `hour` the time at which it begins. */
  readonly key: string;
  readonly count: number;
  /** The label of an actor. */
  readonly label?: string | undefined;
}

export interface AuditCounts {
  readonly counts: readonly AuditCount[];
  /** Whether older events that match were not reached. The counts are then of the newest ones. */
  readonly partial: boolean;
}

/** A transparency log over the trail. */
export interface TrailLog {
  readonly number: number;
  /** The name of the log, which its checkpoints begin with. */
  readonly origin: string;
  /** How many entries its last published checkpoint covers. */
  readonly size: number;
  readonly published_at: string | null;
  readonly begun_at: string;
  /** Why it does not grow any more. Null: it grows. */
  readonly stopped: LogStop | null;
  readonly stopped_at: string | null;
  /** The key that checks its last checkpoint. Null: the service does not have it any more. */
  readonly verifier_key: string | null;
}

/** The logs over the trail. */
export interface TrailLogs {
  /** The first log first. */
  readonly logs: readonly TrailLog[];
  /** The number of the log that grows, or grew last. Null: nothing was sealed yet. */
  readonly current: number | null;
  /** Who is asked to cosign checkpoints. */
  readonly witnesses: readonly { readonly url: string; readonly key: string }[];
  /** What no published checkpoint covers. */
  readonly unsealed: { readonly events: number; readonly oldest_at: string | null };
}

/** A log of the trail that has begun in the place of one that could not go on. */
export interface ResumedLog {
  readonly number: number;
  /** Its name, and the name of its key. */
  readonly origin: string;
  readonly begun_at: string;
  readonly because: ResumedBecause;
  readonly previous: {
    readonly number: number;
    readonly origin: string;
    /** How many of its leaves count. */
    readonly size: number;
    /** The signed checkpoint of that size; null: it had none. */
    readonly checkpoint: string | null;
    /** The largest checkpoint that was signed and that the database does not know of; null: none is known. */
    readonly known: string | null;
  };
  /** Events with a higher `seq` are sealed anew. */
  readonly kept_seq: number;
  /** The numbers that no event has, both included; null: none are left out. */
  readonly gap: { readonly from: number; readonly to: number } | null;
  readonly event_id: string;
}
