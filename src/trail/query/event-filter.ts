import type { ActorType, AuditAction, AuditStatus } from '../../vocabulary.ts';

/** What `actor` says where a caller means itself. */
export const ME = 'me';

/** Whose events those are: not by its label, since a label can be chosen. */
export interface Owner {
  readonly issuer: string;
  readonly subject: string;
}

/** Which rows of the trail are asked for: those that match all of it. Null, or no action, asks for any. */
export interface EventFilter {
  readonly actions: readonly AuditAction[];
  readonly status: AuditStatus | null;
  /** An issuer and a subject with `|` between them, or a subject, or a label. */
  readonly actor: string | null;
  /** Whoever is meant by `actor=me`. */
  readonly own: Owner | null;
  readonly actorType: ActorType | null;
  readonly tokenId: string | null;
  readonly workspaceUuid: string | null;
  readonly requestId: string | null;
  readonly ip: string | null;
  /** Milliseconds since the epoch: not before `fromMs`, and before `toMs`. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** Asks for every row. */
export const NO_FILTER: EventFilter = {
  actions: [],
  status: null,
  actor: null,
  own: null,
  actorType: null,
  tokenId: null,
  workspaceUuid: null,
  requestId: null,
  ip: null,
  fromMs: null,
  toMs: null,
};

export const ORDERS = ['asc', 'desc'] as const;
export type Order = (typeof ORDERS)[number];

/** Where in the trail a page begins: after `seq` in this order; null: at the end that comes first. */
export interface Position {
  readonly order: Order;
  readonly seq: number | null;
}
