import type { Context, Hono } from 'hono';
import { REVOCATION_BODY_MAX_BYTES } from '../../config/limits.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import { authorise } from '../../http/access.ts';
import { failure, methodNotAllowed, success } from '../../http/answer.ts';
import { readJsonBody } from '../../http/body.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters } from '../../http/query.ts';
import { IDEMPOTENCY_KEY, readIdempotencyKey } from '../../idempotency/header.ts';
import type { Result } from '../../kit/result.ts';
import { hasPermission } from '../../policy/decide.ts';
import type { Caller } from '../../policy/types.ts';
import { BY_CALLER, callerOf, type DeliverySummary } from '../deliveries/deliveries.ts';
import { parseDeliveryId, readDelivery } from '../deliveries/reading.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import type { OrderDriver } from '../orders/driver.ts';
import { orderByCaller, type Ordered } from './ordering.ts';
import { type CallerOrder, parseReinstatement, parseRevocation } from './requests.ts';

const REVOCATIONS = '/api/v1/revocations';
// Not `:id`, which names a token wherever a denial is recorded.
const REVOCATION = `${REVOCATIONS}/:revocation_id`;
const REINSTATEMENTS = '/api/v1/reinstatements';
const PERMISSION = 'tokens:revoke';

/**
 * What a person does in an incident: revoke tokens by their ids, whoever owns them, offboard somebody, and undo that. What follows is
 * what follows from a webhook.
 */
export function registerRevocationRoutes(app: Hono<AppEnv>, webhooks: WebhookDependencies, driver: OrderDriver): void {
  const { decide, idempotency, recorder, runtime } = webhooks;

  app.post(REVOCATIONS, authorise(recorder, PERMISSION, 'revocation.order'), noParameters, async (c) => {
    const ordered = await order(c, REVOCATIONS, parseRevocation);
    if (!ordered.ok) return failure(c, ordered.error);
    const { receipt, isRepeated } = ordered.value;
    if (!isRepeated) runtime.background(driver.run(c.get('context'), receipt.id));
    c.header('Location', `${REVOCATIONS}/${receipt.id}`);
    return success(c, 'Accepted. It is being carried out.', receipt, 202);
  });
  app.all(REVOCATIONS, methodNotAllowed('POST'));

  app.get(
    REVOCATION,
    async (c, next) => (isReader(c.get('caller')) ? await next() : await mayOrder(c, next)),
    noParameters,
    async (c) => {
      const id = parseDeliveryId(c.req.param('revocation_id'));
      if (!id.ok) return failure(c, id.error);
      const caller = c.get('caller');
      const isShown = (row: DeliverySummary): boolean => row.source === BY_CALLER && maySee(caller, row);
      const delivery = await readDelivery(webhooks, c.get('context'), caller, id.value, isShown);
      return delivery.ok ? success(c, 'Revocation.', delivery.value) : failure(c, delivery.error);
    },
  );
  app.all(REVOCATION, methodNotAllowed('GET'));

  app.post(REINSTATEMENTS, authorise(recorder, PERMISSION, 'subject.reinstate'), noParameters, async (c) => {
    const ordered = await order(c, REINSTATEMENTS, parseReinstatement);
    if (!ordered.ok) return failure(c, ordered.error);
    return success(c, reinstated(ordered.value.receipt), ordered.value.receipt);
  });
  app.all(REINSTATEMENTS, methodNotAllowed('POST'));

  const mayOrder = authorise(recorder, PERMISSION, 'webhook.query');

  /** Whoever may read the trail sees each receipt, and anybody else those of what it may order. */
  const maySee = (caller: Caller, row: DeliverySummary): boolean =>
    isReader(caller) ||
    decide(caller, { operation: 'order', workspaceUuid: callerOf(row)?.workspace_uuid ?? '*' }).allowed;

  async function order(
    c: Context<AppEnv>,
    route: string,
    parse: (body: Readonly<Record<string, unknown>>) => Result<CallerOrder, RequestFailure>,
  ): Promise<Result<Ordered, Failure>> {
    const key = readIdempotencyKey(c.req.header(IDEMPOTENCY_KEY) ?? null);
    if (!key.ok) return key;
    const body = await readJsonBody(c.req.raw, REVOCATION_BODY_MAX_BYTES);
    if (!body.ok) return body;
    const asked = parse(body.value);
    if (!asked.ok) return asked;
    const caller = c.get('caller');
    const owner = { issuer: caller.issuer, subject: caller.subject, workspaceUuid: null, route: `POST ${route}` };
    const keyed = key.value === null ? null : await idempotency.keyed(owner, key.value, contentOf(asked.value));
    const ordering = orderByCaller(webhooks, c.get('context'), caller, asked.value, keyed);
    // A caller that hangs up and sends this again must find what D1 has taken of it.
    runtime.background(ordering);
    const ordered = await ordering;
    if (ordered.ok && ordered.value.isRepeated) c.header('Idempotency-Replayed', 'true');
    return ordered;
  }
}

const isReader = (caller: Caller): boolean => hasPermission(caller, 'audit:read');

/** What tells an order from another one under its key: the same tokens in another order are the same. */
const contentOf = (order: CallerOrder): unknown =>
  order.event === 'token.revoke' ? { ...order, tokenIds: order.tokenIds.toSorted() } : order;

function reinstated({ blocks_lifted: count = 0, still_blocked: isStillBlocked }: Ordered['receipt']): string {
  if (count === 0) return 'No block matches, so nothing was lifted.';
  return isStillBlocked === true
    ? 'Lifted. Somebody whom it blocked is blocked in another way as well: GET /api/v1/subjects?blocked=true shows how.'
    : 'Lifted. Whoever was blocked may call again; revoked tokens stay revoked.';
}
