import type { AuditEventRow } from '../../db/schema.ts';
import { canonicalJson } from '../../kit/digest.ts';
import { parseStored } from '../../kit/json.ts';
import type { FactKind, LogLeafKind } from '../../vocabulary.ts';

// The entries of the log. An entry is a fact that does not change any more, as canonical JSON (RFC 8785) in UTF-8. Its names are those of an
// event on the wire, so that whoever has an export compares the two as they are.

/** The version of the shapes below. Whoever reads another one cannot tell what it means. */
export const ENTRY_VERSION = 1;

/**
 * What is known of an attempt before it is settled. No fact covers `marker` and `read_key`, which no reader of the trail is shown:
 * reconciliation and counting find rows by them.
 */
const recordedPart = (row: AuditEventRow) => ({
  id: row.id,
  seq: row.seq,
  occurred_at: rfc3339(row.occurred_at),
  action: row.action,
  actor: { type: row.actor_type, issuer: row.actor_issuer, subject: row.actor_subject, label: row.actor_label },
  workspace_uuid: row.workspace_uuid,
  token_name: row.token_name,
  request_id: row.request_id,
  ip: row.ip,
  user_agent: row.user_agent,
  detail: parseStored(row.detail),
});

/** What settling adds. A create learns the id of its token here. */
const settledPart = (row: AuditEventRow) => ({
  id: row.id,
  seq: row.seq,
  settled_at: row.settled_at === null ? null : rfc3339(row.settled_at),
  status: row.status,
  token_id: row.token_id,
  upstream_status: row.upstream_status,
  error_code: row.error_code,
  outcome: parseStored(row.outcome),
});

const countedPart = (row: AuditEventRow) => ({
  count: row.count,
  last_at: rfc3339(row.last_at ?? row.occurred_at),
});

const PARTS: Readonly<Record<FactKind, (row: AuditEventRow) => object>> = {
  recorded: recordedPart,
  settled: settledPart,
  final: (row) => ({ ...recordedPart(row), ...settledPart(row) }),
  counted: (row) => ({ ...recordedPart(row), ...settledPart(row), ...countedPart(row) }),
};

/**
 * The entry of a fact of a row. It is the same whenever it is asked for, since nothing that it covers changes any more.
 *
 * @param isAuthentic false: a MAC of the row is not that of this service, which the entry says for good.
 */
export const entryOfRow = (fact: FactKind, row: AuditEventRow, isAuthentic: boolean): Uint8Array =>
  entryOf(fact, isAuthentic ? PARTS[fact](row) : { ...PARTS[fact](row), unauthentic: true });

/** The entry of a fact about the log itself. */
export const entryOf = (fact: LogLeafKind, body: object): Uint8Array =>
  new TextEncoder().encode(canonicalJson({ v: ENTRY_VERSION, fact, ...body }));

const rfc3339 = (ms: number): string => new Date(ms).toISOString();
