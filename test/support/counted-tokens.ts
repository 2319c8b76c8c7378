import { env } from 'cloudflare:workers';

const FAULTS = [
  `select c.owner_issuer, c.owner_subject, c.live, (select count(*) from tokens as t
      where t.owner_issuer = c.owner_issuer and t.owner_subject = c.owner_subject and t.revoked_at is null
        and (t.expires_at is null or t.expires_at > c.counted_at)) as really
    from token_counts as c where c.live is not really`,
  `select owner_issuer, owner_subject, 'has no count' as fault from tokens as t
    where owner_issuer is not null and owner_subject is not null and revoked_at is null and not exists (select 1 from token_counts as c
      where c.owner_issuer = t.owner_issuer and c.owner_subject = t.owner_subject)`,
  `select o.*, 'is settled, or of somebody else' as fault from open_creates as o
    where not exists (select 1 from audit_events as a where a.id = o.event_id and a.status = 'attempted'
      and a.action = 'service_account_token.create' and a.actor_issuer = o.owner_issuer and a.actor_subject = o.owner_subject)`,
];

/**
 * What is wrong with the counts of live tokens and with the reservations of creates, whatever was done to tokens: nothing, or the
 * rows that disagree with the inventory and the trail.
 */
export async function miscounted(): Promise<readonly object[]> {
  const found = await env.DB.batch<object>(FAULTS.map((statement) => env.DB.prepare(statement)));
  return found.flatMap(({ results }) => results);
}
