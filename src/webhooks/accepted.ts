import type { Message, Order } from './adapter.ts';
import type { Source } from './adapters/index.ts';

/** A delivery whose signature is good. */
export interface Accepted {
  readonly source: Source;
  readonly body: Uint8Array;
  readonly message: Pick<Message, 'senderId' | 'eventName'>;
  /** What it orders, or why it is to do nothing. */
  readonly order: Order | { readonly ignored: 'event_not_allowed' | 'event_unknown' };
}
