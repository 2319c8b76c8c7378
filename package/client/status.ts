import type {
  CredentialLoss,
  DegradedReason,
  ErrorCode,
  LogStop,
  NotReadyReason,
  UpstreamTrouble,
} from './vocabulary.ts';

// How the service is, field by field as `/api/v1/status` says it. docs/operate.md says what each means, and what to do.

/** What keeps the service from its work, or works and needs somebody to look into it. Which facts it has depends on its reason. */
export interface Trouble<Reason extends string> {
  readonly reason: Reason;
  /** Since when, as far as is known. */
  readonly since: string | null;
  readonly what_to_do: string;
  readonly [fact: string]: unknown;
}

/** How the service is. A newer service may say more. */
export interface Status {
  readonly ready: boolean;
  readonly not_ready: readonly Trouble<NotReadyReason>[];
  readonly degraded: readonly Trouble<DegradedReason>[];
  readonly policy: { readonly version: string };
  readonly open_attempts: { readonly count: number; readonly oldest_at: string | null };
  readonly orders: {
    readonly open: number;
    readonly acknowledged: number;
    readonly failed: number;
    readonly contradicted: number;
    readonly oldest_at: string | null;
    /** When the next token that a rotation has replaced is to be revoked. */
    readonly next_scheduled_at: string | null;
  };
  /** Deliveries that were rightly signed and refused within a day. */
  readonly webhooks: { readonly refused_24h: number };
  readonly fingerprint_keys: {
    readonly current: string | null;
    /** Keys that live tokens need and that are not configured. */
    readonly missing: readonly string[];
  };
  /** The workspaces, by what their last lists were good for. */
  readonly lists: {
    readonly complete: CountedLists;
    readonly partial: ExplainedLists;
    readonly unproven: ExplainedLists;
    readonly unavailable: ExplainedLists;
  };
  /** Owners who hold more than four fifths of the tokens that their roles allow, the largest first. `more`: there may be others. */
  readonly token_limits: {
    readonly above_four_fifths: readonly {
      readonly issuer: string;
      readonly subject: string;
      readonly live: number;
      readonly limit: number;
    }[];
    readonly more: boolean;
  };
  readonly upstream: {
    readonly last_success_at: string | null;
    readonly last_failure: {
      readonly at: string | null;
      readonly reason: UpstreamTrouble;
      readonly error_code: ErrorCode | null;
      readonly upstream_status: number | null;
      readonly goes_on: boolean;
    } | null;
  };
  /** Live tokens that expire soon. `more`: only the first 10,000 were counted. A service that is older than the inventory does not say. */
  readonly expiring?:
    | {
        readonly within_1_day: number;
        readonly within_7_days: number;
        readonly within_30_days: number;
        readonly more: boolean;
      }
    | undefined;
  /** What is known of the use of tokens, as of each workspace's last nightly look. */
  readonly usage?:
    | {
        readonly workspaces: number;
        /** Where PipeOps was not seen to fill in times of use for a week. */
        readonly unknown: {
          readonly workspaces: number;
          readonly workspace_uuids: readonly string[];
          readonly what_to_do: string | null;
        };
        readonly unused: number;
        readonly never_used: number;
      }
    | undefined;
  readonly quota: {
    readonly wait_until: string | null;
    readonly minute: QuotaWindow;
    readonly hour: QuotaWindow;
  };
  /** The admin credentials, in the order in which they are tried. */
  readonly credentials: readonly {
    /** The setting that holds it. */
    readonly name: string;
    /** Whether PipeOps accepted it last. */
    readonly in_use: boolean;
    /** Null: it does not say. */
    readonly expires_at: string | null;
    readonly last_accepted_at: string | null;
    readonly last_refused_at: string | null;
  }[];
  /** How the admin credential renews itself. Null: it does not. */
  readonly credential_renewal: {
    readonly renewals: number;
    readonly renewed_at: string | null;
    readonly due_at: string | null;
    readonly last_tried_at: string | null;
    readonly last_error: ErrorCode | null;
    readonly lost: {
      readonly because: CredentialLoss | 'unreadable';
      readonly since: string | null;
      readonly event_id: string | null;
    } | null;
  } | null;
  /** How far the trail is sealed. Null: it is not sealed. A service that is older than the log does not say. */
  readonly trail_log?:
    | {
        /** Null: nothing was sealed yet. */
        readonly number: number | null;
        readonly size: number;
        /** How many entries the last published checkpoint covers. */
        readonly published_size: number;
        readonly published_at: string | null;
        readonly stopped: LogStop | null;
        readonly unsealed_events: number;
        readonly oldest_unsealed_at: string | null;
        /** When each has cosigned the last published checkpoint. */
        readonly witnesses: readonly { readonly name: string; readonly cosigned_at: string | null }[];
      }
    | null
    | undefined;
  /** Null: D1 has not said. */
  readonly d1_bytes: number | null;
  /** The size at which D1 takes no more rows. */
  readonly d1_max_bytes: number;
  readonly d1_nearly_full: boolean;
  readonly [fact: string]: unknown;
}

/** How many workspaces have a list of one state. */
export interface CountedLists {
  readonly workspaces: number;
  /** Creates whose outcome is unknown and that wait for a list of these workspaces. */
  readonly open_creates: number;
}

/** The same of a state that somebody may have to look into. */
export interface ExplainedLists extends CountedLists {
  readonly since: string | null;
  /** The first ten. */
  readonly workspace_uuids: readonly string[];
  readonly what_to_do: string | null;
}

export interface QuotaWindow {
  /** How many calls PipeOps allows. */
  readonly limit: number;
  /** How many this service has reserved. */
  readonly reserved: number;
  /** What PipeOps says is left. Null: it has told nothing. */
  readonly remaining: number | null;
  readonly resets_at: string | null;
}
