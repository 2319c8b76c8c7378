import type { Hono } from 'hono';
import * as z from 'zod';
import type { RequestFailure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, success } from '../../http/answer.ts';
import { readJsonBody } from '../../http/body.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters } from '../../http/query.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { reason } from '../../revocation/callers/requests.ts';
import { readFields } from '../../tokens/fields.ts';
import type { ResumedLog } from './resume-plan.ts';
import { type ResumeDependencies, resumeLog } from './resume.ts';

export const LOG = '/api/v1/audit/log';

export const resumeFields = z.object({ reason }).partial();

/** Begins a new log of the trail for callers with `trail:resume`. */
export function registerResumeRoute(app: Hono<AppEnv>, dependencies: ResumeDependencies): void {
  const { recorder, runtime } = dependencies;
  app.post(LOG, authorise(recorder, 'trail:resume', 'trail.resume'), noParameters, async (c) => {
    const body = await readJsonBody(c.req.raw);
    const why = body.ok ? parseResume(body.value) : body;
    if (!why.ok) return failure(c, why.error);
    const resuming = resumeLog(dependencies, c.get('context'), c.get('caller'), why.value);
    // A caller that hangs up must find the log as D1 has taken it.
    runtime.background(resuming);
    const resumed = await resuming;
    if (!resumed.ok) return failure(c, resumed.error);
    return success(c, 'A new log has begun. Tell the auditors of the old one.', presentResumed(resumed.value), 201);
  });
  app.all(LOG, methodNotAllowed('GET', 'POST'));
}

/** Reads why a log is resumed. Fails with `invalid_request` for unknown fields, otherwise with `validation_failed`. */
export function parseResume(body: Readonly<Record<string, unknown>>): Result<string, RequestFailure> {
  const problems = createProblems();
  const { reason: why } = readFields(body, resumeFields, problems);
  if (why === undefined && !problems.has('reason')) {
    problems.unacceptable('reason', 'Say why, in one sentence: it stands in the trail and in the log.');
  }
  return problems.any() || why === undefined ? err(problems.failure()) : ok(why);
}

const presentResumed = ({ number, origin, begunAtMs, because, previous, keptSeq, gap, eventId }: ResumedLog) => ({
  number,
  origin,
  begun_at: new Date(begunAtMs).toISOString(),
  because,
  previous,
  kept_seq: keptSeq,
  gap,
  event_id: eventId,
});
