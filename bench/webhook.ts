import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { deliveryOf } from '../commands/webhook/delivery.ts';
import { bindingsFor } from '../local/bindings.ts';
import { openIssuer, signJwt } from '../local/issuer.ts';
import { migrate } from '../local/migrate.ts';
import { openIdempotencySecret } from '../local/secrets.ts';
import { CHECKOUT } from '../local/settings.ts';
import { openWebhooks } from '../local/webhook-keys.ts';
import { BUNDLE } from '../local/build.ts';
import { startWorker } from '../local/worker.ts';
import { QUOTA_CALLS_MAX } from '../src/config/limits.ts';
import { sized } from './quick.ts';
import { percentile } from './statistics.ts';
import { startUpstream } from './upstream.ts';
import { startWatch } from './webhook-watch.ts';

const TOKENS_PATH = '/api/v1/service-account-tokens';
/** Of a caller's 100 in 10 s a mint takes one. */
const TOKENS = sized(60, 10);
const WARM_UP_TOKENS = 5;
/** After each: what a webhook leads to beside the revocation, the confirmation by a list, is over by then. */
const IDLE_MS = 100;
const OURS_WORKSPACE = '0c0ffee0-0000-4000-8000-00000000be0c';
const BARE_WORKSPACE = '0c0ffee0-0000-4000-8000-00000000ba4e';

const Created = z.object({ data: z.object({ id: z.string(), token: z.string() }) });

/**
 * For an idle service: how long after a signed webhook was sent PipeOps has revoked the leaked token, beside a revoke
 * that the same process sends to PipeOps itself. False: a token was not revoked, or more than once.
 */
export async function benchWebhook(): Promise<boolean> {
  const stateDir = await mkdtemp(path.join(tmpdir(), 'countersign-bench-webhook-'));
  await using upstream = await startUpstream();
  await using watch = await startWatch(upstream.url);
  const issuer = await openIssuer(stateDir);
  const webhooks = await openWebhooks(stateDir);
  const worker = startWorker({
    port: 0,
    stateDir,
    log: () => {},
    onProcess: () => {},
    bundle: BUNDLE,
    bindings: bindingsFor({
      fileOf: () => null,
      pipeopsUrl: watch.url,
      adminToken: upstream.credential,
      workspaceUuid: OURS_WORKSPACE,
      reconcileAfterSeconds: null,
      // More tokens are minted here than the limits of PipeOps leave to changes.
      callLimits: { minute: QUOTA_CALLS_MAX, hour: QUOTA_CALLS_MAX },
      publicJwk: issuer.publicJwk,
      webhooks,
      idempotencySecret: await openIdempotencySecret(stateDir),
    }),
  });
  try {
    const { origin } = await worker.ready;
    await migrate(await worker.getD1Database('DB'), path.join(CHECKOUT, 'drizzle'));
    const caller = { subject: 'bench', role: 'admin', ttlSeconds: 3_600 };
    const Authorization = `Bearer ${await signJwt(issuer, caller, Math.floor(Date.now() / 1_000))}`;

    const mint = async (): Promise<{ id: string; token: string }> => {
      const headers = { Authorization, 'Content-Type': 'application/json' };
      const body = JSON.stringify({ name: 'leaked', scopes: ['api:read'] });
      return Created.parse(
        JSON.parse(await expectOk(fetch(`${origin}${TOKENS_PATH}`, { method: 'POST', headers, body }))),
      ).data;
    };
    /** Sends a webhook about the token. */
    const leak = async ({ id, token }: { id: string; token: string }): Promise<Sample> => {
      const message = { source: 'scanner', event: 'token.leaked', data: { token } } as const;
      const { path: to, headers, body } = deliveryOf(message, webhooks, `msg_${crypto.randomUUID()}`, new Date());
      return await measure(watch, id, async () => fetch(`${origin}${to}`, { method: 'POST', headers, body }));
    };
    const revoke = async (id: string): Promise<Sample> => {
      const headers = { Authorization: `Bearer ${upstream.credential}` };
      const url = `${watch.url}${TOKENS_PATH}/${id}?workspace_uuid=${BARE_WORKSPACE}`;
      return await measure(watch, id, async () => fetch(url, { method: 'DELETE', headers }));
    };

    const byWebhook: Sample[] = [];
    const bare: Sample[] = [];
    for (let round = -WARM_UP_TOKENS; round < TOKENS; round += 1) {
      const minted = await mint();
      const inserted = await upstream.control.insertToken({ workspace_uuid: BARE_WORKSPACE, name: 'bare' });
      // In turns: whatever else the machine does hits both alike.
      await delay(IDLE_MS);
      const ours = await leak(minted);
      await delay(IDLE_MS);
      const direct = await revoke(inserted.id);
      if (round < 0) continue;
      byWebhook.push(ours);
      bare.push(direct);
    }

    console.log(
      `A leak's webhook, and a bare revoke at PipeOps, one at a time, ${TOKENS} of each in turns; ms since it was sent.`,
    );
    console.table({
      'webhook: PipeOps is asked': figures(byWebhook, bare, 'askedMs'),
      'webhook: PipeOps has revoked': figures(byWebhook, bare, 'revokedMs'),
      'webhook: its 202': figures(byWebhook, bare, 'answeredMs'),
      'bare DELETE: PipeOps has revoked': figures(bare, bare, 'revokedMs'),
    });
    const tokens = await upstream.control.tokens();
    return tokens.every(({ commits }) => commits.filter(({ operation }) => operation === 'revoke').length === 1);
  } finally {
    await worker.dispose();
    await rm(stateDir, { recursive: true, force: true });
  }
}

/** Milliseconds since it was sent. */
interface Sample {
  /** The revoke reached PipeOps. */
  readonly askedMs: number;
  /** PipeOps has answered it, so it is committed. */
  readonly revokedMs: number;
  /** The sender had its answer. */
  readonly answeredMs: number;
}

async function measure(
  watch: Awaited<ReturnType<typeof startWatch>>,
  tokenId: string,
  send: () => Promise<Response>,
): Promise<Sample> {
  const revoked = watch.revoked(tokenId);
  const sentAt = performance.now();
  await expectOk(send());
  const answeredMs = performance.now() - sentAt;
  const { askedAt, answeredAt } = await revoked;
  return { askedMs: askedAt - sentAt, revokedMs: answeredAt - sentAt, answeredMs };
}

function figures(samples: readonly Sample[], bare: readonly Sample[], name: keyof Sample) {
  const ms = (of: readonly Sample[], figure: keyof Sample, share: number): number =>
    percentile(
      of.map((sample) => sample[figure]),
      share,
    );
  const rounded = (value: number): number => Number(value.toFixed(2));
  const [p50, p99] = [ms(samples, name, 0.5), ms(samples, name, 0.99)];
  return {
    'p50 ms': rounded(p50),
    'p99 ms': rounded(p99),
    'p50, ratio to bare': rounded(p50 / ms(bare, 'revokedMs', 0.5)),
    'p99, ratio to bare': rounded(p99 / ms(bare, 'revokedMs', 0.99)),
  };
}

async function expectOk(sent: Promise<Response>): Promise<string> {
  const response = await sent;
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return text;
}
