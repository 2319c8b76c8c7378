import type { Message, Order } from '../senders/sender.ts';
import type { Source } from '../../config/webhook-schema.ts';

/** A delivery whose signature is good. */
export interface Signed {
  readonly source: Source;
  readonly body: Uint8Array;
  readonly message: Pick<Message, 'senderId' | 'eventName'>;
}

/** One that is understood. */
export interface Accepted extends Signed {
  /** What it orders, or why it is to do nothing. */
  readonly order: Order | { readonly ignored: 'event_not_allowed' | 'event_unknown' };
}
