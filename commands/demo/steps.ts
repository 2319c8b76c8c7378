import * as z from 'zod';
import type { ServiceResponse } from '../service.ts';
import { printable } from '../terminal-text.ts';
import { answerLines, callerLines, requestLine, revocationLines, shortId, tableLines, titleOf } from './text.ts';

/** Why the demo ends before its end. Its message is shown as one line. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}

/** Who asks: a pipeline that mints tokens, or somebody who reads the trail. */
export type Asker = 'ci' | 'auditor';

/** A leak as its finder words it. */
export interface Leak {
  readonly token: string;
  readonly url: string;
}

/** What the demo works with: a running service, a clock and a place for lines. */
export interface Stage {
  readonly ask: (asker: Asker, method: string, path: string, body?: unknown) => Promise<ServiceResponse>;
  /** Reports a leak by a webhook that is signed as the scanner's. */
  readonly report: (leak: Leak) => Promise<ServiceResponse>;
  readonly write: (line: string) => void;
  readonly sleep: (ms: number) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Width of the terminal. */
  readonly cells: number;
}

const TOKENS = '/api/v1/service-account-tokens';
const DELIVERIES = '/api/v1/webhooks/deliveries';
/** The largest page, because others may use the service meanwhile. */
const EVENTS = '/api/v1/audit/events?action=service_account_token.*,webhook.receive&limit=200';
const LEAKED_AT = 'https://github.com/acme/shop/blob/main/.env';

/** The service looks right after a revocation. If that shows nothing yet, its cron looks a minute later. */
const CONFIRMATION_PATIENCE_MS = 90_000;
/** Slow enough for the limit of 100 requests in ten seconds. */
const POLL_MS = 250;

const Whoami = z.object({
  data: z.object({
    subject: z.string(),
    roles: z.tuple(
      [
        z.object({
          name: z.string(),
          permissions: z.array(z.string()),
          tokens: z.string(),
          scopes: z.array(z.string()),
          max_ttl_seconds: z.number().nullable(),
        }),
      ],
      z.unknown(),
    ),
  }),
});
const Created = z.object({ data: z.object({ id: z.string(), token: z.string().startsWith('sat_') }) });
const Failure = z.object({ code: z.string(), message: z.string() });
const Receipt = z.object({ data: z.object({ delivery_id: z.string() }) });
const Delivery = z.object({
  data: z.object({
    event_id: z.string(),
    revocations: z.array(
      z.object({
        event_id: z.string(),
        token_id: z.string(),
        state: z.string(),
        received_at: z.string(),
        revoked_at: z.string().nullish(),
      }),
    ),
  }),
});
const Trail = z.object({ data: z.array(z.looseObject({ id: z.string() })) });

/**
 * Plays a first look at the service, and prints each request with its answer. It leaves none of its tokens alive.
 *
 * @throws DemoError if an answer is not the expected one.
 */
export async function play(stage: Stage): Promise<void> {
  const run: Run = { ...stage, alive: new Set(), eventIds: new Set() };
  try {
    await showCaller(run);
    const token = await mintWithinRole(run);
    await mintBeyondRole(run);
    await leak(run, token);
    await mintAndDelete(run);
    await showTrail(run);
  } finally {
    await tidyUp(run);
  }
}

interface Run extends Stage {
  /** Ids of tokens that this run minted and that are not known to be revoked. */
  readonly alive: Set<string>;
  /** Ids of the rows in the trail that this run led to. */
  readonly eventIds: Set<string>;
}

interface Minted {
  readonly id: string;
  readonly secret: string;
}

async function showCaller(run: Run): Promise<void> {
  entitle(run, 1, 'Who is asking? A pipeline, by the JWT that it already has.');
  const answer = await send(run, 'ci', 'GET', '/api/v1/whoami');
  const { data } = expected(1, answer, 200, Whoami);
  tell(run, 200, callerLines(data.subject, data.roles[0]));
}

async function mintWithinRole(run: Run): Promise<Minted> {
  entitle(run, 2, 'It asks for a token that its role allows.');
  return await mint(run, 2, 'demo');
}

async function mintBeyondRole(run: Run): Promise<void> {
  entitle(run, 3, 'It asks for more than its role allows.');
  const answer = await send(run, 'ci', 'POST', TOKENS, { name: 'demo-admin', scopes: ['api:full'], expires_in: '30d' });
  noteMinted(run, answer);
  const { code, message } = expected(3, answer, 403, Failure);
  tell(run, 403, [`${code}: ${message}`]);
}

async function leak(run: Run, { id, secret }: Minted): Promise<void> {
  entitle(run, 4, 'A scanner finds that secret in public, and reports it by signed webhook.');
  const data = { token: secret, url: LEAKED_AT };
  run.write(requestLine('POST', '/webhooks/scanner', { type: 'token.leaked', data }));
  const { delivery_id: deliveryId } = expected(4, await run.report(data), 202, Receipt).data;
  tell(run, 202, ['Accepted. A sender is not told whether the secret was one of ours.']);

  const path = `${DELIVERIES}/${encodeURIComponent(deliveryId)}`;
  run.write(requestLine('GET', path));
  const revocation = await confirmed(run, path, id);
  run.alive.delete(id);
  tell(run, 200, revocationLines(revocation));
}

/** Asks for the receipt of a report until it says that the token's revocation is confirmed. */
async function confirmed(run: Run, path: string, tokenId: string) {
  const deadlineMs = run.now() + CONFIRMATION_PATIENCE_MS;
  for (;;) {
    const { data } = expected(4, await run.ask('auditor', 'GET', path), 200, Delivery);
    const revocation = data.revocations.find(({ token_id }) => token_id === tokenId);
    const state = revocation?.state ?? 'not ordered';
    if (revocation !== undefined && state === 'confirmed') {
      run.eventIds.add(data.event_id).add(revocation.event_id);
      return revocation;
    }
    if (state === 'failed' || run.now() >= deadlineMs) {
      throw new DemoError(`Step 4 did not come out as expected: the revocation is ${printable(state)}, not confirmed.`);
    }
    await run.sleep(POLL_MS);
  }
}

async function mintAndDelete(run: Run): Promise<void> {
  entitle(run, 5, 'The pipeline takes another token, and deletes it when its job is done.');
  const { id } = await mint(run, 5, 'demo-next');
  const answer = await send(run, 'ci', 'DELETE', `${TOKENS}/${encodeURIComponent(id)}`);
  expected(5, answer, 200, z.object({}));
  run.alive.delete(id);
  tell(run, 200, [`Token ${shortId(id)} is revoked.`]);
}

async function showTrail(run: Run): Promise<void> {
  entitle(run, 6, 'Who did what?');
  const { data } = expected(6, await send(run, 'auditor', 'GET', EVENTS), 200, Trail);
  const events = data.filter(({ id }) => run.eventIds.has(id));
  const missing = run.eventIds.size - events.length;
  if (missing > 0) {
    throw new DemoError(`Step 6 did not come out as expected: ${missing} events of this run are not in the trail.`);
  }
  tell(run, 200, ['The events of this run, oldest first:']);
  for (const line of tableLines(events.toReversed(), run.cells)) run.write(line);
}

async function mint(run: Run, step: number, name: string): Promise<Minted> {
  const answer = await send(run, 'ci', 'POST', TOKENS, { name, scopes: ['api:read'], expires_in: '30d' });
  noteMinted(run, answer);
  const { id, token } = expected(step, answer, 201, Created).data;
  tell(run, 201, [`Token ${shortId(id)} with the secret ${token}, which is shown this once.`]);
  return { id, secret: token };
}

/** Keeps the id of a token that was minted, even unexpectedly, so that it does not outlive the demo. */
function noteMinted(run: Run, { json }: ServiceResponse): void {
  const created = Created.safeParse(json);
  if (created.success) run.alive.add(created.data.data.id);
}

/** Sends a request, shows it, and keeps the id of its event. */
async function send(run: Run, asker: Asker, method: string, path: string, body?: unknown): Promise<ServiceResponse> {
  run.write(requestLine(method, path, body));
  const answer = await run.ask(asker, method, path, body);
  const eventId = answer.headers.get('X-Audit-Event-Id');
  // The query of the trail is an event too, but not one of those that it shows.
  if (eventId !== null && asker === 'ci') run.eventIds.add(eventId);
  return answer;
}

function entitle(run: Run, step: number, title: string): void {
  run.write('');
  run.write(titleOf(step, title));
}

function tell(run: Run, status: number, lines: readonly string[]): void {
  for (const line of answerLines(status, lines)) run.write(line);
}

/** @throws DemoError that says what was expected. It shows only the code and message of a failure, nothing else of an answer. */
function expected<T>(step: number, answer: ServiceResponse, status: number, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(answer.json);
  if (answer.status === status && parsed.success) return parsed.data;
  const failure = Failure.safeParse(answer.json);
  const said = failure.success ? ` ${printable(`${failure.data.code}: ${failure.data.message}`)}` : '';
  const problem =
    answer.status === status
      ? `the answer is ${status}, as it should be, but its body is not what was expected.`
      : `${status} was expected, and the answer is ${answer.status}.${said}`;
  throw new DemoError(`Step ${step} did not come out as expected: ${problem}`);
}

/** Deletes the tokens that a demo that ended early has left alive. */
async function tidyUp(run: Run): Promise<void> {
  for (const id of run.alive) {
    const path = `${TOKENS}/${encodeURIComponent(id)}`;
    run.write(requestLine('DELETE', path));
    const answer = await run.ask('ci', 'DELETE', path).catch(() => null);
    if (answer === null) run.write('   Nobody answers. The token may be alive.');
    else
      tell(run, answer.status, [
        answer.status === 200 ? 'The token of this demo is revoked.' : 'The token of this demo may be alive.',
      ]);
  }
}
