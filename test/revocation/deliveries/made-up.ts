import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { QUOTA_HOUR_CALLS } from '../../../src/config/limits.ts';
import { createQuota, quotaHeaders } from '../../pipeops-simulator/quota.ts';
import type { Answer } from '../../support/harness.ts';
import { createWebhookHarness, ordersOf, type WebhookHarness } from '../harness.ts';

interface Call {
  readonly method: string;
  readonly workspace: string;
  readonly id: string | null;
}

/** How PipeOps answers for a workspace that it does not know. */
export type Unknown = 404 | 403 | 'empty';

/** PipeOps, with its limits by the clock of the test, and the workspaces that it knows with their tokens. */
function createPipeOps(unknown: Unknown) {
  const quota = createQuota();
  const workspaces = new Map<string, Set<string>>();
  const partial = new Set<string>();
  const calls: Call[] = [];
  const left = { ofHour: QUOTA_HOUR_CALLS };
  const answer = (nowMs: number, method: string, url: string): Response => {
    const { pathname, searchParams } = new URL(url);
    const last = pathname.split('/').at(-1) ?? '';
    const id = last === 'service-account-tokens' ? null : last;
    const workspace = searchParams.get('workspace_uuid') ?? '';
    const verdict = quota.charge('credential', nowMs);
    const headers = quotaHeaders(verdict);
    if (!verdict.allowed) return Response.json({ success: false, message: 'Too many' }, { status: 429, headers });
    if (verdict.limit === QUOTA_HOUR_CALLS) left.ofHour = verdict.remaining;
    calls.push({ method, workspace, id });
    const failing = (status: number): Response =>
      Response.json({ success: false, status: 'error', message: '' }, { status, headers });
    const held = workspaces.get(workspace);
    if (held === undefined && unknown !== 'empty') return failing(unknown);
    const tokens = [...(held ?? [])].map((one) => ({ id: one, name: one, scopes: [], workspace_id: workspace }));
    if (id === null) {
      const data = { tokens, total: tokens.length + (partial.has(workspace) ? 5 : 0) };
      return Response.json({ success: true, message: '', data }, { headers });
    }
    if (held?.has(id) !== true) return failing(404);
    if (method === 'DELETE') held.delete(id);
    return Response.json({ success: true, message: '', data: { token: { id, scopes: [] } } }, { headers });
  };
  return { quota, workspaces, partial, calls, left, answer };
}
type PipeOps = ReturnType<typeof createPipeOps>;

export interface Company extends PipeOps {
  readonly harness: WebhookHarness;
  readonly madeUpCalls: () => readonly Call[];
  readonly order: (tokens: readonly { token_id: string; workspace_uuid?: string }[]) => Promise<Answer>;
  readonly minutes: (count: number) => Promise<void>;
}

export async function createCompany({
  unknown = 404,
  like,
}: { unknown?: Unknown; like?: Company } = {}): Promise<Company> {
  const pipeops = like ?? createPipeOps(unknown);
  const harness: WebhookHarness = await createWebhookHarness({
    runtime: {
      fetch: async (url, init) =>
        await Promise.resolve(pipeops.answer(harness.runtime.now(), init.method ?? 'GET', url)),
      ...(like !== undefined && { now: () => like.harness.runtime.now() }),
    },
    ...(like !== undefined && { like: like.harness }),
  });
  if (like === undefined) pipeops.workspaces.set(harness.workspace, new Set());
  return {
    ...pipeops,
    harness,
    madeUpCalls: () => pipeops.calls.filter(({ workspace }) => !pipeops.workspaces.has(workspace)),
    order: async (tokens: readonly { token_id: string; workspace_uuid?: string }[]): Promise<Answer> => {
      const answered = await harness.sendEvent('scanner', 'token.revoke', { tokens });
      expect(answered.status, answered.text).toBe(202);
      return answered;
    },
    minutes: async (count: number): Promise<void> => {
      for (let minute = 0; minute < count; minute += 1) {
        harness.age(60);
        await harness.cron();
      }
    },
  };
}

export const madeUp = (count: number) =>
  Array.from({ length: count }, () => ({ token_id: 'tok-1', workspace_uuid: crypto.randomUUID() }));
export const orderOf = async (workspace: string) => await ordersOf({ workspace });

/** A token that the inventory holds, and that leaks. */
export async function leakedToken({ harness, workspaces }: Company, beside: readonly { token_id: string }[] = []) {
  const id = `leaked-${crypto.randomUUID()}`;
  workspaces.get(harness.workspace)?.add(id);
  await env.DB.prepare('insert into tokens (workspace_uuid, token_id, created_at) values (?, ?, 1)')
    .bind(harness.workspace, id)
    .run();
  await harness.sendEvent('scanner', 'token.revoke', { tokens: [...beside, { token_id: id }] });
  return id;
}
