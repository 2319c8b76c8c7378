import type { Hono } from 'hono';
import { DELIVERIES_PAGE_DEFAULT_ROWS, DELIVERIES_PAGE_MAX_ROWS } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, page, success } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { cursor, encodeCursor, limitUpTo, noParameters, readParameter, refuseUnknown } from '../../http/query.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import type { OrderDriver } from '../orders/driver.ts';
import { listDeliveries, parseDeliveryId, readDelivery } from './reading.ts';
import { retryDelivery } from './retry.ts';

const DELIVERIES = '/api/v1/webhooks/deliveries';
// Not `:id`, which names a token wherever a denial is recorded.
const DELIVERY = `${DELIVERIES}/:delivery_id`;
const RETRY = `${DELIVERY}/retry`;

/** What came in by webhook and what it led to, for those whose role has `audit:read`. */
export function registerDeliveryRoutes(app: Hono<AppEnv>, webhooks: WebhookDependencies, driver: OrderDriver): void {
  const { recorder, runtime } = webhooks;
  const mayRead = authorise(recorder, 'audit:read', 'webhook.query');

  app.get(DELIVERIES, mayRead, async (c) => {
    const asked = parsePage(new URL(c.req.url).searchParams);
    if (!asked.ok) return failure(c, asked.error);
    const listed = await listDeliveries(webhooks, c.get('context'), c.get('caller'), asked.value);
    if (!listed.ok) return failure(c, listed.error);
    const { deliveries, nextSeq } = listed.value;
    return page(c, 'Webhook deliveries, newest first.', deliveries, nextSeq === null ? null : encodeCursor(nextSeq));
  });
  app.all(DELIVERIES, methodNotAllowed('GET'));

  app.get(DELIVERY, mayRead, noParameters, async (c) => {
    const id = parseDeliveryId(c.req.param('delivery_id'));
    if (!id.ok) return failure(c, id.error);
    const delivery = await readDelivery(webhooks, c.get('context'), c.get('caller'), id.value);
    return delivery.ok ? success(c, 'Webhook delivery.', delivery.value) : failure(c, delivery.error);
  });
  app.all(DELIVERY, methodNotAllowed('GET'));

  app.post(RETRY, authorise(recorder, 'tokens:revoke', 'webhook.retry'), noParameters, async (c) => {
    const id = parseDeliveryId(c.req.param('delivery_id'));
    if (!id.ok) return failure(c, id.error);
    const retried = await retryDelivery(webhooks, c.get('context'), c.get('caller'), id.value);
    if (!retried.ok) return failure(c, retried.error);
    runtime.background(driver.run(c.get('context'), id.value));
    return success(c, 'What is left of this delivery is being tried again.', retried.value, 202);
  });
  app.all(RETRY, methodNotAllowed('POST'));
}

const KNOWN = ['limit', 'cursor'];

function parsePage(query: URLSearchParams): Result<{ beforeSeq: number | null; limitRows: number }, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !KNOWN.includes(name));
  refuseUnknown('parameter', unknown, KNOWN, problems);
  const asked = {
    beforeSeq: readParameter<number | null>(query, 'cursor', cursor, null, problems),
    limitRows: readParameter(
      query,
      'limit',
      limitUpTo(DELIVERIES_PAGE_MAX_ROWS),
      DELIVERIES_PAGE_DEFAULT_ROWS,
      problems,
    ),
  };
  return problems.any() ? err(problems.failure()) : ok(asked);
}
