import { and, eq, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../../db/database.ts';
import { isEndUnproven, selectedRow } from '../../db/sql.ts';
import { subjectBlocks, webhookOwners } from '../../db/schema.ts';
import { labelKey, meantByLabel } from '../../subjects/labels.ts';
import type { SubjectRef } from '../senders/sender.ts';

/**
 * Writes down whom a delivery about a subject finds, with how many of their tokens are left, where `condition` holds. An owner
 * that it names is found, whether or not there is a token of it.
 *
 * @param former whether a label means its former holders too.
 */
export function insertOwners(
  { build }: Database,
  deliveryId: string,
  subject: SubjectRef,
  former: boolean,
  condition: SQL,
) {
  const people =
    'label' in subject
      ? meantByLabel(labelKey(subject.label), former)
      : sql`select ${subject.issuer} as issuer, ${subject.subject} as subject, 'owner' as found`;
  const row = {
    delivery_id: deliveryId,
    issuer: sql`who.issuer`,
    subject: sql`who.subject`,
    found: sql`who.found`,
    tokens: sql`(select count(*) from tokens as t
      where t.owner_issuer = who.issuer and t.owner_subject = who.subject and ${isEndUnproven('t')})`,
  };
  return build
    .insert(webhookOwners)
    .select(sql`select ${selectedRow(webhookOwners, row)} from (${people}) as who where ${condition}`);
}

/**
 * Blocks a leaver, where `condition` holds: by what the delivery named, and, where that is a label, each owner whom it means as
 * well, since a label may change with the next login.
 */
export function blockSubject(
  { build }: Database,
  delivery: { readonly id: string; readonly nowMs: number },
  subject: SubjectRef,
  condition: SQL,
) {
  const label = 'label' in subject ? labelKey(subject.label) : null;
  const [issuer, name] = 'label' in subject ? [null, null] : [subject.issuer, subject.subject];
  const row = {
    issuer: sql`who.issuer`,
    subject: sql`who.subject`,
    label,
    delivery_id: delivery.id,
    created_at: delivery.nowMs,
  };
  return build.insert(subjectBlocks).select(sql`
    select ${selectedRow(subjectBlocks, row)}
    from (select ${issuer} as issuer, ${name} as subject
      union select o.issuer, o.subject from webhook_owners as o where o.delivery_id = ${delivery.id} and o.found = 'owner') as who
    where ${condition} and not exists (select 1 from subject_blocks as b
      where b.issuer is who.issuer and b.subject is who.subject and b.label is ${label})`);
}

/** Lifts what blocked a subject, where `condition` holds; of a label, what blocked owners because of it too. */
export const unblockSubject = ({ build }: Database, subject: SubjectRef, condition: SQL) =>
  build
    .delete(subjectBlocks)
    .where(
      and(
        'label' in subject
          ? eq(subjectBlocks.label, labelKey(subject.label))
          : and(eq(subjectBlocks.issuer, subject.issuer), eq(subjectBlocks.subject, subject.subject)),
        condition,
      ),
    );
