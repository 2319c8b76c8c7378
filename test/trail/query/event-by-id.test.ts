import { beforeAll, describe, expect, it } from 'vitest';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, type Harness } from '../../support/harness.ts';

const EVENTS = '/api/v1/audit/events';

let harness: Harness;
let eventId = '';
let tokenId = '';
beforeAll(async () => {
  harness = await createHarness();
  ({ id: tokenId } = await harness.mint('audited'));
  eventId = (await harness.rows())[0]!.id;
});

const recorded = async (answer: { headers: Headers }) =>
  (await harness.send('GET', `${EVENTS}/${answer.headers.get('X-Audit-Event-Id')}`)).body.data;

describe('one event', () => {
  it('is shown as the query shows it', async () => {
    const answer = await harness.send('GET', `${EVENTS}/${eventId}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    const listed = await harness.send('GET', `${EVENTS}?action=service_account_token.create`);
    expect(answer.body.data).toEqual(listed.body.data[0]);
    expect(answer.body.data).toMatchObject({ id: eventId, token_id: tokenId });
  });

  it('is found by its id in any case of letters', async () => {
    expect((await harness.send('GET', `${EVENTS}/${eventId.toUpperCase()}`)).body.data.id).toBe(eventId);
  });

  it('has its reading in the trail, under the token and the workspace that it is about', async () => {
    const answer = await harness.send('GET', `${EVENTS}/${eventId}`);
    expect(await recorded(answer)).toMatchObject({
      action: 'audit.query',
      status: 'success',
      token_id: tokenId,
      workspace_uuid: harness.workspace,
      detail: { event_id: eventId },
    });
  });

  it('that does not exist is 404, and that is in the trail too', async () => {
    const unknown = crypto.randomUUID();
    const answer = await harness.send('GET', `${EVENTS}/${unknown}`);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(await recorded(answer)).toMatchObject({
      action: 'audit.query',
      status: 'failure',
      error_code: 'not_found',
      count: 1,
      detail: { event_id: unknown },
    });
  });

  it.each([
    ['id', '/latest'],
    ['id', '/00000000-0000-0000-0000-00000000000g'],
    ['id', `/sat_${'a'.repeat(40)}`],
    ['limit', `/${crypto.randomUUID()}?limit=1`],
  ])('is asked for by its id and nothing else: %s, %s', async (name, path) => {
    const answer = await harness.send('GET', EVENTS + path);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(Object.keys(answer.body.errors)).toEqual([name]);
  });

  it('is not shown where its reading cannot be recorded', async () => {
    // The first batch reads the event, and the second records the reading.
    for (const failing of [1, 2]) {
      const broken = await createHarness({ like: harness, db: failingBatches((batch) => batch === failing).db });
      const answer = await broken.send('GET', `${EVENTS}/${eventId}`);
      expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
      expect(answer.text).not.toContain(tokenId);
    }
  });

  it('takes no other method', async () => {
    const answer = await harness.send('DELETE', `${EVENTS}/${eventId}`);
    expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET']);
  });
});
