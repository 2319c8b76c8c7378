import { sql, type SQL } from 'drizzle-orm';
import { sha256HexSync } from '../kit/digest.ts';

/**
 * Whom a label means, as a query with the columns `issuer`, `subject` and `found`.
 *
 * Of each issuer those are asked who ever had the label: by `subject_labels`, or, from before that was kept, by a token that they
 * minted under it. A subject carries the label if that is the one it had last; one that is known by tokens alone carries it too,
 * since nothing says otherwise. `owner`, who is meant: those who carry it; where nobody does, those who carried it last and those
 * who minted under it. All others are `also_carried`: the label is somebody else's by now, and so are their tokens.
 *
 * @param key of the label, as `labelKey` makes it.
 * @param former means all of them.
 */
export const meantByLabel = (key: string, former: boolean): SQL => sql`
  with holding as (
    select l.issuer, l.subject, l.last_seen_at, 0 as minted, not exists (${labelSince('l')} and n.last_seen_at > l.last_seen_at) as carries
      from subject_labels as l where l.label_digest = ${sha256HexSync(key)}
    union all
    select m.issuer, m.subject, null, 1, not exists (${labelSince('m')})
      from (select distinct owner_issuer as issuer, owner_subject as subject from tokens
        where owner_label = ${key} and owner_issuer is not null and owner_subject is not null) as m),
  person as (
    select issuer, subject, max(last_seen_at) as last_seen_at, max(minted) as minted, max(carries) as carries
      from holding group by issuer, subject),
  among as (
    select issuer, subject, last_seen_at, minted, carries,
        max(carries) over (partition by issuer) as is_carried, max(last_seen_at) over (partition by issuer) as last
      from person)
  select issuer, subject,
      case when ${former ? 1 : 0} or iif(is_carried, carries, minted or last_seen_at = last) then 'owner' else 'also_carried' end as found
    from among`;

const labelSince = (of: 'l' | 'm'): SQL =>
  sql.raw(`select 1 from subject_labels as n where n.issuer = ${of}.issuer and n.subject = ${of}.subject`);
