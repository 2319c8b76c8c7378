import type { AuditEventRow } from '../db/schema.ts';
import type { Mac, MacValue } from '../kit/mac.ts';

// The MACs of the trail. An attempt has two: of what was recorded before PipeOps was asked, and of how it was settled. A row that is final
// from the start has one, over the whole of it. What each is made over begins with its kind, so that none can stand for another: an attempt
// gives power, since reconciliation reads back what it names and revokes the token that carries its marker.
//
// Every row has a MAC, so a row without one was planted, or is from before the secret. The Worker makes the id of every row too: whoever
// copies a row has the MAC of another id.

/** A change of these lists is another purpose of the MAC (`createMac`). */
const RECORDED = [
  'id',
  'occurred_at',
  'action',
  'actor_type',
  'actor_issuer',
  'actor_subject',
  'actor_label',
  'workspace_uuid',
  'token_id',
  'token_name',
  'request_id',
  'ip',
  'user_agent',
  'detail',
  'marker',
] as const satisfies readonly (keyof AuditEventRow)[];
const SETTLED = ['status', 'settled_at', 'upstream_status', 'error_code', 'outcome'] as const;

/** What the MAC of an attempt covers. D1 fills in the id of a token that is created: it is not in it. */
export type RecordedAttempt = Pick<AuditEventRow, (typeof RECORDED)[number]>;

/** What the MAC of a settlement covers. */
export type RecordedSettlement = Pick<
  AuditEventRow,
  'id' | 'status' | 'settled_at' | 'token_id' | 'upstream_status' | 'error_code'
> & {
  /** Null: D1 alone knows it when the row is settled. */
  readonly outcome: string | null;
};

/** What the MAC of a final row covers. D1 gives its `seq`, and how often it is counted is not known yet. */
export type RecordedRow = RecordedAttempt & RecordedSettlement & Pick<AuditEventRow, 'read_key'>;

/**
 * The columns that a MAC leaves out, since D1 fills them in from its own tables. The MAC names its list, so no other columns can be left out.
 * `token`: an order for each token that a delivery finds, which its settlement covers. `outcome`: how many blocks a reinstatement lifts.
 */
const LEFT_OUT = {
  nothing: [],
  name: ['token_name'],
  token: ['workspace_uuid', 'token_id'],
  outcome: ['outcome'],
} as const satisfies Readonly<Record<string, readonly (keyof RecordedRow)[]>>;
export type LeftOut = keyof typeof LEFT_OUT;

/** What a row that nobody has inserted yet gets as its `recorded_mac`; null: there is no secret. */
export const recordedMac = (mac: Mac | null, row: RecordedRow, leftOut: LeftOut = 'nothing'): string | null =>
  mac === null ? null : row.status === 'attempted' ? attemptMac(mac, row, leftOut) : finalMac(mac, row, leftOut);

/** What a row that is settled gets as its `settled_mac`; null: there is no secret. */
export const settledMac = (mac: Mac | null, settlement: RecordedSettlement): string | null =>
  mac === null ? null : settlementMac(mac, settlement);

const attemptMac = (mac: Mac, row: RecordedAttempt, leftOut: LeftOut): string => {
  const tokenId = row.action === 'service_account_token.create' ? null : row.token_id;
  return labelled(leftOut, mac('attempt', leftOut, ...valuesOf({ ...row, token_id: tokenId }, RECORDED, leftOut)));
};

const finalMac = (mac: Mac, row: RecordedRow, leftOut: LeftOut): string =>
  labelled(leftOut, mac('final', leftOut, ...valuesOf(row, [...RECORDED, 'read_key', ...SETTLED], leftOut)));

const settlementMac = (mac: Mac, row: RecordedSettlement): string =>
  mac('settlement', ...valuesOf(row, ['id', 'token_id', ...SETTLED], 'nothing'));

const valuesOf = <const K extends keyof RecordedRow>(
  row: Readonly<Record<K, MacValue>>,
  columns: readonly K[],
  leftOut: LeftOut,
): readonly MacValue[] => {
  const without: readonly string[] = LEFT_OUT[leftOut];
  return columns.filter((name) => !without.includes(name)).map((name) => row[name]);
};

/** A MAC that leaves columns out says which list, so that whoever checks it need not try them all. */
const labelled = (leftOut: LeftOut, mac: string): string => (leftOut === 'nothing' ? mac : `${leftOut}:${mac}`);

/** The list that a MAC names; null: there is no such list. */
function leftOutOf(mac: string): LeftOut | null {
  const end = mac.indexOf(':');
  if (end === -1) return 'nothing';
  const name = mac.slice(0, end);
  return isLeftOut(name) ? name : null;
}
const isLeftOut = (name: string): name is LeftOut => Object.hasOwn(LEFT_OUT, name);

/** Up to which `seq` rows without a MAC count, which are those from before the secret. Its MAC keeps others from moving it. */
export interface Adoption {
  readonly position: number;
  readonly mac: string | null;
}

export interface RowMacs {
  /** Whether an attempt may be acted on. The row of an order is none: its order is. */
  isAuthentic(row: RecordedAttempt & Pick<AuditEventRow, 'recorded_mac'>): boolean;
  /**
   * Whether a row of any kind may be sealed as it is. An attempt that was recorded with a MAC is settled with one.
   *
   * @param adoption as D1 has it; undefined: it has none.
   */
  isUntouched(row: AuditEventRow, adoption: Adoption | undefined): boolean;
  /** What D1 keeps while rows without a MAC are adopted: that those up to this `seq` are. Null: none are. */
  adopt(newestSeq: number): Adoption | null;
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
  const isAdopting = (): boolean => adoptUntilMs !== null && now() < adoptUntilMs;
  const isAdopted = (key: Mac, { seq }: AuditEventRow, adoption: Adoption | undefined): boolean =>
    isAdopting() ||
    (adoption !== undefined && adoption.mac === adoptionMac(key, adoption.position) && seq <= adoption.position);
  return {
    isAuthentic: (row) => {
      if (mac === null) return true;
      if (row.recorded_mac === null) return isAdopting();
      return leftOutOf(row.recorded_mac) !== 'token' && isRecordedAs(attemptMac, mac, row, row.recorded_mac);
    },
    isUntouched: (row, adoption) => {
      if (mac === null) return true;
      if (row.recorded_mac === null)
        return isAdopted(mac, row, adoption) && (row.settled_mac === null || isSettledAsWritten(mac, row));
      if (isRecordedAs(attemptMac, mac, row, row.recorded_mac))
        return isOpenAsRecorded(row) || isSettledAsWritten(mac, row);
      return (
        row.settled_mac === null && row.status !== 'attempted' && isRecordedAs(finalMac, mac, row, row.recorded_mac)
      );
    },
    adopt: (newestSeq) =>
      mac !== null && isAdopting() ? { position: newestSeq, mac: adoptionMac(mac, newestSeq) } : null,
  };
}

const adoptionMac = (mac: Mac, position: number): string => mac('adopted', position);

const isRecordedAs = <R extends RecordedAttempt>(
  macOf: (mac: Mac, row: R, leftOut: LeftOut) => string,
  mac: Mac,
  row: R,
  recorded: string,
): boolean => {
  const leftOut = leftOutOf(recorded);
  return leftOut !== null && recorded === macOf(mac, row, leftOut);
};

/** No MAC covers the id of a token that is created before it is settled, so an open create has none. */
const isOpenAsRecorded = (row: AuditEventRow): boolean =>
  row.status === 'attempted' &&
  row.settled_mac === null &&
  (row.action !== 'service_account_token.create' || row.token_id === null);

const isSettledAsWritten = (mac: Mac, row: AuditEventRow): boolean =>
  [row, { ...row, outcome: null }].some((settlement) => row.settled_mac === settlementMac(mac, settlement));
