import type { Context } from 'hono';
import { actorOf } from '../trail/actor.ts';
import { failureOutcome } from '../trail/outcomes.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { AuditAction } from '../vocabulary.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';

/** A leaver's role does not outlive it, even where nothing else of the request would be in the trail. */
export async function refuseBlocked(c: Context<AppEnv>, recorder: Recorder, action: AuditAction): Promise<Response> {
  const denial = { kind: 'subject_blocked' } as const;
  const subject = {
    action,
    actor: actorOf(c.get('caller')),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const recorded = await recorder.record(c.get('context'), subject, failureOutcome(denial), []);
  return failure(c, recorded.ok ? denial : recorded.error);
}
