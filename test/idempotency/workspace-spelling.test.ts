import { env } from 'cloudflare:workers';
import { base64url } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdempotency } from '../../src/idempotency/sealing.ts';
import { IDEMPOTENCY_SECRET, ISSUER } from '../support/harness.ts';
import { spellingsOf, storedSpellingsOf } from '../support/spellings.ts';
import { BODY, create, createIdempotencyHarness, creates, keysOf, newKey, outcomeOf, posts } from './harness.ts';

// A key belongs to a workspace and a request, and another spelling makes neither another one.

let harness: Awaited<ReturnType<typeof createIdempotencyHarness>>;
let key: string;
beforeEach(async () => {
  harness = await createIdempotencyHarness();
  key = newKey();
});

const inQuery = (text: string, name = 'workspace_uuid') => ({
  query: `?${new URLSearchParams({ [name]: text }).toString()}`,
});
const inBody = (text: string, name = 'workspace_uuid') => ({ body: { ...BODY, [name]: text } });

describe('a create that is repeated with its workspace spelled otherwise', () => {
  it.each([
    ['in the query', inQuery],
    ['in the body', inBody],
    ['in the query, under its other name', (text: string) => inQuery(text, 'workspace')],
    ['in the body, under its other name', (text: string) => inBody(text, 'workspace')],
  ])('mints once, and answers the same: %s', async (_place, spelled) => {
    const first = await create(harness, key, spelled(harness.workspace));
    expect(first.status).toBe(201);
    for (const text of Object.values(spellingsOf(harness.workspace))) {
      const again = await create(harness, key, spelled(text));
      expect([again.status, again.body.data], text).toEqual([201, first.body.data]);
      expect(again.headers.get('Idempotency-Replayed')).toBe('true');
    }
    expect(await posts(harness)).toBe(1);
    expect(await keysOf(harness)).toHaveLength(1);
    const [, again] = await creates(harness);
    expect(outcomeOf(again)).toEqual({ role: 'admin', idempotent_of: first.headers.get('X-Audit-Event-Id') });
  });

  it('is still another request where it asks for something else', async () => {
    await create(harness, key, inBody(harness.workspace));
    const other = await create(harness, key, {
      body: { ...BODY, name: 'other', workspace_uuid: harness.workspace.toUpperCase() },
    });
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
    expect(await posts(harness)).toBe(1);
  });

  it('is another where a field that names no workspace is spelled otherwise', async () => {
    await create(harness, key, { body: { ...BODY, name: harness.workspace } });
    const other = await create(harness, key, { body: { ...BODY, name: harness.workspace.toUpperCase() } });
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  });
});

describe('a key that an earlier version of this service kept under the spelling that was sent', () => {
  /** Stores the answer of a create as that version would have: that of this version is moved. */
  const keepAs = async (spelling: string, sent: unknown, first: { body: { data: unknown } }): Promise<void> => {
    const idempotency = createIdempotency(base64url.decode(IDEMPOTENCY_SECRET.replace(/=+$/, '')));
    const owner = { issuer: ISSUER, subject: 'admin-1', workspaceUuid: spelling };
    const kept = await idempotency.keyed(owner, key, sent);
    const sealed = await kept.seal(JSON.stringify(first.body.data));
    const [held] = await keysOf(harness);
    await env.DB.prepare(
      'update idempotency_keys set key_hash = ?, request_fingerprint = ?, sealed = ? where key_hash = ?',
    )
      .bind(kept.keyHash, kept.fingerprint, sealed, held!.key_hash)
      .run();
  };

  describe.each(Object.keys(storedSpellingsOf(newKey())))('%s', (name) => {
    it.each([
      ['in the query', inQuery, (text: string) => [[text], BODY]],
      ['in the body', inBody, (text: string) => [[], { ...BODY, workspace_uuid: text }]],
    ])('is found again: %s', async (_place, spelled, sentAs) => {
      const text = storedSpellingsOf(harness.workspace)[name]!;
      const first = await create(harness, key, spelled(text));
      await keepAs(text, sentAs(text), first);
      const again = await create(harness, key, spelled(text));
      expect([again.status, again.body.data]).toEqual([201, first.body.data]);
      const other = await create(harness, key, {
        ...spelled(text),
        body: { ...BODY, ...spelled(text), name: 'other' },
      });
      expect(other.status).toBe(other.body.code === 'idempotency_key_reused' ? 422 : 400);
      expect(await posts(harness)).toBe(1);
      expect(await keysOf(harness)).toHaveLength(1);
    });
  });

  it('is in flight while its create is', async () => {
    const text = harness.workspace.toUpperCase();
    await keepAs(text, [[text], BODY], await create(harness, key, inQuery(text)));
    const open = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, detail)
        values (?, ?, 'service_account_token.create', 'attempted', 'user', ?, '{}')`,
    )
      .bind(open, Date.now(), text)
      .run();
    const [held] = (await env.DB.prepare('select key_hash from idempotency_keys order by rowid desc limit 1').all())
      .results;
    await env.DB.prepare('update idempotency_keys set event_id = ?, sealed = null where key_hash = ?')
      .bind(open, held!['key_hash'])
      .run();
    const again = await create(harness, key, inQuery(text));
    expect([again.status, again.body.code]).toEqual([409, 'idempotency_in_flight']);
    expect(await posts(harness)).toBe(1);
  });

  it('is free for another try once its time is over', async () => {
    const text = harness.workspace.toUpperCase();
    await keepAs(text, [[text], BODY], await create(harness, key, inQuery(text)));
    harness.age(3_601);
    const again = await create(harness, key, { ...inQuery(text), jwt: await harness.jwtFor('admin') });
    expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([201, null]);
    expect(await posts(harness)).toBe(2);
    expect(await keysOf(harness)).toHaveLength(1);
  });

  it('says that its token is gone by now, though its row has the spelling that was sent', async () => {
    const text = harness.workspace.toUpperCase();
    const first = await create(harness, key, inQuery(text));
    // The trail is that of the earlier version, and the inventory is as the migration left it.
    const made = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, detail, outcome)
        values (?, 1, 1, 'service_account_token.create', 'success', 'user', ?, ?, '{}', '{}')`,
    )
      .bind(made, text, first.body.data.id)
      .run();
    await env.DB.prepare('update idempotency_keys set event_id = ? where event_id = ?')
      .bind(made, first.headers.get('X-Audit-Event-Id'))
      .run();
    expect((await create(harness, key, inQuery(text))).body.data).toEqual(first.body.data);
    await env.DB.prepare('update tokens set revoked_at = 1 where token_id = ?').bind(first.body.data.id).run();
    const again = await create(harness, key, inQuery(text));
    expect([again.status, again.body.code]).toEqual([409, 'idempotency_token_gone']);
  });
});
