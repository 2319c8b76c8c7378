import type { AuditEventRow } from '../db/schema.ts';
import type { Mac } from '../kit/mac.ts';

// The MACs of the trail. An attempt has two: of what was recorded before PipeOps was asked, and of how it was settled. A row that is final
// from the start has one, over the whole of it. What each is made over begins with its kind, so that none can stand for another: an attempt
// gives power, since reconciliation reads back what it names and revokes the token that carries its marker.

/** What the MAC of an attempt covers. D1 fills in the name of a token that is rotated, and the id of one that is created: neither is in it. */
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

/** What the MAC of a settlement covers. */
export type RecordedSettlement = Pick<
  AuditEventRow,
  'id' | 'status' | 'settled_at' | 'token_id' | 'upstream_status' | 'error_code'
> & {
  /** Null: D1 alone knows it when the row is settled. */
  readonly outcome: string | null;
};

/** What the MAC of a final row covers. D1 gives its `seq`, and how often it is counted is not known yet. */
export type RecordedRow = RecordedAttempt & RecordedSettlement & Pick<AuditEventRow, 'token_name' | 'read_key'>;

/** What a row that nobody has inserted yet gets as its `recorded_mac`; null: there is no secret. */
export const recordedMac = (mac: Mac | null, row: RecordedRow): string | null =>
  mac === null ? null : row.status === 'attempted' ? attemptMac(mac, row) : finalMac(mac, row);

/** What a row that is settled gets as its `settled_mac`; null: there is no secret. */
export const settledMac = (mac: Mac | null, settlement: RecordedSettlement): string | null =>
  mac === null ? null : settlementMac(mac, settlement);

const attemptMac = (mac: Mac, row: RecordedAttempt): string =>
  mac('attempt', ...recorded(row, row.action === 'service_account_token.create' ? null : row.token_id));

const finalMac = (mac: Mac, row: RecordedRow): string =>
  mac('final', ...recorded(row, row.token_id), row.token_name, row.read_key, ...settled(row));

const settlementMac = (mac: Mac, row: RecordedSettlement): string =>
  mac(row.outcome === null ? 'settlement without outcome' : 'settlement', row.id, row.token_id, ...settled(row));

const recorded = (row: RecordedAttempt, tokenId: string | null) => [
  row.id,
  row.occurred_at,
  row.action,
  row.actor_type,
  row.actor_issuer,
  row.actor_subject,
  row.actor_label,
  row.workspace_uuid,
  tokenId,
  row.request_id,
  row.ip,
  row.user_agent,
  row.detail,
  row.marker,
];

const settled = (row: RecordedSettlement) => [
  row.status,
  row.settled_at,
  row.upstream_status,
  row.error_code,
  row.outcome,
];

export interface RowMacs {
  /** Whether an attempt may be acted on. */
  isAuthentic(row: RecordedAttempt & Pick<AuditEventRow, 'recorded_mac'>): boolean;
  /**
   * Whether a row of any kind may be sealed as it is. A row without any MAC claims nothing, since D1 makes some rows from other tables. An
   * attempt that was recorded with a MAC is settled with one.
   */
  isUntouched(row: AuditEventRow): boolean;
}

/** What rows are authenticated with. */
interface RowMacTerms {
  /** Null: nothing is authenticated, and every row counts. */
  readonly mac: Mac | null;
  /** Until when an attempt without a MAC may be acted on, which is one from before the secret; null: it never may. */
  readonly adoptUntilMs: number | null;
  readonly now: () => number;
}

export function createRowMacs({ mac, adoptUntilMs, now }: RowMacTerms): RowMacs {
  return {
    isAuthentic: (row) =>
      mac === null ||
      (row.recorded_mac === null
        ? adoptUntilMs !== null && now() < adoptUntilMs
        : row.recorded_mac === attemptMac(mac, row)),
    isUntouched: (row) => {
      if (mac === null) return true;
      if (row.recorded_mac === null) return row.settled_mac === null || isSettledAsWritten(mac, row);
      if (row.recorded_mac !== attemptMac(mac, row))
        return row.settled_mac === null && row.status !== 'attempted' && row.recorded_mac === finalMac(mac, row);
      return row.status === 'attempted' ? row.settled_mac === null : isSettledAsWritten(mac, row);
    },
  };
}

const isSettledAsWritten = (mac: Mac, row: AuditEventRow): boolean =>
  [row, { ...row, outcome: null }].some((settlement) => row.settled_mac === settlementMac(mac, settlement));
