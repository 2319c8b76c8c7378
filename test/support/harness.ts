import { env } from 'cloudflare:workers';
import { UnsecuredJWT } from 'jose';
import type { AuditEventRow, TokenRow } from '../../src/db/schema.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { privateKeyText } from '../../src/tlog/note.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker } from '../../src/worker.ts';
import { createControl } from '../pipeops-simulator/control.ts';
import { versionOf } from './audit-detail.ts';
import { conforming, expectConforming } from './conformance.ts';
import { createTestIssuer, type TestIssuer } from './issuer.ts';
import { ownSimulatorUrl } from './own-simulator.ts';
import { noteSecret, noteText } from './secrets.ts';
import { useState } from './state-secret.ts';

export const ISSUER = 'https://issuer.example';

/** The roles that most tests need; each caller gets one by its `role` claim. */
const roles = {
  admin: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'],
    tokens: 'any',
    workspaces: ['*'],
    scopes: ['*'],
  },
};

const unlimited = { limit: async () => await Promise.resolve({ success: true }) };

export interface HarnessOptions {
  readonly runtime?: Partial<Runtime>;
  readonly db?: D1Database;
  readonly roles?: Readonly<Record<string, object>>;
  readonly env?: Readonly<Record<string, unknown>>;
  readonly issuer?: TestIssuer;
  /** What else stands in the policy. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** Sources of webhooks, as `policy.ts` names them. */
  readonly webhooks?: Readonly<Record<string, object>>;
  /** Seal the trail, under the key of all tests, and keep the files of its log in the bucket. */
  readonly isSealed?: boolean;
  /** Let the cron look at the use of tokens in this workspace. Elsewhere it would ask PipeOps for lists by the minute of the day. */
  readonly isSwept?: boolean;
  /** Share a workspace and admin credential with another harness: the same company, another isolate. */
  readonly like?: Pick<Harness, 'workspace' | 'credential' | 'issuer'>;
}

export interface SentRequest {
  readonly jwt?: string | null;
  readonly body?: unknown;
  readonly rawBody?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into bodies of every shape
  readonly body: any;
  readonly text: string;
}

export type Harness = Awaited<ReturnType<typeof createHarness>>;

/** The key that every test makes fingerprints with. */
export const FINGERPRINT_KEYS = `k1:${btoa('fingerprint-key-of-all-tests-000')}`;

/** The secret that every test makes idempotency keys with. */
export const IDEMPOTENCY_SECRET = btoa('idempotency-secret-of-all-tests-0');

/** The key that tests seal the trail with. */
const TRAIL_KEY = await privateKeyText(
  'log',
  'countersign.example.com/trail',
  Uint8Array.from({ length: 32 }, (_, index) => index),
);

export const TOKENS = '/api/v1/service-account-tokens';

/** The whole Worker in this isolate, on a real D1 and the simulator, in a workspace of its own. */
export async function createHarness(options: HarnessOptions = {}) {
  const pipeopsUrl = ownSimulatorUrl();
  const control = createControl(pipeopsUrl);
  const workspace: string = options.like?.workspace ?? crypto.randomUUID();
  const credential: string = options.like?.credential ?? adminCredential();
  const issuer: TestIssuer = options.issuer ?? options.like?.issuer ?? (await createTestIssuer({ issuer: ISSUER }));
  noteSecret(credential);
  // Another company: what PipeOps told the last one is not about its credential, and the workspaces of that are not in use.
  if (options.like === undefined)
    await env.DB.batch(
      [
        'delete from upstream_limits',
        'delete from upstream_calls',
        'delete from upstream_outcomes',
        'update workspaces set listed_at = null where listed_at is not null',
      ].map((statement) => env.DB.prepare(statement)),
    ).catch(() => null);

  const lines: Readonly<Record<string, unknown>>[] = [];
  const inBackground: Promise<unknown>[] = [];
  const runtime: Runtime = {
    ...workerRuntime,
    log: (line) => {
      lines.push(line);
      noteText('log line', JSON.stringify(line));
    },
    background: (work) => void inBackground.push(work),
    ...options.runtime,
  };
  const settleBackground = async (): Promise<void> => {
    while (inBackground.length > 0) await Promise.allSettled(inBackground.splice(0));
  };
  const allRoles: Readonly<Record<string, object>> = { ...roles, ...options.roles };
  const policy = {
    issuers: [{ issuer: issuer.issuer, audience: 'countersign', jwks: issuer.jwks, label: 'email', actorType: 'user' }],
    roles: allRoles,
    bindings: Object.keys(allRoles).map((role) => ({ issuer: issuer.issuer, claims: { role }, role })),
    ...(options.webhooks !== undefined && { webhooks: options.webhooks }),
    ...options.policy,
  };
  const bindings = {
    DB: options.db ?? env.DB,
    PIPEOPS_API_URL: pipeopsUrl,
    PIPEOPS_ADMIN_TOKEN: credential,
    PIPEOPS_WORKSPACE_UUID: workspace,
    POLICY: JSON.stringify(policy),
    FINGERPRINT_KEYS,
    IDEMPOTENCY_SECRET,
    ...useState(),
    // Every read asks PipeOps, so that tests see at once what they made of it; those of snapshots switch them on.
    SNAPSHOT_MAX_AGE_SECONDS: '0',
    // Tests share a minute; those of the limits bring the real bindings.
    CALLER_LIMIT: unlimited,
    REJECTIONS_PER_ADDRESS: unlimited,
    REJECTIONS_IN_ALL: unlimited,
    ...(options.isSealed === true && { TRAIL_KEY, TRAIL: env.TRAIL }),
    ...options.env,
  };
  const worker = createWorker(bindings, runtime);

  const jwtFor = async (role: string, claims: Record<string, unknown> = {}): Promise<string> => {
    const jwt = await issuer.sign({ sub: `${role}-1`, aud: 'countersign', role, ...claims });
    noteSecret(jwt);
    return jwt;
  };

  /** Sends a request, holds its answer against the contract, and waits for everything that it left under `waitUntil`. */
  const send = async (method: string, path: string, request: SentRequest = {}): Promise<Answer> => {
    const jwt = request.jwt === undefined ? await jwtFor('admin') : request.jwt;
    const headers = new Headers(request.headers);
    if (jwt !== null && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${jwt}`);
    const body = request.rawBody ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
    if (body !== undefined && !headers.has('Content-Type')) headers.set('Content-Type', 'application/json');
    const url = path.startsWith('http') ? path : `https://countersign.example${path}`;
    const asked = new Request(url, { method, headers, ...(body !== undefined && { body }) });
    const response = await worker.fetch(asked);
    // Not `text()`, which warns of types that it does not know for text.
    const text = new TextDecoder().decode(await response.arrayBuffer());
    await settleBackground();
    // A cookie is handed out in that one header.
    noteText('response header', JSON.stringify([...response.headers].filter(([name]) => name !== 'set-cookie')));
    if (response.status >= 400) noteText('error body', text);
    const json = response.headers.get('Content-Type')?.startsWith('application/json') === true && text !== '';
    const parsed: unknown = json ? JSON.parse(text) : null;
    noteMintedSecret(text);
    expectConforming(asked, { status: response.status, headers: response.headers, text });
    return { status: response.status, headers: response.headers, body: parsed, text };
  };

  const cron = async (): Promise<void> => {
    await env.DB.prepare('update workspaces set usage_swept_at = ? where workspace_uuid <> ?')
      .bind(runtime.now(), options.isSwept === true ? workspace : '')
      .run()
      .catch(() => null);
    await worker.scheduled();
    await settleBackground();
  };

  const rows = async (): Promise<AuditEventRow[]> => {
    const query = env.DB.prepare('select * from audit_events where workspace_uuid = ? order by seq').bind(workspace);
    return (await query.all<AuditEventRow>()).results;
  };
  const inventory = async (): Promise<TokenRow[]> => {
    const query = env.DB.prepare('select * from tokens where workspace_uuid = ? order by created_at').bind(workspace);
    return (await query.all<TokenRow>()).results;
  };

  /** What PipeOps was asked in this workspace, in order. */
  const upstream = async () => await control.requests({ workspace_uuid: workspace });
  /** What PipeOps holds in this workspace. Its secrets are noted, so that none may be found anywhere. */
  const upstreamTokens = async () => {
    const tokens = await control.tokens(workspace);
    for (const { secret } of tokens) noteSecret(secret);
    return tokens;
  };

  return {
    workspace,
    credential,
    /** As an operator writes it. */
    policy,
    policyVersion: versionOf(policy),
    /** What the Worker is configured with. */
    bindings,
    issuer,
    control,
    worker: { ...worker, fetch: async (request: Request) => await conforming(request, await worker.fetch(request)) },
    lines,
    runtime,
    jwtFor,
    send,
    cron,
    rows,
    inventory,
    upstream,
    upstreamTokens,
    /** Creates a token as the administrator; its answer's `data`. */
    mint: async (name = 'deploy', jwt?: string): Promise<{ id: string; token: string }> => {
      const answer = await send('POST', TOKENS, {
        body: { name, scopes: ['api:read'] },
        ...(jwt !== undefined && { jwt }),
      });
      if (answer.status !== 201) throw new Error(`create answered ${answer.status}: ${answer.text}`);
      return answer.body.data as { id: string; token: string };
    },
  };
}

/** A PipeOps session JWT that no other harness uses, so that quotas and faults stay apart. It lasts long enough to need no successor. */
export function adminCredential(expiresInSeconds = 30 * 24 * 3600): string {
  return new UnsecuredJWT({ sub: 'admin', session: crypto.randomUUID() })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + expiresInSeconds)
    .encode()
    .concat('c2lnbmF0dXJlLW9mLWEtc2Vzc2lvbg');
}

function noteMintedSecret(text: string): void {
  const secret = /"token":\s*"(sat_[A-Za-z0-9_-]+)"/.exec(text)?.[1];
  if (secret !== undefined) noteSecret(secret);
}
