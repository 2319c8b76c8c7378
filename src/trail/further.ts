import { sha256Hex } from '../kit/digest.ts';
import { minuteBeginMs } from '../kit/time.ts';
import type { NewAuditRow } from './events.ts';

/** What the keys of these rows begin with. No other key does. */
export const FURTHER_PREFIX = '+';
/** With the prefix as long as the key of a read: 124 bits. */
const DIGEST_CHARS = 31;

/** A row that counts, and what it is found by. */
export type CountedRow = NewAuditRow & { readonly read_key: string };

/**
 * The row in which whatever a caller is refused or reads beyond what a minute records in full is counted: one for each action and
 * outcome, whatever was asked for, from wherever, and under whatever label. So their number does not depend on the caller.
 *
 * @param row as it would have been recorded.
 */
export async function furtherRow(row: NewAuditRow): Promise<CountedRow> {
  const { actor_type, actor_issuer, actor_subject, action, status, error_code } = row;
  const parts = [actor_type, actor_issuer, actor_subject, action, status, error_code, minuteBeginMs(row.occurred_at)];
  const digest = await sha256Hex(JSON.stringify(parts));
  return {
    ...row,
    workspace_uuid: null,
    token_id: null,
    token_name: null,
    ip: null,
    user_agent: null,
    upstream_status: null,
    detail: FURTHER_DETAIL,
    outcome: '{}',
    marker: null,
    read_key: `${FURTHER_PREFIX}${digest.slice(0, DIGEST_CHARS)}`,
  };
}

/** Says what the row is to whoever reads the trail. */
const FURTHER_DETAIL = JSON.stringify({ further: true });

export const isFurther = ({ read_key }: Pick<NewAuditRow, 'read_key'>): boolean =>
  read_key?.startsWith(FURTHER_PREFIX) === true;
