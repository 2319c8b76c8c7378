import { env } from 'cloudflare:workers';
import { createWebhookHarness, type WebhookHarness } from './harness.ts';

/** A token as this PipeOps holds it. */
export interface HeldToken {
  isRevoked: boolean;
  isActive: boolean;
}

export interface Received {
  readonly method: string;
  /** Null: the collection. */
  readonly id: string | null;
}

/** What this PipeOps does otherwise than it should, token by token. */
export interface Lies {
  /** A DELETE or PATCH is acknowledged, and nothing is done. */
  readonly ignores?: (id: string) => boolean;
  /** No look shows it. */
  readonly hides?: (id: string) => boolean;
  /** Lists count it, and do not show it. */
  readonly omits?: (id: string) => boolean;
  /** The connection breaks where it is asked for by itself. */
  readonly breaks?: (id: string) => boolean;
  /** Looks show it as revoked. */
  readonly buries?: (id: string) => boolean;
  /** Looks show it as alive. */
  readonly revives?: (id: string) => boolean;
}

/** Of every token. */
export const ALL = (): boolean => true;

/** PipeOps in the isolate of the test, by its clock: what it answers is what the test says, and what it holds is the truth. */
export async function createPipeOpsInIsolate() {
  const tokens = new Map<string, HeldToken>();
  const received: Received[] = [];
  let lies: Lies = {};
  let liesUntilMs = Infinity;
  const lie = (name: keyof Lies, id: string): boolean =>
    harness.runtime.now() < liesUntilMs && lies[name]?.(id) === true;
  const tell = (id: string, { isRevoked, isActive }: HeldToken) => ({
    id,
    name: id,
    scopes: ['api:read'],
    is_revoked: lie('buries', id) || (isRevoked && !lie('revives', id)),
    is_active: isActive,
  });
  const ok = (data: unknown): Response => Response.json({ success: true, message: '', data });
  const notFound = (): Response => Response.json({ success: false, status: 'error', message: '' }, { status: 404 });

  const answer = async (url: string, init: RequestInit): Promise<Response> => {
    const method = init.method ?? 'GET';
    const last = new URL(url).pathname.split('/').at(-1) ?? '';
    const id = last === 'service-account-tokens' ? null : last;
    received.push({ method, id });
    if (id === null) {
      const counted = [...tokens].filter(([one]) => !lie('hides', one));
      const shown = counted.filter(([one]) => !lie('omits', one)).map(([one, token]) => tell(one, token));
      return ok({ tokens: shown, total: counted.length });
    }
    if (method === 'GET' && lie('breaks', id)) throw new TypeError('the connection broke');
    const token = tokens.get(id);
    if (token === undefined || (token.isRevoked && !lie('ignores', id))) return notFound();
    if (method === 'GET') return lie('hides', id) ? notFound() : ok({ token: tell(id, token) });
    if (method === 'DELETE') {
      if (!lie('ignores', id)) token.isRevoked = true;
      return ok(null);
    }
    // Only suspensions are sent here.
    const body: unknown = JSON.parse(typeof init.body === 'string' ? init.body : '{}');
    const isActive = typeof body === 'object' && body !== null && 'is_active' in body && body.is_active === true;
    if (!lie('ignores', id)) token.isActive = isActive;
    return await Promise.resolve(ok({ token: { ...tell(id, token), is_active: isActive } }));
  };

  const harness: WebhookHarness = await createWebhookHarness({ runtime: { fetch: answer } });
  return {
    harness,
    /** Lies from now on, and tells the truth after `seconds`. */
    lie: (another: Lies, seconds = Infinity): void => {
      lies = another;
      liesUntilMs = harness.runtime.now() + seconds * 1000;
    },
    tokens,
    received,
    /** What was received since it was asked last. */
    receivedAnew: (): readonly Received[] => received.splice(0),
    /** Puts tokens of one owner into this PipeOps and into the inventory. */
    hold: async (
      ids: readonly string[],
      owner: { readonly issuer: string; readonly subject: string },
    ): Promise<void> => {
      for (const id of ids) tokens.set(id, { isRevoked: false, isActive: true });
      await env.DB.prepare(
        `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at)
         select ?1, value, ?2, ?3, 1 from json_each(?4)`,
      )
        .bind(harness.workspace, owner.issuer, owner.subject, JSON.stringify(ids))
        .run();
    },
    cronAfter: async (seconds: number): Promise<void> => {
      harness.age(seconds);
      await harness.cron();
    },
  };
}
