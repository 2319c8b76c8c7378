import { expect, it } from 'vitest';
import { growingMinutes } from '../support/clock.ts';
import { ISSUER } from '../support/harness.ts';
import { clearOrders, ordersOf } from './harness.ts';
import { ALL, createPipeOpsInIsolate, type Lies } from './pipeops-in-isolate.ts';

// A PipeOps that lies for an hour and then tells the truth, two hours of clock later.

/** Each is lied about in its own way. */
const OURS = ['ignored-hidden', 'ignored-buried', 'ignored-shown', 'obeyed-revived', 'obeyed-hidden'];
const THEIRS = ['theirs-hidden', 'theirs-buried', 'theirs-1', 'theirs-2', 'theirs-3'];
const says =
  (word: string) =>
  (id: string): boolean =>
    id.includes(word);
const HOUR_SECONDS = 3_600;

it.each<[string, Lies]>([
  [
    'about each token in another way',
    { ignores: says('ignored'), hides: says('hidden'), buries: says('buried'), revives: says('revived') },
  ],
  ['about everything: it acknowledges, does nothing, and lists nothing', { ignores: ALL, hides: ALL }],
])(
  '%s: what is confirmed is dead, nothing is open, and nothing else was revoked',
  async (_case, lies) => {
    await clearOrders();
    const pipeops = await createPipeOpsInIsolate();
    const { harness, tokens } = pipeops;
    const subject = `leaver-${crypto.randomUUID()}`;
    await pipeops.hold(OURS, { issuer: ISSUER, subject });
    await pipeops.hold(THEIRS, { issuer: ISSUER, subject: `colleague-${crypto.randomUUID()}` });
    pipeops.lie(lies, HOUR_SECONDS);
    const accepted = await harness.offboard({ issuer: ISSUER, subject });
    expect(accepted.status, accepted.text).toBe(202);
    for (const minutes of [...growingMinutes(60), ...growingMinutes(120)]) await pipeops.cronAfter(60 * minutes);

    const orders = await ordersOf(harness);
    expect(orders.map(({ token_id }) => token_id).toSorted()).toEqual(OURS.toSorted());
    expect(orders).toMatchObject(OURS.map(() => ({ state: 'confirmed', contradicted_at: null })));
    expect([...tokens].filter(([, { isRevoked }]) => isRevoked).map(([id]) => id)).toEqual(OURS);
    expect(pipeops.received.filter(({ method, id }) => method !== 'GET' && !OURS.includes(id ?? ''))).toEqual([]);
    const open = (await harness.rows()).filter(({ status }) => status === 'attempted');
    expect(open).toEqual([]);
  },
  60_000,
);
