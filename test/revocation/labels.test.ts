import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import type { DeliveryRow } from '../../src/db/schema.ts';
import { makeOrders } from '../../src/revocation/orders/making.ts';
import { SYSTEM_ACTOR } from '../../src/trail/event.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { mac } from '../support/state-secret.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { type Answer, createHarness, ISSUER, TOKENS } from '../support/harness.ts';
import {
  clearOrders,
  createWebhookHarness,
  deliveryOf,
  ordersOf,
  rowsOfDelivery,
  type WebhookHarness,
} from './harness.ts';
import { requestContext } from '../support/request-context.ts';

// A leaver is a person, not a label: who is offboarded by a label loses every token, whatever label each was minted under.

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
};
const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

const issuer = await createTestIssuer({ issuer: ISSUER });
let harness: WebhookHarness;
/** Makes the labels and subjects of one test its own. */
let unique: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ issuer, roles });
  unique = crypto.randomUUID();
});

const subjectOf = (name: string): string => `${name}-${unique}`;
const emailOf = (label: string): string => `${label}-${unique}@acme.example`;
const labelled = (label: string) => ({ label: emailOf(label) });
/** A JWT that was issued a minute ago, unless a test says when. */
const jwtOf = async (name: string, label: string, issuedAtMs = Date.now() - 60_000) =>
  await harness.jwtFor('owner', {
    sub: subjectOf(name),
    email: emailOf(label),
    iat: Math.floor(issuedAtMs / 1000),
    exp: Math.floor(Date.now() / 1000) + 300,
  });
/** Names a token after its label, and says its id. */
const mintAs = async (name: string, label: string): Promise<string> =>
  (await harness.mint(`${name}-${label}`, await jwtOf(name, label))).id;
const shows = async (name: string, label: string): Promise<void> => {
  expect((await harness.send('GET', TOKENS, { jwt: await jwtOf(name, label) })).status).toBe(200);
};
/** The names of tokens that are alive at PipeOps, without their markers. */
const alive = async (): Promise<string[]> =>
  (await harness.upstreamTokens())
    .filter(({ is_revoked }) => !is_revoked)
    .map(({ name }) => name.split('-csgn-')[0] ?? '')
    .toSorted();
const ownersOf = async (answer: Answer): Promise<unknown[][]> => {
  const owners = await env.DB.prepare('select * from webhook_owners where delivery_id = ? order by subject')
    .bind(answer.body.data.delivery_id)
    .all<{ issuer: string; subject: string; found: string; tokens: number }>();
  return owners.results.map((row) => [row.issuer, row.subject.replace(`-${unique}`, ''), row.found, row.tokens]);
};
const createAs = async (name: string, label: string): Promise<unknown[]> => {
  const answer = await harness.send('POST', TOKENS, { jwt: await jwtOf(name, label), ...CREATE });
  return [answer.status, answer.body.code];
};
const BLOCKED = [403, 'subject_blocked'];

describe('a person who minted under one label and then under another', () => {
  it.each(['old', 'new'])('loses the tokens of both when offboarded by the %s one', async (label) => {
    await mintAs('alice', 'old');
    await mintAs('alice', 'new');
    const answer = await harness.offboard(labelled(label));
    expect(answer.status).toBe(202);
    expect(await ownersOf(answer)).toEqual([[ISSUER, 'alice', 'owner', 2]]);
    expect(await alive()).toEqual([]);
    expect(await ordersOf(harness)).toHaveLength(2);
    for (const carried of ['old', 'new', 'a third']) expect(await createAs('alice', carried)).toEqual(BLOCKED);
  });
});

describe('a label that somebody else carries by now', () => {
  beforeEach(async () => {
    await mintAs('alice', 'shared');
    await mintAs('alice', 'new');
    await mintAs('bob', 'shared');
  });

  it('means that person: its former holder is named, and keeps its tokens and its access', async () => {
    const answer = await harness.offboard(labelled('shared'));
    expect(await ownersOf(answer)).toEqual([
      [ISSUER, 'alice', 'also_carried', 2],
      [ISSUER, 'bob', 'owner', 1],
    ]);
    expect(await alive()).toEqual(['alice-new', 'alice-shared']);
    expect(await createAs('alice', 'new')).toEqual([201, undefined]);
    expect(await createAs('bob', 'new')).toEqual(BLOCKED);
  });

  it('means both where the delivery asks for former holders', async () => {
    const answer = await harness.offboard({ ...labelled('shared'), former: true });
    expect(await ownersOf(answer)).toEqual([
      [ISSUER, 'alice', 'owner', 2],
      [ISSUER, 'bob', 'owner', 1],
    ]);
    expect(await deliveryOf(answer)).toMatchObject({ former: 1, orders_left: 0 });
    expect(await alive()).toEqual([]);
    expect(await createAs('alice', 'new')).toEqual(BLOCKED);
    const block = (await rowsOfDelivery(answer)).find(({ action }) => action === 'subject.block');
    expect(JSON.parse(block?.detail ?? '')).toMatchObject({ ...labelled('shared'), former: true });
  });
});

describe('an owner without a token', () => {
  it.each([
    ['by its label', (): object => labelled('only')],
    ['by issuer and subject', (): object => ({ issuer: ISSUER, subject: subjectOf('alice') })],
  ])('is found and blocked %s, whatever label it comes with', async (_case, who) => {
    await shows('alice', 'only');
    const answer = await harness.offboard(who());
    expect(await ownersOf(answer)).toEqual([[ISSUER, 'alice', 'owner', 0]]);
    expect(await createAs('alice', 'another')).toEqual(BLOCKED);
  });

  it('is found by issuer and subject even if nobody has seen it', async () => {
    const answer = await harness.offboard({ issuer: 'https://nobody.example', subject: subjectOf('alice') });
    expect(await ownersOf(answer)).toEqual([['https://nobody.example', 'alice', 'owner', 0]]);
  });

  it('a label that nobody had finds nobody, and whoever comes with it is blocked', async () => {
    expect(await ownersOf(await harness.offboard(labelled('unheard of')))).toEqual([]);
    expect(await createAs('alice', 'unheard of')).toEqual(BLOCKED);
  });
});

it('an owner that a label blocked is let in again by that label, under whatever label it comes', async () => {
  await mintAs('alice', 'old');
  await shows('alice', 'new');
  await harness.offboard(labelled('old'));
  expect(await createAs('alice', 'new')).toEqual(BLOCKED);
  await harness.reinstate(labelled('old'));
  expect(await createAs('alice', 'new')).toEqual([201, undefined]);
});

describe('a label longer than the trail shows', () => {
  it.each([97, 500, 4_000])(
    'of %i bytes offboards whoever carries it, and nobody whose label begins alike',
    async (length) => {
      const start = `${unique}-${'x'.repeat(length - unique.length - 2)}`;
      const jwt = await harness.jwtFor('owner', { sub: subjectOf('alice'), email: `${start}A` });
      const alike = await harness.jwtFor('owner', { sub: subjectOf('bob'), email: `${start}B` });
      await harness.mint('leaver', jwt);
      await harness.mint('other', alike);
      const answer = await harness.offboard({ label: `${start}a` });
      expect(answer.status, answer.text).toBe(202);
      expect(await alive()).toEqual(['other']);
      const refused = await harness.send('POST', TOKENS, { jwt, ...CREATE });
      expect([refused.status, refused.body.code]).toEqual(BLOCKED);
      expect((await harness.send('GET', TOKENS, { jwt })).status).toBe(403);
      expect((await harness.send('GET', TOKENS, { jwt: alike })).status).toBe(200);
      // The trail keeps the beginning of it, in every row.
      for (const { detail } of await rowsOfDelivery(answer)) expect(detail.length).toBeLessThan(512);
      expect((await deliveryOf(answer))?.subject_label).toBe(start.slice(0, 96));
      await harness.reinstate({ label: `${start}A` });
      expect((await harness.send('POST', TOKENS, { jwt, ...CREATE })).status).toBe(201);
    },
  );

  it('is not the same as one that begins alike, for reads of one caller in one minute either', async () => {
    const start = `${unique}-${'x'.repeat(100)}`;
    const jwtFor = async (end: string) =>
      await harness.jwtFor('owner', { sub: subjectOf('alice'), email: `${start}${end}` });
    const [one, other] = [await jwtFor('1'), await jwtFor('2')];
    await harness.offboard({ label: `${start}2` });
    const isolate = await createHarness({ like: harness, roles, env: { SNAPSHOT_MAX_AGE_SECONDS: '15' } });
    const statuses = async (jwts: readonly string[]) =>
      await Promise.all(jwts.map(async (jwt) => (await isolate.send('GET', TOKENS, { jwt })).status));
    await isolate.send('GET', TOKENS);
    // Reads that come together are sent in one batch, once there is a list to decide on.
    expect(await statuses([one, one, other, one])).toEqual([200, 200, 403, 200]);
  });
});

describe('a leaver whose label changes while it is offboarded', () => {
  /** A create that PipeOps has carried out and not answered when `meanwhile` happens. */
  const slowCreate = async (jwt: string, meanwhile: () => Promise<unknown>): Promise<Answer> => {
    const other = await createHarness({
      like: harness,
      roles,
      runtime: {
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          if (init.method === 'POST') await meanwhile();
          return response;
        },
      },
    });
    return await other.send('POST', TOKENS, { jwt, ...CREATE });
  };
  /** The label of the create, and that by which the leaver is offboarded while it is under way. */
  const ORDERS = ['old', 'new'].flatMap((create) =>
    ['old', 'new'].map((offboarding) => [create, offboarding] as const),
  );

  it.each(ORDERS)(
    'has nothing alive and is blocked: a create under the %s label is under way, offboarded by the %s one',
    async (create, offboarding) => {
      await mintAs('alice', 'old');
      const answer = await slowCreate(await jwtOf('alice', create), async () => {
        // Under the other label meanwhile, as with a further login.
        await shows('alice', 'new');
        await harness.offboard(labelled(offboarding));
      });
      expect([answer.status, answer.body.code]).toEqual(BLOCKED);
      expect(await alive()).toEqual([]);
      for (const label of ['old', 'new']) expect(await createAs('alice', label)).toEqual(BLOCKED);
    },
  );

  /** Makes what is left of orders, as the driver does. */
  const makeRest = async (): Promise<void> => {
    const database = createDatabase(env.DB, workerRuntime, mac);
    const context = requestContext();
    const deliveries = await env.DB.prepare(
      'select * from webhook_deliveries where orders_left = 1 and id in (select delivery_id from webhook_owners where subject = ?)',
    )
      .bind(subjectOf('alice'))
      .all<DeliveryRow>();
    for (const delivery of deliveries.results) {
      const made = await database.batch(
        context,
        makeOrders({ database, runtime: workerRuntime }, context, SYSTEM_ACTOR, delivery, 500, Date.now()),
      );
      expect(made.ok).toBe(true);
    }
  };
  /** Tokens that are neither revoked nor ordered to be. */
  const spared = async (): Promise<string[]> => {
    const ordered = new Set((await ordersOf(harness)).map(({ token_id }) => token_id));
    return (await harness.upstreamTokens())
      .filter(({ id, is_revoked }) => !is_revoked && !ordered.has(id))
      .map(({ id }) => id);
  };

  it.each(ORDERS)(
    'has nothing alive that is not ordered, and is blocked: a create under the %s label begins after it was offboarded by the %s one',
    async (create, offboarding) => {
      await mintAs('alice', 'old');
      // Both were issued before: the leaver had the new label, and nobody here knew.
      const [jwt, last] = [await jwtOf('alice', create), await jwtOf('alice', 'new')];
      await harness.offboard(labelled(offboarding));
      await harness.send('POST', TOKENS, { jwt, ...CREATE });
      const answer = await harness.send('POST', TOKENS, { jwt: last, ...CREATE });
      expect([answer.status, answer.body.code]).toEqual(BLOCKED);
      await makeRest();
      expect(await spared()).toEqual([]);
      for (const label of ['old', 'new']) expect(await createAs('alice', label)).toEqual(BLOCKED);
    },
  );

  it.each([
    ['a list', 'GET', TOKENS],
    ['a query of the trail', 'GET', '/api/v1/audit/events'],
    ['an update', 'PATCH', `${TOKENS}/some-id`],
  ])('is found by %s too that is refused under the label, once', async (_case, method, path) => {
    const id = await mintAs('alice', 'old');
    const role = path === TOKENS || method === 'PATCH' ? 'owner' : 'admin';
    const jwt = await harness.jwtFor(role, { sub: subjectOf('alice'), email: emailOf('new') });
    const offboarding = await harness.offboard(labelled('new'));
    expect(await ownersOf(offboarding)).toEqual([]);
    for (let time = 0; time < 2; time += 1) {
      const refused = await harness.send(method, path, { jwt, ...(method === 'PATCH' && { body: { name: 'x' } }) });
      expect([refused.status, refused.body.code]).toEqual(BLOCKED);
      expect(await ownersOf(offboarding)).toEqual([[ISSUER, 'alice', 'owner', 1]]);
      expect((await deliveryOf(offboarding))?.orders_left).toBe(1 - time);
      await makeRest();
    }
    expect((await ordersOf(harness)).map(({ token_id }) => token_id)).toEqual([id]);
    expect(await createAs('alice', 'old')).toEqual(BLOCKED);
  });

  it('is not taken for whoever got the label after that: it is kept out, and loses nothing', async () => {
    await mintAs('alice', 'old');
    const offboarding = await harness.offboard(labelled('new'));
    await env.DB.prepare('update webhook_deliveries set received_at = received_at - 3600000 where id = ?')
      .bind(offboarding.body.data.delivery_id)
      .run();
    expect(await createAs('alice', 'new')).toEqual(BLOCKED);
    expect(await ownersOf(offboarding)).toEqual([]);
    expect((await deliveryOf(offboarding))?.orders_left).toBe(0);
    expect(await createAs('alice', 'old')).toEqual([201, undefined]);
  });

  it('is not found anew where it is known as a former holder', async () => {
    await mintAs('alice', 'shared');
    await mintAs('bob', 'shared');
    await mintAs('alice', 'new');
    const offboarding = await harness.offboard(labelled('shared'));
    expect(await createAs('alice', 'shared')).toEqual(BLOCKED);
    expect(await ownersOf(offboarding)).toEqual([
      [ISSUER, 'alice', 'also_carried', 2],
      [ISSUER, 'bob', 'owner', 1],
    ]);
    expect(await createAs('alice', 'new')).toEqual([201, undefined]);
  });
});
