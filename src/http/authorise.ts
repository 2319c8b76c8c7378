import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { actorOf } from '../trail/actor.ts';
import { failureOutcome } from '../trail/outcomes.ts';
import type { Recorder } from '../trail/recorder.ts';
import { isTokenId, parseWorkspaceUuid } from '../kit/ids.ts';
import { hasPermission } from '../policy/decide.ts';
import type { AuditAction, Permission } from '../vocabulary.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';

/**
 * Turns away callers none of whose roles has the permission at all, before anything of their request is read. The
 * denial is in the trail before they hear of it.
 *
 * @example app.post('/tokens', authorise(recorder, 'tokens:create', 'service_account_token.create'), handler)
 */
export const authorise = (recorder: Recorder, permission: Permission, action: AuditAction) =>
  createMiddleware<AppEnv>(async function authoriseMiddleware(c, next) {
    const caller = c.get('caller');
    if (hasPermission(caller, permission)) return await next();
    return await deny(c, recorder, permission, action);
  });

/**
 * Answers whoever lacks a permission, once that is in the trail.
 *
 * @param detail what was asked for, checked.
 */
export async function deny(
  c: Context<AppEnv>,
  recorder: Recorder,
  permission: Permission,
  action: AuditAction,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<Response> {
  const denial = { kind: 'forbidden', reason: 'permission', permission } as const;
  const subject = {
    action,
    actor: actorOf(c.get('caller')),
    // Nothing of a denied request was validated yet, so only what can be an id is kept.
    workspaceUuid: parseWorkspaceUuid(c.req.query('workspace_uuid') ?? c.req.query('workspace') ?? ''),
    tokenId: tokenIdOrNull(c.req.param('id')),
    tokenName: null,
    detail,
  };
  const recorded = await recorder.record(c.get('context'), subject, failureOutcome(denial), []);
  return failure(c, recorded.ok ? denial : recorded.error);
}

const tokenIdOrNull = (text: string | undefined): string | null =>
  text !== undefined && isTokenId(text) ? text : null;
