import { env } from 'cloudflare:workers';

/** A statement's rows, as JSON has them. */
const all = async (statement: string): Promise<readonly object[]> => (await env.DB.prepare(statement).all()).results;

/**
 * What is wrong with the counts of live tokens and with the reservations of creates, whatever was done to tokens: nothing, or the
 * rows that disagree with the inventory and the trail.
 */
export async function miscounted(): Promise<readonly object[]> {
  return [
    ...(await all(`select c.owner_issuer, c.owner_subject, c.live, (select count(*) from tokens as t
        where t.owner_issuer = c.owner_issuer and t.owner_subject = c.owner_subject and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > c.counted_at)) as really
      from token_counts as c where c.live is not really`)),
    ...(await all(`select owner_issuer, owner_subject, 'has no count' as fault from tokens as t
      where owner_issuer is not null and owner_subject is not null and revoked_at is null and not exists (select 1 from token_counts as c
        where c.owner_issuer = t.owner_issuer and c.owner_subject = t.owner_subject)`)),
    ...(await all(`select o.*, 'is settled, or of somebody else' as fault from open_creates as o
      where not exists (select 1 from audit_events as a where a.id = o.event_id and a.status = 'attempted'
        and a.action = 'service_account_token.create' and a.actor_issuer = o.owner_issuer and a.actor_subject = o.owner_subject)`)),
  ];
}
