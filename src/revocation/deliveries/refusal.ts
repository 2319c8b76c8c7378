import { sql } from 'drizzle-orm';
import { countRead, readKey } from '../../trail/counted.ts';
import { finalRow } from '../../trail/event.ts';
import { WEBHOOK_REFUSED_MAX_ROWS } from '../../config/limits.ts';
import { webhookDeliveries } from '../../db/schema.ts';
import { codeOf, type AuditFailure, type RequestFailure } from '../../failures.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { minuteBeginMs } from '../../kit/time.ts';
import type { Signed } from './intake.ts';
import {
  describeSigned,
  insertDelivery,
  isDelivery,
  recordDelivery,
  refusedOutcome,
  sourceActor,
} from './delivery-row.ts';
import type { WebhookDependencies } from '../dependencies.ts';

/**
 * Records a delivery that is rightly signed and is refused: among the deliveries, with a row in the trail, in one D1 batch. Of one
 * source that is done WEBHOOK_REFUSED_MAX_ROWS times a minute, since a sender that is out of order must not fill the database;
 * those beyond are counted in one row of the trail for each error code.
 *
 * Fails with `audit_unavailable`: then the sender must send it again, or nobody would ever know of it.
 */
export async function refuseDelivery(
  { database, runtime }: Pick<WebhookDependencies, 'database' | 'runtime'>,
  context: RequestContext,
  signed: Signed,
  failure: RequestFailure,
): Promise<Result<null, AuditFailure>> {
  const code = codeOf(failure);
  const field = fieldOf(failure);
  const source = signed.source.name;
  runtime.log({ level: 'warn', event: 'webhook_refused', request_id: context.requestId, source, code, field });

  const nowMs = runtime.now();
  const received = { id: runtime.newId(), eventId: runtime.newId(), nowMs };
  const row = { ...(await describeSigned(signed, received)), refused: code, refused_field: field };
  const minuteMs = minuteBeginMs(nowMs);
  // The plus keeps SQLite from the index that begins with the source and holds every delivery of it.
  const isWithinLimit = sql`(select count(*) from ${webhookDeliveries} where ${webhookDeliveries.refused} is not null
    and ${webhookDeliveries.received_at} >= ${minuteMs} and +${webhookDeliveries.source} = ${source}) < ${WEBHOOK_REFUSED_MAX_ROWS}`;
  const isThisOne = isDelivery(database, row.id);
  // One row for all of a minute, whoever brought them.
  const nobody = { requestId: context.requestId, ip: null, userAgent: null };
  const subject = {
    action: 'webhook.receive',
    actor: sourceActor(source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const further = finalRow(runtime.newId(), nowMs, nobody, subject, refusedOutcome(code));
  const [add, insert] = countRead(database, { ...further, read_key: await readKey(further) }, sql`not ${isThisOne}`);
  const committed = await database.batch(context, [
    insertDelivery(database, row, isWithinLimit),
    recordDelivery(database, context, row, isThisOne),
    add,
    insert,
  ] as const);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [, , added, inserted] = committed.value;
  context.trace.eventId = [...added, ...inserted][0]?.id ?? row.event_id;
  return ok(null);
}

/** The path of the field at fault, the first of several. Null: it is not about one. */
function fieldOf(failure: RequestFailure): string | null {
  if (failure.kind === 'too_many_tokens') return 'data.tokens';
  return 'errors' in failure ? (Object.keys(failure.errors)[0] ?? null) : null;
}
