import { beforeEach, describe, expect, it } from 'vitest';
import { type Answer, TOKENS } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../harness.ts';

// What the driver of orders may have done to a token is in the next list, though no answer of PipeOps says what it did.

let harness: WebhookHarness;
let secret: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ env: { SNAPSHOT_MAX_AGE_SECONDS: '300' } });
  ({ token: secret } = await harness.mint('leaked'));
});

const listNow = async (): Promise<Answer> => {
  const iat = Math.floor(harness.runtime.now() / 1000);
  return await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('admin', { iat, exp: iat + 300 }) });
};
/** Of each token that is shown, whether it is shown as revoked. */
const revokedIn = ({ body }: Answer): boolean[] =>
  (body.data.tokens as { is_revoked: boolean }[]).map(({ is_revoked }) => is_revoked);

/** An order that waits, and a list that was asked for since it was last tried. */
const waitAndList = async (): Promise<void> => {
  await harness.control.fault({
    match: { workspace_uuid: harness.workspace, method: 'DELETE' },
    times: 9,
    status: 503,
  });
  await harness.leak(secret);
  await harness.control.clearFaults({ workspace_uuid: harness.workspace });
  expect(await ordersOf(harness)).toMatchObject([{ state: 'open' }]);
  harness.age(3_600);
  expect(revokedIn(await listNow())).toEqual([false]);
};

const deletes = async (): Promise<number> =>
  (await harness.upstream()).filter(({ method }) => method === 'DELETE').length;
const tryAgain = async (): Promise<void> => {
  const before = await deletes();
  await harness.cron();
  expect(await deletes()).toBeGreaterThan(before);
  expect(await ordersOf(harness)).toMatchObject([{ state: 'open' }]);
};

describe('a list that was asked for before an order was tried again', () => {
  it.each([
    ['was carried out, and answered with an error', { status: 500, commit: true }],
    ['was carried out, and not answered', { drop: 'after_commit' }],
  ] as const)('is not served where its DELETE %s', async (_case, fault) => {
    await waitAndList();
    const every = { match: { workspace_uuid: harness.workspace, method: 'DELETE' }, times: 9 };
    await harness.control.fault({ ...every, ...fault });
    await tryAgain();
    expect(revokedIn(await listNow())).toEqual([true]);
  });

  it('is served where PipeOps said that it did nothing', async () => {
    await waitAndList();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 429 });
    await tryAgain();
    expect((await listNow()).headers.get('Cache-Status')).toMatch(/^countersign; hit/);
  });
});
