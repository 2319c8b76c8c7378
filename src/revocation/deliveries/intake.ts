import type { IGNORED_DELIVERIES } from '../../vocabulary.ts';
import { WEBHOOK_BODY_MAX_BYTES } from '../../config/limits.ts';
import type { Source } from '../../config/webhooks.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import { failure, methodNotAllowed, success } from '../../http/answer.ts';
import type { AppEnv } from '../../http/context.ts';
import { noParameters } from '../../http/query.ts';
import { readBody } from '../../kit/bytes.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { acceptDelivery, type Receipt, refuseDelivery } from './acceptance.ts';
import { presentReceipt } from './deliveries.ts';
import { senderActor } from './delivery-row.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import type { OrderDriver } from '../orders/driver.ts';
import type { Instruction, Message } from '../senders/sender.ts';
import type { Context, Hono } from 'hono';

const INTAKE = '/webhooks/:source';

/** Where scanners and HR systems send to: raw body → signature → instruction → one batch → receipt, and then the orders. */
export function registerIntake(app: Hono<AppEnv>, webhooks: WebhookDependencies, driver: OrderDriver): void {
  const { rejections, runtime, senders } = webhooks;

  app.post(INTAKE, noParameters, async (c) => {
    const sender = senders.get(c.req.param('source'));
    if (sender === undefined) return failure(c, { kind: 'route_not_found' });
    const { policy, adapter } = sender;
    const context = c.get('context');
    const body = await readRawBody(c.req.raw);
    if (!body.ok) return failure(c, body.error);

    const received = await adapter.receive({ headers: c.req.raw.headers, body: body.value });
    if (!received.ok) {
      if (received.error.kind === 'signature_rejected') {
        rejections.record(context, received.error, senderActor(policy.name));
      }
      return failure(c, received.error);
    }
    const message = received.value;
    const signed = { source: policy, body: body.value, message };
    const instruction = readInstruction(policy, message);
    if (!instruction.ok) return failure(c, await refused(context, signed, instruction.error));

    const accepting = acceptDelivery(webhooks, context, { ...signed, instruction: instruction.value });
    // A sender that hangs up and sends this again must find what D1 has taken of it.
    runtime.background(accepting);
    const accepted = await accepting;
    if (!accepted.ok) {
      const { error } = accepted;
      return failure(c, error.kind === 'id_reused' ? await refused(context, signed, error) : error);
    }
    const { delivery, isRepeated } = accepted.value;
    if (delivery !== null && !isRepeated && !('ignored' in instruction.value))
      runtime.background(driver.run(context, delivery.id));
    return await answer(c, message, instruction.value, accepted.value);
  });
  app.all(INTAKE, methodNotAllowed('POST'));

  /** A sender is told why its delivery is refused, but only once that is recorded. */
  async function refused(context: RequestContext, signed: Signed, cause: RequestFailure): Promise<Failure> {
    const refusing = refuseDelivery(webhooks, context, signed, cause);
    runtime.background(refusing);
    const recorded = await refusing;
    return recorded.ok ? cause : recorded.error;
  }

  /** The answer is the same for the first delivery and for each that repeats it. */
  async function answer(
    c: Context<AppEnv>,
    message: Message,
    instruction: Accepted['instruction'],
    { delivery, matched, owners }: Receipt,
  ): Promise<Response> {
    if (delivery === null) return success(c, 'Counted. Too many of its kind came in this minute to keep each.', {});
    const feedback = 'ignored' in instruction ? null : await message.feedback(instruction, matched);
    if (feedback !== null) return c.json(feedback);
    const receipt = presentReceipt(delivery, owners, webhooks);
    return delivery.ignored === null
      ? success(c, 'Accepted. It is being carried out.', receipt, 202)
      : success(c, IGNORED[delivery.ignored], receipt);
  }
}

/** What a message orders, or why it is recorded and does nothing. The content of an event that is not allowed is not read. */
function readInstruction({ events }: Source, message: Message): Result<Accepted['instruction'], RequestFailure> {
  if (message.unreadable !== null) return err(message.unreadable);
  if (message.event === null) return ok({ ignored: 'event_unknown' });
  if (!events.includes(message.event)) return ok({ ignored: 'event_not_allowed' });
  return message.read();
}

const IGNORED: Readonly<Record<(typeof IGNORED_DELIVERIES)[number], string>> = {
  event_not_allowed: 'Recorded. This source may not send this event, so nothing is done.',
  event_unknown: 'Recorded. This event is not known here, so nothing is done.',
};

/**
 * The bytes of a delivery as they came, since these were signed.
 *
 * Fails with `body_too_large`, and with `invalid_json` if the sender broke off.
 */
async function readRawBody(request: Request): Promise<Result<Uint8Array, RequestFailure>> {
  const tooLarge = err({ kind: 'body_too_large', maxBytes: WEBHOOK_BODY_MAX_BYTES } as const);
  // This only spares the reading. The header is the sender's word, so the bytes are counted as well.
  if (Number(request.headers.get('Content-Length')) > WEBHOOK_BODY_MAX_BYTES) return tooLarge;
  if (request.body === null) return ok(new Uint8Array());
  try {
    const chunks = await readBody(request.body, WEBHOOK_BODY_MAX_BYTES);
    return chunks === null ? tooLarge : ok(new Uint8Array(await new Blob([...chunks]).arrayBuffer()));
  } catch {
    return err({ kind: 'invalid_json' });
  }
}

/** A delivery whose signature is good. */
export interface Signed {
  readonly source: Source;
  readonly body: Uint8Array;
  readonly message: Pick<Message, 'senderId' | 'eventName'>;
}

/** A signed delivery that is understood. */
export interface Accepted extends Signed {
  /** What it orders, or why it is to do nothing. */
  readonly instruction: Instruction | { readonly ignored: 'event_not_allowed' | 'event_unknown' };
}
