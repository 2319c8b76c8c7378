import type { Hono } from 'hono';
import { DELIVERIES_PAGE_DEFAULT_ROWS, DELIVERIES_PAGE_MAX_ROWS } from '../../config/limits.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, page, success } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import {
  cursor,
  encodeCursor,
  limitUpTo,
  matching,
  noParameters,
  readParameter,
  refuseUnknown,
} from '../../http/query.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import type { OrderDriver } from '../orders/driver.ts';
import {
  presentDelivery,
  presentWhole,
  selectDeliveries,
  selectDelivery,
  selectItems,
  selectOrders,
} from './deliveries.ts';
import { describeUse, retryDelivery } from './retry.ts';

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

/**
 * A page of what came in by webhook, newest first. One batch reads it and records that it was read, so neither happens without
 * the other. Fails with `audit_unavailable` if D1 does not take the batch.
 *
 * @param asked how many, and the `seq` before which the page begins, or null for the newest.
 */
async function listDeliveries(
  { database, recorder, issuers }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  asked: { readonly beforeSeq: number | null; readonly limitRows: number },
): Promise<Result<{ deliveries: readonly ReturnType<typeof presentDelivery>[]; nextSeq: number | null }, Failure>> {
  const subject = describeUse('webhook.query', caller, {
    limit: asked.limitRows,
    ...(asked.beforeSeq !== null && { before_seq: asked.beforeSeq }),
  });
  const query = selectDeliveries(database, asked.beforeSeq, asked.limitRows);
  const recorded = await recorder.recordRead(context, subject, [query]);
  if (!recorded.ok) return recorded;
  const shown = recorded.value.rows[0].slice(0, asked.limitRows);
  const hasMore = recorded.value.rows[0].length > asked.limitRows;
  return ok({
    deliveries: shown.map((row) => presentDelivery(row, { issuers })),
    nextSeq: hasMore ? (shown.at(-1)?.seq ?? null) : null,
  });
}

/**
 * One delivery with all that it led to. It leaves only once it is recorded that it was read, in a second trip to D1, since the row
 * says whether it was found. Fails with `delivery_not_found` or `audit_unavailable`.
 */
async function readDelivery(
  { database, recorder, issuers }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  id: string,
): Promise<Result<ReturnType<typeof presentWhole>, Failure>> {
  const queries = [selectDelivery(database, id), selectItems(database, id), selectOrders(database, id)] as const;
  const read = await database.batch(context, queries);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], items, orders] = read.value;
  const subject = describeUse('webhook.query', caller, { delivery_id: id });
  if (delivery === undefined) return await recorder.refuse(context, subject, { kind: 'delivery_not_found' });
  const recorded = await recorder.recordRead(context, subject, []);
  return recorded.ok ? ok(presentWhole(delivery, items, orders, { issuers })) : recorded;
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

/** The id of a delivery from the path. Fails with `invalid_request`. */
function parseDeliveryId(text: string): Result<string, RequestFailure> {
  const problems = createProblems();
  const id = readId(text.toLowerCase());
  if (id.ok) return id;
  problems.misunderstood('id', id.error);
  return err(problems.failure());
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const readId = matching((text) => UUID.test(text), 'Use the id of a delivery, as its receipt gave it.');
