import type { Source, SourceOf } from '../../config/webhooks.ts';
import type { RequestFailure, SignatureFailure } from '../../failures.ts';
import type { Result } from '../../kit/result.ts';
import type { JwksStore } from '../../identity/key-archive.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { ItemRejection, RevocationMode, WebhookEvent } from '../../vocabulary.ts';

/**
 * The one interface between a kind of sender and the rest: an adapter says whether a delivery is signed as it must be,
 * and what it says in our words. It reads nothing but the delivery (and its source's public keys), and writes nothing.
 */
export interface Adapter {
  /**
   * Verifies a delivery over its raw body.
   *
   * Fails with `signature_rejected` for whatever is not signed by a current key of the source, within its tolerance, over
   * these very bytes; with `keys_unavailable` where the source's public keys cannot be read.
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
  /** The id that the sender gave it; null where its protocol has none: then its body tells it from others. */
  readonly senderId: string | null;
  /**
   * Why nobody can tell which event it is; null: it says so. Then `eventName` is empty and `event` null, and this is all
   * there is to answer: `invalid_json`, or `invalid_request` naming the field.
   */
  readonly unreadable: RequestFailure | null;
  /** As the sender names it: any text, of any length. */
  readonly eventName: string;
  /** Null: no event of ours. */
  readonly event: WebhookEvent | null;
  /**
   * What it orders. Only of an `event` that is not null.
   *
   * A leak that is JSON is never refused: what of it cannot be acted on is counted. Others fail with `invalid_request`, naming
   * up to WEBHOOK_PROBLEMS_MAX_COUNT fields, where it is not certain what they order, and with `too_many_tokens`; all of them
   * with `invalid_json`. No failure quotes a value.
   */
  read(): Result<Instruction, RequestFailure>;
  /**
   * What the sender's protocol wants to hear about the leaks that are tokens of ours: the body of the answer. Null where
   * it has no such thing: then nothing is said that would tell whether a secret matched.
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
  /** How many cannot, by reason; a reason that counts none is absent. */
  readonly rejected: RejectedItems;
}
export type RejectedItems = Readonly<Partial<Record<ItemRejection, number>>>;

export interface Offboarding {
  readonly event: 'subject.offboarded';
  readonly subject: SubjectRef;
  readonly mode: RevocationMode;
  /** Whether those are meant too who carried the label once, and carry another now. */
  readonly former: boolean;
}

/** A secret that was seen where it should not be, by the text or by the SHA-256 that the sender gave: one of them at least. */
export interface Leak {
  /** Its place among the items as the sender listed them, from 0. */
  readonly position: number;
  /** What the sender took for the secret: text of any length, maybe with something around the secret. See `candidatesOf`. */
  readonly text: string | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
  /** Where: free text of any length, mostly a URL. It may hold the secret. */
  readonly location: string | null;
  /** What the sender calls this kind of secret, in text of any length; null: it does not say. */
  readonly type: string | null;
}

export interface NamedToken {
  readonly tokenId: string;
  /** Null: the inventory must know it. */
  readonly workspaceUuid: string | null;
  /** The same as its sender spells it; absent: so. */
  readonly workspaceSpelled?: string;
}

/** Whom a delivery is about: an owner of tokens, or everybody with a label, which may be as long as a JWT. */
export type SubjectRef = { readonly issuer: string; readonly subject: string } | { readonly label: string };

export interface AdapterDependencies {
  /** The value of a secret that the source names: it is there, and `config/webhook-secrets.ts` found nothing wrong with it. */
  readonly secret: (name: string) => string;
  readonly runtime: Pick<Runtime, 'now' | 'fetch' | 'timeout' | 'log' | 'background'>;
  /** Keeps public keys for outages of where they come from, by a name. */
  readonly store: JwksStore;
}

/** A kind of sender: how the deliveries of a source of that kind are read. */
export type AdapterKind<Kind extends Source['kind']> = (
  source: SourceOf<Kind>,
  dependencies: AdapterDependencies,
) => Adapter;
