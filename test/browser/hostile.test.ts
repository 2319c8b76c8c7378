import type { Page, Route } from 'playwright-core';
import { describe, expect, inject, it } from 'vitest';
import { deliveryOf } from '../../commands/webhook/delivery.ts';
import { webhooksOf } from '../e2e/service.ts';
import { overflowing } from './support/looks.ts';
import { admin, callerAs, uniqueName } from './support/people.ts';
import { type Places, places, tokenPath, WORKSPACE_UUID } from './support/places.ts';
import { expectSeen, visit } from './support/visit.ts';

// What others write stays text: markup, quotes, text from right to left, and as much of it as fits.

const MARKUP = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script><b>'"\`\${7*7}</b>`;
const HOSTILE = [
  MARKUP,
  `javascript:window.pwned=1//${MARKUP}`,
  // It would turn the text around it, if that were not kept apart.
  '\u202Etxt.exe\u202C שלום مرحبا',
  'W'.repeat(255),
];

/** The fields of the API that take what somebody else wrote. */
const WRITTEN = new Set(
  'name token_name label subject description user_agent location reason sender_id event message what_to_do ip request_id role token_prefix source'.split(
    ' ',
  ),
);

/** An answer in which each of these fields holds something hostile. */
function hostile(value: unknown, turn = { count: 0 }): unknown {
  if (Array.isArray(value)) return value.map((one) => hostile(one, turn));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (!WRITTEN.has(name) || typeof field !== 'string') return [name, hostile(field, turn)];
      turn.count += 1;
      return [name, HOSTILE[turn.count % HOSTILE.length]];
    }),
  );
}

/** Answers as the service does, with other data in the envelope. */
async function answerWith(route: Route, change: (body: { data: unknown }) => unknown): Promise<void> {
  const response = await route.fetch();
  const isJson = response.headers()['content-type'] === 'application/json';
  await (isJson ? route.fulfill({ response, json: change(await response.json()) }) : route.fulfill({ response }));
}

/** Nothing that was written has become an element or an address, and none of it ran. */
async function expectText(page: Page): Promise<void> {
  const found = await page.evaluate(() => ({
    elements: [
      ...document.querySelectorAll('[onerror], [onload], img[src="x"], main b, iframe, object, form[action]'),
    ].map((element) => element.outerHTML),
    scripts: [...document.querySelectorAll('script')].map((script) => script.getAttribute('src')),
    addresses: [...document.querySelectorAll('a')]
      .map((link) => link.href)
      .filter((href) => !href.startsWith(`${location.origin}/`)),
    pwned: 'pwned' in globalThis,
  }));
  expect(found).toEqual({ elements: [], scripts: ['/console/assets/console.js'], addresses: [], pwned: false });
}

describe('markup that others wrote', () => {
  it.each<[string]>([
    ['/console/activity'],
    ['event'],
    ['/console/tokens?show=all'],
    ['token'],
    ['/console/people'],
    ['person'],
    ['/console/webhooks'],
    ['delivery'],
    ['revocation'],
    ['/console/health'],
  ])('stays text in each field of %s, and pushes nothing out of a narrow page', async (place) => {
    const path = place.startsWith('/') ? place : (await places())[place as keyof Places];
    const { page } = await visit('ada', null, { viewport: { width: 390, height: 844 } });
    await page.route(/\/api\/v1\/(?!whoami)/, async (route) => await answerWith(route, hostile));
    await page.goto(path);
    await expectSeen(page.getByRole('main').getByText(/W{20}|onerror|txt\.exe/));
    await expectText(page);
    expect(await overflowing(page)).toEqual([]);
  });

  it('stays text in a failure, whose page of help is no address of its choice', async () => {
    const { page, announce } = await visit('ada', null);
    announce(/^422 GET \/api\/v1\/inventory$/);
    await page.route(
      '**/api/v1/inventory*',
      async (route) =>
        await route.fulfill({
          status: 422,
          json: {
            success: false,
            status: 'error',
            message: MARKUP,
            code: 'validation_failed',
            request_id: MARKUP,
            help: 'javascript:window.pwned=1',
            errors: { [MARKUP]: [MARKUP] },
          },
        }),
    );
    await page.goto('/console/tokens');
    await expectSeen(page.getByRole('alert').getByText(MARKUP, { exact: true }));
    await expectText(page);
  });

  it('stays text in an address', async () => {
    const { page, announce } = await visit(
      'ada',
      `/console/activity?q=${encodeURIComponent(`name:"${MARKUP}" nothing:${MARKUP}`)}`,
    );
    // The service takes no such name, and the page says so.
    announce(/^400 GET \/api\/v1\/audit\/(?:events|counts)$/);
    await expectSeen(page.getByRole('alert'));
    await expectText(page);
    await page.goto(`/console/tokens?token_name=${encodeURIComponent(MARKUP)}`);
    await expectSeen(page.getByText('No token matches.'));
    await expectText(page);
    await page.goto(`/console/people/${encodeURIComponent(MARKUP)}`);
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText(MARKUP));
    await expectText(page);
    await page.goto(`/console/${encodeURIComponent(MARKUP)}`);
    await expectSeen(page.getByRole('heading', { level: 1 }));
    await expectText(page);
  });

  it('stays text from the API to the page: a name, a label, a place where a secret was found, a reason', async () => {
    const subject = uniqueName('mallory');
    const label = `${subject}<img/src=x/onerror=alert(1)>`;
    const name = `${uniqueName('x')} <img src=x onerror="window.pwned=1"> '"`;
    const token = await callerAs(subject, 'ci', label).tokens.create({ name, scopes: ['api:read'] });
    const { stateDir, url } = inject('browserRun');
    const data = { token: token.token, url: 'javascript:window.pwned=1//"><script>window.pwned=1</script>' };
    const message = { source: 'scanner', event: 'token.leaked', data } as const;
    const sent = deliveryOf(message, webhooksOf(stateDir), `msg_${crypto.randomUUID()}`, new Date());
    const headers = { ...sent.headers, 'User-Agent': MARKUP };
    const answer = await fetch(new URL(sent.path, url), { method: 'POST', headers, body: sent.body });
    const receipt: { data: { delivery_id: string } } = await answer.json();
    const order = await admin.revocations.create({
      workspace_uuid: WORKSPACE_UUID,
      token_ids: [token.id],
      reason: `INC-1 ${MARKUP}`,
    });
    const { page } = await visit('ada', tokenPath(token));
    await expectSeen(page.getByRole('heading', { level: 1 }).getByText(name));
    await expectText(page);
    await page.goto(`/console/webhooks/${receipt.data.delivery_id}`);
    await expectSeen(page.getByRole('main').getByText(/window\.pwned/));
    await expectText(page);
    await page.goto(`/console/revocations/${order.id}`);
    await expectSeen(page.getByText(/INC-1 <img/));
    await expectText(page);
    await page.goto(`/console/people?q=${subject}`);
    await expectSeen(page.getByRole('link', { name: label }));
    await expectText(page);
    await page.goto(`/console/activity?q=${encodeURIComponent(`token:${token.id}`)}`);
    await expectSeen(page.getByRole('main').getByText(/onerror/));
    await expectText(page);
  });
});

describe('ten thousand rows', () => {
  const ROWS = 10_000;
  /** More than a screen and what is drawn around it, and far less than all. */
  const DRAWN_MOST = 600;

  it.each([
    ['tokens', '/console/tokens?show=all', '**/api/v1/inventory?*', 'row', 'name', null],
    ['events', '/console/activity?to=2026-01-01', '**/api/v1/audit/events?*', 'listitem', 'token_name', 'seq'],
  ] as const)(
    'of %s are drawn as far as they can be seen, and scrolled through',
    async (_what, path, asked, role, named, numbered) => {
      const { page } = await visit('ada', null);
      const [sample] =
        role === 'row'
          ? (await admin.inventory.list({ limit: 1 })).items
          : (
              await admin.audit.events({
                action: 'service_account_token.create',
                status: 'success',
                limit: 1,
                latest: true,
              })
            ).items;
      await page.route(
        asked,
        async (route) =>
          await answerWith(route, (body) => ({
            ...body,
            pagination: { next_cursor: null },
            data: Array.from({ length: ROWS }, (_, index) => ({
              ...sample,
              id: `row-${index}`,
              [named]: `number-${index}-`,
              ...(numbered !== null && { [numbered]: ROWS - index, token_id: `token-${index}` }),
            })),
          })),
      );
      await page.goto(path);
      const drawn = page.getByRole(role);
      await expectSeen(drawn.filter({ hasText: 'number-0-' }));
      expect(await drawn.count()).toBeLessThan(DRAWN_MOST);
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await expect
        .poll(async () => {
          await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
          return await drawn.filter({ hasText: `number-${ROWS - 1}-` }).count();
        })
        .toBe(1);
      expect(await drawn.count()).toBeLessThan(DRAWN_MOST);
      await page.evaluate(() => scrollTo(0, 0));
      await expectSeen(drawn.filter({ hasText: 'number-0-' }));
    },
  );
});
