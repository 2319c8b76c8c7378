import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { STATUS_OWNERS_MAX_COUNT } from '../../src/config/limits.ts';
import { TOKENS } from '../support/harness.ts';
import { createLimitHarness, fill } from '../tokens/limiting.ts';

// What callers and operators are told about the limits on live tokens.

const DOWN = {
  prepare: () => ({ bind: () => ({}) }),
  batch: async () => await Promise.reject(new Error('down')),
} as never;

describe('GET /api/v1/whoami', () => {
  it('counts the live tokens of the caller, and gives no number where D1 does not answer', async () => {
    const harness = await createLimitHarness();
    await fill(harness, { expires_in: '1h' });
    expect(await harness.whoami()).toEqual({ count: 3, limit: 3 });
    expect(await harness.whoami('bot')).toEqual({ count: 0, limit: 3 });
    harness.age(3_601);
    expect(await harness.whoami()).toEqual({ count: 0, limit: 3 });
    const down = await createLimitHarness({ like: harness, db: DOWN });
    const answer = await down.as('ci', 'GET', '/api/v1/whoami');
    expect([answer.status, answer.body.data.live_tokens]).toEqual([200, { count: null, limit: 3 }]);
  });

  it('names no limit to a caller that creates nothing', async () => {
    const roles = { reader: { permissions: ['tokens:read'], workspaces: ['*'] } };
    const harness = await createLimitHarness({ roles });
    expect(await harness.whoami('reader')).toEqual({ count: 0, limit: null });
  });
});

describe('GET /api/v1/status', () => {
  it('names owners above four fifths of their limit, while they are', async () => {
    const roles = {
      ci: { permissions: ['tokens:create', 'tokens:revoke'], workspaces: ['*'], scopes: ['*'], maxTokens: 5 },
    };
    const harness = await createLimitHarness({ roles });
    const near = async () => {
      const answer = await harness.as('admin', 'GET', '/api/v1/status');
      const { above_four_fifths: owners, more } = answer.body.data.token_limits;
      // Other tests share the database.
      const subject = `ci-${harness.subject}`;
      return { above_four_fifths: owners.filter((owner: { subject: string }) => owner.subject === subject), more };
    };
    const minted: string[] = [];
    for (let n = 0; n < 4; n += 1) minted.push((await harness.create('ci', { expires_in: '1h' })).body.data.id);
    // Four of five are exactly four fifths, which is not above it.
    expect(await near()).toEqual({ above_four_fifths: [], more: false });
    const fifth = (await harness.create()).body.data.id;
    const owner = { issuer: 'https://issuer.example', subject: `ci-${harness.subject}` };
    expect(await near()).toEqual({ above_four_fifths: [{ ...owner, live: 5, limit: 5 }], more: false });
    await harness.as('ci', 'DELETE', `${TOKENS}/${fifth}`);
    expect(await near()).toEqual({ above_four_fifths: [], more: false });
    await harness.create();
    harness.age(3_601);
    expect(await near()).toEqual({ above_four_fifths: [], more: false });
  });

  it('says that there are more owners near their limit than it names', async () => {
    const harness = await createLimitHarness();
    await env.DB.prepare(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i <= ?)
       insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at)
       select 'near', 'near-' || i, 'https://near.example', i, 1 from n`,
    )
      .bind(STATUS_OWNERS_MAX_COUNT)
      .run();
    await env.DB.prepare(`update token_counts set max_tokens = 1 where owner_issuer = 'https://near.example'`).run();
    const { token_limits } = (await harness.as('admin', 'GET', '/api/v1/status')).body.data;
    expect(token_limits.above_four_fifths).toHaveLength(STATUS_OWNERS_MAX_COUNT);
    expect(token_limits.more).toBe(true);
    await env.DB.prepare(`delete from tokens where workspace_uuid = 'near'`).run();
  });
});
