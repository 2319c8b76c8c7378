import type { Source, SourceOf } from '../../config/webhooks.ts';
import type { RequestFailure, SignatureFailure } from '../../failures.ts';
import type { Result } from '../../kit/result.ts';
import type { JwksStore } from '../../identity/key-archive.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { ItemRejection, RevocationMode, WebhookEvent } from '../../vocabulary.ts';

/**
 * The one interface between a kind of sender and the rest: an adapter says whether a delivery is signed as it must be, and what
 * it orders in our words. It reads nothing but the delivery (and its sender's public keys), and writes nothing.
 */
export interface Adapter {
  /**
   * Verifies a delivery over its raw body.
   *
   * Fails with `signature_rejected` for whatever is not signed by a current key of the sender, within its tolerance, over
   * these very bytes; with `keys_unavailable` if the sender's public keys cannot be read.
   */
  receive(delivery: Delivery): Promise<Result<Message, SignatureFailure>>;
}

/** A request as it came in. */
export interface Delivery {
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** A delivery whose signature is good. Nothing of its content is checked yet. */
export interface Message {
  /** The id that the sender gave it. Null if its protocol has none: its body then tells it from others. */
  readonly senderId: string | null;
  /**
   * Why nobody can tell which event it is: `invalid_json`, or `invalid_request` naming the field. `eventName` is then empty
   * and `event` null. Null if the message names its event.
   */
  readonly unreadable: RequestFailure | null;
  /** The event as the sender names it: any text, of any length. */
  readonly eventName: string;
  /** Null if it is no event of ours. */
  readonly event: WebhookEvent | null;
  /**
   * What it orders. Call this only if `event` is not null.
   *
   * A leak that is JSON is never refused, and items of it that cannot be acted on are counted. Other events fail with
   * `invalid_request`, naming up to WEBHOOK_PROBLEMS_MAX_COUNT fields, if it is not certain what they order, and with
   * `too_many_tokens`. All events fail with `invalid_json`. No failure quotes a value.
   */
  read(): Result<Instruction, RequestFailure>;
  /**
   * The body of the answer, where the sender's protocol wants to hear which leaks are tokens of ours. Null for all other
   * protocols: nothing tells their senders whether a secret matched.
   *
   * @param matched positions of leaks.
   */
  feedback(instruction: Instruction, matched: ReadonlySet<number>): Promise<unknown>;
}

/** What a delivery orders, in our words. */
export type Instruction =
  | LeakReport
  | { readonly event: 'token.revoke'; readonly tokens: readonly NamedToken[] }
  | Offboarding
  | { readonly event: 'subject.reinstated'; readonly subject: SubjectRef };

export interface LeakReport {
  readonly event: 'token.leaked';
  /** Those that can be acted on. */
  readonly leaks: readonly Leak[];
  /** How many cannot be acted on, by reason. A reason that counts none is absent. */
  readonly rejected: RejectedItems;
}
export type RejectedItems = Readonly<Partial<Record<ItemRejection, number>>>;

export interface Offboarding {
  readonly event: 'subject.offboarded';
  readonly subject: SubjectRef;
  readonly mode: RevocationMode;
  /** Whether former holders of the label, who carry another now, are meant too. */
  readonly former: boolean;
}

/** A secret that was seen where it should not be. The sender gave its text, its SHA-256, or both. */
export interface Leak {
  /** Its place in the sender's list, from 0. */
  readonly position: number;
  /** What the sender took for the secret: text of any length, which may surround the secret. See `candidatesOf`. */
  readonly text: string | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
  /** Where it was seen: free text of any length, mostly a URL. It may contain the secret. */
  readonly location: string | null;
  /** What the sender calls this kind of secret, in text of any length, or null. */
  readonly type: string | null;
}

export interface NamedToken {
  readonly tokenId: string;
  /** Null if the sender names no workspace: the inventory must know the token. */
  readonly workspaceUuid: string | null;
  /** The workspace as its sender spells it, if that differs. */
  readonly workspaceSpelled?: string;
}

/** Whom a delivery is about: an owner of tokens, or everybody with a label, which may be as long as a JWT. */
export type SubjectRef = { readonly issuer: string; readonly subject: string } | { readonly label: string };

export interface AdapterDependencies {
  /** The value of a secret that the sender's configuration names. The configuration is checked: the value is there and good. */
  readonly secret: (name: string) => string;
  readonly runtime: Pick<Runtime, 'now' | 'fetch' | 'timeout' | 'log' | 'background'>;
  /** Keeps public keys, by a name, for outages of where they come from. */
  readonly store: JwksStore;
}

/** A kind of sender: it makes the adapter of a configured sender of that kind. */
export type AdapterKind<Kind extends Source['kind']> = (
  source: SourceOf<Kind>,
  dependencies: AdapterDependencies,
) => Adapter;
