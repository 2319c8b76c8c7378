import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { createHarness } from '../../support/harness.ts';
import { TRAIL_KEY } from './built-logs.ts';
import { unguarded } from './rig.ts';
import { eventsOf, leavesOf, logs, pending } from './stored-logs.ts';

// Somebody with the database has the log pass over events that are still to come, so that they would never be sealed.

const roles = {
  operator: { permissions: ['trail:resume', 'audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] },
};

it('a log that was told to pass over what comes stops, and the one that follows it passes over nothing', async () => {
  const harness = await createHarness({ roles, env: { TRAIL_KEY } });
  const cron = async (): Promise<void> => {
    await env.DB.exec('delete from job_leases');
    await harness.cron();
  };
  await harness.mint('one');
  await cron();
  await unguarded(['update trail_logs set through_seq = through_seq + 1']);
  await harness.mint('two');
  await cron();
  expect(await logs()).toMatchObject([{ number: 1, stopped: 'forked' }]);
  const jwt = await harness.jwtFor('operator');
  const answer = await harness.send('POST', '/api/v1/audit/log', { jwt, body: { reason: 'it was passed over' } });
  expect([answer.status, answer.body.data]).toMatchObject([201, { number: 2, because: 'forked', gap: null }]);
  await cron();
  const known = new Set([...(await leavesOf(1)), ...(await leavesOf(2))].map(({ seq }) => seq));
  const waiting = Object.keys(await pending()).map(Number);
  expect((await eventsOf()).filter(({ seq }) => !known.has(seq) && !waiting.includes(seq))).toEqual([]);
  expect(await logs()).toMatchObject([{ number: 1 }, { number: 2, stopped: null }]);
});
