import type { Actor } from './trail-types.ts';
import type { ErrorCode, ItemRejection, OrderResult, OrderState, RevocationMode } from './vocabulary.ts';

// Webhooks and what a caller orders in an incident: deliveries, what they found, and who is blocked. As in `types.ts`, field by field as it is on the wire.

export type Mode = RevocationMode;

/** Whom something is about: one owner of tokens, or everybody who carries a label. */
export type SubjectRef = { readonly issuer: string; readonly subject: string } | { readonly label: string };

/** An owner of tokens that a delivery found. */
export interface FoundOwner {
  readonly issuer: string;
  readonly subject: string;
  /** How many tokens it had whose end was not proven. */
  readonly tokens: number;
}

/** A delivery that was rightly signed, or what a caller ordered in its place. */
export interface Delivery {
  readonly id: string;
  /** The sender, as the policy names it. Null: a caller has ordered it. */
  readonly source: string | null;
  /** The caller who has ordered it. */
  readonly actor?: Actor | undefined;
  /** Why, as that caller said. */
  readonly reason?: string | undefined;
  /** Of a reinstatement: how many blocks it lifted. */
  readonly blocks_lifted?: number | undefined;
  /** Somebody whom it reinstates is blocked in another way as well. */
  readonly still_blocked?: true | undefined;
  /** Null: its body does not name one. */
  readonly event: string | null;
  /** The id that its sender gave it. Null: its protocol has none. */
  readonly sender_id: string | null;
  readonly received_at: string;
  /** Its event in the trail. */
  readonly event_id: string;
  /** Why it led to nothing. */
  readonly ignored: 'event_not_allowed' | 'event_unknown' | null;
  /** The code with which it was refused. */
  readonly refused: ErrorCode | null;
  readonly refused_field?: string | undefined;
  readonly id_reused?: true | undefined;
  readonly rejected_items?: Readonly<Partial<Record<ItemRejection, number>>> | undefined;
  readonly mode?: Mode | undefined;
  readonly former?: true | undefined;
  readonly subject?: SubjectRef | undefined;
  readonly issuer_configured?: false | undefined;
  readonly owners?: readonly FoundOwner[] | undefined;
  readonly also_carried?: readonly FoundOwner[] | undefined;
  readonly owners_not_shown?: number | undefined;
  /** The tokens that it named: ours, none of ours, and ours in a workspace that its source may not touch. */
  readonly tokens: { readonly matched: number; readonly unmatched: number; readonly out_of_scope: number };
  /** How far the revocations are. */
  readonly orders: {
    readonly open: number;
    readonly acknowledged: number;
    readonly confirmed: number;
    readonly failed: number;
    readonly lifted?: number | undefined;
  };
  /** Orders of it are still to be made. */
  readonly orders_left?: true | undefined;
}

/** A token that a delivery named. */
export interface DeliveryItem {
  readonly position: number;
  readonly found: 'matched' | 'unmatched' | 'out_of_scope';
  /** Where the secret was seen. */
  readonly location: string | null;
  readonly workspace_uuid: string | null;
  readonly token_id: string | null;
  /** Tokens whose prefix fits. Nothing is revoked by guess. */
  readonly candidates?: readonly string[] | undefined;
}

/** What became of one token that was ordered to go. */
export interface Revocation {
  /** Its event in the trail. */
  readonly event_id: string;
  readonly workspace_uuid: string;
  readonly token_id: string;
  readonly mode: Mode;
  readonly state: OrderState;
  readonly result: OrderResult | null;
  readonly error_code: ErrorCode | null;
  readonly tries: number;
  readonly next_try_at: string | null;
  readonly received_at: string;
  readonly matched_at: string;
  /** When PipeOps acknowledged a revocation. */
  readonly revoked_at?: string | null | undefined;
  /** When PipeOps acknowledged a suspension. */
  readonly suspended_at?: string | null | undefined;
  /** When a later look agreed. */
  readonly confirmed_at: string | null;
  /** Since when a look contradicts it. */
  readonly contradicted_at: string | null;
}

/** A delivery with each token that it named, and what became of each. */
export interface WholeDelivery extends Delivery {
  readonly items: readonly DeliveryItem[];
  readonly revocations: readonly Revocation[];
}

/** Why somebody is blocked. */
export interface Block {
  readonly since: string;
  readonly by: 'subject' | 'label';
  /** The event in the trail of what has made it. */
  readonly event_id?: string | undefined;
  /** The webhook, or the revocation by a caller, that has made it. */
  readonly delivery_id?: string | undefined;
  /** Why, as the caller said who made it. */
  readonly reason?: string | undefined;
}

/** An owner of tokens, or somebody who is blocked. Without issuer and subject it is a label that is blocked. */
export interface Subject {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
  readonly tokens: { readonly live: number; readonly total: number; readonly more?: true | undefined };
  readonly blocks: readonly Block[];
}
