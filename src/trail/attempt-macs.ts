import type { AuditEventRow } from '../db/schema.ts';
import { createMac } from '../kit/mac.ts';

// An open attempt gives power: reconciliation reads back what it names and revokes the token that carries its marker. So an attempt of a
// caller has a MAC of what it recorded, and reconciliation acts on none without.

/** What the MAC covers. D1 fills in the name of a token that is rotated, and the id of one that is created: neither is in it. */
export type RecordedAttempt = Pick<
  AuditEventRow,
  | 'id'
  | 'occurred_at'
  | 'action'
  | 'actor_type'
  | 'actor_issuer'
  | 'actor_subject'
  | 'actor_label'
  | 'workspace_uuid'
  | 'token_id'
  | 'request_id'
  | 'ip'
  | 'user_agent'
  | 'detail'
  | 'marker'
>;

export interface AttemptMacs {
  /** The `recorded_mac` of an attempt; null where there is no secret. */
  of(row: RecordedAttempt): string | null;
  /** Whether an attempt may be acted on. */
  isAuthentic(row: RecordedAttempt & Pick<AuditEventRow, 'recorded_mac'>): boolean;
  /** Whether a row of any kind may be sealed as it is: one that carries no MAC claims nothing. */
  isUntouched(row: RecordedAttempt & Pick<AuditEventRow, 'recorded_mac'>): boolean;
}

/** What attempts are authenticated with. */
interface MacTerms {
  /** Null: nothing is authenticated, and every attempt counts. */
  readonly secret: Uint8Array | null;
  /** Until when an attempt without a MAC counts, which is one from before the secret; null: it never does. */
  readonly adoptUntilMs: number | null;
  readonly now: () => number;
}

export function createAttemptMacs({ secret, adoptUntilMs, now }: MacTerms): AttemptMacs {
  const mac = secret === null ? null : createMac(secret, 'attempt/v1');
  const of: AttemptMacs['of'] = (row) =>
    mac === null
      ? null
      : mac(
          row.id,
          row.occurred_at,
          row.action,
          row.actor_type,
          row.actor_issuer,
          row.actor_subject,
          row.actor_label,
          row.workspace_uuid,
          row.action === 'service_account_token.create' ? null : row.token_id,
          row.request_id,
          row.ip,
          row.user_agent,
          row.detail,
          row.marker,
        );
  const isUntouched: AttemptMacs['isUntouched'] = (row) =>
    mac === null || row.recorded_mac === null || row.recorded_mac === of(row);
  return {
    of,
    isUntouched,
    isAuthentic: (row) =>
      mac === null || (row.recorded_mac === null ? adoptUntilMs !== null && now() < adoptUntilMs : isUntouched(row)),
  };
}
