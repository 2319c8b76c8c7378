import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { markerOf } from '../../src/kit/marker.ts';
import type { Answer, Harness } from './harness.ts';

const MUTATIONS = new Set(['POST', 'PATCH', 'DELETE']);

/** What must be true of an answer at the moment it is given, whatever failed on the way to it. */
export async function expectHonestAnswer(harness: Harness, answer: Answer): Promise<void> {
  expect(answer.body?.code).not.toBe('internal_error');
  const rows = await harness.rows();
  for (const { event_id, method } of (await harness.upstream()).filter((sent) => MUTATIONS.has(sent.method))) {
    expect(
      rows.map((row) => row.id),
      `a ${method} reached PipeOps without a row`,
    ).toContain(event_id);
  }
  const secret: unknown = answer.body?.data?.token;
  if (typeof secret === 'string') {
    const row = rows.find(({ id }) => id === answer.headers.get('X-Audit-Event-Id'));
    expect(row, 'a secret left without a success row').toMatchObject({
      status: 'success',
      token_id: answer.body.data.id,
    });
  }
  if (answer.status < 300) {
    // A query of the trail belongs to no workspace, so its row is looked for by its id.
    const id = answer.headers.get('X-Audit-Event-Id');
    const row = await env.DB.prepare('select status from audit_events where id = ?').bind(id).first();
    expect(row, 'an answer left without its row').toEqual({ status: 'success' });
  }
}

/** What must be true once reconciliation has had its turn. */
export async function expectSettledTrail(harness: Harness): Promise<void> {
  const rows = await harness.rows();
  expect(rows.filter((row) => row.status === 'attempted')).toEqual([]);
  const creates = rows.filter((row) => row.action === 'service_account_token.create');
  for (const token of await harness.upstreamTokens()) {
    // Made at PipeOps' own console: nothing of ours accounts for it, or may touch it.
    if (token.is_revoked || markerOf(token.name) === null) continue;
    // What a list showed is a success as well, and says so in its code.
    const minted = creates.filter(
      (row) => row.token_id === token.id && row.status === 'success' && row.error_code === null,
    );
    // A replay is a success as well, and names the create whose answer it gave once more.
    const owners = minted.filter((row) => !row.outcome?.includes('"idempotent_of"'));
    expect(owners, `live token ${token.name} has one successful create`).toHaveLength(1);
    expect(
      creates.find((row) => row.status === 'failure' && row.marker !== null && token.name.endsWith(row.marker)),
    ).toBe(undefined);
  }
}
