import { sql, type SQL } from 'drizzle-orm';
import * as z from 'zod';
import {
  SUBJECT_BLOCKS_MAX_COUNT,
  SUBJECT_TOKENS_COUNTED_MAX_ROWS,
  SUBJECTS_SCAN_MAX_ROWS,
} from '../../config/subject-limits.ts';
import type { Database, RowsOf } from '../../db/database.ts';
import { redact } from '../../kit/redaction.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import { labelKey } from '../labels.ts';

// Who owns tokens here, and who is blocked: a page of both together, in the order of issuer and subject.

/** The place of a subject in that order. A label that is blocked and that nobody was found to carry has '' for an issuer. */
export interface SubjectKey {
  readonly issuer: string;
  readonly subject: string;
}

/** The place before all others. */
export const FIRST: SubjectKey = { issuer: '', subject: '' };

/** What is asked for. */
export interface SubjectFilter {
  /** Null: whether or not they are blocked. */
  readonly blocked: boolean | null;
  /** What a subject or a label begins with; null: anything. */
  readonly q: string | null;
}

/**
 * The query for a page of subjects. With a filter it looks at no more than `scanRows` of them after `after`, so that its cost does
 * not grow with the owners; `readPage` makes sense of its rows. It gives one row at least, which says how far it came.
 *
 * Owners come from `token_counts`, whose key is in the order of the page, and those who are blocked from the indexes of their table.
 */
export function selectSubjects(
  { build }: Database,
  filter: SubjectFilter,
  after: SubjectKey,
  limitRows: number,
  nowMs: number,
  scanRows: number = SUBJECTS_SCAN_MAX_ROWS,
) {
  const enough = limitRows + 1;
  const walk = isFiltered(filter) ? scanRows : enough;
  const sources = [
    ...(filter.blocked === true ? [] : [owners(after, walk)]),
    ...(filter.blocked === false ? [] : blocked(after, walk)),
  ];
  return build
    .select({
      walked: sql<number>`walked`.as('walked'),
      last_issuer: sql<string | null>`last_issuer`.as('last_issuer'),
      last_subject: sql<string | null>`last_subject`.as('last_subject'),
      /** Null: nobody was found, and this row only says how far the search came. */
      issuer: sql<string | null>`issuer`.as('issuer'),
      subject: sql<string | null>`subject`.as('subject'),
      label: sql<string | null>`label`.as('label'),
      live: sql<number>`live`.as('live'),
      total: sql<number>`total`.as('total'),
      blocks: sql<string>`blocks`.as('blocks'),
    })
    .from(
      sql`(with walked as materialized (
          select * from (${sql.join(sources, sql` union `)}) order by issuer, subject limit ${walk}),
        last as (select issuer, subject from walked order by issuer desc, subject desc limit 1),
        found as materialized (select w.issuer, w.subject from walked as w where ${matches(filter)}
          order by w.issuer, w.subject limit ${enough})
        select (select count(*) from walked) as walked, (select issuer from last) as last_issuer,
          (select subject from last) as last_subject, f.issuer, f.subject, ${labelOf('f')} as label,
          ${LIVE(nowMs)} as live, ${countUpTo(sql`true`)} as total, ${BLOCKS} as blocks
        from (select 1) left join found as f on true order by f.issuer, f.subject)`,
    );
}

const isFiltered = ({ blocked: isBlocked, q }: SubjectFilter): boolean => isBlocked === false || q !== null;

const owners = ({ issuer, subject }: SubjectKey, limitRows: number): SQL =>
  sql`select * from (select owner_issuer as issuer, owner_subject as subject from token_counts
    where (owner_issuer, owner_subject) > (${issuer}, ${subject}) order by owner_issuer, owner_subject limit ${limitRows})`;

/** Persons, and labels that are blocked by themselves. */
const blocked = ({ issuer, subject }: SubjectKey, limitRows: number): readonly SQL[] => [
  sql`select * from (select issuer, subject from subject_blocks
    where issuer is not null and (issuer, subject) > (${issuer}, ${subject}) group by issuer, subject
    order by issuer, subject limit ${limitRows})`,
  sql`select * from (select '' as issuer, label as subject from subject_blocks
    where issuer is null and label > ${subject} and ${issuer} = '' group by label order by label limit ${limitRows})`,
];

function matches({ blocked: isBlocked, q }: SubjectFilter): SQL {
  const conditions = [
    ...(isBlocked === false
      ? [sql`not exists (select 1 from subject_blocks as b where b.issuer = w.issuer and b.subject = w.subject)`]
      : []),
    ...(q === null ? [] : [sql`(${beginsWith(sql`w.subject`, q)} or ${beginsWith(labelOf('w'), labelKey(q))})`]),
  ];
  return conditions.length === 0 ? sql`true` : sql.join(conditions, sql` and `);
}

const beginsWith = (text: SQL, start: string): SQL => sql`substr(${text}, 1, length(${start})) = ${start}`;

/** The label under which a subject minted last, or under which it was offboarded, in the form in which labels are compared. */
const labelOf = (name: 'w' | 'f'): SQL =>
  sql.raw(`iif(${name}.issuer = '', ${name}.subject, coalesce(
    (select t.owner_label from tokens as t where t.owner_issuer = ${name}.issuer and t.owner_subject = ${name}.subject
      order by t.rowid desc limit 1),
    (select b.label from subject_blocks as b where b.issuer = ${name}.issuer and b.subject = ${name}.subject
      and b.label is not null limit 1)))`);

/** How many tokens of the found subject there are, counted up to one more than are told. */
const countUpTo = (condition: SQL): SQL => sql`(select count(*) from (select 1 from tokens as t
  where t.owner_issuer = f.issuer and t.owner_subject = f.subject and ${condition} limit ${SUBJECT_TOKENS_COUNTED_MAX_ROWS + 1}))`;

/** By the index of live tokens, so that none that has ended or expired is read. */
const LIVE = (nowMs: number): SQL =>
  sql`${countUpTo(sql`t.revoked_at is null and t.expires_at is null`)} + ${countUpTo(sql`t.revoked_at is null and t.expires_at > ${nowMs}`)}`;

const BLOCKS = sql`(select json_group_array(json_object('since', b.created_at, 'by', iif(b.label is null, 'subject', 'label'),
      'event_id', d.event_id, 'delivery_id', b.delivery_id, 'reason', e.detail ->> 'reason'))
    from (select * from subject_blocks as b where (b.issuer = f.issuer and b.subject = f.subject)
        or (f.issuer = '' and b.issuer is null and b.label = f.subject)
      order by b.seq limit ${SUBJECT_BLOCKS_MAX_COUNT}) as b
      left join webhook_deliveries as d on d.id = b.delivery_id
      left join audit_events as e on e.id = d.event_id)`;

type Row = RowsOf<ReturnType<typeof selectSubjects>>[number];

/** A page of subjects as it is told. */
export interface SubjectPage {
  readonly subjects: readonly ReturnType<typeof present>[];
  /** Null: there is nothing more. */
  readonly next: SubjectKey | null;
  /** Whether the page ends before it is full, since enough were looked at. */
  readonly isPartial: boolean;
}

/** Makes sense of the rows of `selectSubjects`. */
export function readPage(
  rows: readonly Row[],
  filter: SubjectFilter,
  limitRows: number,
  scanRows: number = SUBJECTS_SCAN_MAX_ROWS,
): SubjectPage {
  const found = rows.filter((row) => row.issuer !== null);
  const subjects = found.slice(0, limitRows).map(present);
  if (found.length > limitRows) {
    const { issuer, subject } = found[limitRows - 1] ?? FIRST;
    return { subjects, next: { issuer: issuer ?? '', subject: subject ?? '' }, isPartial: false };
  }
  const [end] = rows;
  const isCut = isFiltered(filter) && end !== undefined && end.walked === scanRows;
  const next = isCut ? { issuer: end.last_issuer ?? '', subject: end.last_subject ?? '' } : null;
  return { subjects, next, isPartial: isCut };
}

const storedBlocks = z.array(
  z.object({
    since: z.number(),
    by: z.enum(['subject', 'label']),
    event_id: z.string().nullable(),
    delivery_id: z.string(),
    reason: z.string().nullable(),
  }),
);

function present({ issuer, subject, label, live, total, blocks }: Row) {
  const isLabel = issuer === '';
  const most = SUBJECT_TOKENS_COUNTED_MAX_ROWS;
  return {
    issuer: isLabel ? null : issuer,
    subject: isLabel ? null : subject,
    label: label === null ? null : redact(label),
    tokens: { live: Math.min(live, most), total: Math.min(total, most), ...(total > most && { more: true }) },
    blocks: storedBlocks.parse(JSON.parse(blocks)).map(({ since, event_id, reason, ...block }) => ({
      since: rfc3339OrNull(since),
      ...block,
      ...(event_id !== null && { event_id }),
      ...(reason !== null && { reason }),
    })),
  };
}
