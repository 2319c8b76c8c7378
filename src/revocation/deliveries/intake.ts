import type { Context, Hono } from 'hono';
import type { AppEnv } from '../../http/app-env.ts';
import { failure, success } from '../../http/answer.ts';
import { methodNotAllowed } from '../../http/method-not-allowed.ts';
import { noParameters } from '../../http/no-parameters.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { acceptDelivery, type Receipt } from './acceptance.ts';
import type { Accepted, Signed } from './accepted.ts';
import { sourceActor } from './actor.ts';
import type { Message } from '../senders/sender.ts';
import type { Source } from '../../config/webhook-schema.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import type { OrderDriver } from '../orders/driver.ts';
import { readRawBody } from './raw-body.ts';
import { presentReceipt } from './present.ts';
import { refuseDelivery } from './refusal.ts';

const INTAKE = '/webhooks/:source';

/** Where scanners and HR systems send to: raw body → signature → order → one batch → receipt, and then the work. */
export function registerIntake(app: Hono<AppEnv>, webhooks: WebhookDependencies, driver: OrderDriver): void {
  const { rejections, runtime, sources } = webhooks;

  app.post(INTAKE, noParameters, async (c) => {
    const source = sources.get(c.req.param('source'));
    if (source === undefined) return failure(c, { kind: 'route_not_found' });
    const { policy, adapter } = source;
    const context = c.get('context');
    const body = await readRawBody(c.req.raw);
    if (!body.ok) return failure(c, body.error);

    const received = await adapter.receive({ headers: c.req.raw.headers, body: body.value });
    if (!received.ok) {
      if (received.error.kind === 'signature_rejected') {
        rejections.record(context, received.error, sourceActor(policy.name));
      }
      return failure(c, received.error);
    }
    const message = received.value;
    const signed = { source: policy, body: body.value, message };
    const order = readOrder(policy, message);
    if (!order.ok) return failure(c, await refused(context, signed, order.error));

    const accepting = acceptDelivery(webhooks, context, { ...signed, order: order.value });
    // A sender that hangs up must find, when it sends this again, what D1 took of it.
    runtime.background(accepting);
    const accepted = await accepting;
    if (!accepted.ok) {
      const { error } = accepted;
      return failure(c, error.kind === 'id_reused' ? await refused(context, signed, error) : error);
    }
    const { delivery, isRepeated } = accepted.value;
    if (delivery !== null && !isRepeated && !('ignored' in order.value))
      runtime.background(driver.run(context, delivery.id));
    return await answer(c, message, order.value, accepted.value);
  });
  app.all(INTAKE, methodNotAllowed('POST'));

  /** What a sender is told of a delivery that is refused: why, but only once that is recorded. */
  async function refused(context: RequestContext, signed: Signed, cause: RequestFailure): Promise<Failure> {
    const refusing = refuseDelivery(webhooks, context, signed, cause);
    runtime.background(refusing);
    const recorded = await refusing;
    return recorded.ok ? cause : recorded.error;
  }

  /** The same for the first delivery and for each that repeats it. */
  async function answer(
    c: Context<AppEnv>,
    message: Message,
    order: Accepted['order'],
    { delivery, matched, owners }: Receipt,
  ): Promise<Response> {
    if (delivery === null) return success(c, 'Counted. Too many of its kind came in this minute to keep each.', {});
    const feedback = 'ignored' in order ? null : await message.feedback(order, matched);
    if (feedback !== null) return c.json(feedback);
    const receipt = presentReceipt(delivery, owners, webhooks);
    return delivery.ignored === null
      ? success(c, 'Accepted. It is being carried out.', receipt, 202)
      : success(c, IGNORED[delivery.ignored] ?? 'Recorded. Nothing is done.', receipt);
  }
}

/** What a message orders, or why it is recorded and does nothing. What is not allowed is not even looked at. */
function readOrder({ events }: Source, message: Message): Result<Accepted['order'], RequestFailure> {
  if (message.unreadable !== null) return err(message.unreadable);
  if (message.event === null) return ok({ ignored: 'event_unknown' });
  if (!events.includes(message.event)) return ok({ ignored: 'event_not_allowed' });
  return message.read();
}

const IGNORED: Readonly<Record<string, string>> = {
  event_not_allowed: 'Recorded. This source may not send this event, so nothing is done.',
  event_unknown: 'Recorded. This event is not known here, so nothing is done.',
};
